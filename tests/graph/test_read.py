"""Files of links: what formats mean, faults by line, and real files beside their own readers."""

import bz2
import gzip
import lzma
import os
import warnings
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from taolu.errors import CorpusError
from taolu.graph import as_links, read_links
from taolu.graph.source import Source
from taolu.graph.table import COMMA, SPACES, TAB, read_table

DATA = Path(os.environ.get("TAOLU_DATA", "/nonexistent"))


@pytest.fixture
def write(tmp_path):
    def write(text, name="links.tsv"):
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode("utf-8"))
        return path

    return write


def said(links):
    """The links by name, as a dictionary of weights."""
    names = links.names
    if links.physical is not None:
        names = [(i, names[node]) for i, node in enumerate(links.physical)]
    pairs = zip(links.sources.tolist(), links.targets.tolist(), strict=True)
    return {
        (names[a], names[b]): w for (a, b), w in zip(pairs, links.weights.tolist(), strict=True)
    }


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.tsv", "天\t地\t2\n# 注\n\n地\t人 间\t0.5\n天\t天\n"),
        ("a.csv", '"天",地,2\r\n地,"人 间",.5\r\n天,天,1e0\r\n'),
        ("a.csv", "地;人 间;0.5\n天;地;2.0\n天;天\n"),
        ("a.txt", '天 地  2\n地 "人 间" 5e-1 more\n 天\t天\n'.replace("\t", " ")),
        ("a.txt", "# 注\n天, 地, 2\n地, 人 间, 0.50\n天, 天\n"),
        ("a", "%% 注\n天\t地\t2.000000000000000000000\n天\t天\t1\n地\t人 间\t+0.5"),
        ("a.csv", "id,To,From,Weight\n1,地,天,2\n2,人 间,地,0.5\n3,天,天,1\n"),
        ("a.tsv", b"\xef\xbb\xbf" + "天\t地\t1\n地\t人 间\t.5\n地\t天\t1\n天\t天\n".encode()),
        (
            "a.net",
            '*Vertices 3\n1 "天" 0.1\n3 "人 间"\n2 地\n*Edges\n1 2 2\n% 注\n3 2 .5\n1 1\n',
        ),
        ("a.net", '*vertices\n7 "天"\n9 "地"\n5 "人 间"\n*links\n7 9 2\n9 5 .5\n7 7 1\n'),
        ("a.net", '*Vertices 3\n1 "天"\n2 "地"\n3 "人 间"\n*Edges\n2 3 .5\n*Edgeslist\n1 2 2 1\n'),
        (
            "a.gml",
            '# 注\nCreator "a"\ngraph [ node [ id 7 label "天" g [ x 1.5 y "z" ] ]\n'
            'node [ id 9 label "&#22320;" ] node [ id 5 label "人 间" ]\n'
            'edge [ source 7 target 9 weight 2 ]\nedge [ source 9 target 5 weight "0.5" ]\n'
            "edge [ source 7 target 7 ] ]\n",
        ),
        (
            "a.graphml",
            '<graphml xmlns="http://graphml.graphdrawing.org/xmlns">'
            '<key id="d0" for="edge" attr.name="weight"><default>1</default></key>'
            '<key id="d1" for="node" attr.name="label"/><graph edgedefault="undirected">'
            '<node id="n"><data key="d1">天</data><data key="id">9</data></node>'
            '<node id="m"><data key="source">9</data><data key="d1">地</data>'
            '</node><node id="人 间"/><edge source="n" target="m"><data key="d0">2</data>'
            '<data key="source">x</data></edge>'
            '<edge source="人 间" target="m"><data key="d0">0.5</data></edge>'
            '<edge source="n" target="n"/></graph></graphml>',
        ),
    ],
)
def test_every_format_says_the_same(write, name, text):
    links = read_links(write(text, name))
    weights = {frozenset(pair): w for pair, w in said(links).items()}
    assert weights == {frozenset("天地"): 2, frozenset(["地", "人 间"]): 0.5, frozenset("天"): 1}
    assert sorted(links.names) == ["人 间", "地", "天"]
    assert not links.directed
    assert links.sources.dtype == links.targets.dtype == np.int32
    assert as_links(links) is links


@pytest.mark.parametrize(
    ("suffix", "compress"),
    [(".gz", gzip.compress), (".xz", lzma.compress), (".bz2", bz2.compress)],
)
def test_compressed_files_are_read_and_cut_ones_are_not(write, suffix, compress):
    packed = compress(b"a\tb\n" * 1000)
    assert said(read_links(write(packed, "a.tsv" + suffix))) == {("a", "b"): 1000}
    with pytest.raises(CorpusError, match="cannot be read"):
        read_links(write(packed[:-9], "a.tsv" + suffix))


