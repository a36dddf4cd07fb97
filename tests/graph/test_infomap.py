"""The search, against all partitions of small networks, the definition, and known optima."""

import importlib

import networks
import numpy as np
import pytest

from taolu.graph import Flow, codelength, infomap, link_flow
from taolu.graph.move import _move, move, tables
from taolu.graph.network import aggregate, bits_of_regions, entries, renumber, whole
from taolu.graph.two_level import two_level

KARATE = {
    0: [1, 2, 3, 4, 5, 6, 7, 8, 10, 11, 12, 13, 17, 19, 21, 31],
    1: [2, 3, 7, 13, 17, 19, 21, 30],
    2: [3, 7, 8, 9, 13, 27, 28, 32],
    3: [7, 12, 13],
    4: [6, 10],
    5: [6, 10, 16],
    6: [16],
    8: [30, 32, 33],
    9: [33],
    13: [33],
    14: [32, 33],
    15: [32, 33],
    18: [32, 33],
    19: [33],
    20: [32, 33],
    22: [32, 33],
    23: [25, 27, 29, 32, 33],
    24: [25, 27, 31],
    25: [31],
    26: [29, 33],
    27: [33],
    28: [31, 33],
    29: [32, 33],
    30: [32, 33],
    31: [32, 33],
    32: [33],
}


def karate():
    pairs = [(a, b) for a, others in KARATE.items() for b in others]
    return tuple(np.array(pairs).T)


def ring_of_cliques(cliques, size):
    """Complete networks; one node of each has a link to the next clique's second node."""
    sources, targets = [], []
    for k in range(cliques):
        for a in range(size):
            for b in range(a):
                sources.append(k * size + a)
                targets.append(k * size + b)
        sources.append(k * size)
        targets.append((k + 1) % cliques * size + 1)
    return np.array(sources), np.array(targets)


def partitions(nodes):
    """All ways to put the nodes into modules, as labels."""

    def extend(labels, used):
        if len(labels) == nodes:
            yield labels
            return
        for m in range(used + 1):
            yield from extend([*labels, m], max(used, m + 1))

    return extend([], 0)


def planted(rng, groups, size, inner, outer, *, directed=False):
    """Groups with links at random, more inside than between; arrays of links."""
    nodes = groups * size
    same = np.arange(nodes) // size == np.arange(nodes)[:, None] // size
    drawn = rng.random((nodes, nodes)) < np.where(same, inner, outer)
    drawn = drawn if directed else np.triu(drawn, 1)
    np.fill_diagonal(drawn, False)
    return tuple(np.nonzero(drawn))


def test_two_triangles_by_hand():
    found = infomap(networks.BARBELL)
    assert found.modules.tolist() == [0, 0, 0, 1, 1, 1]
    assert found.levels == 2
    assert found.codelength == pytest.approx(2.3207303568, abs=1e-10)
    assert found.bits.index == pytest.approx(1 / 7, abs=1e-12)


@pytest.mark.parametrize("two_level", [True, False])
def test_karate_and_cliques_as_known(two_level):
    found = infomap(karate(), two_level=two_level, trials=10)
    assert found.codelength == pytest.approx(4.3117926458, abs=1e-9)
    assert found.bits.one_level == pytest.approx(4.7044225989, abs=1e-9)
    assert found.modules.max() == 2
    found = infomap(ring_of_cliques(6, 5), two_level=two_level, trials=5)
    assert found.codelength == pytest.approx(2.9995338214, abs=1e-9)
    assert found.modules.max() == 5


def test_a_long_ring_has_modules_of_modules():
    flat = infomap(ring_of_cliques(30, 5), two_level=True, trials=5)
    assert flat.codelength == pytest.approx(3.2106181936, abs=1e-9)
    assert (flat.levels, flat.modules.max()) == (2, 29)
    deep = infomap(ring_of_cliques(30, 5), trials=5)
    assert deep.codelength == pytest.approx(3.0935324577, abs=1e-9)
    assert (deep.levels, deep.modules.max(), deep.leaves.max()) == (3, 5, 29)


@pytest.mark.parametrize("model", networks.MODELS)
def test_no_partition_of_a_small_network_is_shorter(model):
    every = np.array(list(partitions(7)))
    for seed in range(2):
        rng = np.random.default_rng(seed)
        links = networks.random_links(rng, 7, 12)
        flow = link_flow(links, nodes=7, **model)
        shortest = min(codelength(flow, labels).total for labels in every)
        found = infomap(flow, two_level=True, trials=20)
        assert found.codelength == pytest.approx(shortest, abs=1e-10)
        # More levels may only help.
        assert infomap(flow, trials=20).codelength <= shortest + 1e-10


