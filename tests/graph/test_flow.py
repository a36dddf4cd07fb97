"""Where a walker spends its time, against an eigenvector."""

import networks
import numpy as np
import pytest

from taolu.graph import as_links, link_flow


def dense(flow):
    matrix = np.zeros((flow.nodes, flow.nodes))
    rows = np.repeat(np.arange(flow.nodes), np.diff(flow.starts))
    np.add.at(matrix, (rows, flow.neighbours), flow.between)
    return matrix


@pytest.mark.parametrize("model", networks.MODELS)
def test_rates_and_flow_are_those_of_the_eigenvector(model):
    for seed in range(12):
        rng = np.random.default_rng(seed)
        # Few links leave some nodes alone, others without way out, and the whole in parts.
        links = networks.random_links(rng, 12, 9 + 3 * seed)
        flow = link_flow(links, nodes=12, **model)
        rates, between, teleports, landing = networks.naive_walk(*links, 12, **model)
        np.testing.assert_allclose(flow.rates, rates, atol=1e-12)
        away = between - np.diag(np.diag(between))
        np.testing.assert_allclose(dense(flow), away + away.T, atol=1e-12)
        np.testing.assert_allclose(flow.leaving, away.sum(axis=1), atol=1e-12)
        np.testing.assert_allclose(flow.entering, away.sum(axis=0), atol=1e-12)
        if model["recorded"]:
            np.testing.assert_allclose(flow.teleporting, teleports, atol=1e-12)
            np.testing.assert_allclose(flow.landing, landing, atol=1e-12)


@pytest.mark.parametrize("recorded", [False, True])
def test_a_walk_that_seldom_teleports_settles_too(recorded):
    # Two rings that one link joins, and a way to where it ends: the walk forgets slowly.
    ring = np.arange(30)
    sources = np.concatenate([ring, 30 + ring, [3, 40, 60]])
    targets = np.concatenate([(ring + 1) % 30, 30 + (ring + 1) % 30, [40, 60, 61]])
    weights = np.ones(sources.size)
    truth = networks.naive_walk(
        sources, targets, weights, 62, directed=True, tau=0.02, recorded=recorded, to_nodes=False
    )
    links = sources, targets, weights
    flow = link_flow(links, directed=True, teleportation=0.02, recorded=recorded)
    np.testing.assert_allclose(flow.rates, truth[0], atol=1e-11)


@pytest.mark.parametrize("model", networks.MODELS)
def test_a_step_leads_somewhere(model):
    links = networks.random_links(np.random.default_rng(1), 30, 60)
    flow = link_flow(links, nodes=30, **model)
    assert flow.rates.sum() == pytest.approx(1, abs=1e-12)
    if flow.balanced:
        # What leaves a node returns to it: links, and teleports that land elsewhere.
        leave, enter = flow.leaving.copy(), flow.entering.copy()
        if flow.teleporting is not None:
            leave += flow.teleporting * (1 - flow.landing)
            enter += (flow.teleporting.sum() - flow.teleporting) * flow.landing
        np.testing.assert_allclose(leave, enter, atol=1e-12)


def test_two_triangles_by_hand():
    flow = link_flow(networks.BARBELL)
    np.testing.assert_allclose(flow.rates, np.array([2, 2, 3, 3, 2, 2]) / 14)
    np.testing.assert_allclose(flow.between, 1 / 7)


def test_a_loop_counts_once():
    flow = link_flow(([0, 0], [0, 1], [2.0, 1.0]))
    np.testing.assert_allclose(flow.rates, [0.75, 0.25])
    np.testing.assert_allclose(flow.leaving, [0.25, 0.25])


def test_links_that_repeat_are_one_link():
    twice = link_flow(([0, 1, 0, 1], [1, 0, 1, 2], [1.0, 2.0, 3.0, 1.0]))
    once = link_flow(([0, 1], [1, 2], [6.0, 1.0]))
    assert twice.neighbours.size == once.neighbours.size == 4
    np.testing.assert_allclose(dense(twice), dense(once))
    np.testing.assert_allclose(twice.rates, once.rates)


