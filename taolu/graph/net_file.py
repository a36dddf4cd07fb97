"""Pajek's `.net` files, and the sections that Infomap adds to them.

A line that begins with * opens a section. Nodes stand under `*Vertices`: a whole number, a name in
quotes, and what else Pajek wants to know (weights of nodes and places in a picture are not read).
Links stand under `*Edges` (no direction), `*Arcs` (from source to target) and `*Links` (the file
does not say), or as a node and its neighbours under `*Edgeslist` and `*Arcslist`; under
`*Bipartite 9` links join nodes below 9 to others. For `*States` and layers see `multilayer`.
"""

import re
from dataclasses import dataclass, field

import numpy as np

from taolu.errors import CorpusError
from taolu.graph.gathered import Gathered
from taolu.graph.links import MOST_NODES
from taolu.graph.multilayer import expand, explicit
from taolu.graph.source import Source
from taolu.graph.table import Table, read_table

_SECTION = re.compile(rb"^[ \t]*\*[^\n]*", re.M)
_NODE = re.compile(r'\s*(\S+)(?:\s+(?:"(.*?)"(?=\s|$)|([^\s"]\S*)))?(?=\s|$)')
_STATE = re.compile(r"\s*(\S+)\s+(\S+)(?=\s|$)")
MOST_DIGITS = 18  # of a number that fits into 64 bits
_LINKS = {"edges": False, "arcs": True, "links": None, "bipartite": None}
_LISTS = {"edgeslist": False, "arcslist": True}
_LAYERS = {
    "multilayer": ((0, 1, 2, 3), "layer, node, layer and node"),
    "intra": ((0, 1, 2), "layer, source and target"),
    "inter": ((0, 1, 2), "layer, node and layer"),
}


@dataclass(frozen=True)
class _Links:
    """The links of a section.

    Attributes:
        numbers: Nodes of the section, by their number in the file, int64.
        ends: Source and target of each link, as places among these, int (links, 2).
        weights: Of each link, float64 (links,).
        offsets: Where each stands in the file, int64 (links,).
        arcs: Whether each leads from source to target only, bool (links,); None where the section
            does not say.
    """

    numbers: np.ndarray
    ends: np.ndarray
    weights: np.ndarray
    offsets: np.ndarray
    arcs: np.ndarray | None

    @staticmethod
    def joined(parts: list["_Links"]) -> "_Links":
        if len(parts) == 1:
            return parts[0]
        sizes = [part.weights.size for part in parts]
        starts = np.cumsum([0] + [part.numbers.size for part in parts])
        none = [np.zeros(0, dtype=np.int64)]
        ends = [part.ends + start for part, start in zip(parts, starts, strict=False)]
        arcs = None
        if any(part.arcs is not None for part in parts):
            arcs = [
                np.zeros(size, dtype=bool) if part.arcs is None else part.arcs
                for part, size in zip(parts, sizes, strict=True)
            ]
        return _Links(
            np.concatenate([part.numbers for part in parts] + none),
            np.concatenate([*ends, np.zeros((0, 2), dtype=np.int64)]),
            np.concatenate([part.weights for part in parts] + none),
            np.concatenate([part.offsets for part in parts] + none),
            None if arcs is None else np.concatenate(arcs),
        )


@dataclass
class _Net:
    """What was read so far; nodes and states by their number in the file."""

    source: Source
    vertices: dict[int, str] = field(default_factory=dict)
    announced: int | None = None
    bipartite: int | None = None
    states: dict[int, int] = field(default_factory=dict)
    links: list["_Links"] = field(default_factory=list)
    layers: dict[str, tuple[np.ndarray, np.ndarray]] = field(default_factory=dict)


def read_net(source: Source, directed: bool | None) -> Gathered:
    """Returns the nodes and links of a `.net` file.

    Args:
        source: The file.
        directed: Whether links in layers have a direction; what they stand for always has.

    Raises:
        CorpusError: A line breaks a rule; names it.
    """
    text = source.text()
    net = _Net(source)
    heads = list(_SECTION.finditer(source.data))
    _nothing_before(source, heads[0].start() if heads else len(text))
    for head, after in zip(heads, [*heads[1:], None], strict=True):
        end = after.start() if after else len(source.data)
        _read_section(net, head, min(head.end() + 1, end), end)
    if net.layers:
        return _layered(net, directed)
    return _stated(net) if net.states else _plain(net)


