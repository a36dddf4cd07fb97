"""Links from the objects of other libraries, and the attribute that is their weight."""

import numpy as np
import pytest

from taolu.graph import as_links, infomap

ROWS = [("天", "地", 2.0), ("地", "人", 0.5), ("人", "人", 1.0)]


def said(links):
    names = links.names or range(links.nodes)
    return {
        (names[a], names[b]): w
        for a, b, w in zip(links.sources, links.targets, links.weights.tolist(), strict=True)
    }


def test_a_pandas_table_is_a_list_of_links():
    pandas = pytest.importorskip("pandas")
    want = {(a, b): w for a, b, w in ROWS}
    table = pandas.DataFrame(ROWS, columns=["source", "target", "weight"], index=[7, 8, 9])
    assert said(as_links(table)) == want
    turned = table[["weight", "target", "source"]]
    assert said(as_links(turned)) == want
    other = table.rename(columns={"source": "a", "target": "b", "weight": "count"})
    assert said(as_links(other)) == dict.fromkeys(want, 1)
    assert said(as_links(other, weight="count")) == want
    assert as_links(other, directed=True).directed
    numbers = pandas.DataFrame({"source": [30, 10], "target": [10, 20]})
    assert said(as_links(numbers)) == {(30, 10): 1, (10, 20): 1}
    assert as_links(numbers).names == (10, 20, 30)
    categories = table.astype({"source": "category", "target": "category"})
    assert said(as_links(categories)) == want
    assert infomap(table).names == ("天", "地", "人")


def test_a_pandas_table_called_alike_on_both_sides_is_a_matrix():
    pandas = pytest.importorskip("pandas")
    matrix = pandas.DataFrame([[0, 2.0], [2.0, 1.0]], index=["a", "b"], columns=["a", "b"])
    assert said(as_links(matrix)) == {("a", "b"): 2, ("b", "b"): 1}


def test_faults_of_a_table_are_said():
    pandas = pytest.importorskip("pandas")
    table = pandas.DataFrame(ROWS, columns=["source", "target", "weight"])
    with pytest.raises(ValueError, match=r"`weight` must name .*weight='n'; they have source, t"):
        as_links(table, weight="n")
    with pytest.raises(ValueError, match=r"a column of sources.*Received: \['source'\]"):
        as_links(table[["source"]])
    with pytest.raises(ValueError, match=r"both nodes in each row\. Received: none, row 1"):
        as_links(table.replace({"target": {"人": None}}))
    with pytest.raises(ValueError, match=r"finite weights.*Received: -1"):
        as_links(table.assign(weight=[1, -1, 2]))
    with pytest.raises(ValueError, match=r"finite weights.*Received: nan"):
        as_links(table.assign(weight=[1, np.nan, 2]))


def test_weights_of_graphs_may_have_another_name():
    networkx, igraph = pytest.importorskip("networkx"), pytest.importorskip("igraph")
    graph = networkx.Graph()
    graph.add_weighted_edges_from(ROWS, weight="count")
    other = igraph.Graph.TupleList(ROWS, edge_attrs=["count"])
    want = {(a, b): w for a, b, w in ROWS}
    for links in (graph, other):
        assert said(as_links(links, weight="count")) == want
        assert said(as_links(links)) == dict.fromkeys(want, 1)
        with pytest.raises(ValueError, match=r"weight='n'; they have count\."):
            as_links(links, weight="n")
    # A link without the attribute weighs 1.
    graph.add_edge("天", "人")
    assert as_links(graph, weight="count").weights.sum() == 4.5