@pytest.mark.parametrize("model", networks.MODELS)
@pytest.mark.parametrize("two_level", [True, False])
def test_bits_are_those_of_the_paths_and_never_more_than_one_level(model, two_level):
    for seed in range(4):
        rng = np.random.default_rng(seed)
        links = networks.random_links(rng, 40, 50 + 25 * seed)
        found = infomap(links, nodes=40, two_level=two_level, rng=seed, **model)
        assert codelength(found.flow, found.paths).total == pytest.approx(found.codelength)
        assert found.codelength <= found.bits.one_level + 1e-12
        walk = networks.naive_walk(*links, 40, **model)
        paths = [tuple(row[row >= 0].tolist()) for row in found.paths]
        assert found.codelength == pytest.approx(networks.naive_bits(walk, paths), abs=1e-10)
        assert two_level <= (found.levels == 2)


@pytest.mark.parametrize("model", networks.MODELS)
def test_what_the_search_adds_up_is_the_codelength(model):
    # Thousands of moves, then the bits of the modules: kept sums beside sums made afresh.
    links = networks.random_links(np.random.default_rng(0), 200, 700)
    flow = link_flow(links, nodes=200, **model)
    network = whole(flow)
    labels = np.arange(200, dtype=np.int32)
    state = np.array([7])
    constant = (flow.rates[flow.rates > 0] * np.log(flow.rates[flow.rates > 0])).sum()
    for _ in range(3):
        assert move(network, labels, state) >= 0
        modules = aggregate(network, labels, renumber(labels))
        split, flat = bits_of_regions(modules)
        truth = codelength(flow, labels)
        assert (split[0] - constant) / np.log(2) == pytest.approx(truth.total, abs=1e-10)
        assert (flat[0] - constant) / np.log(2) == pytest.approx(truth.one_level, abs=1e-10)
        labels = np.random.default_rng(1).permutation(labels)


@pytest.mark.parametrize("model", networks.MODELS)
def test_modules_of_modules_cost_what_another_level_costs(model):
    rng = np.random.default_rng(3)
    flow = link_flow(networks.random_links(rng, 60, 240), nodes=60, **model)
    base = np.concatenate([np.arange(20), rng.integers(0, 20, 40)]).astype(np.int32)
    modules = aggregate(whole(flow), base, 20)
    for seed in range(5):
        # Some modules stay alone on top: no codebook stands between.
        tops = np.random.default_rng(seed).integers(0, 14, 20).astype(np.int32)
        tops = aggregate(entries(modules), tops, renumber(tops)), tops
        split, flat = bits_of_regions(tops[0])
        alone = np.bincount(tops[1])[tops[1]] == 1
        paths = np.stack([tops[1][base], np.where(alone[base], -1, base)], axis=1)
        change = codelength(flow, paths).total - codelength(flow, base).total
        assert (split[0] - flat[0]) / np.log(2) == pytest.approx(change, abs=1e-10)


@pytest.mark.parametrize("model", networks.MODELS)
def test_moves_of_modules_only_make_it_shorter(model):
    flow = link_flow(networks.random_links(np.random.default_rng(4), 90, 200), nodes=90, **model)
    modules = two_level(whole(flow), np.array([1]))[1]
    above = entries(modules)
    tops = np.arange(above.size, dtype=np.int32) % 3
    before = bits_of_regions(aggregate(above, tops, 3))[0][0]
    move(above, tops, np.array([2]))
    count = renumber(tops)
    after = bits_of_regions(aggregate(above, tops, count))[0][0]
    assert after <= before + 1e-12


@pytest.mark.parametrize("model", networks.MODELS)
def test_the_change_of_each_move_is_exact(model):
    """Sums kept over many moves equal those made afresh after each of them."""
    rng = np.random.default_rng(2)
    links = networks.random_links(rng, 60, 200)
    flow = link_flow(links, nodes=60, **model)
    network = whole(flow)
    labels = rng.integers(0, 12, 60).astype(np.int32)
    before = codelength(flow, labels).total
    for node in rng.integers(0, 60, 200):
        one = np.array([node], dtype=np.int32)
        modules = tables(network, labels)
        rows = network.starts, network.neighbours, network.between
        flags = network.balanced, network.teleports
        queue = np.resize(one, 60)
        moved = labels.copy()
        places = network.values, network.regions, network.outer
        _move(rows, places, flags, moved, modules, (queue, 1, 9))
        for kept, fresh in zip(modules, tables(network, moved), strict=True):
            np.testing.assert_allclose(kept, fresh, atol=1e-12)
        after = codelength(flow, moved).total
        assert after <= before + 1e-12
        labels = rng.integers(0, 12, 60).astype(np.int32) if node % 3 == 0 else moved
        before = codelength(flow, labels).total


@pytest.mark.parametrize("directed", [False, True])
def test_planted_groups_are_found(directed):
    links = planted(np.random.default_rng(4), 6, 15, 0.6, 0.02, directed=directed)
    found = infomap(links, directed=directed, nodes=90)
    groups = np.arange(90) // 15
    pairs = {tuple(pair) for pair in np.stack([groups, found.modules], axis=1).tolist()}
    assert len(pairs) == 6


