"""Bits per step of a walk, given the modules its nodes are in.

Each module has a codebook that names what happens inside: a visit to one of its nodes, the entry
into one of its modules, or its exit. The top codebook names entries into modules only. A codebook
in which event i happens at rate x_i takes, by Shannon's source code,

    H(x) = f(sum_i x_i) - sum_i f(x_i) bits per step,  f(x) = x log2 x,

and the map equation adds up the codebooks. Rates are per step of the walk: visits to nodes sum to
one, whatever exits and entries add. With two levels, e_m and x_m the rates at which module m is
entered and left, and p_m the visits to its nodes, that is

    L = f(sum_m e_m) - sum_m f(e_m) - sum_m f(x_m) + sum_m f(x_m + p_m) - sum_a f(p_a).

Where nodes are states, a codebook names the physical node: states of one node in one module share a
code word, whose rate is the sum of theirs. In other modules the node has other code words; so its
states may be spread over several, and modules overlap.
"""

from dataclasses import dataclass

import numpy as np

from taolu._kernel import kernel
from taolu.graph.flow import Flow


@dataclass(frozen=True)
class Codelength:
    """What a walk costs under a partition, in bits per step.

    Attributes:
        total: All codebooks.
        index: Codebooks that name modules.
        module: Codebooks that name nodes.
        one_level: A single codebook for all nodes: the entropy of the visit rates.
        depths: Codebooks of each depth, the top one first.
    """

    total: float
    index: float
    module: float
    one_level: float
    depths: tuple[float, ...]


def codelength(flow: Flow, modules) -> Codelength:
    """Returns the bits per step of a walk under a partition of any depth.

    Takes time linear in nodes and links, times the depth.

    Args:
        flow: What the walker does; see `link_flow`.
        modules: The module of each node, int (nodes,). Or the module on each level, the top one
            first, int (nodes, depth): modules of different parents differ whatever their number,
            and -1 means that the node is in the module before, and in none below.

    Raises:
        ValueError: Shapes do not fit, or a node is in no module.

    Example:
        Two triangles, and one link from one to the other.

        >>> from taolu.graph.flow import link_flow
        >>> flow = link_flow(([0, 1, 2, 3, 4, 5, 2], [1, 2, 0, 4, 5, 3, 3]))
        >>> found = codelength(flow, [0, 0, 0, 1, 1, 1])
        >>> round(found.total, 6), round(found.index, 6), round(found.one_level, 6)
        (2.32073, 0.142857, 2.556657)

    References:
        Rosvall, Axelsson, Bergstrom, The map equation, 2009. Rosvall, Bergstrom, Multilevel
        compression of random walks, 2011. Edler, Bohlin, Rosvall, Mapping higher-order network
        flows in memory and multilayer networks with Infomap, 2017.
    """
    columns = _columns(flow.nodes, modules)
    depth = len(columns)
    sums = np.zeros(1)
    logs = np.zeros(1)  # of the codebooks of one depth: sums of x, and of f(x)
    names_nodes = np.zeros(1, dtype=bool)
    index, module, depths = 0.0, 0.0, []
    above = np.zeros(flow.nodes, dtype=np.int64)
    for level in range(depth + 1):
        own = columns[level] if level < depth else np.full(flow.nodes, -1)
        direct = (own < 0) & (above >= 0)
        _add(sums, logs, *_visits(flow, above, direct))
        names_nodes[above[direct]] = True
        below = own >= 0
        parents = np.zeros(int(own.max()) + 1, dtype=np.int64)
        parents[own[below]] = above[below]
        enter, leave = module_rates(flow, own, parents.size)
        _add(sums, logs, parents, enter)
        bits = _f(sums) - logs
        module += float(bits[names_nodes].sum())
        index += float(bits[~names_nodes].sum())
        depths.append(float(bits.sum()))
        sums, logs, above = leave.copy(), _f(leave), own
        names_nodes = np.zeros(parents.size, dtype=bool)
    return Codelength(index + module, index, module, one_level_bits(flow), tuple(depths))


