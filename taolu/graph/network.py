"""Networks whose modules are sought, and what they cost.

A network is cut into regions that are searched side by side, each for the modules that describe
what happens inside it shortest. With o the rate at which region r is left, e and x those at which
module m is entered and left, and p the rates of the events inside it,

    bits_r = f(o + sum_m e_m) + sum_m (f(x_m + p_m) - f(x_m) - f(e_m)) - f(o) - sum_a f(p_a),

and no modules at all cost f(o + sum_a p_a) in place of the first two terms. The events are visits
to nodes, or entries into modules: looking for modules of modules is the same search. A network as a
whole is one region that is never left. Where nodes are states, the last term is for what a module
holds of a physical node, so that it varies too: see `Held`.

Where events are entries, a module of one of them needs no codebook: it is that one, and adds zero.
"""

from dataclasses import dataclass, replace

import numpy as np

from taolu._kernel import kernel
from taolu.graph.flow import Flow
from taolu.graph.state_network import (
    Held,
    aggregate_held,
    bits_of_held,
    held_by_states,
    restrict_held,
)

# Columns of the values of nodes, and of the table of modules in `move`.
WEIGHT, LEAVING, ENTERING, TELEPORTING, LANDING, PARTS = range(6)


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
        held: Where visits are to states, the physical nodes that are visited; see `Held`.
    """

    starts: np.ndarray
    neighbours: np.ndarray
    between: np.ndarray
    values: np.ndarray
    balanced: bool
    teleports: bool
    regions: np.ndarray
    outer: np.ndarray
    held: Held | None = None

    @property
    def size(self) -> int:
        """How many nodes there are."""
        return len(self.values)


def whole(flow: Flow) -> Network:
    """Returns the network of a flow as one region."""
    values = np.zeros((flow.nodes, 6))
    values[:, WEIGHT] = flow.rates
    values[:, PARTS] = 2
    values[:, LEAVING] = flow.leaving
    values[:, ENTERING] = flow.entering
    if flow.teleporting is not None:
        values[:, TELEPORTING] = flow.teleporting
        values[:, LANDING] = flow.landing
    return Network(
        flow.starts,
        flow.neighbours,
        flow.between,
        values,
        flow.balanced,
        flow.teleporting is not None,
        np.zeros(flow.nodes, dtype=np.int32),
        np.zeros(1),
        None if flow.physical is None else held_by_states(flow.physical, flow.rates),
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
        held=network.held and restrict_held(network.held, regions),
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
        held=network.held and aggregate_held(network.held, labels, count),
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
    values[:, WEIGHT] = enter
    values[:, PARTS] = parts
    return replace(network, values=values, held=None)


def crossings(network: Network) -> tuple[np.ndarray, np.ndarray]:
    """Returns how often each node is entered and left, teleports included, float64 (nodes,)."""
    values = np.maximum(network.values, 0.0)
    leave = values[:, LEAVING].copy()
    if network.teleports:
        leave += values[:, TELEPORTING] * (1 - values[:, LANDING])
    return (leave if network.balanced else values[:, ENTERING]), leave


def bits_of_regions(network: Network) -> tuple[np.ndarray, np.ndarray]:
    """Returns what each region costs with its nodes as modules, and without modules, in nats.

    Both are float64 (regions,) and lack the terms that no choice of modules changes. `network` is
    one that `aggregate` gave.
    """
    count = network.outer.size
    enter, leave = crossings(network)
    weight = network.values[:, WEIGHT]
    terms = _f(leave + weight) - _f(leave) - _f(enter)
    terms[network.values[:, PARTS] == 1] = 0.0
    entering = np.bincount(network.regions, enter, count)
    events = np.bincount(network.regions, weight, count)
    split = _f(network.outer + entering) + np.bincount(network.regions, terms, count)
    flat = _f(network.outer + events)
    if network.held is None:
        return split, flat
    apart, together = bits_of_held(network.held, network.regions, count)
    return split + apart, flat + together


def constant_bits(network: Network) -> float:
    """Returns the terms that no choice of modules changes, which others here lack, in nats."""
    # What modules hold of physical nodes depends on them.
    events = 0.0 if network.held else float(_f(network.values[:, WEIGHT]).sum())
    return events + float(_f(network.outer).sum())


def renumber(labels: np.ndarray) -> int:
    """Numbers modules from 0 in order of appearance, in place; returns how many there are."""
    return int(_renumber(labels, np.full(labels.size, -1, dtype=np.int32)))


def _f(rates) -> np.ndarray:
    return rates * np.log(np.where(rates > 0, rates, 1.0))


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