def _nothing_before(source, end) -> None:
    for offset, line in _lines(source, 0, end):
        raise source.fault(offset, f"a section such as *Vertices must come first, not {line!r}.")


def _lines(source, begin, end):
    """Each line that is no comment, and where it begins."""
    for line in source.data[begin:end].splitlines(keepends=True):
        text = line.decode("utf-8").strip()
        if text and text[0] not in "#%":
            yield begin, text
        begin += len(line)


def _read_section(net, head, begin, end) -> None:
    words = head[0].decode("utf-8").strip()[1:].split()
    name = words[0].casefold().rstrip(":") if words else ""
    if name == "vertices":
        _read_vertices(net, head, words[1:], begin, end)
    elif name == "states":
        _read_states(net, begin, end)
    elif name in _LINKS:
        if name == "bipartite":
            net.bipartite = _whole(net.source, head.start(), words[1] if words[1:] else "")
        _read_links(net, _LINKS[name], begin, end)
    elif name in _LISTS:
        _read_lists(net, _LISTS[name], begin, end)
    elif name in _LAYERS or name == "multiplex":
        name = "multilayer" if name == "multiplex" else name
        columns, what = _LAYERS[name]
        table = read_table(net.source, begin, end, columns, weight=len(columns), what=what)
        ids = _numbers(net.source, table)[table.ids]
        if name == "inter":
            _between_layers(net.source, table, ids)
        old = net.layers.get(name)
        both = (ids, table.weights)
        if old is not None:
            both = np.concatenate([old[0], ids]), np.concatenate([old[1], table.weights])
        net.layers[name] = both
    elif name != "network":
        known = "*Vertices, *States, *Edges, *Arcs, *Links, *Edgeslist, *Arcslist, *Bipartite"
        rule = f"a section must be {known}, *Multilayer, *Intra or *Inter."
        raise net.source.fault(head.start(), rule)


def _whole(source, offset, text) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= MOST_DIGITS):
        raise source.fault(offset, "a node must have a whole number, 0 or more.")
    return int(text)


def _read_vertices(net, head, words, begin, end) -> None:
    source = net.source
    if words:
        net.announced = _whole(source, head.start(), words[0])
        if net.announced > MOST_NODES:
            raise source.fault(head.start(), f"there must be at most {MOST_NODES} nodes.")
    if words[1:]:  # Pajek's two modes: how many nodes there are, and how many of the first kind
        net.bipartite = _whole(source, head.start(), words[1]) + 1
    for offset, line in _lines(source, begin, end):
        match = _NODE.match(line)
        if not match or (match[2] is None and match[3] is None and '"' in line):
            raise source.fault(offset, 'a line must hold a number and a "name".')
        number = _whole(source, offset, match[1])
        if number in net.vertices:
            raise source.fault(offset, f"node {number} must stand once.")
        name = match[2] if match[2] is not None else match[3]
        net.vertices[number] = name if name is not None else match[1]
        if net.announced is not None and len(net.vertices) > net.announced:
            rule = f"`*Vertices` announces {net.announced} nodes, and more follow."
            raise source.fault(offset, rule)
    count = net.announced
    if count is not None and len(net.vertices) < count:
        if any(not 1 <= number <= count for number in net.vertices):
            rule = f"`*Vertices` must announce how many follow, {len(net.vertices)}."
            raise source.fault(head.start(), rule)
        # Pajek lets nodes out that have no name of their own.
        for number in range(1, count + 1):
            net.vertices.setdefault(number, str(number))


def _read_states(net, begin, end) -> None:
    for offset, line in _lines(net.source, begin, end):
        match = _STATE.match(line)
        if not match:
            raise net.source.fault(offset, "a line must hold a state and its node.")
        state, node = (_whole(net.source, offset, match[k]) for k in (1, 2))
        if state in net.states:
            raise net.source.fault(offset, f"state {state} must stand once.")
        net.states[state] = node


def _numbers(source, table: Table) -> np.ndarray:
    """The number that each name of a table stands for, int64 (names,)."""
    wrong = [
        i for i, name in enumerate(table.names) if not name.isdigit() or len(name) > MOST_DIGITS
    ]
    if wrong:
        row = int(np.argmax(np.isin(table.ids, wrong).any(axis=1)))
        raise source.fault(int(table.offsets[row]), "a node must have a whole number, 0 or more.")
    return np.array([int(name) for name in table.names], dtype=np.int64)


