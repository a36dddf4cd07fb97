"""Search for the modules that describe a walk shortest, on one level, in each region.

Nodes move alone until no move helps; then whole modules move as if they were nodes, and so on. That
is tuned by moves of single nodes (fine), and by moves of the modules that each module would be cut
into if it stood alone (coarse), until neither helps. No step ever makes the description longer.
"""

import numpy as np

from taolu.graph.search import (
    Network,
    aggregate,
    bits_of_regions,
    crossings,
    move,
    renumber,
    restrict,
)

ENOUGH = 1e-5  # share of the bits a tuning must save to be followed by another of its kind
MOST_TUNINGS = 20


def two_level(network: Network, state: np.ndarray, labels=None) -> tuple[np.ndarray, Network]:
    """Returns the module of each node, int32 (nodes,), and the network of the modules.

    Args:
        network: Any.
        state: Of the random numbers; see `move`.
        labels: Modules to start from; by default each node alone. Taken over.
    """
    if labels is None:
        labels = np.arange(network.size, dtype=np.int32)
    labels, modules = _climb(network, labels, state)
    bits = bits_of_regions(modules)[0].sum()
    failed = 0
    for turn in range(MOST_TUNINGS):
        tune = _fine if turn % 2 == 0 else _coarse
        labels, modules = tune(network, labels, modules, state)
        before, bits = bits, bits_of_regions(modules)[0].sum()
        failed = failed + 1 if before - bits <= ENOUGH * abs(bits) else 0
        if failed == 2:
            break
    return labels, modules


def _climb(network, labels, state):
    move(network, labels, state)
    return _climb_modules(network, labels, state)


def _climb_modules(network, labels, state):
    """Moves modules, and modules of modules, until no move helps."""
    count = renumber(labels)
    own = labels
    while True:
        network = aggregate(network, own, count)
        own = np.arange(count, dtype=np.int32)
        if not move(network, own, state):
            return labels, network
        count = renumber(own)
        labels = own[labels]


def _fine(network, labels, modules, state):
    return _climb(network, labels.copy(), state)


def _coarse(network, labels, modules, state):
    parts_of = restrict(network, labels, crossings(modules)[1])
    parts, small = _climb(parts_of, np.arange(network.size, dtype=np.int32), state)
    small = aggregate(network, parts, small.size)
    own = np.empty(small.size, dtype=np.int32)
    own[parts] = labels
    move(small, own, state)
    own, modules = _climb_modules(small, own, state)
    return own[parts], modules
