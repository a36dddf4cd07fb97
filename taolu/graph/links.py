"""Links between nodes as three arrays, whatever a caller has them in.

A matrix holds the weight of the link from its row to its column. Without directions it must be
symmetric, and the two entries of a pair are one link. Lists of links need not be sorted; a link
that stands twice weighs the sum.
"""

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy import sparse

MOST_NODES = 2**31 - 1


@dataclass(frozen=True)
class Links:
    """The links of a network.

    Attributes:
        sources: Where each link starts, int32 (links,).
        targets: Where it ends, int32 (links,).
        weights: How strong it is, float64 (links,), zero or more.
        nodes: How many nodes there are; ids run from 0.
        directed: Whether a walker may follow a link from source to target only.
        names: What the caller calls the nodes, or None where their ids are their names. Where
            nodes are states, the names of the physical nodes.
        physical: The physical node that each node is a state of, int32 (nodes,), or None where
            nodes are no states.
        bipartite: The first node of the second kind, where links join two kinds of nodes and
            those of the first come first; or None.
    """

    sources: np.ndarray
    targets: np.ndarray
    weights: np.ndarray
    nodes: int
    directed: bool = False
    names: tuple[Any, ...] | None = None
    physical: np.ndarray | None = None
    bipartite: int | None = None


def as_links(
    links, *, directed: bool = False, nodes: int | None = None, weight: str = "weight"
) -> Links:
    """Returns the links of a matrix, of arrays, of a table, or of a NetworkX or igraph graph.

    Args:
        links: A matrix (nodes, nodes), dense or `scipy.sparse`; or a tuple of arrays, `(sources,
            targets)` or `(sources, targets, weights)`; or a NetworkX or igraph graph; or a pandas
            table of links, with columns `source` and `target`, else the first two, where a table
            whose columns are called as its rows is a matrix; or `Links`, returned as they are.
        directed: Whether links lead from source to target only. A graph does not decide this.
        nodes: How many nodes there are, for arrays of links; by default the largest id plus one.
        weight: The attribute of a link in a graph, or the column, that is its weight, else 1.

    Raises:
        TypeError: `links` is none of these.
        ValueError: A weight is negative or no number, an id does not fit, a matrix is not square
            or, without directions, not symmetric, no link has a weight, or none the one asked for.

    Example:
        >>> found = as_links([[0, 1], [1, 0]])
        >>> found.sources.tolist(), found.targets.tolist(), found.weights.tolist()
        ([0], [1], [1.0])
    """
    if isinstance(links, Links):
        return links
    if isinstance(links, tuple):
        found = _from_arrays(links, directed, nodes)
    elif hasattr(links, "adj") and hasattr(links, "number_of_nodes"):
        found = _from_networkx(links, directed, weight)
    elif hasattr(links, "get_edgelist") and hasattr(links, "vcount"):
        found = _from_igraph(links, directed, weight)
    elif hasattr(links, "columns") and hasattr(links, "to_numpy"):
        found = _from_table(links, directed, weight)
    else:
        found = _from_matrix(links, directed)
    _check_weights(found.weights)
    return found


def _from_arrays(links, directed, nodes) -> Links:
    if len(links) not in (2, 3):
        raise ValueError(
            "`links` must be (sources, targets) or (sources, targets, weights). "
            f"Received: a tuple of {len(links)}."
        )
    sources, targets = _ids(links[0], "sources"), _ids(links[1], "targets")
    weights = np.ones(sources.size)
    if len(links) == 3:
        weights = _numbers(links[2])
    if not sources.shape == targets.shape == weights.shape:
        raise ValueError(
            "`links` must hold arrays of one length. Received: shapes "
            f"{sources.shape}, {targets.shape} and {weights.shape}."
        )
    largest = int(max(sources.max(), targets.max())) if sources.size else -1
    nodes = largest + 1 if nodes is None else nodes
    if not largest < nodes <= MOST_NODES:
        raise ValueError(
            f"`nodes` must be larger than every id and at most {MOST_NODES}. "
            f"Received: nodes={nodes}, largest id {largest}."
        )
    narrow = sources.astype(np.int32), targets.astype(np.int32)
    return Links(*narrow, weights, int(nodes), directed)


def _ids(values, name) -> np.ndarray:
    ids = np.asarray(values)
    if ids.ndim != 1 or (ids.size and ids.dtype.kind not in "iu"):
        raise ValueError(
            f"`links` must hold whole numbers (links,) as {name}; for names use a graph. "
            f"Received: {ids.dtype} of shape {ids.shape}."
        )
    if ids.size and ids.min() < 0:
        raise ValueError(f"`links` must hold ids from 0. Received: {ids.min()} among {name}.")
    return ids


