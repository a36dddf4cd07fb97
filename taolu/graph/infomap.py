"""The search for the partition of a network that describes a walk on it shortest.

Each trial starts from single nodes in another order, and ends where no move of a node, of a module,
or of a part of a module makes the description shorter; see `two_level` and `hierarchy`. The best
trial is returned.
"""

from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from taolu.graph.flow import Flow, link_flow
from taolu.graph.hierarchy import columns_of_modules
from taolu.graph.links import as_links
from taolu.graph.map_equation import Codelength, codelength, nested_columns
from taolu.graph.network import whole
from taolu.graph.overlap import MOST_LINKS, check_overlap, links_if_split, split_nodes
from taolu.graph.state_network import memberships
from taolu.graph.two_level import two_level as search_two_level

SHORTER = 1e-10  # bits; less does not make a trial worth others


@dataclass(frozen=True)
class Partition:
    """A network in modules, and what a walk on it costs under them.

    Attributes:
        paths: The module of each node on each level, the top one first, int32 (nodes, depth).
            Modules are numbered in their parent, the most visited first; -1 where a node is in
            none below.
        bits: Bits per step, with their parts.
        flow: What the walker does.
        trials: Bits per step that each trial found, float64 (trials,); those that were made.
    """

    paths: np.ndarray
    bits: Codelength
    flow: Flow
    trials: np.ndarray

    @property
    def codelength(self) -> float:
        """Bits per step."""
        return self.bits.total

    @property
    def modules(self) -> np.ndarray:
        """The top module of each node, int32 (nodes,)."""
        return self.paths[:, 0]

    @property
    def leaves(self) -> np.ndarray:
        """The lowest module of each node, int32 (nodes,), numbered in the order of the paths."""
        return np.unique(self.paths, axis=0, return_inverse=True)[1].ravel().astype(np.int32)

    @property
    def levels(self) -> int:
        """How many levels there are, nodes included: 2 where modules have no modules."""
        return self.paths.shape[1] + 1

    @property
    def rates(self) -> np.ndarray:
        """How often the walker is at each node, float64 (nodes,)."""
        return self.flow.rates

    @property
    def names(self) -> tuple[Any, ...]:
        """What the caller calls the nodes, or the node each state is of; ids if without names."""
        physical, names = self.flow.physical, self.flow.names
        if physical is None:
            return tuple(range(self.flow.nodes)) if names is None else names
        return tuple(physical.tolist() if names is None else (names[i] for i in physical))

    @property
    def module_names(self) -> tuple[str, ...]:
        """The names of the most visited nodes of each top module, three at most."""
        found: list[list[str]] = [[] for _ in range(int(self.modules.max()) + 1)]
        names, modules = self.names, self.modules.tolist()
        for node in np.argsort(-self.rates, kind="stable").tolist():
            own = found[modules[node]]
            # States of one node share its name.
            if len(own) < 3 and str(names[node]) not in own:
                own.append(str(names[node]))
        return tuple(", ".join(own) for own in found)

    @property
    def memberships(self) -> tuple[dict[tuple[int, ...], float], ...]:
        """The lowest modules of each physical node, with the share of its visits in each.

        The most visited first; a node that is never visited has equal shares by states. Where nodes
        are no states, each is in one module.
        """
        return memberships(self.paths, self.flow)


