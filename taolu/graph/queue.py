"""What moves of nodes and of states share: the queue of nodes, and modules without nodes."""

import math

import numpy as np

from taolu._kernel import kernel


@kernel
def plogp(rate):
    """f(x) = x log x in nats, 0 at 0."""
    return rate * math.log(rate) if rate > 0.0 else 0.0


@kernel
def sizes_of_modules(labels):
    """Nodes of each module; modules that have none, with room for all; how many these are."""
    nodes = labels.size
    sizes = np.zeros(nodes, dtype=np.int32)
    for a in range(nodes):
        sizes[labels[a]] += 1
    empty = np.flatnonzero(sizes == 0).astype(np.int32)
    empties = empty.size
    return sizes, np.concatenate((empty, np.empty(nodes - empties, dtype=np.int32))), empties


@kernel
def queue_neighbours(rows, labels, a, waits, first, waiting):
    """Queues the neighbours of a node that moved, those in other modules; returns how many wait."""
    starts, neighbours, _ = rows
    queue, queued = waits
    for e in range(starts[a], starts[a + 1]):
        b = neighbours[e]
        if not queued[b] and labels[b] != labels[a]:
            queued[b] = True
            last = first + waiting
            queue[last if last < labels.size else last - labels.size] = b
            waiting += 1
    return waiting


@kernel
def shuffle(items, size, block, state):
    """Shuffles blocks of items: in a large network, near ones are fetched together."""
    x = state[0]
    blocks = (size + block - 1) // block
    order = np.arange(blocks)
    for i in range(blocks - 1, 0, -1):
        # Marsaglia's xorshift of 32 bits, in 64 so that plain Python does not overflow either.
        x ^= (x << 13) & 0xFFFFFFFF
        x ^= x >> 17
        x ^= (x << 5) & 0xFFFFFFFF
        j = (x * (i + 1)) >> 32
        order[i], order[j] = order[j], order[i]
    was, k = items[:size].copy(), 0
    for i in range(blocks):
        for t in range(block * order[i], min(size, block * (order[i] + 1))):
            items[k] = was[t]
            k += 1
    state[0] = x
