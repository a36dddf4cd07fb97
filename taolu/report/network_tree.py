"""A partition as one tree small enough for a page: modules, modules in them, and their nodes.

A network may have millions of nodes, a page has room for thousands. So the modules and the nodes a
walker visits most are kept, and each module knows how much it has, shown or not.
"""

from dataclasses import dataclass

import numpy as np

from taolu.graph.infomap import Partition
from taolu.graph.map_equation import module_rates, nested_columns

MOST_MODULES = 2500
MOST_NODES = 4000
SURE = 3  # nodes of each module that come before all others, and those that name it
LETTERS = 40  # of a name


@dataclass(frozen=True)
class Tree:
    """Items of a tree, the root first, each behind its parent, siblings by flow.

    Attributes:
        parents: The item each is in, int32 (items,); -1 for the root.
        levels: How deep it is, int32 (items,); 0 for the root.
        flow: Visits per step, float64 (items,).
        leave: How often per step the walker leaves it, float64 (items,); nan for nodes.
        sizes: Nodes in it, shown or not, int64 (items,); 0 marks a node.
        nodes: The node that it is, int32 (items,); -1 for modules.
        paths: Numbers from the top, such as "1:3"; "" for the root.
        names: Of a node its name; of a module those of its most visited nodes.
        items: The item of each node of the network on each level, int32 (levels, nodes): the
            deepest that is shown and no deeper than this.
    """

    parents: np.ndarray
    levels: np.ndarray
    flow: np.ndarray
    leave: np.ndarray
    sizes: np.ndarray
    nodes: np.ndarray
    paths: tuple[str, ...]
    names: tuple[str, ...]
    items: np.ndarray

    @property
    def modules(self) -> int:
        """How many modules are shown; they stand behind the root, before all nodes."""
        return int((self.sizes > 0).sum()) - 1


def tree_of(partition: Partition, most_modules=MOST_MODULES, most_nodes=MOST_NODES) -> Tree:
    """Returns the most visited modules and nodes of a partition as a tree.

    Args:
        partition: Any.
        most_modules: At most so many modules.
        most_nodes: At most so many nodes; the first few of each module come first.

    Example:
        >>> from taolu.graph import infomap
        >>> found = tree_of(infomap(([0, 1, 2, 3, 4, 5, 2], [1, 2, 0, 4, 5, 3, 3])))
        >>> found.modules, found.paths[1:4], found.parents.tolist()
        (2, ('1', '2', '1:1'), [-1, 0, 0, 1, 1, 1, 2, 2, 2])
    """
    rates = partition.rates
    columns = nested_columns(partition.paths)
    counts = [int(own.max()) + 1 for own in columns]
    starts = np.concatenate([[0], np.cumsum(counts)])
    flow, leave, parents = _modules(partition, columns, counts)
    levels = np.repeat(np.arange(len(columns)) + 1, counts)
    # Parents are visited no less than what is in them; so they come first, and are kept first.
    order = np.lexsort((levels, -flow))[:most_modules]
    order = order[np.lexsort((-flow[order], levels[order]))]
    item = np.zeros(starts[-1] + 1, dtype=np.int32)  # of each module; the last is the root
    item[:-1] = -1
    item[order] = 1 + np.arange(order.size)
    # Where a module is not shown, the one above stands for it.
    items = np.zeros((len(columns) + 2, rates.size), dtype=np.int32)
    for level, own in enumerate(columns):
        known = np.where(own >= 0, item[own + starts[level]], -1)
        items[level + 1] = np.where(known >= 0, known, items[level])
    depths = (partition.paths >= 0).sum(axis=1)
    lowest = items[depths, np.arange(rates.size)]
    shown = _strongest(rates, lowest, levels[order], depths, most_nodes)
    items[-1] = items[-2]
    items[-1, shown] = 1 + order.size + np.arange(shown.size)
    paths = _module_paths(partition, columns, order, levels, starts)
    names = _Names(partition)
    sizes = np.concatenate([np.bincount(own[own >= 0]) for own in columns])
    above = np.concatenate([item[parents[order]], lowest[shown]])
    place = _places(lowest[shown])
    return Tree(
        parents=np.concatenate([[-1], above]).astype(np.int32),
        levels=np.concatenate([[0], levels[order], depths[shown] + 1]).astype(np.int32),
        flow=np.concatenate([[rates.sum()], flow[order], rates[shown]]),
        leave=np.concatenate([[0.0], leave[order], np.full(shown.size, np.nan)]),
        sizes=np.concatenate([[rates.size], sizes[order], np.zeros(shown.size, dtype=np.int64)]),
        nodes=np.concatenate([np.full(1 + order.size, -1), shown]).astype(np.int32),
        paths=(
            "",
            *paths,
            *(f"{paths[m - 1]}:{k}" for m, k in zip(lowest[shown], place, strict=True)),
        ),
        names=("", *names.of_modules(items[:-1], order.size), *map(names.of, shown)),
        items=items,
    )


