"""Partitions written to files and put on graphs, and read back."""

import json
import re
import warnings

import numpy as np
import pytest
from networks import BARBELL

from taolu.graph import (
    Links,
    Partition,
    add_to_igraph,
    add_to_networkx,
    codelength,
    infomap,
    link_flow,
    read_links,
    write_partition,
)

# A ring of five cliques of five nodes, and a pair of modules on top.
CLIQUES = [(5 * c + a, 5 * c + b) for c in range(5) for a in range(5) for b in range(a)]
RING = tuple(np.array([*CLIQUES, *[(5 * c, (5 * c + 6) % 25) for c in range(5)]]).T)


def nested(names=None):
    """A partition of three levels with a node that stands beside modules."""
    flow = link_flow(Links(*(side.astype(np.int32) for side in RING), np.ones(55), 25, names=names))
    clique = np.arange(25) // 5
    paths = np.stack([clique // 3, np.where(clique < 3, clique, -1)], axis=1)
    paths[0, 1] = -1
    return partition(flow, paths)


def partition(flow, paths):
    """A partition that nobody searched for."""
    paths = np.array(paths, dtype=np.int32)
    return Partition(paths, codelength(flow, paths), flow, np.zeros(1))


def read_tree(path):
    rows = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        if line[0] != "#":
            place, flow, name, node = re.fullmatch(r'(\S+) (\S+) "(.*)" (\d+)', line).groups()
            rows[int(node)] = tuple(map(int, place.split(":"))), float(flow), name
    return rows


def test_a_tree_holds_every_node_at_its_path(tmp_path):
    found = nested()
    write_partition(found, tmp_path / "a.tree")
    rows = read_tree(tmp_path / "a.tree")
    assert len(rows) == 25
    for node, (path, flow, name) in rows.items():
        assert path[:-1] == tuple(step + 1 for step in found.paths[node] if step >= 0)
        assert flow == pytest.approx(found.rates[node], rel=1e-11)
        assert name == str(node)
    # Children of a module, nodes or modules, are numbered from 1 without gaps.
    children = {}
    for path, _, _ in rows.values():
        for depth in range(len(path)):
            children.setdefault(path[:depth], set()).add(path[depth])
    assert all(sorted(own) == list(range(1, len(own) + 1)) for own in children.values())
    assert rows[0][0] == (1, 4)
    head = (tmp_path / "a.tree").read_text(encoding="utf-8").splitlines()[:3]
    assert head[0] == f"# codelength {found.codelength:.12g} bits"
    assert head[1] == "# levels 3, top modules 2"


def test_the_infomap_package_takes_a_tree_for_its_own(tmp_path):
    package = pytest.importorskip("infomap")
    source = "*Vertices 6\n" + "".join(f'{i + 1} "词 {i}"\n' for i in range(6)) + "*Edges\n"
    source += "".join(f"{a + 1} {b + 1}\n" for a, b in zip(*BARBELL, strict=True))
    (tmp_path / "a.net").write_text(source, encoding="utf-8")
    found = infomap(read_links(tmp_path / "a.net"))
    for name in ("a.tree", "a.clu"):
        write_partition(found, tmp_path / name)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # its API is moving
            other = package.Infomap(f"--silent --no-infomap --cluster-data {tmp_path / name}")
            other.read_file(str(tmp_path / "a.net"))
            other.run()
            modules = {node.node_id: node.module_id for node in other.nodes}
            bits = other.codelength
        assert bits == pytest.approx(found.codelength, abs=1e-9)
        assert [modules[i + 1] for i in range(6)] == (found.modules + 1).tolist()


def test_numbers_of_nodes_are_their_names_where_these_are_numbers(tmp_path):
    path = tmp_path / "a.tree"
    write_partition(nested(tuple(str(7 * i) for i in range(25))), path)
    assert sorted(read_tree(path)) == [7 * i for i in range(25)]
    write_partition(nested(tuple(f'"词"\n{i}' for i in range(25))), path)
    assert {node: row[2] for node, row in read_tree(path).items()} == {
        i + 1: f'"词" {i}' for i in range(25)
    }


def test_json_holds_nodes_and_modules(tmp_path):
    found = nested(tuple(f"词{i}" for i in range(25)))
    write_partition(found, tmp_path / "a.json")
    read = json.loads((tmp_path / "a.json").read_text(encoding="utf-8"))
    assert read["codelength"] == found.codelength
    assert read["codelength"] == read["index_codelength"] + read["module_codelength"]
    assert {own["name"]: own["flow"] for own in read["nodes"]} == dict(
        zip(found.names, found.rates.tolist(), strict=True)
    )
    modules = {tuple(own["path"]): own for own in read["modules"]}
    assert sorted(modules) == [(1,), (1, 1), (1, 2), (1, 3), (2,)]
    assert [modules[1, k]["nodes"] for k in (1, 2, 3)] == [4, 5, 5]
    assert modules[1,]["name"] == found.module_names[0]
    # Two of the five links of the ring lead from the one to the other.
    assert modules[1,]["exit"] == pytest.approx(2 / 110)
    assert modules[2,]["enter"] == pytest.approx(2 / 110)
    assert modules[1,]["flow"] + modules[2,]["flow"] == pytest.approx(1)


def test_states_keep_their_own_numbers(tmp_path):
    net = "*Vertices 2\n1 a\n2 b\n*States\n1 1\n2 2\n3 1\n4 2\n*Links\n1 2\n3 4\n"
    (tmp_path / "a.net").write_text(net)
    found = partition(link_flow(read_links(tmp_path / "a.net")), [[0], [0], [1], [1]])
    write_partition(found, tmp_path / "a.tree")
    lines = (tmp_path / "a.tree").read_text().splitlines()
    assert lines[2:] == [
        "# path flow name state_id node_id",
        '1:1 0.25 "a" 1 1',
        '1:2 0.25 "b" 2 2',
        '2:1 0.25 "a" 3 1',
        '2:2 0.25 "b" 4 2',
    ]
    assert found.module_names == ("a, b", "a, b")
    with pytest.raises(ValueError, match=r"memberships.*Received: 4 states"):
        add_to_networkx(found, {})


def test_an_old_file_stays_until_the_new_one_is_whole(tmp_path, monkeypatch):
    path = tmp_path / "a.json"
    path.write_text("old")
    with pytest.raises(ValueError, match=r"\.tree, \.clu or \.json.*Received: path=.*a\.txt"):
        write_partition(infomap(BARBELL), tmp_path / "a.txt")
    with pytest.raises(ValueError, match=r"Received: kind='ftree'"):
        write_partition(infomap(BARBELL), path, kind="ftree")
    monkeypatch.setattr(json, "dump", lambda *_, **__: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        write_partition(infomap(BARBELL), path)
    assert [file.name for file in tmp_path.iterdir()] == ["a.json"]
    assert path.read_text() == "old"


def test_modules_are_named_by_their_most_visited_nodes():
    found = infomap(BARBELL)
    assert found.module_names == ("2, 0, 1", "3, 4, 5")


def test_nodes_of_a_networkx_graph_get_their_modules(tmp_path):
    networkx = pytest.importorskip("networkx")
    graph = networkx.Graph(list(zip(*BARBELL, strict=True))[::-1])
    add_to_networkx(infomap(graph), graph)
    modules = {node: own["module"] for node, own in graph.nodes(data=True)}
    assert len({modules[i] for i in range(3)}) == len({modules[i] for i in range(3, 6)}) == 1
    assert sum(own["flow"] for _, own in graph.nodes(data=True)) == pytest.approx(1)
    assert {own["path"] for _, own in graph.nodes(data=True)} == {"1", "2"}
    # A file names nodes in text, where the graph may have numbers.
    networkx.write_edgelist(graph, tmp_path / "a.txt", data=False)
    again = graph.copy()
    add_to_networkx(infomap(read_links(tmp_path / "a.txt")), again)
    assert dict(again.nodes(data="flow")) == pytest.approx(dict(graph.nodes(data="flow")))
    with pytest.raises(ValueError, match=r"5 nodes .* for 6 nodes"):
        add_to_networkx(infomap(graph), networkx.path_graph(5))
    with pytest.raises(ValueError, match="by a name of its own"):
        add_to_networkx(infomap(graph), networkx.relabel_nodes(graph, str).subgraph("012345x"[1:]))


def test_vertices_of_an_igraph_graph_get_their_modules():
    igraph = pytest.importorskip("igraph")
    graph = igraph.Graph(list(zip(*BARBELL, strict=True)))
    found = infomap(graph)
    add_to_igraph(found, graph)
    assert graph.vs["module"] == (found.modules + 1).tolist()
    assert graph.vs["flow"] == found.rates.tolist()
    graph.vs["name"] = list("abcdef")
    named = infomap(graph)
    turned = graph.permute_vertices([5, 4, 3, 2, 1, 0])
    add_to_igraph(named, turned)
    by_name = dict(zip(turned.vs["name"], turned.vs["flow"], strict=True))
    assert by_name == dict(zip(named.names, named.rates.tolist(), strict=True))