def _between_layers(source, table, ids) -> None:
    same = ids[:, 0] == ids[:, 2]
    if same.any():
        offset = int(table.offsets[np.argmax(same)])
        raise source.fault(offset, "a link in *Inter must lead to another layer.")


def _read_links(net, arcs, begin, end) -> None:
    table = read_table(net.source, begin, end, (0, 1), weight=2)
    _add(net, _numbers(net.source, table), table.ids, table.weights, table.offsets, arcs)


def _read_lists(net, arcs, begin, end) -> None:
    ends, offsets = [], []
    for offset, line in _lines(net.source, begin, end):
        first, *others = [_whole(net.source, offset, word) for word in line.split()]
        ends += [(first, other) for other in others]
        offsets += [offset] * len(others)
    found = np.array(ends, dtype=np.int64).reshape(-1, 2)
    places = np.array(offsets, dtype=np.int64)
    numbers, ids = np.unique(found, return_inverse=True)
    _add(net, numbers, ids.reshape(-1, 2), np.ones(len(ends)), places, arcs)


def _add(net, numbers, ends, weights, offsets, arcs) -> None:
    said = None if arcs is None else np.full(weights.size, arcs)
    net.links.append(_Links(numbers, ends, weights, offsets, said))


def _places(net, numbers, links: _Links, rule) -> np.ndarray:
    """Where the ends of links stand among sorted numbers, int64 (links, 2); others are an error."""
    place = np.searchsorted(numbers, links.numbers)
    place[place == numbers.size] = 0
    wrong = numbers[place] != links.numbers if numbers.size else np.ones(place.size, dtype=bool)
    if wrong.any():
        row, side = np.argwhere(wrong[links.ends])[0]
        number = links.numbers[links.ends[row, side]]
        raise net.source.fault(int(links.offsets[row]), rule.format(number))
    return place[links.ends]


def _plain(net) -> Gathered:
    links = _Links.joined(net.links)
    if net.announced is None:  # then links may add nodes
        for number in links.numbers.tolist():
            net.vertices.setdefault(number, str(number))
    numbers = np.array(sorted(net.vertices), dtype=np.int64)
    rule = f"a link must join two of the {net.announced} nodes of *Vertices, not {{}}."
    sources, targets = _places(net, numbers, links, rule).T
    names = [net.vertices[number] for number in numbers.tolist()]
    bipartite = None
    if net.bipartite is not None:
        bipartite = int(np.searchsorted(numbers, net.bipartite))
        same = (sources < bipartite) == (targets < bipartite)
        if same.any():
            rule = f"a link must join a node below {net.bipartite} and another."
            raise net.source.fault(int(links.offsets[np.argmax(same)]), rule)
    return Gathered(sources, targets, links.weights, names, links.arcs, bipartite=bipartite)


def _stated(net) -> Gathered:
    if net.bipartite is not None:
        raise CorpusError(f"{net.source.path}: a file must not have both *States and *Bipartite.")
    links = _Links.joined(net.links)
    numbers = np.array(sorted(net.states), dtype=np.int64)
    sources, targets = _places(
        net, numbers, links, "a link must join two of the *States, not {}."
    ).T
    physical, names = _physical(net, [net.states[number] for number in numbers.tolist()])
    return Gathered(sources, targets, links.weights, names, links.arcs, physical=physical)


def _physical(net, nodes) -> tuple[np.ndarray, list[str]]:
    for number in nodes:
        net.vertices.setdefault(number, str(number))
    numbers = np.array(sorted(net.vertices), dtype=np.int64)
    names = [net.vertices[number] for number in numbers.tolist()]
    return np.searchsorted(numbers, np.array(nodes, dtype=np.int64)), names


def _layered(net, directed) -> Gathered:
    layers = net.layers
    if net.links or net.states or net.bipartite is not None or len({*layers} - {"inter"}) != 1:
        raise CorpusError(
            f"{net.source.path}: layers must stand in *Multilayer, or in *Intra and *Inter, alone; "
            "with them a file must have no *States, and no links in other sections."
        )
    if "multilayer" in layers:
        links = explicit(*layers["multilayer"])
        arcs = None
    else:
        links = expand(layers["intra"], layers.get("inter"), directed=bool(directed))
        arcs = np.ones(links.sources.size, dtype=bool)
    physical, names = _physical(net, links.nodes.tolist())
    found = links.sources, links.targets, links.weights
    return Gathered(*found, names, arcs, physical=physical, settled=arcs is not None)
