"""Partitions compared: beside scikit-learn, beside published figures, and beside a plain loop."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from networks import BARBELL, random_links

from taolu.graph import Partition, codelength, compare, infomap, link_flow

# Nine nodes in three triangles, from the documentation of the authors' own program.
TRIANGLES = (
    [0, 1, 2, 3, 4, 5, 6, 7, 8, 1, 5, 6],
    [1, 2, 0, 4, 5, 3, 7, 8, 6, 3, 7, 2],
)
PARTITIONS = {
    "A": [1, 1, 1, 2, 2, 2, 3, 3, 3],
    "B": [1, 1, 3, 1, 2, 2, 3, 2, 3],
    "C": [1, 2, 1, 2, 2, 3, 1, 3, 3],
    "D": [3, 1, 1, 2, 1, 2, 3, 3, 2],
}


def partition(flow, modules):
    """A partition that nobody searched for."""
    modules = np.asarray(modules)
    paths = modules[:, None] if modules.ndim == 1 else modules
    return Partition(paths.astype(np.int32), codelength(flow, paths), flow, np.zeros(1))


def naive_divergence(flow, truth, estimate):
    """Flow divergence in bits by a loop over all pairs of nodes, from the definition."""
    links = np.zeros((flow.nodes, flow.nodes))
    for a in range(flow.nodes):
        for e in range(flow.starts[a], flow.starts[a + 1]):
            links[a, flow.neighbours[e]] = flow.between[e] / 2  # undirected: half each way

    def similarity(paths):
        paths = [tuple(path) for path in paths]
        modules = {path[:k] for path in paths for k in range(1, len(path) + 1)}
        crossing, books = {}, {(): 0.0}
        for module in modules:
            inside = np.array([path[: len(module)] == module for path in paths])
            crossing[module] = links[np.ix_(inside, ~inside)].sum()
            books[module] = crossing[module]
        for module in modules:
            books[module[:-1]] += crossing[module]
        for path, rate in zip(paths, flow.rates, strict=True):
            books[path] += rate

        def rate(u, v):
            common = 0
            while common < len(paths[u]) and paths[u][: common + 1] == paths[v][: common + 1]:
                common += 1
            product = flow.rates[v] / books[paths[v]]
            for depth in range(common, len(paths[u])):
                module = paths[u][: depth + 1]
                product *= crossing[module] / books[module]
            for depth in range(common, len(paths[v])):
                module = paths[v][: depth + 1]
                product *= crossing[module] / books[module[:-1]]
            return product

        nodes = range(flow.nodes)
        return np.array([[0 if u == v else rate(u, v) for v in nodes] for u in nodes])

    one, other = similarity(truth), similarity(estimate)
    steps = one / one.sum(axis=1, keepdims=True)
    with np.errstate(divide="ignore", invalid="ignore"):
        bits = np.where(steps > 0, steps * np.log2(one / other), 0)
    return float((flow.rates * bits.sum(axis=1)).sum())


def test_divergences_are_the_published_ones():
    flow = link_flow(TRIANGLES)
    truth = partition(flow, PARTITIONS["A"])
    found = {
        name: compare(truth, partition(flow, modules)).divergences[0]
        for name, modules in PARTITIONS.items()
    }
    assert found["A"] == 0
    assert found["B"] == pytest.approx(1.91508642047648, abs=1e-12)
    assert found["C"] == pytest.approx(1.91508642047648, abs=1e-12)
    assert found["D"] == pytest.approx(1.50296642395886, abs=1e-12)


def test_divergences_of_nested_modules_are_those_of_the_definition():
    rng = np.random.default_rng(5)
    sources, targets, weights = random_links(rng, 9, 40)
    ring = np.arange(9)  # every node has a link to another, so every step has a way
    links = np.r_[sources, ring], np.r_[targets, (ring + 1) % 9], np.r_[weights, np.ones(9)]
    flow = link_flow(links)
    for _ in range(5):
        one, other = rng.integers(0, 3, (9, 2)), rng.integers(0, 2, (9, 3))
        found = compare(partition(flow, one), partition(flow, other)).divergences
        assert found[0] == pytest.approx(naive_divergence(flow, one, other), abs=1e-10)
        assert found[1] == pytest.approx(naive_divergence(flow, other, one), abs=1e-10)


def test_similarity_of_maps_runs_from_none_to_all():
    found = infomap(BARBELL)
    same = compare(found, found)
    assert (same.nmi, same.ami, same.map_similarity) == (1, 1, 1)
    near, far = compare(found, [0, 0, 0, 0, 1, 1]), compare(found, [0, 1, 0, 1, 0, 1])
    assert 1 > near.map_similarity > far.map_similarity > 0
    assert near.ami > far.ami
    mirrored = compare([0, 0, 0, 0, 1, 1], found)
    assert mirrored.divergences == near.divergences[::-1]
    assert mirrored.map_similarity == near.map_similarity
    # Two triangles apart: modules that no step leaves cannot describe what another map sees.
    apart = link_flow((BARBELL[0][:6], BARBELL[1][:6]))
    split = partition(apart, [0, 0, 0, 1, 1, 1])
    assert compare(partition(apart, [0] * 6), split).divergences[0] == math.inf
    assert compare(partition(apart, [0] * 6), split).map_similarity == 0
    assert compare([0, 1], [0, 1]).map_similarity is None


@settings(max_examples=40)
@given(st.data())
def test_mutual_information_is_that_of_scikit_learn(data):
    metrics = pytest.importorskip("sklearn.metrics")
    nodes = data.draw(st.integers(1, 40))
    one, other = (
        data.draw(st.lists(st.integers(0, most), min_size=nodes, max_size=nodes))
        for most in (data.draw(st.integers(0, 8)), data.draw(st.integers(0, 40)))
    )
    found = compare(one, other)
    assert found.nmi == pytest.approx(metrics.normalized_mutual_info_score(one, other), abs=1e-9)
    want = metrics.adjusted_mutual_info_score(one, other)
    assert found.ami == pytest.approx(want, rel=1e-6, abs=1e-9)


def test_many_nodes_compare_as_they_do_in_scikit_learn():
    metrics = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(0)
    one = rng.zipf(1.5, 3000) % 200
    other = np.where(rng.random(3000) < 0.3, rng.integers(0, 50, 3000), one)
    assert compare(one, other).ami == pytest.approx(
        metrics.adjusted_mutual_info_score(one, other), abs=1e-9
    )


def test_what_cannot_be_compared_is_said():
    with pytest.raises(ValueError, match=r"as many nodes.*Received: 2 and 3\."):
        compare([0, 1], [0, 1, 1])
    with pytest.raises(ValueError, match=r"as many nodes.*Received: 0 and 0\."):
        compare([], [])
    with pytest.raises(ValueError, match=r"`other` must be a Partition or labels"):
        compare([0, 1], [[0, 1]])
    flow, other = link_flow(BARBELL), link_flow(BARBELL, directed=True)
    with pytest.raises(ValueError, match=r"of one flow\. Received: rates that differ by"):
        compare(partition(flow, [0] * 6), partition(other, [0] * 6))
