"""Moves of nodes between modules that shorten a walk's description.

A network is cut into regions that are searched side by side, each for the modules that describe
what happens inside it shortest. With o the rate at which region r is left, e and x those at which
module m is entered and left, and p the rates of the events inside it,

    bits_r = f(o + sum_m e_m) + sum_m (f(x_m + p_m) - f(x_m) - f(e_m)) - f(o) - sum_a f(p_a),

and no modules at all cost f(o + sum_a p_a) in place of the first two terms. The events are visits
to nodes, or entries into modules: looking for modules of modules is the same search. A network as a
whole is one region that is never left.

What a module exchanges with others follows from sums over its nodes and the flow inside it:

    x_m = sum of leaving - inside + teleports out,    e_m = sum of entering - inside + teleports in.

So a move of one node changes four terms, known from the flow between it and the modules around it.
Where events are entries, a module of one of them needs no codebook: it is that one, and adds zero.
"""

import math
from dataclasses import dataclass, replace

import numpy as np

from taolu._kernel import kernel
from taolu.graph.flow import Flow

# Columns of the table of modules.
_WEIGHT, _LEAVING, _ENTERING, _TELEPORTING, _LANDING, _PARTS, _TERM = range(7)
_COLUMNS = 8  # one more than needed, so that a row fills a line of the cache
_LEAST = 1e-12  # nats a move must save; less may be rounding


@dataclass(frozen=True)
class Network:
    """Nodes whose modules are sought, in regions; links lead only to nodes of the same region.

    Attributes:
        starts: Where the row of each node starts, int64 (nodes + 1,).
        neighbours: int32 (2 * links,).
        between: Flow both ways together, float64 (2 * links,).
        values: float64 (nodes, 6): rate of the event, flow leaving and entering over links to and
            from other nodes of any region, teleports from the node, landing probability, and its
            parts: a module of one part needs no codebook, so a visit has two.
        balanced: Whether as much enters as leaves.
        teleports: Whether there are recorded teleports.
        regions: int32 (nodes,).
        outer: Rate at which each region is left, float64 (regions,).
    """

    starts: np.ndarray
    neighbours: np.ndarray
    between: np.ndarray
    values: np.ndarray
    balanced: bool
    teleports: bool
    regions: np.ndarray
    outer: np.ndarray

    @property
    def size(self) -> int:
        """How many nodes there are."""
        return len(self.values)


def whole(flow: Flow) -> Network:
    """Returns the network of a flow as one region."""
    values = np.zeros((flow.nodes, 6))
    values[:, _WEIGHT] = flow.rates
    values[:, _PARTS] = 2
    values[:, _LEAVING] = flow.leaving
    values[:, _ENTERING] = flow.entering
    if flow.teleporting is not None:
        values[:, _TELEPORTING] = flow.teleporting
        values[:, _LANDING] = flow.landing
    return Network(
        flow.starts,
        flow.neighbours,
        flow.between,
        values,
        flow.balanced,
        flow.teleporting is not None,
        np.zeros(flow.nodes, dtype=np.int32),
        np.zeros(1),
    )


def restrict(network: Network, regions: np.ndarray, outer: np.ndarray) -> Network:
    """Returns the nodes that are in a region, in their order, without links between regions.

    Args:
        network: Any.
        regions: The region of each node, int32 (nodes,); -1 leaves it out.
        outer: Rate at which each region is left, float64 (regions,).
    """
    kept = regions >= 0
    places = np.cumsum(kept, dtype=np.int32) - np.int32(1)
    starts = np.zeros(int(kept.sum()) + 1, dtype=np.int64)
    size = _count_inside(network.starts, network.neighbours, regions, starts)
    neighbours, between = np.empty(size, dtype=np.int32), np.empty(size)
    rows = network.starts, network.neighbours, network.between
    _keep_inside(rows, regions, places, neighbours, between)
    return replace(
        network,
        starts=starts,
        neighbours=neighbours,
        between=between,
        values=network.values[kept],
        regions=regions[kept],
        outer=outer,
    )


def aggregate(network: Network, labels: np.ndarray, count: int) -> Network:
    """Returns the network whose nodes are the modules, with the events of their nodes.

    Args:
        network: Any.
        labels: The module of each node, int32 (nodes,), each within one region.
        count: How many modules there are; numbers have no gaps.
    """
    starts = np.zeros(count + 1, dtype=np.int64)
    neighbours = np.empty(network.neighbours.size, dtype=np.int32)
    between = np.empty(network.neighbours.size)
    values = np.zeros((count, 6))
    regions = np.empty(count, dtype=np.int32)
    rows = network.starts, network.neighbours, network.between
    nodes = network.values, network.regions, labels
    size = _aggregate(rows, nodes, starts, neighbours, between, values, regions)
    return replace(
        network,
        starts=starts,
        neighbours=neighbours[:size].copy(),
        between=between[:size].copy(),
        values=values,
        regions=regions,
    )