def one_level_bits(flow: Flow) -> float:
    """Returns the bits per step when one codebook names all nodes: the entropy of the visits.

    Example:
        >>> from taolu.graph.flow import link_flow
        >>> one_level_bits(link_flow([[0, 1], [1, 0]]))
        1.0
    """
    visits = flow.rates if flow.physical is None else np.bincount(flow.physical, flow.rates)
    return max(0.0, -float(_f(visits).sum()))


def module_rates(flow: Flow, modules: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns how often each module is entered and left, both float64 (modules,).

    Args:
        flow: What the walker does.
        modules: The module of each node, int (nodes,); -1 for none.
        count: How many modules there are.
    """
    modules = np.ascontiguousarray(modules, dtype=np.int64)
    inside = np.zeros(count)
    _inside(flow.starts, flow.neighbours, flow.between, modules, inside)
    some = modules >= 0

    def add_up(values):
        return np.bincount(modules[some], values[some], count)

    leave = np.maximum(add_up(flow.leaving) - inside, 0.0)
    enter = np.maximum(add_up(flow.entering) - inside, 0.0)
    if flow.teleporting is not None and flow.landing is not None:
        leave += add_up(flow.teleporting) * (1 - add_up(flow.landing))
        enter = leave  # the walk is steady, so both are the same
    return enter, leave


def nested_columns(modules: np.ndarray) -> list[np.ndarray]:
    """Returns columns whose modules differ if their parents do, numbered from 0 without gaps.

    Args:
        modules: The module of each node on each level, int (nodes, depth), -1 for none.
    """
    columns = []
    above = np.zeros(len(modules), dtype=np.int64)
    for own in modules.T:
        span = int(own.max()) + 2 if own.size else 1
        some = own >= 0
        numbers = np.full(own.size, -1, dtype=np.int64)
        numbers[some] = np.unique(above[some] * span + own[some], return_inverse=True)[1]
        columns.append(numbers)
        above = numbers
    return columns


def _columns(nodes, modules) -> list[np.ndarray]:
    given = np.asarray(modules)
    if given.dtype.kind not in "iu":
        raise ValueError(f"`modules` must be whole numbers. Received: {given.dtype}.")
    given = given.astype(np.int64)
    given = given[:, None] if given.ndim == 1 else given
    if given.ndim != 2 or len(given) != nodes or not given.shape[1]:
        raise ValueError(
            f"`modules` must be (nodes,) or (nodes, depth) with {nodes} nodes. "
            f"Received: shape {np.shape(modules)}."
        )
    gap = np.any((given[:, :-1] < 0) & (given[:, 1:] >= 0), axis=1)
    wrong = (given < -1).any(axis=1) | (given[:, 0] < 0) | gap
    if wrong.any():
        raise ValueError(
            "`modules` must put each node into a module of the top level, and into none below a "
            "level without one; numbers start at 0, and -1 is no module. Received: "
            f"{given[wrong][0].tolist()} for node {int(np.argmax(wrong))}."
        )
    return nested_columns(given)


def _visits(flow, codebooks, some) -> tuple[np.ndarray, np.ndarray]:
    """The codebook and the rate of each code word for a visit to some of the nodes."""
    if flow.physical is None:
        return codebooks[some], flow.rates[some]
    words = codebooks[some] * (int(flow.physical.max()) + 1) + flow.physical[some]
    words, first, own = np.unique(words, return_index=True, return_inverse=True)
    return codebooks[some][first], np.bincount(own, flow.rates[some], words.size)


def _add(sums, logs, codebooks, rates) -> None:
    sums += np.bincount(codebooks, rates, sums.size)
    logs += np.bincount(codebooks, _f(rates), sums.size)


def _f(rates) -> np.ndarray:
    rates = np.asarray(rates, dtype=np.float64)
    return rates * np.log2(np.where(rates > 0, rates, 1.0))


@kernel
def _inside(starts, neighbours, between, modules, inside):
    for a in range(starts.size - 1):
        m = modules[a]
        if m >= 0:
            for e in range(starts[a], starts[a + 1]):
                if modules[neighbours[e]] == m:
                    inside[m] += 0.5 * between[e]