@pytest.mark.parametrize("directed", [False, True])
def test_a_matrix_arrays_and_graphs_say_the_same(directed):
    networkx, igraph = pytest.importorskip("networkx"), pytest.importorskip("igraph")
    from scipy import sparse

    rng = np.random.default_rng(3)
    matrix = rng.random((8, 8)) * (rng.random((8, 8)) < 0.4)
    if not directed:
        matrix = np.triu(matrix) + np.triu(matrix, 1).T
    kept = matrix if directed else np.triu(matrix)
    ids = [place.tolist() for place in np.nonzero(kept)]
    weights = kept[kept > 0]
    kinds = networkx.DiGraph if directed else networkx.Graph
    graph = kinds()
    graph.add_nodes_from("abcdefgh")
    letters = ["abcdefgh"[a] for a in ids[0]], ["abcdefgh"[b] for b in ids[1]]
    graph.add_weighted_edges_from(zip(*letters, weights, strict=True))
    other = igraph.Graph(8, list(zip(*ids, strict=True)), directed=directed)
    other.es["weight"] = weights
    truth = link_flow((*ids, weights), nodes=8, directed=directed)
    for links in (matrix, matrix.tolist(), sparse.csr_array(matrix), graph, other, as_links(other)):
        flow = link_flow(links, directed=directed)
        np.testing.assert_allclose(flow.rates, truth.rates, atol=1e-14)
        np.testing.assert_allclose(dense(flow), dense(truth), atol=1e-14)
    assert link_flow(graph, directed=directed).names == tuple("abcdefgh")


def test_graphs_without_weights_weigh_one():
    networkx, igraph = pytest.importorskip("networkx"), pytest.importorskip("igraph")
    truth = link_flow(networks.BARBELL).rates
    pairs = list(zip(*networks.BARBELL, strict=True))
    graph = networkx.Graph()
    graph.add_nodes_from(range(6))
    graph.add_edges_from(pairs)
    np.testing.assert_allclose(link_flow(graph).rates, truth)
    np.testing.assert_allclose(link_flow(igraph.Graph(6, pairs)).rates, truth)


@pytest.mark.parametrize(
    ("links", "message"),
    [
        (([0], [1], [-1.0]), "finite weights"),
        (([0], [1], [np.nan]), "finite weights"),
        (([0], [1], [np.inf]), "finite weights"),
        ([[0.0, np.nan], [np.nan, 0.0]], "finite weights"),
        (np.ones((2, 3)), "must be square"),
        (np.ones(3), "must be square"),
        ([[0, 1], [0, 0]], "must be symmetric"),
        (([], []), "at least one link"),
        (np.zeros((3, 3)), "at least one link"),
        (np.zeros((0, 0)), "at least one link"),
        (([0], [1], [0.0]), "at least one link"),
        (([0, 1], [1]), "arrays of one length"),
        (([0.5], [1]), "whole numbers"),
        ((["a"], ["b"]), "whole numbers"),
        (([-1], [1]), "ids from 0"),
        (([0],), "a tuple of 1"),
    ],
)
def test_bad_links_are_refused(links, message):
    with pytest.raises(ValueError, match=message) as caught:
        link_flow(links)
    assert "Received:" in str(caught.value)


def test_other_things_are_refused():
    with pytest.raises(TypeError, match=r"matrix of numbers.*Received: str"):
        link_flow("links")
    with pytest.raises(ValueError, match=r"`nodes` must be larger.*nodes=2"):
        link_flow(([0], [2]), nodes=2)
    for teleportation in (0, 1, -0.1, float("nan")):
        with pytest.raises(ValueError, match=r"`teleportation` must lie.*Received"):
            link_flow(([0], [1]), directed=True, teleportation=teleportation)
