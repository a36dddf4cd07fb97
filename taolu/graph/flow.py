"""Where a random walker spends its time, and how much of it passes each link.

Without directions a walker is at a node in proportion to the weights of its links,

    p_a = s_a / sum s,    f_ab = w_ab / sum s.

With directions it might get stuck, so at each step it teleports with probability tau, and from a
node without way out always:

    p_b = (1 - tau) sum_a p_a P_ab + t v_b,    P_ab = w_ab / sum_c w_ac,
    t = tau + (1 - tau) sum of p_a over nodes without way out.

By default the teleports are made but not recorded: links carry p_a P_ab alone, scaled to one. A
teleport lands on a link drawn by weight, which is on its source in proportion to the weight of what
leaves it. Recorded, it then passes the link, and lands by the weight of what enters a node; or, to
nodes, on any of them with the same probability.

A link from a node to itself counts once, keeps the walker where it is, and never leaves a module.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from taolu._kernel import kernel
from taolu.graph.bipartite import check_kinds, visits_to_first_kind
from taolu.graph.links import Links, as_links
from taolu.graph.markov_time import MarkovTime
from taolu.graph.visits import passing


@dataclass(frozen=True)
class Flow:
    """The steady state of a walker, per step; whatever it does adds up to one.

    What the map equation asks of a link between two nodes is only how much passes it both ways
    together, so links are stored as a symmetric matrix in compressed rows. Links from a node to
    itself are left out.

    Attributes:
        rates: How often the walker is at each node, float64 (nodes,); sums to one.
        starts: Where the row of each node starts, int64 (nodes + 1,).
        neighbours: The node at the other end, int32 (2 * links,).
        between: Flow from a to b plus flow from b to a, float64 (2 * links,).
        leaving: Flow from each node over links to others, float64 (nodes,).
        entering: Flow into each node over links from others, float64 (nodes,).
        teleporting: Flow from each node by recorded teleports, float64 (nodes,), or None.
        landing: Probability that a teleport lands on the node, float64 (nodes,), or None.
        balanced: Whether as much enters as leaves each set of nodes, teleports included.
        names: What the caller calls the nodes, or None.
        physical: Where nodes are states, the physical node that each is a state of, int32
            (nodes,), or None; `names` then names physical nodes.
    """

    rates: np.ndarray
    starts: np.ndarray
    neighbours: np.ndarray
    between: np.ndarray
    leaving: np.ndarray
    entering: np.ndarray
    teleporting: np.ndarray | None = None
    landing: np.ndarray | None = None
    balanced: bool = True
    names: tuple[Any, ...] | None = None
    physical: np.ndarray | None = None

    @property
    def nodes(self) -> int:
        """How many nodes there are."""
        return self.rates.size


def link_flow(
    links,
    *,
    directed: bool = False,
    teleportation: float = 0.15,
    recorded: bool = False,
    to_nodes: bool = False,
    nodes: int | None = None,
    markov_time: float = 1.0,
    variable_markov_time: bool = False,
    markov_damping: float = 1.0,
    first_kind_only: bool = True,
) -> Flow:
    """Returns how often a random walker visits each node and passes each link.

    Takes time and memory linear in nodes and links, times the steps of the power iteration where
    links have directions.

    Args:
        links: See `as_links`.
        directed: Whether links lead from source to target only; `Links` may say so themselves.
            Teleports are for this case.
        teleportation: Probability tau of a teleport at each step, above 0 and below 1.
        recorded: Whether teleports count as flow.
        to_nodes: Whether a teleport lands on any node with the same probability, instead of on
            links by weight.
        nodes: How many nodes there are, for arrays of links.
        markov_time: Steps from one description to the next: more make larger modules, fewer than
            one smaller ones. See `MarkovTime`.
        variable_markov_time: Whether they are more where there are fewer ways to go.
        markov_damping: How little they vary, from 0 to 1.
        first_kind_only: Where `Links` are `bipartite`, whether visits count only at nodes of the
            first kind; see `bipartite`.

    Raises:
        TypeError: `links` is of no known kind.
        ValueError: An argument breaks a rule, or teleports are recorded at other times.

    Example:
        >>> link_flow(([0, 1, 2], [1, 2, 0], [1.0, 1.0, 2.0])).rates.tolist()
        [0.375, 0.25, 0.375]
        >>> link_flow(([0, 1, 2], [1, 2, 0]), directed=True).rates.round(6).tolist()
        [0.333333, 0.333333, 0.333333]

    References:
        Rosvall, Bergstrom, Maps of random walks on complex networks reveal community structure,
        2008. Lambiotte, Rosvall, Ranking and clustering of nodes in networks with smart
        teleportation, 2012. Kheirkhahzadeh, Lancichinetti, Rosvall, Efficient community detection
        of network flows for varying Markov times and bipartite networks, 2016.
    """
    if not 0 < teleportation < 1:
        raise ValueError(
            f"`teleportation` must lie between 0 and 1. Received: teleportation={teleportation}."
        )
    time = MarkovTime(markov_time, variable_markov_time, markov_damping)
    time.check()
    if recorded and not time.plain:
        raise ValueError(
            "`markov_time` must be 1 and not vary where teleports are recorded. Received: "
            f"markov_time={time.time}, variable_markov_time={time.variable}."
        )
    given = as_links(links, directed=directed, nodes=nodes)
    _check_physical(given)
    first = given.bipartite if first_kind_only else None
    if first is not None:
        check_kinds(given, recorded=recorded, variable=variable_markov_time)
        time = replace(time, time=2 * time.time)
    if directed or given.directed:
        flow = _directed(given, teleportation, recorded, to_nodes, time)
    else:
        flow = _undirected(given, time)
    if first is None:
        return flow
    return replace(flow, rates=visits_to_first_kind(flow.leaving, flow.entering, first))


def flow_of_states(links, rates: np.ndarray, physical: np.ndarray, like: Flow) -> Flow:
    """Returns the flow between states that is known already.

    Args:
        links: Sources and targets, int (links,), and what passes them that way, float64 (links,).
        rates: Visits to each state, float64 (states,).
        physical: The node of each state, int32 (states,).
        like: Flow between the nodes, for their names and balance.

    Example:
        >>> like = link_flow(([0], [1]))
        >>> links = np.array([0, 1]), np.array([1, 0]), np.array([0.5, 0.5])
        >>> flow_of_states(links, np.array([0.5, 0.5]), np.array([0, 1]), like).between.tolist()
        [1.0, 1.0]
    """
    sources, targets, passed = links
    states = rates.size
    away = np.where(sources != targets, passed, 0.0)
    ids = sources.astype(np.int32), targets.astype(np.int32)
    return Flow(
        rates,
        *_rows(Links(*ids, away, states, directed=True), away),
        np.bincount(sources, away, states),
        np.bincount(targets, away, states),
        balanced=like.balanced,
        names=like.names,
        physical=physical,
    )


def _check_physical(links) -> None:
    physical = links.physical
    if physical is None:
        return
    if np.shape(physical) != (links.nodes,) or physical.dtype.kind not in "iu" or min(physical) < 0:
        raise ValueError(
            f"`links.physical` must hold the id, from 0, of the physical node of each of the "
            f"{links.nodes} states. Received: {np.asarray(physical).dtype} of shape "
            f"{np.shape(physical)}, the least {np.min(physical)}."
        )


def _undirected(links, time) -> Flow:
    away = links.sources != links.targets
    loops = np.bincount(links.sources[~away], links.weights[~away], links.nodes)
    flow = links.weights.copy()
    flow[~away] = 0.0
    leaving = np.bincount(links.sources, flow, links.nodes)
    leaving += np.bincount(links.targets, flow, links.nodes)
    total = leaving.sum() + loops.sum()
    rates = (leaving + loops) / total
    if not time.plain:
        flow *= time.of_links(links, rates, directed=False)
        leaving = np.bincount(links.sources, flow, links.nodes)
        leaving += np.bincount(links.targets, flow, links.nodes)
    starts, neighbours, between = _rows(links, 2 * flow / total)
    leaving = leaving / total
    return Flow(
        rates,
        starts,
        neighbours,
        between,
        leaving,
        leaving,
        names=links.names,
        physical=links.physical,
    )


def _directed(links, teleportation, recorded, to_nodes, time) -> Flow:
    out, into = np.zeros(links.nodes), np.zeros(links.nodes)
    _add_at_ends(links.sources, links.targets, links.weights, out, into)
    stuck = out == 0
    if to_nodes:
        landing = np.full(links.nodes, 1 / links.nodes)
    else:
        # Recorded, a teleport to a link is seen where the link ends.
        landing = into if recorded else out
        landing = landing / landing.sum()
    links, flow, rates = passing(links, out, landing, teleportation)
    if recorded:
        flow *= 1 - teleportation
    else:
        flow /= flow.sum()
    loops = np.zeros(links.nodes)
    _set_loops_apart(links.sources, links.targets, flow, loops)
    leaving, entering = np.zeros(links.nodes), np.zeros(links.nodes)
    _add_at_ends(links.sources, links.targets, flow, leaving, entering)
    if not recorded:
        rates = entering + loops
    if not time.plain:
        flow *= time.of_links(links, rates, directed=True)
        leaving, entering = np.zeros(links.nodes), np.zeros(links.nodes)
        _add_at_ends(links.sources, links.targets, flow, leaving, entering)
    starts, neighbours, between = _rows(links, flow)
    teleporting = np.where(stuck, rates, teleportation * rates)
    return Flow(
        rates,
        starts,
        neighbours,
        between,
        leaving,
        entering,
        teleporting if recorded else None,
        landing if recorded else None,
        balanced=recorded,
        names=links.names,
        physical=links.physical,
    )


def _rows(links, flow) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Symmetric rows of the links that carry flow, each neighbour once."""
    starts = np.zeros(links.nodes + 1, dtype=np.int64)
    neighbours = np.empty(2 * flow.size, dtype=np.int32)
    between = np.empty(2 * flow.size)
    _symmetric_rows(links.sources, links.targets, flow, starts, neighbours, between)
    size = int(starts[-1])
    if size < neighbours.size:
        neighbours, between = neighbours[:size].copy(), between[:size].copy()
    return starts, neighbours, between


