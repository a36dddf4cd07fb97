"""Moves of states between modules that shorten a walk's description.

The core loop is that of `move`. What differs is that a module names physical nodes: when node a,
which holds p_i of each physical node i, goes from one module to another, the description grows by

    sum_i [f(P_i) - f(P_i - p_i)] - sum_i [f(Q_i + p_i) - f(Q_i)],

P_i what the old module holds of i, and Q_i the new one. Each physical node keeps the list of the
modules that hold some of it, so one pass through the lists of a node's holdings gives the change
for all modules. A module that holds what the node holds is tried even where no link leads to it,
unless very many modules hold some.
"""

import numpy as np

from taolu._kernel import kernel
from taolu.graph.queue import plogp, queue_neighbours, shuffle, sizes_of_modules

_COLUMNS = 8  # six values, the term of the module, and how often it is entered
_MOST_TRIED = 8  # modules that hold a physical node, if all of them are to be tried
_LEAST = 1e-12  # nats a move must save; less may be rounding


def move_states(network, labels: np.ndarray, state: np.ndarray, nodes, visits: int) -> int:
    """Moves nodes that hold physical nodes to better modules until none is left, in place.

    Args:
        network: With `held`.
        labels: As for `move`, and so are the rest.
        state: Of the random numbers; changed.
        nodes: Which nodes to queue at first, or None for all.
        visits: How many nodes may be taken from the queue.

    Returns:
        How many moves it took.
    """
    held = network.held
    table = np.zeros((network.size, _COLUMNS))
    sums = np.zeros(network.outer.size)
    rows = network.starts, network.neighbours, network.between
    flags = network.balanced, network.teleports
    places = network.values, network.regions, network.outer
    _tabulate(rows, places, flags, labels, table, sums)
    holdings = held.starts, held.physical, held.rates
    lists = (
        np.zeros(held.count + 1, dtype=np.int64),
        np.zeros(held.count, dtype=np.int64),
        np.empty(held.physical.size, dtype=np.int32),
        np.empty(held.physical.size),
        np.empty(held.physical.size, dtype=np.int32),
    )
    _list_modules(holdings, labels, lists)
    queue = np.arange(network.size, dtype=np.int32)
    if nodes is not None:
        queue[: nodes.size] = nodes
    waiting = network.size if nodes is None else nodes.size
    own = (rows, places, flags), (holdings, lists)
    return int(_move(own, labels, (table, sums), (queue, waiting, visits), state))


@kernel
def _term(weight, leave, enter, parts):
    """What a module adds to the bits of its region, f(o + sum e) and its visits aside."""
    if parts == 1.0:
        return 0.0
    return plogp(leave + weight) - plogp(leave) - plogp(enter)


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
def _tabulate(rows, places, flags, labels, table, sums):
    """Adds nodes up to modules, and what enters modules to sums of regions."""
    starts, neighbours, between = rows
    values, regions, _ = places
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
            table[m, 6] = _term(table[m, 0], leave, enter, table[m, 5])
            table[m, 7] = enter
            sums[regions[a]] += enter


@kernel
def _list_modules(holdings, labels, lists):
    """Fills the list of each physical node: modules, what they hold, in how many of their nodes."""
    starts, physical, rates = holdings
    first, sizes, _, _, _ = lists
    for h in range(physical.size):
        first[physical[h] + 1] += 1
    for i in range(sizes.size):
        first[i + 1] += first[i]
    for a in range(labels.size):
        for h in range(starts[a], starts[a + 1]):
            _add_to_list(lists, physical[h], labels[a], rates[h])


@kernel
def _add_to_list(lists, i, m, rate):
    first, sizes, modules, sums, parts = lists
    begin, end = first[i], first[i] + sizes[i]
    for k in range(begin, end):
        if modules[k] == m:
            sums[k] += rate
            parts[k] += 1
            return
    modules[end], sums[end], parts[end] = m, rate, 1
    sizes[i] += 1


@kernel
def _take_from_list(lists, i, m, rate):
    first, sizes, modules, sums, parts = lists
    begin, last = first[i], first[i] + sizes[i] - 1
    for k in range(begin, last + 1):
        if modules[k] == m:
            sums[k] -= rate
            parts[k] -= 1
            if parts[k] == 0:
                modules[k], sums[k], parts[k] = modules[last], sums[last], parts[last]
                sizes[i] -= 1
            return


