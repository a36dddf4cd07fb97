"""Modules of a network as one HTML page that opens anywhere, without a network connection.

Rings one can step into, a picture with modules coloured, what each codebook costs, and a table.
Python hands the page numbers and names as JSON; the scripts draw names as text only, so none can
act as markup. The page needs no library: it is small, and quick however large the network.
"""

import json
import math
import os
from collections.abc import Mapping
from importlib.resources import files
from string import Template
from typing import Any

import numpy as np

from taolu.graph.infomap import Partition
from taolu.report.network_layout import Layout, place_items
from taolu.report.network_tree import Tree, tree_of
from taolu.text.files import replacing

MOST_LINKS = 8000  # between nodes; beyond, those inside modules, and sums between modules
MOST_BANDS = 800
SURE = 2  # links of each node that come before all others
SCALE = 10_000  # coordinates are whole numbers

SCRIPTS = ("network.js", "network_rings.js", "network_map.js", "network_table.js")


def write_network(
    path: str | os.PathLike[str],
    partition: Partition,
    *,
    title: str = "",
    links: int | None = None,
    options: Mapping[str, Any] | None = None,
) -> None:
    """Writes the page that shows the modules of a network.

    The page is written beside its final name and renamed, so it is whole or absent. It holds 2500
    modules and 4000 nodes at most, the most visited ones, and says so where there are more.

    Args:
        path: Name of the page; an older page of that name is replaced.
        partition: What `infomap` found.
        title: What the network is called.
        links: How many links it has; by default the pairs of nodes with flow between them.
        options: More to tell about how the modules were found, by name.

    Raises:
        OSError: The page cannot be written there.

    Example:
        >>> from taolu.graph import infomap
        >>> found = infomap(([0, 1, 2, 3, 4, 5, 2], [1, 2, 0, 4, 5, 3, 3]))
        >>> write_network("page.html", found, title="triangles")    # doctest: +SKIP
    """
    tree = tree_of(partition)
    layout = place_items(tree, partition.flow)
    data = {
        "title": title,
        "options": {str(k): str(v) for k, v in (options or {}).items()},
        "tally": _tally(partition, tree, links),
        "bits": _bits(partition),
        "items": _items(tree, layout),
        **_links(partition.flow, tree, layout),
    }
    page = _fill(data).encode("utf-8", "replace").decode()
    with replacing(path) as file:
        file.write(page)


def _tally(partition, tree, links) -> dict[str, Any]:
    # All modules of all levels, not only those shown.
    paths = partition.paths
    modules = sum(
        len(np.unique(paths[paths[:, k] >= 0, : k + 1], axis=0)) for k in range(paths.shape[1])
    )
    pairs = partition.flow.neighbours.size // 2
    return {
        "nodes": partition.flow.nodes,
        "links": pairs if links is None else links,
        "levels": partition.levels,
        "tops": int(paths[:, 0].max()) + 1,
        "modules": modules,
        "shown_modules": tree.modules,
        "shown_nodes": int((tree.sizes == 0).sum()),
        "trials": [round(float(bits), 6) for bits in partition.trials],
    }


def _bits(partition) -> dict[str, Any]:
    bits = partition.bits
    numbers = {name: float(getattr(bits, name)) for name in ("total", "index", "module")}
    return {**numbers, "one_level": float(bits.one_level), "depths": list(map(float, bits.depths))}


def _items(tree: Tree, layout: Layout) -> dict[str, Any]:
    def whole(values) -> list[int]:
        return np.rint(values * SCALE).astype(int).tolist()

    return {
        "parent": tree.parents.tolist(),
        "size": tree.sizes.tolist(),
        "flow": [_rounded(value) for value in tree.flow],
        "leave": [_rounded(value) for value in tree.leave[: tree.modules + 1]],
        "path": list(tree.paths),
        "name": list(tree.names),
        "x": whole(layout.x),
        "y": whole(layout.y),
        "r": whole(layout.radii),
    }


def _links(flow, tree, layout) -> dict[str, Any]:
    """All links; or where they are too many, those inside modules and sums between modules."""
    item = np.where(tree.items[-1] != tree.items[-2], tree.items[-1], -1)
    heads = np.repeat(np.arange(flow.nodes), np.diff(flow.starts))
    a, b, between = item[heads], item[flow.neighbours], flow.between
    some = np.flatnonzero((a >= 0) & (b >= 0))
    complete = some.size == heads.size and some.size // 2 <= MOST_LINKS
    if not complete:
        some = some[tree.parents[a[some]] == tree.parents[b[some]]]
        # A node's strongest links first, so that every node has some.
        order = some[np.lexsort((-between[some], a[some]))]
        place = np.arange(order.size) - np.searchsorted(a[order], a[order])
        some = order[np.lexsort((-between[order], place >= SURE))]
    low, high = np.minimum(a[some], b[some]), np.maximum(a[some], b[some])
    first = np.unique(low.astype(np.int64) * tree.parents.size + high, return_index=True)[1]
    some = some[np.sort(first)][:MOST_LINKS]
    bands = np.zeros(0, dtype=np.int64)
    if not complete:
        modules = np.flatnonzero((tree.sizes[layout.links] > 0).all(axis=0))
        bands = modules[np.argsort(-layout.between[modules], kind="stable")][:MOST_BANDS]
    return {
        "links": _triples(a[some], b[some], between[some]),
        "bands": _triples(layout.links[0, bands], layout.links[1, bands], layout.between[bands]),
        "complete": complete,
    }


def _triples(a, b, strengths) -> list[int]:
    """One list, (from, to, strength) after each other; strength is 100 times its root."""
    most = strengths.max() if strengths.size else 1.0
    strength = np.ceil(100 * np.sqrt(strengths / most)).astype(int)
    return np.stack([a, b, strength], axis=1).ravel().tolist()


def _rounded(value) -> float | None:
    return float(f"{value:.5g}") if math.isfinite(value) else None


def _fill(data: dict[str, Any]) -> str:
    # `<` is the one character that could end the script element the JSON stands in.
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")
    return Template(_asset("network.html")).substitute(
        style=_asset("codebook.css") + _asset("network.css"),
        script="\n".join(_asset(name) for name in SCRIPTS),
        data=text,
    )


def _asset(name: str) -> str:
    return files("taolu.report").joinpath(name).read_text(encoding="utf-8")