def _modules(partition, columns, counts):
    """Flow, exits and parent of every module of every level, one after the other."""
    flow, leave, parents = [], [], []
    above = np.full(partition.rates.size, -1)
    start = before = 0
    for own, count in zip(columns, counts, strict=True):
        some = own >= 0
        flow.append(np.bincount(own[some], partition.rates[some], count))
        away = module_rates(partition.flow, own, count)[1]
        # What is left of sums that cancel is no flow: nobody leaves a part without links.
        leave.append(np.where(away > 1e-12 * flow[-1], away, 0.0))
        parent = np.full(count, -1)
        # -1 is the root, the last of all.
        parent[own[some]] = above[some] + before if start else -1
        parents.append(parent)
        above, before, start = own, start, start + count
    return tuple(map(np.concatenate, (flow, leave, parents)))


def _strongest(rates, lowest, levels, depths, most) -> np.ndarray:
    """Nodes to show, by module and flow; only those whose own module is shown."""
    own = np.concatenate([[0], levels])[lowest] == depths
    nodes = np.flatnonzero(own)
    nodes = nodes[np.lexsort((-rates[nodes], lowest[nodes]))]
    if nodes.size > most:
        turn = np.minimum(_places(lowest[nodes]), SURE + 1)
        kept = np.lexsort((-rates[nodes], turn))[:most]
        nodes = nodes[np.sort(kept)]
    return nodes


def _places(groups) -> np.ndarray:
    """1, 2, 3 ... in each group, of sorted groups."""
    return np.arange(groups.size) - np.searchsorted(groups, groups) + 1


def _module_paths(partition, columns, order, levels, starts) -> list[str]:
    first = np.empty(starts[-1], dtype=np.int64)
    for level, own in enumerate(columns):
        some = np.flatnonzero(own >= 0)[::-1]
        first[own[some] + starts[level]] = some
    rows = partition.paths[first[order]]
    return [
        ":".join(str(part + 1) for part in row[:level])
        for row, level in zip(rows, levels[order], strict=True)
    ]


class _Names:
    """Names of nodes as text, short enough for a page."""

    def __init__(self, partition: Partition):
        self.rates, self.names = partition.rates, partition.names

    def of(self, node) -> str:
        name = " ".join(str(self.names[node]).split())
        return name if len(name) <= LETTERS else name[: LETTERS - 1] + "…"

    def of_modules(self, items, modules) -> list[str]:
        """The first three names of each module shown, from one sort of the nodes for each level."""
        found = [""] * (modules + 1)
        order = np.argsort(-self.rates, kind="stable")
        for row in items[1:]:
            inside = order[np.argsort(row[order], kind="stable")]
            best = inside[_places(row[inside]) <= SURE]
            told: dict[int, list[str]] = {}
            for node in best:
                told.setdefault(int(row[node]), []).append(self.of(node))
            for module, names in told.items():
                found[module] = found[module] or "、".join(dict.fromkeys(names))
        return found[1:]