@pytest.mark.parametrize("directed", [False, True])
@pytest.mark.parametrize("levels", ["two", "many"])
def test_what_is_done_in_large_networks_finds_the_groups_too(directed, levels, monkeypatch):
    links = planted(np.random.default_rng(5), 12, 12, 0.8, 0.01, directed=directed)
    arguments = {"directed": directed, "nodes": 144, "two_level": levels == "two", "trials": 3}
    truth = infomap(links, **arguments)
    for name in ("move", "two_level"):
        monkeypatch.setattr(importlib.import_module(f"taolu.graph.{name}"), "LARGE", 1)
    found = infomap(links, **arguments)
    assert found.codelength == pytest.approx(codelength(found.flow, found.paths).total, abs=1e-12)
    assert found.codelength <= truth.codelength * 1.001
    assert len(set(zip(np.arange(144) // 12, found.leaves.tolist(), strict=True))) == 12


def test_the_same_seed_gives_the_same_partition_on_any_number_of_threads():
    links = networks.random_links(np.random.default_rng(6), 80, 200)
    first = infomap(links, trials=4, rng=3)
    again = infomap(links, trials=4, rng=np.random.default_rng(3))
    threads = infomap(links, trials=4, rng=3, threads=2)
    for other in (again, threads):
        np.testing.assert_array_equal(first.paths, other.paths)
        np.testing.assert_array_equal(first.trials, other.trials)
    assert first.codelength == first.trials.min()


def test_the_order_of_nodes_does_not_matter():
    rng = np.random.default_rng(8)
    sources, targets = planted(rng, 5, 10, 0.7, 0.03)
    order = rng.permutation(50)
    found = infomap((sources, targets), nodes=50, trials=5)
    moved = infomap((order[sources], order[targets]), nodes=50, trials=5)
    assert moved.codelength == pytest.approx(found.codelength, abs=1e-12)
    back = moved.modules[order]
    pairs = set(zip(found.modules.tolist(), back.tolist(), strict=True))
    assert len(pairs) == found.modules.max() + 1


def test_modules_are_numbered_by_visits_in_their_parents():
    found = infomap(networks.random_links(np.random.default_rng(9), 60, 90), nodes=60)
    visits = np.bincount(found.modules, found.rates)
    assert (np.diff(visits) <= 1e-15).all()
    assert found.rates.sum() == pytest.approx(1)
    for level in range(found.paths.shape[1]):
        parents = found.paths[:, :level]
        for parent in np.unique(parents, axis=0):
            inside = found.paths[(parents == parent).all(axis=1), level]
            inside = inside[inside >= 0]
            assert set(inside.tolist()) == set(range(inside.max() + 1 if inside.size else 0))


def test_parts_without_links_between_are_apart():
    sources, targets = (np.array(end) for end in networks.BARBELL)
    links = np.concatenate([sources, sources + 6]), np.concatenate([targets, targets + 6])
    found = infomap(links, nodes=13, trials=3)
    assert not set(found.modules[:6]) & set(found.modules[6:12])
    assert found.modules[12] not in set(found.modules[:12])


def test_a_single_node_and_a_single_link():
    found = infomap(([0], [0]))
    assert (found.codelength, found.paths.tolist()) == (0.0, [[0]])
    found = infomap(([0], [1]))
    assert found.codelength == pytest.approx(1.0)
    assert found.modules.tolist() == [0, 0]


def test_names_come_from_the_graph():
    networkx = pytest.importorskip("networkx")
    graph = networkx.Graph([("甲", "乙"), ("乙", "丙"), ("丙", "甲")])
    found = infomap(graph)
    assert found.names == ("甲", "乙", "丙")
    assert infomap(([0], [1])).names == (0, 1)
    assert isinstance(found.flow, Flow)


def test_trials_end_when_patience_does():
    links = networks.random_links(np.random.default_rng(6), 40, 90)
    every = infomap(links, trials=12, rng=1).trials
    for patience in (1, 2):
        best, idle, count = every[0], 0, 1
        while count < 12 and idle < patience:
            idle = 0 if best - every[count] > 1e-10 else idle + 1
            best, count = min(best, every[count]), count + 1
        for threads in (1, 3):
            found = infomap(links, trials=12, rng=1, patience=patience, threads=threads)
            np.testing.assert_array_equal(found.trials, every[:count])
            assert found.codelength == every[:count].min()
        assert count < 12
    assert infomap(networks.BARBELL, trials=30, patience=3).trials.size == 4


@pytest.mark.parametrize("trials", [0, -1, 1.5])
def test_bad_numbers_are_refused(trials):
    with pytest.raises(ValueError, match=f"`patience` must be a whole.*Received: {trials}"):
        infomap(networks.BARBELL, patience=trials)
    with pytest.raises(ValueError, match=f"`trials` must be a whole.*Received: {trials}"):
        infomap(networks.BARBELL, trials=trials)
    with pytest.raises(ValueError, match=f"`threads` must be a whole.*Received: {trials}"):
        infomap(networks.BARBELL, threads=trials)


@pytest.mark.parametrize(
    ("links", "message"),
    [
        (([0], [1], [-1.0]), "finite weights"),
        (([0], [1], [np.nan]), "finite weights"),
        (np.ones((2, 3)), "must be square"),
        (([], []), "at least one link"),
    ],
)
def test_bad_links_are_refused(links, message):
    with pytest.raises(ValueError, match=message):
        infomap(links)
