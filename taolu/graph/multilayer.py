"""Links between states, from links in layers and between them.

In a network of layers a node is a state in each layer in which it has links. Where a file says how
states are linked, that is all. Where it has links inside layers only, a walker on node i of layer a
follows one of these with probability 1 - r; with probability r it relaxes, and follows any link of
the node in any layer, by weight:

    P(a,i -> b,j) = (1 - r) [a = b] w_ij^b / s_i^b + r w_ij^b / sum_c s_i^c,   s_i^b = sum_j w_ij^b.

A weight D between layers a and b of node i is spread over what the walker can do there, so it does
not stay where it is: D w_ij^b / s_i^b goes from (a, i) to (b, j); where i leads nowhere in b, none.
"""

from dataclasses import dataclass

import numpy as np

RELAX = 0.15  # r, as in the literature


@dataclass(frozen=True)
class Layered:
    """Links between states.

    Attributes:
        sources: The state at which each link starts, int64 (links,).
        targets: Where it ends, int64 (links,).
        weights: Its weight, float64 (links,).
        nodes: The number of the physical node of each state, int64 (states,).
    """

    sources: np.ndarray
    targets: np.ndarray
    weights: np.ndarray
    nodes: np.ndarray


def explicit(ids: np.ndarray, weights: np.ndarray) -> Layered:
    """Returns links between states as a file gives them.

    Args:
        ids: Layer, node, layer and node of each link, int64 (links, 4).
        weights: Of each link, float64 (links,).
    """
    states, (sources, targets) = _states(ids[:, :2], ids[:, 2:])
    return Layered(sources, targets, weights, states[:, 1])


def expand(intra, inter, *, directed: bool) -> Layered:
    """Returns the links between states that links in layers stand for.

    Args:
        intra: Layer, source and target of links inside a layer, int64 (links, 3), and their
            weights, float64 (links,).
        inter: Layer, node and layer of links between two layers, and their weights, likewise; None
            where walkers relax instead.
        directed: Whether these lead from source to target only. What is returned always does.

    Example:
        >>> intra = np.array([[1, 7, 8], [2, 7, 9]]), np.array([1.0, 1.0])
        >>> found = expand(intra, None, directed=True)
        >>> found.nodes.tolist(), found.sources.tolist(), found.targets.tolist()
        ([7, 8, 7, 9], [0, 2, 0, 0, 2, 2], [1, 3, 1, 3, 1, 3])
        >>> found.weights.round(3).tolist()
        [0.85, 0.85, 0.075, 0.075, 0.075, 0.075]

    References:
        De Domenico, Lancichinetti, Arenas, Rosvall, Identifying modular flows on multilayer
        networks reveals highly overlapping organization in interconnected systems, 2015.
    """
    (ids, weights), between = intra, inter
    if not directed:
        back = ids[:, 1] != ids[:, 2]
        ids = np.concatenate([ids, ids[back][:, [0, 2, 1]]])
        weights = np.concatenate([weights, weights[back]])
        if between is not None:
            turned = between[0][:, [2, 1, 0]]
            between = np.concatenate([between[0], turned]), np.concatenate([between[1]] * 2)
    places = [ids[:, :2], ids[:, [0, 2]]]
    if between is not None:
        places += [between[0][:, :2], between[0][:, [2, 1]]]
    states, (sources, targets, *ends) = _states(*places)
    strength = np.bincount(sources, weights, len(states))
    shares = weights / np.where(strength > 0, strength, 1.0)[sources]
    if between is None:
        kept = (1 - RELAX) * shares
        number, own = np.unique(states[:, 1], return_inverse=True)
        whole = np.bincount(own, strength, number.size)
        # From each state, over each link that its node has in any layer.
        rows, links = _joined(own, own[sources])
        more = RELAX * weights[links] / np.where(whole > 0, whole, 1.0)[own[rows]]
    else:
        kept = weights
        rows, links = _joined(ends[1], sources)
        more = between[1][rows] * shares[links]
        rows = ends[0][rows]
    return Layered(
        np.concatenate([sources, rows]),
        np.concatenate([targets, targets[links]]),
        np.concatenate([kept, more]),
        states[:, 1],
    )


def _states(*places) -> tuple[np.ndarray, list[np.ndarray]]:
    """All pairs of layer and node, sorted, and where each of the given ones stands among them."""
    stacked = np.concatenate(places)
    states, numbers = np.unique(stacked, axis=0, return_inverse=True)
    cuts = np.cumsum([len(part) for part in places])[:-1]
    return states, np.split(numbers.ravel(), cuts)


def _joined(keys, others) -> tuple[np.ndarray, np.ndarray]:
    """All pairs of rows with the same key, as row numbers of both."""
    order = np.argsort(others, kind="stable")
    first = np.searchsorted(others[order], keys)
    counts = np.searchsorted(others[order], keys, side="right") - first
    rows = np.repeat(np.arange(keys.size), counts)
    within = np.arange(rows.size) - np.repeat(np.cumsum(counts) - counts, counts)
    return rows, order[first[rows] + within]