def test_directions_are_those_of_the_file_unless_the_caller_says_otherwise(write):
    arcs = write("*Vertices 3\n*Arcs\n1 2 3\n2 1 1\n", "arcs.net")
    assert said(read_links(arcs)) == {("1", "2"): 3, ("2", "1"): 1}
    assert read_links(arcs).directed
    assert said(read_links(arcs, directed=False)) == {("1", "2"): 4}
    assert read_links(arcs).names == ("1", "2", "3")
    both = write("*Vertices 3\n*Arcs\n1 2 3\n*Edges\n2 3 5\n3 3 1\n", "both.net")
    assert said(read_links(both)) == {("1", "2"): 3, ("2", "3"): 5, ("3", "2"): 5, ("3", "3"): 1}
    lists = write("*Vertices 3\n*Arcslist\n3 1 2\n", "lists.net")
    assert said(read_links(lists)) == {("3", "1"): 1, ("3", "2"): 1}
    table = write("b a 2\na b 1\n", "a.txt")
    assert said(read_links(table)) == {("b", "a"): 3}
    assert said(read_links(table, directed=True)) == {("b", "a"): 2, ("a", "b"): 1}
    gml = write("graph [ directed 1 node [ id 1 ] node [ id 0 ] edge [ source 1 target 0 ] ]")
    assert said(read_links(gml.rename(gml.with_suffix(".gml")))) == {("1", "0"): 1}
    markup = (
        '<graphml><graph edgedefault="directed"><node id="a"/><node id="b"/>{}</graph></graphml>'
    )
    graph = write(markup.format('<edge source="b" target="a"/>'), "a.xml")
    assert said(read_links(graph)) == {("b", "a"): 1}
    graph = write(markup.format('<edge source="b" target="a" directed="false"/>'), "a.graphml")
    assert not read_links(graph).directed


def test_weights_may_have_another_name(write):
    table = write("source,target,weight,count\na,b,2,7\n", "a.csv")
    assert said(read_links(table)) == {("a", "b"): 2}
    assert said(read_links(table, weight="count")) == {("a", "b"): 7}
    assert said(read_links(write("from\tto\tcount\na\tb\t2\n"))) == {("a", "b"): 1}
    gml = "graph [ node [ id 0 ] node [ id 1 ] edge [ source 0 target 1 value 3 ] ]"
    assert said(read_links(write(gml, "a.gml"))) == {("0", "1"): 1}
    assert said(read_links(write(gml, "a.gml"), weight="value")) == {("0", "1"): 3}
    for path in (table, write(gml, "a.gml"), write("a\tb\n")):
        with pytest.raises(CorpusError, match=r"'strength'"):
            read_links(path, weight="strength")


def test_states_and_two_kinds_of_nodes(write):
    states = write(
        '*Vertices 3\n1 "a"\n2 "b"\n3 "c"\n*States\n8 2 "b1"\n4 1\n6 2\n*Arcs\n4 8 2\n6 4 1\n',
        "a.net",
    )
    found = read_links(states)
    assert found.physical.tolist() == [0, 1, 1]
    assert found.names == ("a", "b", "c")
    assert said(found) == {((0, "a"), (2, "b")): 2, ((1, "b"), (0, "a")): 1}
    kinds = read_links(write("*Vertices 3\n*Bipartite 3\n1 3 2\n2 3 .5\n", "a.net"))
    assert kinds.bipartite == 2
    assert said(kinds) == {("1", "3"): 2, ("2", "3"): 0.5}
    assert read_links(write("*Vertices 3 1\n*Edges\n1 2\n1 3\n", "a.net")).bipartite == 1


LAYERS = {
    "relax": "*Intra\n1 1 2 1\n1 2 3 2\n2 1 2 4\n2 4 1 1\n2 3 1 1\n2 2 2 5\n",
    "linked": "*Intra\n1 1 2 1\n1 2 3 2\n2 1 2 4\n3 4 1 1\n1 1 2 1\n3 2 1 2\n"
    "*Inter\n1 1 2 0.5\n2 1 3 0.5\n1 1 2 0.25\n",
    "explicit": "*Multilayer\n1 1 1 2 1\n1 2 1 3 2\n2 1 2 2 4\n2 2 2 4 1\n1 2 2 2 0.5\n",
}