def _numbers(values) -> np.ndarray:
    try:
        return np.ascontiguousarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise TypeError(
            "`links` must be a matrix of numbers, a tuple of arrays, or a NetworkX or igraph "
            f"graph. Received: {type(values).__name__}."
        ) from error


def _from_matrix(links, directed) -> Links:
    dense = None if sparse.issparse(links) else _numbers(links)
    shape = links.shape if dense is None else dense.shape
    if len(shape) != 2 or shape[0] != shape[1]:
        raise ValueError(f"`links` must be square (nodes, nodes). Received: shape {shape}.")
    matrix = sparse.coo_array(links if dense is None else dense)
    weights = _numbers(matrix.data)
    sources, targets = matrix.coords[0].astype(np.int32), matrix.coords[1].astype(np.int32)
    if not directed:
        # NaN differs from itself; let the weights be blamed, not the symmetry.
        _check_weights(weights, some=False)
        _check_symmetric(matrix)
        once = sources <= targets
        sources, targets, weights = sources[once], targets[once], weights[once]
    return Links(sources, targets, weights, shape[0], directed)


def _check_symmetric(matrix) -> None:
    rows = matrix.tocsr().astype(np.float64)
    distance = abs(rows - rows.T)
    largest = float(distance.max()) if distance.nnz else 0.0
    if largest > 0.0 and largest > 1e-12 * float(rows.max()):
        raise ValueError(
            "`links` must be symmetric, or pass directed=True. Received: two entries of a pair "
            f"that differ by {largest:.6g}."
        )


def _from_networkx(graph, directed, weight) -> Links:
    names = tuple(graph)
    place = {name: i for i, name in enumerate(names)}
    edges = list(graph.edges(data=weight))
    if weight != "weight" and edges and all(edge[2] is None for edge in edges):
        known = sorted({str(key) for _, _, own in graph.edges(data=True) for key in own})
        raise _without(weight, known)
    sources = np.fromiter((place[edge[0]] for edge in edges), np.int32, len(edges))
    targets = np.fromiter((place[edge[1]] for edge in edges), np.int32, len(edges))
    weights = _numbers([1 if edge[2] is None else edge[2] for edge in edges])
    return Links(sources, targets, weights, len(names), directed, names)


def _from_igraph(graph, directed, weight) -> Links:
    pairs = np.asarray(graph.get_edgelist(), dtype=np.int32).reshape(-1, 2)
    weighted = weight in graph.es.attributes()
    if not weighted and weight != "weight":
        raise _without(weight, graph.es.attributes())
    weights = _numbers(graph.es[weight]) if weighted else np.ones(len(pairs))
    names = tuple(graph.vs["name"]) if "name" in graph.vs.attributes() else None
    sources, targets = np.ascontiguousarray(pairs.T)
    return Links(sources, targets, weights, graph.vcount(), directed, names)


def _from_table(table, directed, weight) -> Links:
    columns = list(table.columns)
    if columns == list(table.index):
        found = _from_matrix(table.to_numpy(), directed)
        return replace(found, names=tuple(columns))
    if len(columns) < 2:
        raise ValueError(
            f"`links` must have a column of sources and one of targets. Received: {columns}."
        )
    sides = ["source", "target"] if {"source", "target"} <= set(columns) else columns[:2]
    if weight not in columns and weight != "weight":
        raise _without(weight, columns)
    weights = _numbers(table[weight]) if weight in columns else np.ones(len(table))
    ends = np.concatenate([table[side].to_numpy() for side in sides])
    if ends.dtype.kind in "iu":
        numbers, ids = np.unique(ends, return_inverse=True)
        names = tuple(numbers.tolist())
    else:
        place: dict[Any, int] = {}
        # A missing name differs from itself, or is None.
        missing = [i for i, name in enumerate(ends) if name is None or name != name]
        if missing:
            row = missing[0] % len(table)
            raise ValueError(
                f"`links` must name both nodes in each row. Received: none, row {row}."
            )
        ids = np.array([place.setdefault(name, len(place)) for name in ends], dtype=np.int32)
        names = tuple(place)
    sources, targets = np.split(ids.astype(np.int32), 2)
    return Links(sources, targets, weights, len(names), directed, names)


def _without(weight, known) -> ValueError:
    return ValueError(
        f"`weight` must name an attribute of links. Received: weight={weight!r}; they have "
        f"{', '.join(map(str, known)) if known else 'none'}."
    )


def _check_weights(weights, some: bool = True) -> None:
    if weights.size and not (weights.min() >= 0 and math.isfinite(weights.max())):
        wrong = weights[~((weights >= 0) & (weights < math.inf))][0]
        raise ValueError(f"`links` must have finite weights, at least 0. Received: {wrong}.")
    if some and not (weights.size and weights.max() > 0):
        raise ValueError(
            "`links` must hold at least one link with a weight above 0. "
            f"Received: {weights.size} links."
        )
