"""Networks in GML: a graph, with nodes and edges in it, each a list of keys and values."""

import html
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from taolu.graph.gathered import Gathered, attribute_weights
from taolu.graph.source import Source

_TOKEN = re.compile(
    r'\s*(?:\#[^\n]*\s*)*(?:([A-Za-z_][\w.]*)|([+-]?[\d.][\w.+-]*)|"([^"]*)"|([\[\]]))', re.A
)
MOST_DEPTH = 100
_REST = re.compile(r"(?:\s+|#[^\n]*)*")


class _Token(NamedTuple):
    kind: int  # 1 key, 2 number, 3 string, 4 bracket, 0 the end
    value: str
    start: int


def read_gml(source: Source, weight: str) -> Gathered:
    """Returns the nodes and links of a GML file; nodes are called by their labels, else their ids.

    Args:
        source: The file.
        weight: The attribute that is the weight of a link; a link without it weighs 1.

    Raises:
        CorpusError: A line breaks the rules of the format.
    """
    text = source.text()

    def fault(start: int, rule: str):
        return source.fault(len(text[:start].encode("utf-8")), rule)

    tokens = _tokens(text, fault)
    graph = None
    for token in tokens:
        if token.kind == 0:
            break
        if token.kind != 1:
            raise fault(token.start, "a key must come before a value.")
        value = _value(tokens, fault)
        if token.value == "graph" and isinstance(value, list):
            if graph is not None:
                raise fault(token.start, "a file must hold one graph.")
            graph = value
    if graph is None:
        raise fault(0, "a file must hold `graph [ ... ]`.")
    return _gathered(source, graph, weight, fault)


def _tokens(text, fault) -> Iterator[_Token]:
    place = 0
    while match := _TOKEN.match(text, place):
        kind = match.lastindex or 0
        yield _Token(kind, match[kind], match.start(kind))
        place = match.end()
    rest = _REST.match(text, place)
    place = rest.end() if rest else place
    if place < len(text):
        raise fault(place, "keys, numbers, strings in quotes and brackets make a GML file.")
    yield _Token(0, "", max(0, len(text.rstrip()) - 1))


def _value(tokens, fault, depth: int = 0) -> Any:
    """What comes after a key: a string, or the list of keys and values between brackets."""
    token = next(tokens)
    if token.kind in (2, 3):
        return html.unescape(token.value) if "&" in token.value else token.value
    if token.kind != 4 or token.value == "]":
        raise fault(token.start, "a value must come after a key.")
    start = token.start
    if depth == MOST_DEPTH:
        raise fault(start, f"brackets must not stand in more than {MOST_DEPTH} others.")
    found: list[tuple[str, Any, int]] = []
    for token in tokens:
        if token.kind == 4 and token.value == "]":
            return found
        if token.kind == 0:
            raise fault(start, "a bracket must be closed.")
        if token.kind != 1:
            raise fault(token.start, "a key must come before a value.")
        found.append((token.value, _value(tokens, fault, depth + 1), token.start))
    raise fault(start, "a bracket must be closed.")


def _gathered(source, graph, weight, fault) -> Gathered:
    places: dict[str, int] = {}
    names: list[str] = []
    links: list[tuple[dict[str, Any], int]] = []
    arcs = False
    for key, value, start in graph:
        if key == "directed":
            arcs = value == "1"
        elif key in ("node", "edge") and not isinstance(value, list):
            raise fault(start, f"`{key}` must be followed by a bracket.")
        elif key == "edge":
            links.append(({name: entry for name, entry, _ in value}, start))
        elif key == "node":
            own = {name: entry for name, entry, _ in value}
            number = own.get("id")
            if not isinstance(number, str) or number in places:
                raise fault(start, f"a node must have an id of its own, not {number}.")
            places[number] = len(names)
            label = own.get("label")
            names.append(label if isinstance(label, str) and label else number)
    ends = np.empty((len(links), 2), dtype=np.int64)
    for row, (own, start) in enumerate(links):
        for column, side in enumerate(("source", "target")):
            number = own.get(side)
            place = places.get(number) if isinstance(number, str) else None
            if place is None:
                raise fault(start, f"the {side} of an edge must be the id of a node, not {number}.")
            ends[row, column] = place
    weights = attribute_weights(source, links, weight, fault)
    return Gathered(ends[:, 0], ends[:, 1], weights, names, np.full(len(links), arcs))
