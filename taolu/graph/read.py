"""Links out of files: tables, Pajek's and Infomap's `.net`, GML and GraphML."""

import os
import re

from taolu.errors import CorpusError
from taolu.graph.edge_list import read_edge_list
from taolu.graph.gml import read_gml
from taolu.graph.graphml import read_graphml
from taolu.graph.links import Links
from taolu.graph.net_file import read_net
from taolu.graph.source import Source, open_source

_COMMENTS = re.compile(rb"(?:\s+|[#%][^\n]*)*")
_GML = re.compile(rb"(?:Creator|Version|comment|graph)\b[^\n]*(?:[\[\"]|\n)", re.I)


def read_links(
    path: str | os.PathLike[str], *, directed: bool | None = None, weight: str = "weight"
) -> Links:
    """Returns the links of a file.

    What the file is follows from its suffix, and where that says nothing from how it begins:

    - `.tsv`, `.csv`, or anything else with a link on each line: source, target and perhaps a weight
      between tabs, commas or spaces. Names may be anything; whole numbers are names too. Lines that
      begin with # are comments. A first line may name the columns.
    - `.net`: Pajek's, and Infomap's, with states, layers or two kinds of nodes.
    - `.gml` and `.graphml`.

    Each with `.gz`, `.xz`, `.bz2` or `.zst` too. Links that stand twice, without directions also
    the other way round, are one with the sum of their weights. Links from a node to itself, and
    nodes without links, are kept. Five million lines take a few seconds.

    Args:
        path: Name of the file.
        directed: Whether links lead from source to target only; by default what the file says, and
            where it says nothing, that they do not. Links inside and between layers stand for links
            between states that always have a direction; then this is about the former.
        weight: The column or attribute that is the weight of a link; links without it weigh 1. The
            third column of a table that does not name its columns is the weight.

    Returns:
        Links, whose `names` are text.

    Raises:
        CorpusError: The file cannot be read, a line breaks a rule, or no link has a weight above 0;
            names the line.

    Example:
        >>> import pathlib, tempfile
        >>> path = pathlib.Path(tempfile.mkdtemp()) / "links.tsv"
        >>> _ = path.write_text("天\\t地\\t2\\n地\\t天\\t1\\n天\\t人\\n", encoding="utf-8")
        >>> found = read_links(path)
        >>> found.names, found.sources.tolist(), found.targets.tolist(), found.weights.tolist()
        (('天', '地', '人'), [0, 0], [1, 2], [3.0, 1.0])
    """
    source = open_source(path)
    kind = _kind(source)
    if kind == "net":
        gathered = read_net(source, directed)
    elif kind == "gml":
        gathered = read_gml(source, weight)
    elif kind == "graphml":
        gathered = read_graphml(source, weight)
    else:
        gathered = read_edge_list(source, weight)
    links = gathered.links(directed)
    if not (links.weights > 0).any():
        raise CorpusError(
            f"{source.path}: the file must hold a link with a weight above 0. "
            f"Received: {links.nodes} nodes and {links.weights.size} links."
        )
    return links


def _kind(source: Source) -> str:
    if source.suffix in (".gml", ".graphml"):
        return source.suffix[1:]
    begin = _COMMENTS.match(source.data)
    head = source.data[begin.end() if begin else 0 :][:200]
    if head.startswith(b"*"):
        return "net"
    if source.suffix in (".tsv", ".csv"):
        return "table"
    if head.startswith(b"<"):
        return "graphml"
    return "gml" if _GML.match(head) else "table"
