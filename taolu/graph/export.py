"""Partitions as files that other programs read, and as attributes of the nodes of a graph.

Files number modules in their parent from 1, the most visited first, and nodes after the modules
that stand beside them: the path `2:1:3` is the third node of the first module in the second one.
"""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from taolu.graph.infomap import Partition
from taolu.graph.map_equation import module_rates, nested_columns
from taolu.text.files import replacing

KINDS = ("tree", "clu", "json")


def write_partition(
    partition: Partition, path: str | os.PathLike[str], *, kind: str | None = None
) -> None:
    """Writes a partition to a file, whole or not at all.

    - `.tree`: a line `path flow "name" node` for each node, in the order of the paths; where nodes
      are states `path flow "name" state node`. Infomap reads it as `--cluster-data`.
    - `.clu`: a line `node module flow` for each node, with its top module.
    - `.json`: the same and more, with a list of modules.

    The number of a node is its name where all names are different whole numbers, else its place,
    from 1. States are numbered from 1.

    Args:
        partition: What to write.
        path: Name of the file; an older one is replaced.
        kind: "tree", "clu" or "json"; by default the suffix of the name.

    Raises:
        ValueError: The kind is none of these.

    Example:
        >>> import tempfile
        >>> from taolu.graph import infomap
        >>> found = infomap(([0, 1, 2, 3, 4, 5, 2], [1, 2, 0, 4, 5, 3, 3]))
        >>> path = Path(tempfile.mkdtemp()) / "triangles.clu"
        >>> write_partition(found, path)
        >>> print(path.read_text(encoding="utf-8"))
        # codelength 2.32073035683 bits
        # levels 2, top modules 2
        # node_id module flow
        2 1 0.214285714286
        0 1 0.142857142857
        1 1 0.142857142857
        3 2 0.214285714286
        4 2 0.142857142857
        5 2 0.142857142857
    """
    writers = {"tree": _write_tree, "clu": _write_clu, "json": _write_json}
    chosen = Path(path).suffix[1:].lower() if kind is None else kind
    if chosen not in writers:
        what = f"path={str(path)!r}" if kind is None else f"kind={kind!r}"
        raise ValueError(
            f"`path` must end in .tree, .clu or .json, or `kind` name one. Received: {what}."
        )
    with replacing(path) as file:
        writers[chosen](partition, file)


def add_to_networkx(partition: Partition, graph: Any) -> None:
    """Gives each node of a NetworkX graph its module and flow.

    The attributes are `module`, the top module, from 1; `path`, as text such as "2:1"; and `flow`.
    Nodes are found by name, where there are names, else by place.

    Args:
        partition: Of this graph.
        graph: Changed in place.

    Raises:
        ValueError: The nodes are not those of the partition, or are states.
    """
    nodes = list(graph)
    order = _order(partition, nodes)
    for node, own in zip(nodes, _attributes(partition, order), strict=True):
        graph.nodes[node].update(own)


def add_to_igraph(partition: Partition, graph: Any) -> None:
    """Gives each vertex of an igraph graph its module and flow.

    The attributes are `module`, the top module, from 1; `path`, as text such as "2:1"; and `flow`.
    Vertices are found by their attribute `name`, where both have names, else by place.

    Args:
        partition: Of this graph.
        graph: Changed in place.

    Raises:
        ValueError: The nodes are not those of the partition, or are states.
    """
    named = "name" in graph.vs.attributes()
    order = _order(partition, graph.vs["name"] if named else [None] * graph.vcount())
    found = list(_attributes(partition, order))
    for key in ("module", "path", "flow"):
        graph.vs[key] = [own[key] for own in found]


def _order(partition, nodes) -> list[int]:
    """The node of the partition that each given one is."""
    flow = partition.flow
    if flow.physical is not None:
        raise ValueError(
            "`partition` must be of nodes; those of states may be in many modules: see "
            f"`memberships`. Received: {flow.nodes} states."
        )
    if len(nodes) == flow.nodes:
        if flow.names is None or (nodes and nodes[0] is None):
            return list(range(flow.nodes))
        # What a file calls "7" may be 7 in the graph.
        for plain in (lambda name: name, str):
            places = {plain(name): i for i, name in enumerate(flow.names)}
            order = [places.get(plain(node), -1) for node in nodes]
            if len(places) == flow.nodes and len(set(order)) == len(order) and -1 not in order:
                return order
    shown = list(flow.names[:3]) if flow.names is not None else []
    raise ValueError(
        "`graph` must have the nodes of the partition, each by a name of its own. Received: "
        f"{len(nodes)} nodes {nodes[:3]}..., for {flow.nodes} nodes {shown}... of the partition."
    )


