"""Search for modules in modules, to any depth.

Seen from the top: modules on one level, then modules of these modules, as long as another codebook
pays. The outermost ones stand; what is inside each is searched in the same way, until no part of
the network is described shorter by modules. All regions of one depth are searched at once.
"""

from dataclasses import dataclass

import numpy as np

from taolu.graph.search import (
    Network,
    aggregate,
    bits_of_regions,
    crossings,
    entries,
    restrict,
)
from taolu.graph.two_level import two_level

LEAST = 1e-10  # nats that modules must save to be kept


@dataclass(frozen=True)
class _Levels:
    """Modules of each node on the lowest and the highest level, and what they save.

    `saved` is in nats, float64 (regions,); where it is not positive, modules do not pay.
    """

    lowest: np.ndarray
    highest: np.ndarray
    saved: np.ndarray


def columns_of_modules(network: Network, state: np.ndarray) -> np.ndarray:
    """Returns the module of each node on each level, the top one first, int32 (nodes, depth).

    Args:
        network: One region, the whole.
        state: Of the random numbers; see `move`.
    """
    nodes = np.arange(network.size)
    columns = []
    part, known = network, None
    while nodes.size:
        levels = _search(part, state, known)
        paying = (levels.saved > LEAST)[part.regions]
        if not paying.any():
            break
        column = np.full(network.size, -1, dtype=np.int32)
        column[nodes[paying]] = levels.highest[paying]
        columns.append(column)
        modules = aggregate(part, levels.highest, int(levels.highest.max()) + 1)
        regions = np.where(paying, levels.highest, np.int32(-1))
        known = levels.lowest[paying]
        part = restrict(part, regions, crossings(modules)[1])
        nodes = nodes[paying]
    if not columns:
        return np.zeros((network.size, 1), dtype=np.int32)
    return np.stack(columns, axis=1)


def _search(part, state, known) -> _Levels:
    """Searches from single nodes, and from known modules where a region has several."""
    fresh = _levels(*two_level(part, state), state)
    if known is None:
        return fresh
    inner = _several(part, known)
    if not inner.any():
        return fresh
    within = inner[part.regions]
    some = restrict(part, np.where(within, part.regions, np.int32(-1)), part.outer)
    labels = np.unique(known[within], return_inverse=True)[1].astype(np.int32)
    tuned = _levels(*two_level(some, state, labels), state)
    better = (tuned.saved > fresh.saved) & inner
    chosen = better[part.regions]
    lowest = _merge(fresh.lowest, tuned.lowest, within, chosen)
    highest = _merge(fresh.highest, tuned.highest, within, chosen)
    return _Levels(lowest, highest, np.where(better, tuned.saved, fresh.saved))


def _several(part, known) -> np.ndarray:
    """Whether each region has more than one of the known modules."""
    pairs = np.unique(np.stack([part.regions, known]), axis=1)
    return np.bincount(pairs[0], minlength=part.outer.size) > 1


def _merge(fresh, tuned, within, chosen) -> np.ndarray:
    """Labels of `tuned`, which knows the nodes within, where it was chosen."""
    labels = fresh.astype(np.int64)
    wide = np.zeros(fresh.size, dtype=np.int64)
    wide[within] = tuned
    labels[chosen] = wide[chosen] + fresh.size
    return np.unique(labels, return_inverse=True)[1].astype(np.int32)


def _levels(lowest, modules, state) -> _Levels:
    """Puts modules into modules as long as that pays, in each region where modules pay at all."""
    split, flat = bits_of_regions(modules)
    saved = flat - split
    paying = saved > LEAST
    highest = lowest
    while True:
        above = entries(modules)
        own, wider = two_level(above, state)
        split, flat = bits_of_regions(wider)
        good = (flat - split > LEAST) & paying
        if not good.any():
            return _Levels(lowest, highest, saved)
        # Elsewhere each module stays alone.
        own = np.where(good[above.regions], own, above.size + np.arange(above.size))
        own = np.unique(own, return_inverse=True)[1].astype(np.int32)
        modules = aggregate(above, own, int(own.max()) + 1)
        saved = saved + np.where(good, flat - split, 0.0)
        highest = own[highest]
