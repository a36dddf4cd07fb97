"""Links between two kinds of nodes, against the infomap package and by hand."""

import numpy as np
import pytest

from taolu.graph import Links, codelength, infomap, link_flow


def two_kinds(links, first, nodes, directed=False):
    sources, targets, weights = (np.asarray(part) for part in links)
    ids = sources.astype(np.int32), targets.astype(np.int32), weights.astype(float)
    return Links(*ids, nodes, directed=directed, bipartite=first)


def package_bits(links, first, nodes, modules, settings):
    package = pytest.importorskip("infomap")
    network = package.Infomap(f"--silent --no-infomap {settings}")
    for node in range(nodes):
        network.add_node(node)
    network.bipartite_start_id = first
    for source, target, weight in zip(*links, strict=True):
        network.add_link(int(source), int(target), float(weight))
    found = network.run(initial_partition=dict(enumerate(modules.tolist())))
    return found.codelength


def random_kinds(seed, both):
    """Links from eight nodes to five others, or in both directions."""
    rng = np.random.default_rng(seed)
    links = [rng.integers(0, 8, 30), rng.integers(8, 13, 30), rng.gamma(0.7, size=30)]
    if both:
        turned = rng.random(30) < 0.5
        links[0], links[1] = np.where(turned, links[1], links[0]), np.where(turned, *links[:2])
    return links, rng.integers(0, 3, 13)


@pytest.mark.parametrize("both", [False, True])
@pytest.mark.parametrize("directed", [False, True])
@pytest.mark.parametrize("time", [1.0, 3.0])
def test_bits_are_those_of_the_infomap_package(directed, both, time):
    for seed in range(6):
        links, modules = random_kinds(seed, both)
        given = two_kinds(links, 8, 13, directed)
        settings = f"--markov-time {time}" + " --directed" * directed
        truth = package_bits(links, 8, 13, modules, settings)
        flow = link_flow(given, markov_time=time)
        assert codelength(flow, modules).total == pytest.approx(truth, abs=1e-9)
        settings += " --skip-adjust-bipartite-flow"
        truth = package_bits(links, 8, 13, modules, settings)
        flow = link_flow(given, markov_time=time, first_kind_only=False)
        assert codelength(flow, modules).total == pytest.approx(truth, abs=1e-9)


def test_three_readers_and_two_books_by_hand():
    # Readers 0, 1, 2 and books 3, 4; reader 1 has a little of book 4 too.
    links = two_kinds(([0, 1, 1, 2], [3, 3, 4, 4], [1.0, 1.0, 0.25, 1.0]), 3, 5)
    flow = link_flow(links)
    np.testing.assert_allclose(flow.rates, np.array([4, 5, 4, 0, 0]) / 13, atol=1e-15)
    found = codelength(flow, [0, 0, 1, 0, 1])
    # The weak link is passed at 1/13 each way in two steps; modules 4 + 5 + 1 and 4 + 1 of 13.
    module = sum(-x / 13 * np.log2(x / y) for x, y in [(4, 10), (5, 10), (1, 10), (4, 5), (1, 5)])
    assert found.total == pytest.approx(module + 2 / 13, abs=1e-12)
    assert found.total == pytest.approx(1.4784062268, abs=1e-10)
    assert infomap(links, trials=3).modules.tolist() == [0, 0, 1, 0, 1]


def test_the_search_is_as_good_as_the_infomap_package():
    package = pytest.importorskip("infomap")
    rng = np.random.default_rng(0)
    group = np.concatenate([np.arange(60) % 6, np.arange(30) % 6])
    kept = rng.random((60, 30)) < np.where(group[:60, None] == group[60:], 0.5, 0.04)
    sources, targets = np.nonzero(kept)
    found = infomap(two_kinds((sources, targets + 60, np.ones(sources.size)), 60, 90), trials=5)
    other = package.Infomap(silent=True, num_trials=5)
    other.bipartite_start_id = 60
    for source, target in zip(sources.tolist(), targets.tolist(), strict=True):
        other.add_link(source, target + 60)
    assert found.codelength <= other.run().codelength * 1.0005
    assert len(set(zip(group, found.modules, strict=True))) < 12


def test_bad_kinds_are_refused():
    for first in (0, 4, -1):
        with pytest.raises(ValueError, match=r"`links.bipartite` must lie between 1 and 3.*Rec"):
            infomap(two_kinds(([0], [3], [1.0]), first, 4))
    with pytest.raises(ValueError, match=r"must join nodes below 2.*Received: a link from 2 to 3"):
        infomap(two_kinds(([0, 2], [3, 3], [1.0, 1.0]), 2, 4))
    for settings in ({"variable_markov_time": True}, {"directed": True, "recorded": True}):
        with pytest.raises(ValueError, match=r"`first_kind_only` must be False.*Received"):
            infomap(two_kinds(([0], [3], [1.0]), 2, 4), **settings)