def entries(network: Network, parts: int = 1) -> Network:
    """Returns the same nodes with entries into them as events: modules look for their modules.

    Args:
        network: Any.
        parts: Of each node. With 2, modules of one event pay for a codebook they do not need; so
            joining two of them is cheaper than it is, and a search goes further at first.
    """
    values = network.values.copy()
    enter, _ = crossings(network)
    values[:, _WEIGHT] = enter
    values[:, _PARTS] = parts
    return replace(network, values=values)


def crossings(network: Network) -> tuple[np.ndarray, np.ndarray]:
    """Returns how often each node is entered and left, teleports included, float64 (nodes,)."""
    values = np.maximum(network.values, 0.0)
    leave = values[:, _LEAVING].copy()
    if network.teleports:
        leave += values[:, _TELEPORTING] * (1 - values[:, _LANDING])
    return (leave if network.balanced else values[:, _ENTERING]), leave


def bits_of_regions(network: Network) -> tuple[np.ndarray, np.ndarray]:
    """Returns what each region costs with its nodes as modules, and without modules, in nats.

    Both are float64 (regions,) and lack the terms that no choice of modules changes. `network` is
    one that `aggregate` gave.
    """
    count = network.outer.size
    enter, leave = crossings(network)
    weight = network.values[:, _WEIGHT]
    terms = _f(leave + weight) - _f(leave) - _f(enter)
    terms[network.values[:, _PARTS] == 1] = 0.0
    entering = np.bincount(network.regions, enter, count)
    events = np.bincount(network.regions, weight, count)
    split = _f(network.outer + entering) + np.bincount(network.regions, terms, count)
    return split, _f(network.outer + events)


def move(network: Network, labels: np.ndarray, state: np.ndarray, nodes=None) -> int:
    """Moves nodes to better modules until none is left, in place; returns how many moves it took.

    Nodes are taken from a queue, shuffled at first. A node goes to the module around it, or to an
    empty one, where the description gets shortest; its neighbours elsewhere are queued again.

    Args:
        network: Any.
        labels: The module of each node, int32 (nodes,), less than the number of nodes; changed.
        state: Of the random numbers, int64 (1,), above 0; changed.
        nodes: Which nodes to queue at first, int32; by default all.
    """
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
    return int(_move(rows, places, flags, labels, (table, sums), queue, waiting, state))


def renumber(labels: np.ndarray) -> int:
    """Numbers modules from 0 in order of appearance, in place; returns how many there are."""
    return int(_renumber(labels, np.full(labels.size, -1, dtype=np.int32)))


def _f(rates) -> np.ndarray:
    return rates * np.log(np.where(rates > 0, rates, 1.0))


@kernel
def _plogp(rate):
    return rate * math.log(rate) if rate > 0.0 else 0.0


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
            sums[regions[a]] += enter


