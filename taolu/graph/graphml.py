"""Networks in GraphML, an XML of nodes and edges with typed attributes."""

from typing import Any
from xml.parsers import expat

import numpy as np

from taolu.errors import CorpusError
from taolu.graph.gathered import Gathered, attribute_weights
from taolu.graph.source import Source

_NAMESPACE = "http://graphml.graphdrawing.org"


def read_graphml(source: Source, weight: str) -> Gathered:
    """Returns the nodes and links of a GraphML file.

    Nodes are called by their attribute `label`, else `name`, else by their id. Nodes of graphs in
    nodes are nodes as well. A file with a DTD is refused, as entities in it may stand for anything.

    Args:
        source: The file.
        weight: The attribute that is the weight of a link; a link without it weighs 1.

    Raises:
        CorpusError: The file is no XML, or breaks the rules of the format; names the line.
    """
    reading = _Reading(source)
    parser = reading.parser
    try:
        parser.Parse(source.data, True)
    except expat.ExpatError as error:
        reason = expat.ErrorString(error.code)
        raise CorpusError(f"{source.path}, line {error.lineno}: no XML ({reason}).") from None
    except (LookupError, ValueError) as error:  # of the encoding that the first line names
        raise CorpusError(f"{source.path}, line 1: no XML ({error}).") from None
    return reading.gathered(weight)


class _Reading:
    """What was read so far, and where the parser is."""

    def __init__(self, source: Source):
        self.source = source
        self.parser = expat.ParserCreate(namespace_separator=" ")
        self.parser.buffer_text = True
        self.parser.StartElementHandler = self.start
        self.parser.EndElementHandler = self.end
        self.parser.CharacterDataHandler = self.characters
        self.parser.StartDoctypeDeclHandler = self.doctype
        self.keys: dict[str, str] = {}
        self.defaults: dict[str, str] = {}  # of attributes of edges
        self.key, self.of_links = "", False
        self.places: dict[str, int] = {}
        self.nodes: list[tuple[str, dict[str, str]]] = []  # id and attributes
        self.ends: list[tuple[str | None, str | None]] = []
        self.links: list[tuple[dict[str, Any], int]] = []  # attributes, and where they stand
        self.arcs: list[bool] = []
        self.directed = [False]
        self.inside: list[dict[str, Any]] = []
        self.data: str | None = None
        self.text: list[str] = []
        self.graphs = 0

    def fault(self, offset: int, rule: str) -> CorpusError:
        return self.source.fault(offset, rule)

    def now(self) -> int:
        return self.parser.CurrentByteIndex

    def doctype(self, *_) -> None:
        raise self.fault(self.now(), "GraphML must have no DTD.")

    def start(self, name, own) -> None:
        namespace, _, tag = name.rpartition(" ")
        if namespace and not namespace.startswith(_NAMESPACE):
            return
        opened = getattr(self, f"start_{tag}", None)
        if opened:
            opened(own)

    def end(self, name) -> None:
        namespace, _, tag = name.rpartition(" ")
        if namespace and not namespace.startswith(_NAMESPACE):
            return
        if tag in ("node", "edge") and self.inside:
            self.inside.pop()
        elif tag == "graph" and len(self.directed) > 1:
            self.directed.pop()
        elif tag == "data" and self.data is not None and self.inside:
            self.inside[-1][self.keys.get(self.data, self.data)] = "".join(self.text).strip()
            self.data = None
        elif tag == "default" and self.data is not None:
            self.defaults[self.keys.get(self.data, self.data)] = "".join(self.text).strip()
            self.data = None

    def characters(self, text) -> None:
        if self.data is not None:
            self.text.append(text)

    def start_key(self, own) -> None:
        self.key = own.get("id", "")
        self.keys[self.key] = own.get("attr.name", self.key)
        self.of_links = own.get("for", "all") in ("edge", "all")

    def start_default(self, _) -> None:
        self.data, self.text = (self.key if self.of_links else None), []

    def start_data(self, own) -> None:
        self.data, self.text = own.get("key", ""), []

    def start_graph(self, own) -> None:
        self.graphs += not self.inside
        if self.graphs > 1:
            raise self.fault(self.now(), "a file must hold one graph.")
        default = own.get("edgedefault", "undirected")
        self.directed.append(default == "directed")

    def start_node(self, own) -> None:
        number = own.get("id")
        if number is None or number in self.places:
            raise self.fault(self.now(), f"a node must have an id of its own, not {number}.")
        self.places[number] = len(self.nodes)
        self.nodes.append((number, {}))
        self.inside.append(self.nodes[-1][1])

    def start_edge(self, own) -> None:
        self.ends.append((own.get("source"), own.get("target")))
        self.links.append(({}, self.now()))
        said = own.get("directed")
        self.arcs.append(self.directed[-1] if said is None else said in ("true", "1"))
        self.inside.append(self.links[-1][0])

    def start_hyperedge(self, _) -> None:
        raise self.fault(self.now(), "an edge must join two nodes; a hyperedge is not read.")

    def gathered(self, weight: str) -> Gathered:
        if not self.graphs:
            raise CorpusError(f"{self.source.path}: GraphML must hold a <graph>.")
        ends = np.empty((len(self.links), 2), dtype=np.int64)
        for row, (own, start) in enumerate(self.links):
            for column, side in enumerate(("source", "target")):
                number = self.ends[row][column]
                place = None if number is None else self.places.get(number)
                if place is None:
                    rule = f"the {side} of an edge must be the id of a node, not {number}."
                    raise self.fault(start, rule)
                ends[row, column] = place
            for name, value in self.defaults.items():
                own.setdefault(name, value)
        weights = attribute_weights(self.source, self.links, weight, self.fault)
        names = [own.get("label") or own.get("name") or number for number, own in self.nodes]
        arcs = np.array(self.arcs, dtype=bool)
        return Gathered(ends[:, 0], ends[:, 1], weights, names, arcs)