def infomap(
    links,
    *,
    directed: bool = False,
    two_level: bool = False,
    trials: int = 1,
    patience: int | None = None,
    rng=0,
    threads: int = 1,
    teleportation: float = 0.15,
    recorded: bool = False,
    to_nodes: bool = False,
    nodes: int | None = None,
    markov_time: float = 1.0,
    variable_markov_time: bool = False,
    overlap: bool = False,
    report: Callable[[int, int, float], None] | None = None,
) -> Partition:
    """Returns the modules, and modules in modules, that describe a random walk shortest.

    How many modules and levels there are follows from the length alone. Time and memory of a trial
    grow about linearly with the links.

    Args:
        links: A `Flow`, or links as for `as_links`: a matrix, a tuple of arrays, or a NetworkX or
            igraph graph. Where they have `physical`, modules are of states, and those of one
            physical node share a code word in each module; see `Partition.memberships`.
        directed: Whether links lead from source to target only.
        two_level: Whether modules may have no modules.
        trials: How many times to search, at most; the shortest description is kept.
        patience: After how many trials in a row that found nothing shorter to stop.
        rng: Seed, or NumPy generator, of the order in which nodes are tried. The same seed gives
            the same partition, on any number of threads.
        threads: Trials that run side by side.
        teleportation: As for `link_flow`, and so are the rest; a `Flow` has its own.
        recorded: Whether teleports count as flow.
        to_nodes: Whether a teleport lands on any node with the same probability.
        nodes: How many nodes there are, for arrays of links.
        markov_time: Steps from one description to the next: more make larger modules.
        variable_markov_time: Whether they are more where there are fewer ways to go.
        overlap: Whether a node may be in several modules, where that is shorter: the partition is
            then one of its states, by where the walker comes from; see `Partition.memberships`.
        report: Called after each trial with how many are done, how many there are, and the fewest
            bits per step so far.

    Raises:
        TypeError: `links` is of no known kind.
        ValueError: An argument breaks a rule.

    Example:
        Two triangles, and one link from one to the other.

        >>> found = infomap(([0, 1, 2, 3, 4, 5, 2], [1, 2, 0, 4, 5, 3, 3]))
        >>> found.modules.tolist(), round(found.codelength, 6)
        ([0, 0, 0, 1, 1, 1], 2.32073)

        Two groups of six that all know each other, and share one of them.

        >>> pairs = [(a, b) for a in range(11) for b in range(a) if a <= 5 or b >= 5]
        >>> found = infomap(tuple(np.array(pairs).T), overlap=True)
        >>> found.memberships[5], found.memberships[6]
        ({(0,): 0.5, (1,): 0.5}, {(1,): 1.0})

    References:
        Rosvall, Bergstrom, Maps of random walks on complex networks reveal community structure,
        2008. Rosvall, Bergstrom, Multilevel compression of random walks on networks reveals
        hierarchical organization in large integrated systems, 2011. Su Jianlin, 最小熵原理（五）：
        “层层递进”之社区发现与聚类, spaces.ac.cn/archives/7006, 2019. Viamontes Esquivel, Rosvall,
        Compression of flow can reveal overlapping-module organization in networks, 2011.
    """
    patience = trials if patience is None else patience
    for name, value in (("trials", trials), ("threads", threads), ("patience", patience)):
        if value != int(value) or value < 1:
            raise ValueError(f"`{name}` must be a whole number, at least 1. Received: {value}.")
    if overlap:
        check_overlap(links, recorded=recorded, plain=markov_time == 1 and not variable_markov_time)
    flow = links
    if not isinstance(links, Flow):
        flow = link_flow(
            links,
            directed=directed,
            teleportation=teleportation,
            recorded=recorded,
            to_nodes=to_nodes,
            nodes=nodes,
            markov_time=markov_time,
            variable_markov_time=variable_markov_time,
        )
    network = whole(flow)
    seeds = np.random.default_rng(rng).integers(1, 2**32, int(trials))

    def trial(seed) -> tuple[Codelength, np.ndarray]:
        state = np.array([seed], dtype=np.int64)
        if two_level:
            columns = search_two_level(network, state)[0][:, None]
        else:
            columns = columns_of_modules(flow, network, state)
        bits = codelength(flow, columns)
        if bits.total <= bits.one_level:
            return bits, columns
        columns = np.zeros((flow.nodes, 1), dtype=np.int32)
        if flow.physical is not None:
            # Many small modules may share too few code words to grow, where one would shrink.
            columns = search_two_level(network, state, columns[:, 0])[0][:, None]
        return codelength(flow, columns), columns

    # Trials come in the order of their seeds, so where to stop does not depend on threads.
    with closing(_side_by_side(trial, seeds, int(threads))) as found:
        bits, columns = next(found)
        lengths, idle = [bits.total], 0
        if report:
            report(1, len(seeds), bits.total)
        while idle < patience and len(lengths) < len(seeds):
            other = next(found)
            lengths.append(other[0].total)
            idle = 0 if bits.total - other[0].total > SHORTER else idle + 1
            if other[0].total < bits.total:
                bits, columns = other
            if report:
                report(len(lengths), len(seeds), bits.total)
    best = Partition(_paths(columns, flow.rates), bits, flow, np.array(lengths))
    if not overlap:
        return best
    given = as_links(links, directed=directed, nodes=nodes)

    def again(split) -> Partition:
        return infomap(
            split, two_level=two_level, trials=trials, patience=patience, rng=rng, threads=threads
        )

    return _overlapping(best, given, again)


def _overlapping(best, links, search) -> Partition:
    """The best partition of states of nodes, where that is shorter."""
    found, flow = best, best.flow
    ways = [found.leaves]
    if links_if_split(links, not flow.balanced) <= MOST_LINKS:
        ways.append(np.arange(flow.nodes))
    for labels in ways:
        split = split_nodes(links, flow, labels)
        others = [search(split)]
        if found.levels == 2:
            start = found.modules[split.physical]
            columns = search_two_level(whole(split), np.ones(1, dtype=np.int64), start)[0][:, None]
            bits = codelength(split, columns)
            others.append(Partition(_paths(columns, split.rates), bits, split, found.trials))
        for other in others:
            if best.codelength - other.codelength > SHORTER:
                best = replace(other, trials=found.trials)
    return best


def _side_by_side(trial, seeds, threads) -> Generator[tuple[Codelength, np.ndarray], None, None]:
    if threads == 1 or len(seeds) == 1:
        yield from map(trial, seeds)
        return
    with ThreadPoolExecutor(min(threads, len(seeds))) as pool:
        yield from pool.map(trial, seeds)


def _paths(columns, rates) -> np.ndarray:
    """Numbers modules in their parents, the most visited first."""
    paths = np.full(columns.shape, -1, dtype=np.int32)
    above = np.zeros(len(columns), dtype=np.int64)
    for level, own in enumerate(nested_columns(columns)):
        some = own >= 0
        numbers, first = np.unique(own[some], return_index=True)
        visits = np.bincount(own[some], rates[some], numbers.size)
        parents = above[some][first]
        # Equal visits come in the order of their first nodes.
        order = np.lexsort((first, -visits, parents))
        before = np.searchsorted(parents[order], parents[order])
        places = np.empty(numbers.size, dtype=np.int32)
        places[order] = np.arange(numbers.size) - before
        paths[some, level] = places[own[some]]
        above = own
    return paths
