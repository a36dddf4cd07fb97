"""Moves of nodes between modules that shorten a walk's description.

What a module exchanges with others follows from sums over its nodes and the flow inside it:

    x_m = sum of leaving - inside + teleports out,    e_m = sum of entering - inside + teleports in.

So a move of one node changes four terms of the bits of its region (see `network`), known from the
flow between it and the modules around it. The rest of its neighbourhood need not be looked at.
"""

import math

import numpy as np

from taolu._kernel import kernel
from taolu.graph.network import Network
from taolu.graph.queue import plogp, queue_neighbours, shuffle, sizes_of_modules
from taolu.graph.state_move import move_states

MOST = 2**62  # visits: no limit
BLOCK = 16  # nodes that stay side by side in the queue of a large network
LARGE = 2 * 10**5  # links, counted from both ends, above which a network is large
_LEAST = 1e-12  # nats a move must save; less may be rounding


def move(
    network: Network, labels: np.ndarray, state: np.ndarray, nodes=None, *, visits: int = MOST
) -> int:
    """Moves nodes to better modules until none is left, in place; returns how many moves it took.

    Nodes are taken from a queue, shuffled at first. A node goes to the module around it, or to an
    empty one, where the description gets shortest; its neighbours elsewhere are queued again.

    Args:
        network: Any.
        labels: The module of each node, int32 (nodes,), less than the number of nodes; changed.
        state: Of the random numbers, int64 (1,), above 0; changed.
        nodes: Which nodes to queue at first, int32; by default all.
        visits: How many nodes may be taken from the queue; what is left there then stays.
    """
    if network.held is not None:
        return move_states(network, labels, state, nodes, visits)
    modules = tables(network, labels)
    rows = network.starts, network.neighbours, network.between
    flags = network.balanced, network.teleports
    queue = np.arange(network.size, dtype=np.int32)
    if nodes is not None:
        queue[: nodes.size] = nodes
    waiting = network.size if nodes is None else nodes.size
    shuffle(queue, waiting, BLOCK if network.neighbours.size >= LARGE else 1, state)
    places = network.values, network.regions, network.outer
    return int(_move(rows, places, flags, labels, modules, (queue, waiting, visits)))


