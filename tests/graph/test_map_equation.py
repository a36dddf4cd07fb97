"""Bits per step of a partition, against the definition and the infomap package."""

import networks
import numpy as np
import pytest

from taolu.graph import codelength, link_flow


def random_paths(rng, nodes, depth):
    """Module numbers (nodes, depth), shallower at random below the top."""
    paths = rng.integers(0, 3, (nodes, depth))
    kept = rng.integers(1, depth + 1, nodes)
    return np.where(np.arange(depth) < kept[:, None], paths, -1)


@pytest.mark.parametrize("depth", [1, 2, 4])
@pytest.mark.parametrize("model", networks.MODELS)
def test_bits_are_those_of_the_definition(model, depth):
    for seed in range(8):
        rng = np.random.default_rng(seed)
        links = networks.random_links(rng, 14, 15 + 5 * seed)
        paths = random_paths(rng, 14, depth)
        walk = networks.naive_walk(*links, 14, **model)
        truth = networks.naive_bits(walk, [tuple(row[row >= 0].tolist()) for row in paths])
        found = codelength(link_flow(links, nodes=14, **model), paths)
        assert found.total == pytest.approx(truth, abs=1e-10)
        assert found.index + found.module == pytest.approx(truth, abs=1e-10)
        assert sum(found.depths) == pytest.approx(truth, abs=1e-10)


@pytest.mark.parametrize("depth", [1, 3])
@pytest.mark.parametrize("model", networks.MODELS)
def test_bits_are_those_of_the_infomap_package(model, depth):
    for seed in range(4):
        rng = np.random.default_rng(seed)
        links = networks.random_links(rng, 20, 50)
        paths = rng.integers(0, 3, (20, depth))
        truth, rates = networks.infomap_bits(links, 20, paths, **model)
        flow = link_flow(links, nodes=20, **model)
        np.testing.assert_allclose(flow.rates, rates, atol=1e-12)
        assert codelength(flow, paths).total == pytest.approx(truth, abs=1e-9)


def test_two_triangles_by_hand():
    flow = link_flow(networks.BARBELL)
    found = codelength(flow, [0, 0, 0, 1, 1, 1])
    # Each module: visits 2, 2, 3 and one exit, out of 14; the index: two entries of 1/14 each.
    inner = 8 / 14 * -sum(x * np.log2(x) for x in (2 / 8, 2 / 8, 3 / 8, 1 / 8))
    assert found.module == pytest.approx(2 * inner, abs=1e-12)
    assert found.index == pytest.approx(2 / 14, abs=1e-12)
    assert found.total == pytest.approx(2.3207303568, abs=1e-10)
    # Four visits of 2/14 and two of 3/14.
    visits = -4 / 7 * np.log2(1 / 7) - 3 / 7 * np.log2(3 / 14)
    assert found.one_level == pytest.approx(visits, abs=1e-12)
    assert found.one_level == pytest.approx(2.5566567075, abs=1e-10)
    assert codelength(flow, [0, 0, 1, 1, 2, 2]).total == pytest.approx(3.3378, abs=1e-4)


def test_visits_sum_to_one_not_visits_and_exits():
    # Erratum: scaling visits and exits together to one gives no bits per step.
    flow = link_flow(networks.BARBELL)
    found = codelength(flow, [0, 0, 0, 1, 1, 1])
    assert flow.rates.sum() == pytest.approx(1)
    assert found.total != pytest.approx(2.3207303568 / (1 + 4 / 14), abs=1e-3)


def test_one_module_costs_what_one_level_costs():
    for model in networks.MODELS:
        links = networks.random_links(np.random.default_rng(0), 10, 30)
        found = codelength(link_flow(links, nodes=10, **model), np.zeros(10, dtype=int))
        assert found.total == pytest.approx(found.one_level, abs=1e-12)


def test_names_of_modules_and_order_of_nodes_do_not_matter():
    rng = np.random.default_rng(5)
    links = networks.random_links(rng, 15, 60)
    paths = random_paths(rng, 15, 3)
    truth = codelength(link_flow(links, nodes=15), paths).total
    order = rng.permutation(15)
    moved = np.empty_like(paths)
    moved[order] = np.where(paths >= 0, 40 - 7 * paths, -1)
    sources, targets, weights = links
    flow = link_flow((order[sources], order[targets], weights), nodes=15)
    assert codelength(flow, moved).total == pytest.approx(truth, abs=1e-12)


def test_a_level_with_one_module_for_all_adds_nothing():
    flow = link_flow(networks.BARBELL)
    flat = codelength(flow, [0, 0, 0, 1, 1, 1]).total
    paths = np.array([[0, 0]] * 3 + [[0, 1]] * 3)
    assert codelength(flow, paths).total == pytest.approx(flat, abs=1e-12)


@pytest.mark.parametrize(
    ("modules", "message"),
    [
        ([0, 0, 0], "with 6 nodes"),
        (np.zeros((6, 1, 1), dtype=int), "with 6 nodes"),
        (np.zeros((6, 0), dtype=int), "with 6 nodes"),
        ([0.5] * 6, "whole numbers"),
        ([0, 0, 0, 1, 1, -1], "top level"),
        ([[0, 0, 0]] * 5 + [[0, -1, 0]], "top level"),
        ([0, 0, 0, 1, 1, -2], "top level"),
    ],
)
def test_bad_modules_are_refused(modules, message):
    with pytest.raises(ValueError, match=message) as caught:
        codelength(link_flow(networks.BARBELL), modules)
    assert "Received:" in str(caught.value)