@kernel
def _add_at_ends(sources, targets, amounts, leaving, entering):
    for e in range(amounts.size):
        leaving[sources[e]] += amounts[e]
        entering[targets[e]] += amounts[e]


@kernel
def _set_loops_apart(sources, targets, flow, loops):
    for e in range(flow.size):
        if sources[e] == targets[e]:
            loops[sources[e]] += flow[e]
            flow[e] = 0.0


@kernel
def _symmetric_rows(sources, targets, flow, starts, neighbours, between):
    nodes = starts.size - 1
    for e in range(flow.size):
        if flow[e] > 0.0:
            starts[sources[e] + 1] += 1
            starts[targets[e] + 1] += 1
    for a in range(nodes):
        starts[a + 1] += starts[a]
    place = starts[:-1].copy()
    for e in range(flow.size):
        if flow[e] > 0.0:
            a, b = sources[e], targets[e]
            neighbours[place[a]], neighbours[place[b]] = b, a
            between[place[a]], between[place[b]] = flow[e], flow[e]
            place[a] += 1
            place[b] += 1
    # Put the same neighbour of a row together, in place: what was read is never needed again.
    seen = np.full(nodes, -1, dtype=np.int64)
    size = 0
    for a in range(nodes):
        first, last = starts[a], starts[a + 1]
        starts[a] = size
        begin = size
        for e in range(first, last):
            b = neighbours[e]
            if seen[b] >= begin:
                between[seen[b]] += between[e]
            else:
                seen[b] = size
                neighbours[size] = b
                between[size] = between[e]
                size += 1
    starts[nodes] = size
