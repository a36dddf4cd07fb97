"""What modules hold of physical nodes, where the nodes of a network are states of them.

A state of a physical node is the node as met in some situation: with the node before it in mind,
or in one of several layers. A module's codebook names the physical node, not the state: with P_mi
the visits to the states of i in module m, the visits take

    - sum_m sum_i f(P_mi)

of the bits in place of - sum_a f(p_a), so states of one node that are together share a code word.
Since f is convex, f(P + p) >= f(P) + f(p): sharing never makes the description longer.
"""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Held:
    """What each node of a network, a state or a module of states, holds of physical nodes.

    Attributes:
        starts: Where the holdings of each node start, int64 (nodes + 1,).
        physical: Which physical node, int32 (holdings,). A physical node that has states in
            several regions counts as another one in each.
        rates: Visits to its states, float64 (holdings,).
        count: How many physical nodes there are.
    """

    starts: np.ndarray
    physical: np.ndarray
    rates: np.ndarray
    count: int


def held_by_states(physical: np.ndarray, rates: np.ndarray) -> Held:
    """Returns what states hold: each of them all of its own visits.

    Example:
        >>> held_by_states(np.array([0, 1, 0]), np.array([0.5, 0.25, 0.25])).starts.tolist()
        [0, 1, 2, 3]
    """
    starts = np.arange(physical.size + 1, dtype=np.int64)
    return Held(starts, physical.astype(np.int32), rates, int(physical.max()) + 1)


def restrict_held(held: Held, regions: np.ndarray) -> Held:
    """Returns what the nodes hold that are in a region; see `network.restrict`.

    Args:
        held: What all nodes hold.
        regions: The region of each node, int32 (nodes,); -1 leaves it out.

    Example:
        Two states of one physical node come into different regions.

        >>> held = held_by_states(np.array([0, 1, 0]), np.array([0.5, 0.25, 0.25]))
        >>> restrict_held(held, np.array([0, -1, 1])).physical.tolist()
        [0, 1]
    """
    sizes = np.diff(held.starts)
    own = np.repeat(regions.astype(np.int64), sizes)
    kept = own >= 0
    pairs, physical = np.unique(own[kept] * held.count + held.physical[kept], return_inverse=True)
    starts = _starts(sizes[regions >= 0])
    return Held(starts, physical.astype(np.int32), held.rates[kept], pairs.size)


def aggregate_held(held: Held, labels: np.ndarray, count: int) -> Held:
    """Returns what modules hold: the sums over their nodes; see `network.aggregate`.

    Args:
        held: What the nodes hold.
        labels: The module of each node, int32 (nodes,).
        count: How many modules there are.

    Example:
        >>> held = held_by_states(np.array([0, 1, 0]), np.array([0.5, 0.25, 0.25]))
        >>> found = aggregate_held(held, np.array([0, 1, 0]), 2)
        >>> found.physical.tolist(), found.rates.tolist()
        ([0, 1], [0.75, 0.25])
    """
    own = np.repeat(labels.astype(np.int64), np.diff(held.starts))
    pairs, places = np.unique(own * held.count + held.physical, return_inverse=True)
    modules, physical = np.divmod(pairs, held.count)
    starts = _starts(np.bincount(modules, minlength=count))
    rates = np.bincount(places, held.rates, pairs.size)
    return Held(starts, physical.astype(np.int32), rates, held.count)


def bits_of_held(held: Held, regions: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns what visits take in each region, its nodes as modules, and without modules, in nats.

    Args:
        held: What the modules hold.
        regions: The region of each module, int32 (modules,).
        count: How many regions there are.

    Returns:
        Minus the sums of f over modules and physical nodes, and over physical nodes, each float64
        (regions,).

    Example:
        >>> held = held_by_states(np.array([0, 0]), np.array([0.5, 0.5]))
        >>> [bits.round(6).tolist() for bits in bits_of_held(held, np.zeros(2, dtype=int), 1)]
        [[0.693147], [-0.0]]
    """
    own = np.repeat(regions, np.diff(held.starts))
    apart = np.bincount(own, _f(held.rates), count)
    home = np.zeros(held.count, dtype=np.int64)
    home[held.physical] = own
    together = np.bincount(home, _f(np.bincount(held.physical, held.rates, held.count)), count)
    return -apart, -together


def memberships(paths: np.ndarray, flow) -> tuple[dict[tuple[int, ...], float], ...]:
    """Returns the modules of each physical node, and the share of its visits in each.

    Args:
        paths: The module of each state on each level, int (nodes, depth); -1 for none.
        flow: What the walker does.

    Example:
        >>> from taolu.graph.flow import link_flow
        >>> flow = link_flow(([0, 1, 2], [1, 2, 0], [1.0, 1.0, 2.0]))
        >>> memberships(np.array([[0, 0], [0, 1], [1, -1]]), flow)
        ({(0, 0): 1.0}, {(0, 1): 1.0}, {(1,): 1.0})
    """
    physical = np.arange(flow.nodes) if flow.physical is None else flow.physical
    count = int(physical.max()) + 1
    modules, own = np.unique(paths, axis=0, return_inverse=True)
    names = [tuple(row[row >= 0].tolist()) for row in modules]
    visits = np.bincount(physical, flow.rates, count)
    states = np.bincount(physical, minlength=count)
    idle = visits == 0
    shares = np.where(idle[physical], 1.0, flow.rates)
    shares /= np.where(idle, states, visits)[physical]
    pairs, place = np.unique(physical * len(names) + own.ravel(), return_inverse=True)
    sums = np.bincount(place, shares, pairs.size)
    found: list[dict[tuple[int, ...], float]] = [{} for _ in range(count)]
    for k in np.lexsort((pairs, -sums)):
        node, module = divmod(int(pairs[k]), len(names))
        found[node][names[module]] = float(sums[k])
    return tuple(found)


def _starts(sizes) -> np.ndarray:
    starts = np.zeros(sizes.size + 1, dtype=np.int64)
    np.cumsum(sizes, out=starts[1:])
    return starts


def _f(rates) -> np.ndarray:
    return rates * np.log(np.where(rates > 0, rates, 1.0))