@kernel
def _move(rows, places, flags, labels, modules, queue, waiting, state):
    starts, neighbours, between = rows
    values, regions, outer = places
    balanced, teleports = flags
    table, sums = modules
    nodes = labels.size
    sizes = np.zeros(nodes, dtype=np.int32)
    for a in range(nodes):
        sizes[labels[a]] += 1
    empty, empties = np.empty(nodes, dtype=np.int32), 0
    for m in range(nodes):
        if sizes[m] == 0:
            empty[empties] = m
            empties += 1
    queued = np.zeros(nodes, dtype=np.bool_)
    _shuffle(queue, waiting, state)
    for i in range(waiting):
        queued[queue[i]] = True
    shared, around = np.zeros(nodes), np.empty(nodes, dtype=np.int32)
    first, moves = 0, 0
    while waiting > 0:
        a = queue[first]
        first = first + 1 if first + 1 < nodes else 0
        waiting -= 1
        queued[a] = False
        home = labels[a]
        many = 0
        for e in range(starts[a], starts[a + 1]):
            m = labels[neighbours[e]]
            if shared[m] == 0.0:
                around[many] = m
                many += 1
            shared[m] += between[e]
        if many == 0 or (many == 1 and around[0] == home):
            for i in range(many):
                shared[around[i]] = 0.0
            continue
        # What is left of its module without it.
        region = regions[a]
        weight, leaving, entering = values[a, 0], values[a, 1], values[a, 2]
        old_out = table[home, 1] - leaving + shared[home]
        old_in = table[home, 2] - entering + shared[home]
        old_leave, before = old_out, table[home, 1]
        if teleports:
            old_leave += (table[home, 3] - values[a, 3]) * (1.0 - table[home, 4] + values[a, 4])
            before += table[home, 3] * (1.0 - table[home, 4])
        old_enter = old_leave if balanced else old_in
        if not balanced:
            before = table[home, 2]
        if sizes[home] == 1:
            old_leave, old_enter, old_term = 0.0, 0.0, 0.0
        else:
            kept = table[home, 5] - values[a, 5]
            old_term = _term(table[home, 0] - weight, old_leave, old_enter, kept, balanced)
        total = sums[region]
        rest = total + old_enter - before
        # An empty module is tried last, where it differs from the present one.
        if sizes[home] > 1 and empties > 0:
            around[many] = empty[empties - 1]
            many += 1
        base = _plogp(outer[region] + total) + table[home, 6] - old_term
        best, where, best_term, best_total = -_LEAST, home, 0.0, 0.0
        for i in range(many):
            m = around[i]
            if m == home:
                continue
            leave = table[m, 1] + leaving - shared[m]
            enter = table[m, 2] + entering - shared[m]
            was = table[m, 2]
            if teleports:
                leave += (table[m, 3] + values[a, 3]) * (1.0 - table[m, 4] - values[a, 4])
            if balanced:
                enter = leave
                was = table[m, 1]
                if teleports:
                    was += table[m, 3] * (1.0 - table[m, 4])
            parts = table[m, 5] + values[a, 5]
            term = _term(table[m, 0] + weight, leave, enter, parts, balanced)
            now = rest + enter - was
            change = _plogp(outer[region] + now) + term - table[m, 6] - base
            if change < best:
                best, where, best_term, best_total = change, m, term, now
        if where != home:
            moves += 1
            labels[a] = where
            if sizes[where] == 0:
                empties -= 1
            sizes[home] -= 1
            sizes[where] += 1
            for k in range(6):
                table[where, k] += values[a, k]
                table[home, k] -= values[a, k]
            table[where, 1] -= shared[where]
            table[where, 2] -= shared[where]
            table[home, 1] = old_out
            table[home, 2] = old_in
            table[where, 6], table[home, 6] = best_term, old_term
            sums[region] = best_total
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
        for i in range(many):
            shared[around[i]] = 0.0
    return moves


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


@kernel
def _renumber(labels, numbers):
    count = 0
    for a in range(labels.size):
        m = labels[a]
        if numbers[m] < 0:
            numbers[m] = count
            count += 1
        labels[a] = numbers[m]
    return count


@kernel
def _aggregate(rows, nodes, new_starts, new_neighbours, new_between, new_values, new_regions):
    starts, neighbours, between = rows
    values, regions, labels = nodes
    count = new_regions.size
    first = np.zeros(count + 1, dtype=np.int64)
    for a in range(labels.size):
        first[labels[a] + 1] += 1
    for m in range(count):
        first[m + 1] += first[m]
    place = first[:-1].copy()
    members = np.empty(labels.size, dtype=np.int32)
    for a in range(labels.size):
        members[place[labels[a]]] = a
        place[labels[a]] += 1
    seen = np.full(count, -1, dtype=np.int64)
    size = 0
    for m in range(count):
        begin, inside = size, 0.0
        for i in range(first[m], first[m + 1]):
            a = members[i]
            new_regions[m] = regions[a]
            for k in range(6):
                new_values[m, k] += values[a, k]
            for e in range(starts[a], starts[a + 1]):
                b = labels[neighbours[e]]
                if b == m:
                    inside += between[e]
                elif seen[b] >= begin:
                    new_between[seen[b]] += between[e]
                else:
                    seen[b] = size
                    new_neighbours[size] = b
                    new_between[size] = between[e]
                    size += 1
        new_values[m, 1] -= 0.5 * inside
        new_values[m, 2] -= 0.5 * inside
        new_starts[m + 1] = size
    return size


@kernel
def _count_inside(starts, neighbours, regions, new_starts):
    size, kept = 0, 0
    for a in range(regions.size):
        if regions[a] >= 0:
            for e in range(starts[a], starts[a + 1]):
                if regions[neighbours[e]] == regions[a]:
                    size += 1
            kept += 1
            new_starts[kept] = size
    return size


@kernel
def _keep_inside(rows, regions, places, new_neighbours, new_between):
    starts, neighbours, between = rows
    size = 0
    for a in range(regions.size):
        if regions[a] >= 0:
            for e in range(starts[a], starts[a + 1]):
                if regions[neighbours[e]] == regions[a]:
                    new_neighbours[size] = places[neighbours[e]]
                    new_between[size] = between[e]
                    size += 1
