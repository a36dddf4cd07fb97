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
from taolu.graph.state_move import move_states

_COLUMNS = 8  # six values, the term of the module, and how often it is entered
MOST = 2**62  # visits: no limit
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
    table = np.zeros((network.size, _COLUMNS))
    rows = network.starts, network.neighbours, network.between
    sums = np.zeros(network.outer.size)
    flags = network.balanced, network.teleports
    _tabulate(rows, network.values, flags, network.regions, labels, table, sums)
    queue = np.arange(network.size, dtype=np.int32)
    if nodes is not None:
        queue[: nodes.size] = nodes
    waiting = network.size if nodes is None else nodes.size
    places = network.values, network.regions, network.outer
    waits = queue, waiting, visits
    return int(_move(rows, places, flags, labels, (table, sums), waits, state))


@kernel
def _plogp(rate):
    return rate * math.log(rate) if rate > 0.0 else 0.0


@kernel
def _growth(whole, log_whole, more):
    """f(whole + more) - f(whole), by the series of log(1 + x) where it is exact to rounding."""
    if abs(more) > 1e-3 * whole:
        return _plogp(whole + more) - whole * log_whole
    x = more / whole if whole > 0.0 else 0.0
    log = x * (1.0 - x * (1 / 2 - x * (1 / 3 - x * (1 / 4 - x / 5))))
    return more * log_whole + (whole + more) * log


@kernel
def _term(weight, leave, enter, parts, balanced):
    """What a module adds to the bits of its region, f(o + sum e) aside."""
    if parts == 1.0:
        return 0.0
    if balanced:
        return _plogp(leave + weight) - 2.0 * _plogp(leave)
    return _plogp(leave + weight) - _plogp(leave) - _plogp(enter)


@kernel
def _tabulate(rows, values, flags, regions, labels, table, sums):
    """Adds nodes up to modules, and what enters modules to sums of regions."""
    starts, neighbours, between = rows
    balanced, teleports = flags
    for a in range(labels.size):
        m = labels[a]
        for k in range(6):
            table[m, k] += values[a, k]
        inside = 0.0
        for e in range(starts[a], starts[a + 1]):
            if labels[neighbours[e]] == m:
                inside += between[e]
        table[m, 1] -= 0.5 * inside
        table[m, 2] -= 0.5 * inside
    counted = np.zeros(labels.size, dtype=np.bool_)
    for a in range(labels.size):
        m = labels[a]
        if not counted[m]:
            counted[m] = True
            leave = table[m, 1]
            if teleports:
                leave += table[m, 3] * (1.0 - table[m, 4])
            enter = leave if balanced else table[m, 2]
            table[m, 6] = _term(table[m, 0], leave, enter, table[m, 5], balanced)
            table[m, 7] = enter
            sums[regions[a]] += enter


@kernel
def _move(rows, places, flags, labels, modules, waits, state):
    starts, neighbours, _ = rows
    queue, waiting, visits = waits
    nodes = labels.size
    table = modules[0]
    sizes = np.zeros(nodes, dtype=np.int32)
    for a in range(nodes):
        sizes[labels[a]] += 1
    empty = np.flatnonzero(sizes == 0).astype(np.int32)
    empties = empty.size
    empty = np.concatenate((empty, np.empty(nodes - empties, dtype=np.int32)))
    _shuffle(queue, waiting, state)
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
            where = _move_one(a, home, alone, places, flags, modules, shared, around[:many])
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
            table[home] = 0.0
            empty[empties] = home
            empties += 1
        for e in range(starts[a], starts[a + 1]):
            b = neighbours[e]
            if not queued[b] and labels[b] != where:
                queued[b] = True
                last = first + waiting
                queue[last if last < nodes else last - nodes] = b
                waiting += 1
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
def _rates(module, value, sign, shared, flags):
    """How often a module is left and entered when a node joins (1) or has gone (-1)."""
    balanced, teleports = flags
    leave = module[1] + sign * (value[1] - shared)
    if teleports:
        leave += (module[3] + sign * value[3]) * (1.0 - module[4] - sign * value[4])
    enter = leave if balanced else module[2] + sign * (value[2] - shared)
    return leave, enter


@kernel
def _move_one(a, home, alone, places, flags, modules, shared, around):
    """Moves a node to the best of the modules around it, if one is better; returns its module."""
    values, regions, outer = places
    table, sums = modules
    value, region = values[a], regions[a]
    old_leave, old_enter = _rates(table[home], value, -1.0, shared[home], flags)
    old_term = 0.0
    if alone:
        old_enter = 0.0
    else:
        weight, parts = table[home, 0] - value[0], table[home, 5] - value[5]
        old_term = _term(weight, old_leave, old_enter, parts, flags[0])
    # All candidates change the same sum by little: from its logarithm follow the others.
    whole = outer[region] + sums[region]
    log_whole = math.log(whole) if whole > 0.0 else 0.0
    gone = old_enter - table[home, 7]
    base = table[home, 6] - old_term
    best, where, best_term, best_enter = -_LEAST, home, 0.0, 0.0
    for m in around:
        if m != home:
            leave, enter = _rates(table[m], value, 1.0, shared[m], flags)
            weight, parts = table[m, 0] + value[0], table[m, 5] + value[5]
            term = _term(weight, leave, enter, parts, flags[0])
            change = _growth(whole, log_whole, gone + enter - table[m, 7])
            change += term - table[m, 6] - base
            if change < best:
                best, where, best_term, best_enter = change, m, term, enter
    if where != home:
        sums[region] += gone + best_enter - table[where, 7]
        for k in range(6):
            table[where, k] += value[k]
            table[home, k] -= value[k]
        for k in (1, 2):
            table[where, k] -= shared[where]
            table[home, k] += shared[home]
        table[where, 6], table[where, 7] = best_term, best_enter
        table[home, 6], table[home, 7] = old_term, old_enter
    return where


@kernel
def _shuffle(items, size, state):
    x = state[0]
    for i in range(size - 1, 0, -1):
        # Marsaglia's xorshift of 32 bits, in 64 so that plain Python does not overflow either.
        x ^= (x << 13) & 0xFFFFFFFF
        x ^= x >> 17
        x ^= (x << 5) & 0xFFFFFFFF
        j = (x * (i + 1)) >> 32
        items[i], items[j] = items[j], items[i]
    state[0] = x