def tables(network: Network, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns what moves keep of modules, and how often those of each region are entered together.

    What each candidate of a move asks for stands close together: float64 (nodes, 4), the rate of
    events, flow leaving and entering, and the term of the module. The rest is float64 (nodes, 3),
    teleports from the module, landing probability, and parts.
    """
    near, far = np.zeros((network.size, 4)), np.zeros((network.size, 3))
    sums = np.zeros(network.outer.size)
    rows = network.starts, network.neighbours, network.between
    flags = network.balanced, network.teleports
    _tabulate(rows, network.values, flags, network.regions, labels, (near, far), sums)
    return near, far, sums


@kernel
def _growth(whole, log_whole, more):
    """f(whole + more) - f(whole), by the series of log(1 + x) where it is exact to rounding."""
    if abs(more) > 1e-3 * whole:
        return plogp(whole + more) - whole * log_whole
    x = more / whole if whole > 0.0 else 0.0
    log = x * (1.0 - x * (1 / 2 - x * (1 / 3 - x * (1 / 4 - x / 5))))
    return more * log_whole + (whole + more) * log


@kernel
def _term(weight, leave, enter, parts, balanced):
    """What a module adds to the bits of its region, f(o + sum e) aside."""
    if parts == 1.0:
        return 0.0
    if balanced:
        return plogp(leave + weight) - 2.0 * plogp(leave)
    return plogp(leave + weight) - plogp(leave) - plogp(enter)


@kernel
def _tabulate(rows, values, flags, regions, labels, modules, sums):
    """Adds nodes up to modules, and what enters modules to sums of regions."""
    starts, neighbours, between = rows
    balanced, teleports = flags
    near, far = modules
    for a in range(labels.size):
        m = labels[a]
        inside = 0.0
        for e in range(starts[a], starts[a + 1]):
            if labels[neighbours[e]] == m:
                inside += between[e]
        for k in range(3):
            near[m, k] += values[a, k]
            far[m, k] += values[a, k + 3]
        near[m, 1] -= 0.5 * inside
        near[m, 2] -= 0.5 * inside
    counted = np.zeros(labels.size, dtype=np.bool_)
    for a in range(labels.size):
        m = labels[a]
        if not counted[m]:
            counted[m] = True
            leave = near[m, 1]
            if teleports:
                leave += far[m, 0] * (1.0 - far[m, 1])
            enter = leave if balanced else near[m, 2]
            near[m, 3] = _term(near[m, 0], leave, enter, far[m, 2], balanced)
            sums[regions[a]] += enter


@kernel
def _move(rows, places, flags, labels, modules, waits):
    queue, waiting, visits = waits
    nodes = labels.size
    sizes, empty, empties = sizes_of_modules(labels)
    queued = np.zeros(nodes, dtype=np.bool_)
    for i in range(waiting):
        queued[queue[i]] = True
    shared, around = np.zeros(nodes), np.empty(nodes, dtype=np.int32)
    first, moves = 0, 0
    while waiting > 0 and visits > 0:
        visits -= 1
        a = queue[first]
        first = first + 1 if first + 1 < nodes else 0
        waiting -= 1
        queued[a] = False
        home = labels[a]
        many = _look_around(rows, labels, a, shared, around)
        where = home
        if many > 1 or (many == 1 and around[0] != home):
            alone = sizes[home] == 1
            if not alone and empties > 0:
                around[many] = empty[empties - 1]
                many += 1
            where = _move_one(a, home, alone, places, flags, modules, shared, (around, many))
        for i in range(many):
            shared[around[i]] = 0.0
        if where == home:
            continue
        moves += 1
        labels[a] = where
        if sizes[where] == 0:
            empties -= 1
        sizes[where] += 1
        sizes[home] -= 1
        if sizes[home] == 0:
            empty[empties] = home
            empties += 1
        waiting = queue_neighbours(rows, labels, a, (queue, queued), first, waiting)
    return moves


@kernel
def _look_around(rows, labels, a, shared, around):
    """Adds up the flow between a node and each module around it; returns how many there are."""
    starts, neighbours, between = rows
    many = 0
    for e in range(starts[a], starts[a + 1]):
        m = labels[neighbours[e]]
        if shared[m] == 0.0:
            around[many] = m
            many += 1
        shared[m] += between[e]
    return many


@kernel
def _move_one(a, home, alone, places, flags, modules, shared, candidates):
    """Moves a node to the best of the modules around it, if one is better; returns its module."""
    values, regions, outer = places
    balanced, teleports = flags
    near, far, sums = modules
    around, many = candidates
    weight, leaving, entering = values[a, 0], values[a, 1], values[a, 2]
    teleporting, landing, parts = values[a, 3], values[a, 4], values[a, 5]
    region = regions[a]
    inside = shared[home]
    # The module that is left, without the node.
    was = near[home, 1]
    leave = was - leaving + inside
    if teleports:
        was += far[home, 0] * (1.0 - far[home, 1])
        leave += (far[home, 0] - teleporting) * (1.0 - far[home, 1] + landing)
    was = was if balanced else near[home, 2]
    enter = leave if balanced else near[home, 2] - entering + inside
    old_term = 0.0
    if alone:
        enter = 0.0
    else:
        old_term = _term(near[home, 0] - weight, leave, enter, far[home, 2] - parts, balanced)
    # All candidates change the same sum by little: from its logarithm follow the others.
    whole = outer[region] + sums[region]
    log_whole = math.log(whole) if whole > 0.0 else 0.0
    gone = enter - was
    base = near[home, 3] - old_term
    best, where, best_term, best_more = -_LEAST, home, 0.0, 0.0
    for i in range(many):
        m = around[i]
        if m == home:
            continue
        was = near[m, 1]
        leave = was + leaving - shared[m]
        if teleports:
            was += far[m, 0] * (1.0 - far[m, 1])
            leave += (far[m, 0] + teleporting) * (1.0 - far[m, 1] - landing)
        was = was if balanced else near[m, 2]
        enter = leave if balanced else was + entering - shared[m]
        # Only a module without nodes, around which nothing is shared, can get a single part.
        together = parts + far[m, 2] if shared[m] == 0.0 else 2.0
        term = _term(near[m, 0] + weight, leave, enter, together, balanced)
        more = gone + enter - was
        change = _growth(whole, log_whole, more) + term - near[m, 3] - base
        if change < best:
            best, where, best_term, best_more = change, m, term, more
    if where != home:
        sums[region] += best_more
        for m, sign, term in ((where, 1.0, best_term), (home, -1.0, old_term)):
            near[m, 0] += sign * weight
            near[m, 1] += sign * (leaving - shared[m])
            near[m, 2] += sign * (entering - shared[m])
            near[m, 3] = term
            far[m, 0] += sign * teleporting
            far[m, 1] += sign * landing
            far[m, 2] += sign * parts
        if alone:
            near[home] = 0.0
            far[home] = 0.0
    return where