def _attributes(partition, order) -> Iterator[dict[str, Any]]:
    for node in order:
        path = [int(step) + 1 for step in partition.paths[node] if step >= 0]
        rate = float(partition.rates[node])
        yield {"module": path[0], "path": ":".join(map(str, path)), "flow": rate}


def _rows(partition) -> Iterator[tuple[tuple[int, ...], int]]:
    """Path, with the number of the node at its end, and node, in the order of the paths."""
    distinct = [tuple(x + 1 for x in path if x >= 0) for path in np.unique(partition.paths, axis=0)]
    inner: dict[tuple[int, ...], set[int]] = {}
    for path in distinct:
        for depth, step in enumerate(path):
            inner.setdefault(path[:depth], set()).add(int(step))
    leaves = partition.leaves
    # The most visited first, in each module.
    order = np.lexsort((-partition.rates, leaves))
    starts = np.searchsorted(leaves[order], np.arange(len(distinct)))
    rows = []
    for place, node in enumerate(order.tolist()):
        module = distinct[leaves[node]]
        number = place - int(starts[leaves[node]]) + 1 + len(inner.get(module, ()))
        rows.append(((*map(int, module), number), node))
    # Nodes beside modules come after these, which the order of the leaves does not know.
    yield from sorted(rows)


def _numbers(partition) -> list[int]:
    """The number of each node, or of the physical node of each state."""
    names, physical = partition.flow.names, partition.flow.physical
    if names is None:
        names = range(partition.flow.nodes if physical is None else int(physical.max()) + 1)
    own = [str(name) for name in names]
    whole = all(name.isascii() and name.isdigit() for name in own)
    numbers = [int(name) for name in own] if whole else []
    if len(set(numbers)) < len(own):
        numbers = list(range(1, len(own) + 1))
    return numbers if physical is None else [numbers[i] for i in physical]


def _head(partition, columns) -> str:
    top = int(partition.modules.max()) + 1
    return (
        f"# codelength {partition.codelength:.12g} bits\n"
        f"# levels {partition.levels}, top modules {top}\n"
        f"# {columns}\n"
    )


def _write_tree(partition: Partition, file: TextIO) -> None:
    states = partition.flow.physical is not None
    numbers, names, rates = _numbers(partition), partition.names, partition.rates
    file.write(_head(partition, f"path flow name {'state_id node_id' if states else 'node_id'}"))
    for path, node in _rows(partition):
        name = " ".join(str(names[node]).split("\n"))
        state = f"{node + 1} " if states else ""
        place = ":".join(map(str, path))
        file.write(f'{place} {rates[node]:.12g} "{name}" {state}{numbers[node]}\n')


def _write_clu(partition: Partition, file: TextIO) -> None:
    states = partition.flow.physical is not None
    numbers, rates = _numbers(partition), partition.rates
    columns = "state_id module flow node_id" if states else "node_id module flow"
    file.write(_head(partition, columns))
    for path, node in _rows(partition):
        first, last = (node + 1, f" {numbers[node]}") if states else (numbers[node], "")
        file.write(f"{first} {path[0]} {rates[node]:.12g}{last}\n")


def _write_json(partition: Partition, file: TextIO) -> None:
    bits, numbers, names = partition.bits, _numbers(partition), partition.names
    states = partition.flow.physical is not None
    nodes: list[dict[str, Any]] = []
    for path, node in _rows(partition):
        name = names[node] if isinstance(names[node], int | str) else str(names[node])
        own = {"path": path, "name": name, "flow": float(partition.rates[node])}
        nodes.append({**own, "id": numbers[node], **({"state": node + 1} if states else {})})
    found = {
        "codelength": bits.total,
        "index_codelength": bits.index,
        "module_codelength": bits.module,
        "one_level_codelength": bits.one_level,
        "levels": partition.levels,
        "trials": partition.trials.tolist(),
        "nodes": nodes,
        "modules": list(_modules(partition)),
    }
    json.dump(found, file, ensure_ascii=False)
    file.write("\n")


def _modules(partition) -> Iterator[dict[str, Any]]:
    """All modules, level by level, each with what goes on in it."""
    top_names = partition.module_names
    for level, own in enumerate(nested_columns(partition.paths)):
        some = own >= 0
        numbers, first = np.unique(own[some], return_index=True)
        enter, leave = module_rates(partition.flow, own, numbers.size)
        flow = np.bincount(own[some], partition.rates[some], numbers.size)
        count = np.bincount(own[some], minlength=numbers.size)
        paths = partition.paths[some][first][:, : level + 1] + 1
        for m in sorted(range(numbers.size), key=lambda m: tuple(paths[m])):
            yield {
                "path": paths[m].tolist(),
                **({"name": top_names[paths[m][0] - 1]} if not level else {}),
                "nodes": int(count[m]),
                "flow": float(flow[m]),
                "enter": float(enter[m]),
                "exit": float(leave[m]),
            }