@pytest.mark.parametrize("directed", [False, True])
@pytest.mark.parametrize("name", list(LAYERS))
def test_links_in_layers_stand_for_those_of_the_infomap_package(write, name, directed):
    package = pytest.importorskip("infomap")
    path = write(LAYERS[name], "a.net")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its API is moving
        other = package.Infomap("--silent --no-infomap" + " --directed" * directed)
        other.read_file(str(path))
        other.run()
        layers = {node.state_id: (node.layer_id, node.node_id) for node in other.nodes}
        want = {(layers[a], layers[b]): w for a, b, w in other.get_links(data="weight")}
    found = read_links(path, directed=directed)
    # States come sorted by layer and node, in both.
    names = sorted(layers.values())
    ours = {
        (names[a], names[b]): w
        for a, b, w in zip(found.sources, found.targets, found.weights.tolist(), strict=True)
    }
    assert [found.names[node] for node in found.physical] == [str(node) for _, node in names]
    assert ours == pytest.approx(want, abs=1e-12)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.tsv", "a\tb\nc\n", r"a\.tsv, line 2: a line must hold a source and a target.*'c'"),
        ("a.tsv", "a\tb\n\t\n\na\t\t2\n", r"line 4: .*none of them empty.*'a\\t\\t2'"),
        ("a.tsv", "# x\na\tb\t1,5\n", r"line 2: a weight must be a number.*'a\\tb\\t1,5'"),
        ("a.tsv", "a\tb\t1\na\tc\tnan\n", r"line 2: a weight must be a finite number"),
        ("a.tsv", "a\tb\t1\na\tc\t1e999\n", r"line 2: a weight must be a finite number"),
        ("a.txt", "a b 1\r\n\r\nb c -2\r\n", r"line 3: .*at least 0.*'b c -2'"),
        ("a.csv", 'a,b\n"a,b\n', r"line 2: a name that begins with a quote"),
        ("a.csv", 'a,b\n"a"c,b\n', r"line 2: a closing quote must end the field"),
        ("a.tsv", b"a\tb\n\xff\tb\n", r"a\.tsv, line 2: not valid UTF-8\. Save it as UTF-8"),
        ("a.tsv", "# nothing\n\n", r"a\.tsv: the file holds no link"),
        ("a.tsv", "a\tb\t0\n", r"a link with a weight above 0\. Received: 2 nodes and 1 links"),
        ("a.net", "*Vertices 2\n", r"a link with a weight above 0\. Received: 2 nodes and 0"),
        ("a.net", "*Vertices 2\n1 a\n1 b\n*Edges\n1 2\n", r"line 3: node 1 must stand once"),
        ("a.net", "*Vertices 1\n1 a\n2 b\n*Edges\n1 2\n", r"line 3: .*announces 1 nodes"),
        ("a.net", "*Vertices 3\n0 a\n1 b\n", r"line 1: .*announce how many follow, 2"),
        ("a.net", "*Vertices 2\n1 a\nx b\n", r"line 3: a node must have a whole number.*'x b'"),
        ("a.net", '*Vertices 2\n1 "a\n', r"line 2: a line must hold a number and a .name"),
        ("a.net", "*Vertices 2\n*Edges\n1 2\n2 9 1\n", r"line 4: .*2 nodes of \*Vertices, not 9"),
        ("a.net", "*Vertices 2\n*Edges\n1 b\n", r"line 3: a node must have a whole number"),
        ("a.net", "*Edges\n1 2\n*Matrix\n1 2\n", r"line 3: a section must be .*'\*Matrix'"),
        ("a.net", "*States\n1 1\n1 2\n", r"line 3: state 1 must stand once"),
        ("a.net", "*States\n1 1\n*Links\n1 2\n", r"line 4: .*two of the \*States, not 2"),
        ("a.net", "*Intra\n1 2\n", r"line 2: a line must hold layer, source and target"),
        ("a.net", "*Intra\n1 2 3\n*Inter\n1 2 1\n", r"line 4: .*lead to another layer"),
        ("a.net", "*Intra\n1 2 3\n*Links\n1 2\n", r"layers must stand .* alone"),
        ("a.net", "*Bipartite 3\n1 3\n1 2\n", r"line 3: a link must join a node below 3"),
        ("a.gml", "graph [\nnode [ id 1 ]\nnode [ id 1 ] ]", r"line 3: .*id of its own, not 1"),
        ("a.gml", "graph [\nnode [ id 1 ]\nedge [ source 1 target 2 ]]", r"line 3: the target"),
        ("a.gml", "graph [\nnode [ id 1 ]\n", r"line 1: a bracket must be closed"),
        ("a.gml", "graph [\nnode ]\n", r"line 2: a value must come after a key"),
        ("a.gml", "graph [ a " + 200 * "[ a ", r"line 1: brackets must not stand in more than 100"),
        ("a.net", "*Vertices 9999999999\n", r"line 1: there must be at most 2147483647 nodes"),
        ("a.net", f"*Edges\n1 {10**20}\n", r"line 2: a node must have a whole number"),
        ("a.graphml", "<?xml version='1.0' encoding='tf-8'?><graphml/>", r"line 1: no XML"),
        ("a.gml", 'graph [\nlabel "a\n', r"line 2: keys, numbers, strings"),
        (
            "a.gml",
            "graph [ node [ id 1 ]\nedge [ source 1 target 1 weight -1 ]]",
            r"line 2: 'weight' must be finite, and at least 0, not -1",
        ),
        ("a.graphml", "<graphml>\n<graph>\n</graphml>", r"line 3: no XML \(mismatched tag\)"),
        (
            "a.graphml",
            '<!DOCTYPE g [\n<!ENTITY a "aaaa">]>\n<graphml/>',
            r"line 1: GraphML must have no DTD",
        ),
        (
            "a.graphml",
            '<graphml><graph>\n<node id="a"/>\n<edge source="a" target="b"/></graph></graphml>',
            r"line 3: the target of an edge must be the id of a node, not b",
        ),
    ],
)
def test_faults_name_the_line(write, name, text, message):
    with pytest.raises(CorpusError, match=message):
        read_links(write(text, name))


