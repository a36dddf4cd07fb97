"""Links as lines of a table: source, target and, if there is one, a weight.

Fields stand between tabs, commas, semicolons or spaces. A first line that names the columns, such
as `source,target,weight`, says where they are; without it they are the first three.
"""

import csv

from taolu.errors import CorpusError
from taolu.graph.gathered import Gathered
from taolu.graph.source import Source
from taolu.graph.table import COMMA, SEMICOLON, SPACES, TAB, Table, read_table

_SOURCES = {"source", "src", "from", "fromnode", "fromnodeid", "node1", "sourceid", "起点", "源"}
_TARGETS = {"target", "dst", "to", "tonode", "tonodeid", "node2", "targetid", "终点", "目标"}


def read_edge_list(source: Source, weight: str) -> Gathered:
    """Returns the links of a table.

    Args:
        source: The file.
        weight: Name of the column of weights; "weight" stands for the third one too, where no line
            names the columns.

    Raises:
        CorpusError: A line breaks a rule, or no column has that name.
    """
    source.text()  # checks that it is UTF-8
    begin, line = _first_line(source)
    separator = _separator(source.suffix, line)
    columns, named = _columns(source, begin, _fields(line, separator), weight)
    if named:
        begin += len(line) + 1
    table = read_table(
        source, begin, len(source.data), columns[:2], weight=columns[2], separator=separator
    )
    return links_of(table)


def links_of(table: Table) -> Gathered:
    """Returns the links of a table of two columns of names; nodes in the order of their names."""
    sources, targets = table.ids.T
    names = [name.decode("utf-8") for name in table.names]
    return Gathered(sources, targets, table.weights, names)


def _first_line(source) -> tuple[int, bytes]:
    """The first line that is no comment, and where it begins; % begins comments there too."""
    begin, data = 0, source.data
    while begin < len(data):
        end = data.find(b"\n", begin)
        end = len(data) if end < 0 else end
        line = data[begin:end]
        if line.strip() and line.lstrip()[:1] not in (b"#", b"%"):
            return begin, line
        begin = end + 1
    raise CorpusError(f"{source.path}: the file holds no link. A line holds a source and a target.")


def _separator(suffix, line) -> int:
    if suffix == ".tsv" or b"\t" in line:
        return TAB
    if suffix == ".csv":
        return SEMICOLON if b";" in line and b"," not in line else COMMA
    fields = line.split()
    if len(fields) > 1 and not any(field.endswith((b",", b";")) for field in fields):
        return SPACES
    return COMMA if b"," in line else SEMICOLON if b";" in line else SPACES


def _fields(line, separator) -> list[str]:
    text = line.decode("utf-8").strip("\r\n ")
    if separator == SPACES:
        return text.split()
    try:
        fields = next(csv.reader([text.replace("\r", " ")], delimiter=chr(separator)))
    except csv.Error:  # a field of more than 131072 characters names no column
        return []
    return [field.strip() for field in fields]


def _columns(source, begin, fields, weight) -> tuple[tuple[int, int, int], bool]:
    """Where source, target and weight stand, and whether the first line says so."""
    plain = ["".join(c for c in field.casefold() if c not in "_- ") for field in fields]
    starts = [i for i, field in enumerate(plain) if field in _SOURCES]
    ends = [i for i, field in enumerate(plain) if field in _TARGETS]
    named = bool(starts and ends) or weight in fields[2:]
    if not named:
        if weight == "weight":
            return (0, 1, 2), False
        raise source.fault(begin, f"the first line must name a column {weight!r} of weights.")
    ids = (starts[0], ends[0]) if starts and ends else (0, 1)
    if weight in fields:
        return (*ids, fields.index(weight)), True
    other = [i for i, field in enumerate(plain) if field == weight]
    if not other and weight != "weight":
        raise source.fault(begin, f"the first line must name a column {weight!r} of weights.")
    return (*ids, other[0] if other else -1), True