@kernel
def _move(own, labels, modules, waits, state):
    (rows, places, flags), (holdings, lists) = own
    queue, waiting, visits = waits
    nodes = labels.size
    table = modules[0]
    sizes, empty, empties = sizes_of_modules(labels)
    shuffle(queue, waiting, 1, state)
    queued = np.zeros(nodes, dtype=np.bool_)
    for i in range(waiting):
        queued[queue[i]] = True
    # Of each module: flow between it and the node, what sharing code words with it saves, and
    # whether it is among those around.
    shared, spared = np.zeros(nodes), np.zeros(nodes)
    seen, around = np.zeros(nodes, dtype=np.bool_), np.empty(nodes, dtype=np.int32)
    near = shared, spared, seen, around
    first, moves = 0, 0
    while waiting > 0 and visits > 0:
        visits -= 1
        a = queue[first]
        first = first + 1 if first + 1 < nodes else 0
        waiting -= 1
        queued[a] = False
        home = labels[a]
        many = _look_around(rows, labels, a, near)
        many = _look_into_lists(holdings, lists, a, home, near, many)
        alone = sizes[home] == 1
        if not alone and empties > 0:
            around[many] = empty[empties - 1]
            many += 1
        where = _move_one(a, home, alone, places, flags, modules, near, many)
        for i in range(many):
            shared[around[i]], spared[around[i]], seen[around[i]] = 0.0, 0.0, False
        spared[home] = 0.0
        if where == home:
            continue
        moves += 1
        labels[a] = where
        for h in range(holdings[0][a], holdings[0][a + 1]):
            _take_from_list(lists, holdings[1][h], home, holdings[2][h])
            _add_to_list(lists, holdings[1][h], where, holdings[2][h])
        if sizes[where] == 0:
            empties -= 1
        sizes[where] += 1
        sizes[home] -= 1
        if sizes[home] == 0:
            table[home] = 0.0
            empty[empties] = home
            empties += 1
        waiting = queue_neighbours(rows, labels, a, (queue, queued), first, waiting)
    return moves


@kernel
def _look_around(rows, labels, a, near):
    """Adds up the flow between a node and each module around it; returns how many there are."""
    starts, neighbours, between = rows
    shared, _, seen, around = near
    many = 0
    for e in range(starts[a], starts[a + 1]):
        m = labels[neighbours[e]]
        if not seen[m]:
            seen[m] = True
            around[many] = m
            many += 1
        shared[m] += between[e]
    return many


@kernel
def _look_into_lists(holdings, lists, a, home, near, many):
    """Adds up what sharing saves with each module, and in its own what it saves now."""
    starts, physical, rates = holdings
    first, sizes, modules, sums, parts = lists
    _, spared, seen, around = near
    for h in range(starts[a], starts[a + 1]):
        i, rate = physical[h], rates[h]
        alone = plogp(rate)
        for k in range(first[i], first[i] + sizes[i]):
            m, there = modules[k], sums[k]
            if m == home:
                if parts[k] > 1:
                    spared[m] += plogp(there) - plogp(max(there - rate, 0.0)) - alone
                continue
            if not seen[m]:
                if sizes[i] > _MOST_TRIED:
                    continue
                seen[m] = True
                around[many] = m
                many += 1
            spared[m] += plogp(there + rate) - plogp(there) - alone
    return many


@kernel
def _move_one(a, home, alone, places, flags, modules, near, many):
    """Moves a node to the best of the modules around it, if one is better; returns its module."""
    values, regions, outer = places
    table, sums = modules
    shared, spared, _, around = near
    value, region = values[a], regions[a]
    old_leave, old_enter = _rates(table[home], value, -1.0, shared[home], flags)
    old_term = 0.0
    if alone:
        old_enter = 0.0
    else:
        weight, parts = table[home, 0] - value[0], table[home, 5] - value[5]
        old_term = _term(weight, old_leave, old_enter, parts)
    whole = outer[region] + sums[region]
    gone = old_enter - table[home, 7]
    base = table[home, 6] - old_term + plogp(whole) - spared[home]
    best, where, best_term, best_enter = -_LEAST, home, 0.0, 0.0
    for k in range(many):
        m = around[k]
        if m != home:
            leave, enter = _rates(table[m], value, 1.0, shared[m], flags)
            weight, parts = table[m, 0] + value[0], table[m, 5] + value[5]
            term = _term(weight, leave, enter, parts)
            change = plogp(whole + gone + enter - table[m, 7]) - base
            change += term - table[m, 6] - spared[m]
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
