"""Search for modules in modules, to any depth.

Seen from the top: modules on one level, then modules of these modules, as long as another codebook
pays. The outermost ones stand; what is inside each is searched in the same way, until no part of
the network is described shorter by modules. All regions of one depth are searched at once.
"""

from dataclasses import dataclass

import numpy as np

from taolu.graph.flow import Flow
from taolu.graph.map_equation import codelength
from taolu.graph.network import (
    Network,
    aggregate,
    bits_of_regions,
    crossings,
    entries,
    restrict,
)
from taolu.graph.two_level import climb, two_level

LEAST = 1e-10  # nats that modules must save to be kept
ENOUGH = 1e-4  # share of the bits a new tree must save to be followed by another


@dataclass(frozen=True)
class _Levels:
    """Modules of each node on the lowest and the highest level, and what they save.

    `saved` is in nats, float64 (regions,); where it is not positive, modules do not pay.
    """

    lowest: np.ndarray
    highest: np.ndarray
    saved: np.ndarray


def columns_of_modules(flow: Flow, network: Network, state: np.ndarray) -> np.ndarray:
    """Returns the module of each node on each level, the top one first, int32 (nodes, depth).

    Args:
        flow: What the walker does.
        network: The whole of it.
        state: Of the random numbers; see `move`.
    """
    columns = _descend(network, state, _search(network, state, None))
    bits = codelength(flow, columns).total
    # The lowest modules were found in regions that larger ones had drawn; now they draw those.
    while columns.shape[1] > 1:
        lowest = _labels(*columns.T)
        other = _descend(network, state, _levels(lowest, _modules(network, lowest), state))
        gain = bits - codelength(flow, other).total
        if gain > 0:
            columns, bits = other, bits - gain
        if gain <= ENOUGH * bits:
            break
    return columns


def _descend(part, state, levels) -> np.ndarray:
    """Columns of the highest modules, and of what is found in each of them."""
    nodes, size = np.arange(part.size), part.size
    columns = []
    while True:
        paying = (levels.saved > LEAST)[part.regions]
        if not paying.any():
            break
        column = np.full(size, -1, dtype=np.int32)
        column[nodes[paying]] = levels.highest[paying]
        columns.append(column)
        outer = crossings(_modules(part, levels.highest))[1]
        known = levels.lowest[paying]
        part = restrict(part, np.where(paying, levels.highest, np.int32(-1)), outer)
        nodes = nodes[paying]
        levels = _search(part, state, known)
    if not columns:
        return np.zeros((size, 1), dtype=np.int32)
    return np.stack(columns, axis=1)


def _labels(*columns) -> np.ndarray:
    """Numbers combinations of labels from 0, int32."""
    numbers = np.zeros(len(columns[0]), dtype=np.int64)
    for column in columns:
        low = int(column.min())
        numbers = numbers * (int(column.max()) - low + 1) + (column - low)
        numbers = np.unique(numbers, return_inverse=True)[1]
    return numbers.astype(np.int32)


def _modules(part, labels) -> Network:
    return aggregate(part, labels, int(labels.max()) + 1)


def _search(part, state, known) -> _Levels:
    """Searches from single nodes, and from known modules where a region has several."""
    if known is None:
        return _levels(*two_level(part, state), state)
    best = _Levels(part.regions, part.regions, np.zeros(part.outer.size))
    labels, modules = climb(part, state)
    split, flat = bits_of_regions(modules)
    # Where single nodes do not climb to modules that pay, nothing is tuned.
    best = _try(part, best, labels, flat - split > LEAST, state, tuned=True)
    several = _several(part, known)
    best = _try(part, best, known, several, state, tuned=False)
    return _try(part, best, known, several, state, tuned=True)


def _try(part, best, labels, inner, state, *, tuned: bool) -> _Levels:
    """What is better in the inner regions: the best so far, or what the labels lead to."""
    if not inner.any():
        return best
    within = inner[part.regions]
    some = restrict(part, np.where(within, part.regions, np.int32(-1)), part.outer)
    labels = _labels(labels[within])
    modules = _modules(some, labels)
    if tuned:
        labels, modules = two_level(some, state, labels)
    return _better(part, best, _levels(labels, modules, state), within, inner)


def _better(part, first, second, within, inner) -> _Levels:
    """In each region the better one; the second knows the nodes within, in the inner regions."""
    better = (second.saved > first.saved) & inner
    chosen = better[part.regions]

    def merge(one, other) -> np.ndarray:
        wide = np.zeros(one.size, dtype=np.int64)
        wide[within] = other
        return _labels(np.where(chosen, wide + one.size, one))

    saved = np.where(better, second.saved, first.saved)
    return _Levels(merge(first.lowest, second.lowest), merge(first.highest, second.highest), saved)


def _several(part, known) -> np.ndarray:
    """Whether each region has more than one of the known modules."""
    pairs = np.unique(np.stack([part.regions, known]), axis=1)
    return np.bincount(pairs[0], minlength=part.outer.size) > 1


def _levels(lowest, modules, state) -> _Levels:
    """Puts modules into modules as long as that pays, in each region."""
    split, flat = bits_of_regions(modules)
    saved = flat - split
    highest = lowest
    while True:
        above = entries(modules)
        own, wider = two_level(above, state, climb(entries(modules, 2), state)[0])
        split, flat = bits_of_regions(wider)
        good = flat - split > LEAST
        if not good.any():
            return _Levels(lowest, highest, saved)
        # Elsewhere each module stays alone.
        own = _labels(np.where(good[above.regions], own, above.size + np.arange(above.size)))
        modules = _modules(above, own)
        saved = saved + np.where(good, flat - split, 0.0)
        highest = own[highest]
