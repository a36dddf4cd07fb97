"""Search for the modules that describe a walk shortest, on one level, in each region.

Nodes move alone until no move helps; then whole modules move as if they were nodes, and so on. That
is tuned by moves of single nodes (fine), and by moves of the modules that each module would be cut
into if it stood alone (coarse, finer), until none helps. In a large network, what single nodes had
first come together in moves instead (early). In a small one, where time allows it, some modules are
then dissolved at random, and what follows is kept if it is better. No step ever makes the
description longer.
"""

from functools import partial

import numpy as np

from taolu.graph.move import LARGE, MOST, move
from taolu.graph.network import (
    Network,
    aggregate,
    bits_of_regions,
    constant_bits,
    crossings,
    renumber,
    restrict,
)

ENOUGH = 1e-5  # share of the bits a tuning must save to count as a success
ENOUGH_IF_LARGE = 1e-4
MOST_TUNINGS = 30
SHAKEN = 2**16  # links, counted from both ends, that shakes may look at together
MOST_SHAKES = 20


def two_level(network: Network, state: np.ndarray, labels=None) -> tuple[np.ndarray, Network]:
    """Returns the module of each node, int32 (nodes,), and the network of the modules.

    Args:
        network: Any.
        state: Of the random numbers; see `move`.
        labels: Modules to start from; by default each node alone. Taken over.
    """
    early = None
    if labels is None and network.neighbours.size >= LARGE:
        labels = _start(network, state)
        early = labels.copy()
        labels, modules = _climb_modules(network, labels, state)
    else:
        labels, modules = climb(network, state, labels)
    labels, modules = _tune(network, labels, modules, early, state)
    shakes = min(MOST_SHAKES, SHAKEN // max(1, network.neighbours.size))
    if not shakes or network.outer.size > 1:
        return labels, modules
    rng = np.random.default_rng(int(state[0]))
    for turn in range(shakes):
        labels, modules = _shake(network, labels, modules, state, rng, turn % 2 == 0)
    return _tune(network, labels, modules, None, state)


def _tune(network, labels, modules, early, state):
    large = network.neighbours.size >= LARGE
    ways = [_fine, _coarse] if large else [_fine, _coarse, _finer]
    if early is not None:
        ways = [_fine, partial(_early, early)]
    enough = ENOUGH_IF_LARGE if large else ENOUGH
    bits, failed = _bits(network, modules), 0
    for _ in range(MOST_TUNINGS):
        way = ways.pop(0)
        labels, modules = way(network, labels, modules, state)
        before, bits = bits, _bits(network, modules)
        failed = failed + 1 if before - bits <= enough * bits else 0
        # Where a way that failed takes long, it is not tried again.
        if not (large and failed):
            ways.append(way)
        if not ways or (failed == len(ways) and not large) or (failed and early is not None):
            break
    return labels, modules


def _shake(network, labels, modules, state, rng, wide: bool):
    """Dissolves a third of the modules, or one and a neighbour; keeps what follows if it helps."""
    hit = rng.random(modules.size) < 1 / 3
    if not wide:
        one = int(rng.integers(modules.size))
        near = modules.neighbours[modules.starts[one] : modules.starts[one + 1]]
        hit[:] = False
        hit[one] = True
        hit[near[rng.integers(near.size, size=min(1, near.size))]] = True
    nodes = np.flatnonzero(hit[labels]).astype(np.int32)
    other = labels.astype(np.int64)
    other[nodes] = modules.size + nodes
    other = np.unique(other, return_inverse=True)[1].astype(np.int32)
    move(network, other, state, nodes)
    renumber(other)
    other, found = _climb_modules(network, other, state)
    return (other, found) if _bits(network, found) < _bits(network, modules) else (labels, modules)


def _bits(network, modules) -> float:
    return float(bits_of_regions(modules)[0].sum()) - constant_bits(network)


def _alone(network) -> np.ndarray:
    return np.arange(network.size, dtype=np.int32)


def climb(network: Network, state: np.ndarray, labels=None) -> tuple[np.ndarray, Network]:
    """Returns what `two_level` does, without tuning.

    Args:
        network: Any.
        state: Of the random numbers; see `move`.
        labels: Modules to start from; by default each node alone. Taken over.
    """
    labels = _start(network, state, labels)
    return _climb_modules(network, labels, state)


def _start(network, state, labels=None):
    """Moves single nodes, and numbers what they are in."""
    large = labels is None and network.neighbours.size >= LARGE
    labels = _alone(network) if labels is None else labels
    # The last moves of single nodes take longest, and moves of modules make most of them idle.
    move(network, labels, state, visits=network.size * 3 // 2 if large else MOST)
    renumber(labels)
    return labels


def _climb_modules(network, labels, state):
    """Moves modules, and modules of modules, until no move helps. Modules have no gaps."""
    count = int(labels.max()) + 1
    own = labels
    while True:
        network = aggregate(network, own, count)
        own = _alone(network)
        if not move(network, own, state):
            return labels, network
        count = renumber(own)
        labels = own[labels]


def _fine(network, labels, modules, state):
    """Lets single nodes move."""
    return climb(network, state, labels.copy())


def _coarse(network, labels, modules, state):
    """Lets those parts of modules move that a search in each of them finds."""
    regions = restrict(network, labels, crossings(modules)[1])
    parts, small = climb(regions, state)
    return _move_parts(network, labels, parts, small.size, state)


def _finer(network, labels, modules, state):
    """Lets smaller parts move, those that moves of single nodes alone lead to."""
    regions = restrict(network, labels, crossings(modules)[1])
    parts = _alone(network)
    move(regions, parts, state)
    return _move_parts(network, labels, parts, renumber(parts), state)


def _early(early, network, labels, modules, state):
    """Lets those parts of modules move that single nodes had first come together in."""
    parts = np.unique(labels * np.int64(early.max() + 1) + early, return_inverse=True)[1]
    parts = parts.astype(np.int32)
    return _move_parts(network, labels, parts, int(parts.max()) + 1, state)


def _move_parts(network, labels, parts, count, state):
    small = aggregate(network, parts, count)
    own = np.empty(count, dtype=np.int32)
    own[parts] = labels
    own, modules = climb(small, state, own)
    return own[parts], modules