def test_a_missing_file_is_named():
    with pytest.raises(CorpusError, match="no such file"):
        read_links("/nonexistent/a.net")


NAMES = st.text(st.characters(codec="utf-8", exclude_characters='"#%\t\r\n, '), min_size=1)


@given(
    st.lists(st.tuples(NAMES, NAMES, st.floats(0, 1e300)), min_size=1),
    st.sampled_from([TAB, COMMA, SPACES]),
)
def test_tables_come_back_as_they_were_written(rows, separator):
    between = {TAB: "\t", COMMA: ",", SPACES: "  "}[separator]
    lines = [between.join([a, b, repr(w)]) for a, b, w in rows]
    data = "\n".join(lines).encode("utf-8")
    table = read_table(
        Source(Path("a"), data, ""), 0, len(data), (0, 1), weight=2, separator=separator
    )
    names = [name.decode("utf-8") for name in table.names]
    assert [(names[a], names[b]) for a, b in table.ids] == [row[:2] for row in rows]
    assert table.weights.tolist() == [row[2] for row in rows]
    assert len(set(names)) == len(names)


@pytest.mark.data
@pytest.mark.parametrize("path", sorted((DATA / "graphs_gml").glob("*.gml.xz")), ids=str)
def test_real_networks_are_those_that_networkx_reads(path):
    networkx = pytest.importorskip("networkx")
    with lzma.open(path, "rt", encoding="utf-8") as lines:
        graph = networkx.parse_gml(lines, label=None)
    links = read_links(path)
    assert links.directed == graph.is_directed()
    label = {node: str(own.get("label") or node) for node, own in graph.nodes(data=True)}
    assert list(links.names) == list(label.values())
    want = {frozenset((label[a], label[b])) for a, b in graph.edges}
    assert {frozenset(pair) for pair in said(links)} == want
    assert links.weights.size == graph.number_of_edges()


@pytest.mark.data
@pytest.mark.parametrize(
    "path", sorted((DATA / "graphs_infomap_examples").glob("*.net")), ids=lambda path: path.stem
)
def test_example_networks_are_those_that_the_infomap_package_reads(path):
    package = pytest.importorskip("infomap")
    links = read_links(path)
    # It follows *Arcs one way only if told.
    layers = "multilayer" in path.stem
    directed = links.directed and not layers
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        other = package.Infomap("--silent --no-infomap" + " --directed" * directed)
        other.read_file(str(path))
        other.run()
        pairs = sum(1 for _ in other.get_links())
        nodes, physical = other.num_nodes, other.num_physical_nodes
    found = links.weights.size
    if layers and not links.directed:  # it keeps both of a pair
        found = read_links(path, directed=True).weights.size
    assert (links.nodes, found, len(links.names)) == (nodes, pairs, physical)
