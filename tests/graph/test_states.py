"""Networks of states, whose modules name physical nodes: codelength, search and memberships."""

import itertools

import networks
import numpy as np
import pytest

from taolu.graph import Links, codelength, infomap, link_flow, read_links
from taolu.graph.move import move
from taolu.graph.network import aggregate, bits_of_regions, renumber, restrict, whole

# Two triangles i-j-k and i-l-m that share i: its first state stays in the first, mostly.
SHARED = np.array(
    [
        (0, 1, 0.8), (0, 2, 0.8), (0, 4, 0.2), (0, 5, 0.2), (1, 0, 1), (1, 2, 1), (2, 0, 1),
        (2, 1, 1), (3, 4, 0.8), (3, 5, 0.8), (3, 1, 0.2), (3, 2, 0.2), (4, 3, 1), (4, 5, 1),
        (5, 3, 1), (5, 4, 1),
    ]
)  # fmt: skip
PHYSICAL = [0, 1, 2, 0, 3, 4]


def of_states(links, physical, names=None):
    sources, targets, weights = (np.asarray(part) for part in links)
    ids = sources.astype(np.int32), targets.astype(np.int32), weights.astype(float)
    physical = np.array(physical, dtype=np.int32)
    return Links(*ids, physical.size, names=names, physical=physical)


def random_states(seed, states, links, nodes):
    """Links between states at random, and the physical node of each."""
    rng = np.random.default_rng(seed)
    return networks.random_links(rng, states, links), rng.integers(0, nodes, states).tolist()


def partitions(nodes):
    """All ways to put the nodes into modules, as labels."""
    for labels in itertools.product(*(range(k + 1) for k in range(nodes))):
        if all(m <= max(labels[:k], default=-1) + 1 for k, m in enumerate(labels)):
            yield labels


def test_two_triangles_that_share_a_node_by_hand():
    found = infomap(of_states(SHARED.T, PHYSICAL, "ijklm"), directed=True)
    # Each state is visited once in six steps. A step from i's states leaves with 1/5: each module
    # is left at 1/30, names three nodes, and i is twice as frequent only where it is one module.
    inner = 3 / 6 * np.log2(6) - 16 / 30 * np.log2(30 / 16) + 1 / 30 * np.log2(30)
    assert found.bits.index == pytest.approx(1 / 15, abs=1e-12)
    assert found.bits.module == pytest.approx(2 * inner, abs=1e-12)
    assert found.codelength == pytest.approx(2.0114052384, abs=1e-10)
    assert found.bits.one_level == pytest.approx(4 / 6 * np.log2(6) + 2 / 6 * np.log2(3))
    assert found.modules.tolist() == [0, 0, 0, 1, 1, 1]
    assert found.names == tuple("ijkilm")
    assert found.memberships[0] == pytest.approx({(0,): 0.5, (1,): 0.5})
    assert found.memberships[1:3] == ({(0,): 1.0}, {(0,): 1.0})
    # One module for all: i has one code word, and its states are not told apart.
    alone = codelength(found.flow, np.zeros(6, dtype=int))
    assert alone.total == pytest.approx(found.bits.one_level, abs=1e-12)


@pytest.mark.parametrize("depth", [1, 3])
@pytest.mark.parametrize("model", networks.MODELS)
def test_bits_are_those_of_the_definition(model, depth):
    for seed in range(4):
        links, physical = random_states(seed, 14, 40, 6)
        flow = link_flow(of_states(links, physical), **model)
        rng = np.random.default_rng(seed)
        kept = rng.integers(1, depth + 1, 14)
        paths = np.where(np.arange(depth) < kept[:, None], rng.integers(0, 3, (14, depth)), -1)
        walk = networks.naive_walk(*links, 14, **model)
        tuples = [tuple(row[row >= 0].tolist()) for row in paths]
        truth = networks.naive_bits(walk, tuples, physical)
        assert codelength(flow, paths).total == pytest.approx(truth, abs=1e-10)
        one = networks.naive_bits(walk, [(0,)] * 14, physical)
        assert codelength(flow, paths).one_level == pytest.approx(one, abs=1e-10)


@pytest.mark.parametrize("depth", [1, 3])
@pytest.mark.parametrize("model", networks.MODELS)
def test_bits_are_those_of_the_infomap_package(model, depth):
    for seed in range(2):
        links, physical = random_states(seed, 20, 60, 8)
        paths = np.random.default_rng(seed).integers(0, 3, (20, depth))
        truth, rates = networks.infomap_bits(links, 20, paths, physical=physical, **model)
        flow = link_flow(of_states(links, physical), **model)
        np.testing.assert_allclose(flow.rates, rates, atol=1e-12)
        assert codelength(flow, paths).total == pytest.approx(truth, abs=1e-9)


@pytest.mark.parametrize("model", networks.MODELS)
def test_one_state_each_is_the_ordinary_network(model):
    links = networks.random_links(np.random.default_rng(2), 50, 120)
    plain = infomap(links, nodes=50, trials=10, two_level=True, **model)
    states = of_states(links, np.random.default_rng(3).permutation(50))
    found = infomap(states, trials=10, two_level=True, **model)
    assert found.codelength == pytest.approx(plain.codelength, rel=1e-3)
    bits = codelength(plain.flow, found.paths)
    assert bits.total == pytest.approx(found.codelength, abs=1e-12)
    assert all(len(modules) == 1 for modules in found.memberships)


@pytest.mark.parametrize("model", networks.MODELS)
def test_no_partition_of_a_small_network_is_shorter(model):
    every = np.array(list(partitions(6)))
    for seed in range(2):
        links, physical = random_states(seed, 6, 11, 4)
        flow = link_flow(of_states(links, physical), **model)
        shortest = min(codelength(flow, labels).total for labels in every)
        found = infomap(flow, two_level=True, trials=5)
        assert found.codelength == pytest.approx(shortest, abs=1e-10)
        assert infomap(flow, trials=5).codelength <= shortest + 1e-10


@pytest.mark.parametrize("model", networks.MODELS)
def test_what_the_search_adds_up_is_the_codelength(model):
    links, physical = random_states(0, 200, 700, 60)
    flow = link_flow(of_states(links, physical), **model)
    network = whole(flow)
    labels = np.arange(200, dtype=np.int32)
    state = np.array([7])
    for turn in range(3):
        before = codelength(flow, labels).total
        assert move(network, labels, state) > 0
        modules = aggregate(network, labels, renumber(labels))
        split, flat = bits_of_regions(modules)
        truth = codelength(flow, labels)
        assert split[0] / np.log(2) == pytest.approx(truth.total, abs=1e-10)
        assert flat[0] / np.log(2) == pytest.approx(truth.one_level, abs=1e-10)
        assert truth.total < before
        # Modules move likewise, and so do states within the modules, each on its own.
        own = np.arange(modules.size, dtype=np.int32)
        move(modules, own, state)
        after = bits_of_regions(aggregate(modules, own, renumber(own)))[0][0]
        assert after <= split[0] + 1e-12
        parts = restrict(network, labels, np.zeros(modules.size))
        own = np.arange(200, dtype=np.int32)
        move(parts, own, state)
        assert len(np.unique(np.stack([own, labels]), axis=1).T) == len(np.unique(own))
        labels = np.random.default_rng(turn).permutation(labels)


@pytest.mark.parametrize("two_level", [True, False])
def test_the_search_is_as_good_as_the_infomap_package(two_level):
    package = pytest.importorskip("infomap")
    # A walk that remembers: states (before, now) of a walk in a planted network of groups.
    rng = np.random.default_rng(0)
    groups, steps, walk = np.arange(60) // 6, 12000, [0, 1]
    home = 0
    for _ in range(steps):
        home = rng.integers(10) if rng.random() < 0.1 else home
        inside = np.flatnonzero((groups == home) | (np.arange(60) % 20 == home))
        walk.append(int(rng.choice(inside[inside != walk[-1]])))
    pairs = {}
    ids = [pairs.setdefault(pair, len(pairs)) for pair in itertools.pairwise(walk)]
    physical = [now for _, now in pairs]
    links = np.array(ids[:-1]), np.array(ids[1:]), np.ones(len(ids) - 1)
    found = infomap(of_states(links, physical), directed=True, two_level=two_level, trials=3)
    other = package.Infomap(silent=True, directed=True, two_level=two_level, num_trials=3)
    for state, node in enumerate(physical):
        other.add_state_node(state, node)
    for source, target in itertools.pairwise(ids):
        other.add_link(source, target)
    assert found.codelength <= other.run().codelength * 1.0005
    assert max(len(modules) for modules in found.memberships) > 1


def test_shares_of_a_node_add_up_to_one():
    links, physical = random_states(5, 80, 160, 30)
    found = infomap(of_states(links, physical), directed=True)
    assert len(found.memberships) == max(physical) + 1
    for node in set(physical):
        shares = found.memberships[node]
        assert sum(shares.values()) == pytest.approx(1)
        assert list(shares.values()) == sorted(shares.values(), reverse=True)
        paths = found.paths[np.array(physical) == node]
        assert set(shares) == {tuple(path[path >= 0].tolist()) for path in paths}


def test_the_same_seed_gives_the_same_partition_on_any_number_of_threads():
    links, physical = random_states(6, 80, 200, 30)
    first = infomap(of_states(links, physical), trials=4, rng=3)
    again = infomap(of_states(links, physical), trials=4, rng=3, threads=2)
    np.testing.assert_array_equal(first.paths, again.paths)


@pytest.mark.parametrize("physical", [[0, 1], [0, 1, -1], [0.5, 1.0, 2.0]])
def test_bad_physical_nodes_are_refused(physical):
    links = Links(np.array([0, 1]), np.array([1, 2]), np.ones(2), 3, physical=np.array(physical))
    with pytest.raises(ValueError, match=r"`links.physical` must hold.*3 states. Received"):
        infomap(links)


@pytest.mark.data
@pytest.mark.parametrize("two_level", [True, False])
@pytest.mark.parametrize(
    "name", ["states", "multilayer", "multilayer_intra", "multilayer_intra_inter"]
)
def test_examples_are_as_the_infomap_package_finds_them(name, two_level, data_folder):
    package = pytest.importorskip("infomap")
    path = data_folder / "graphs_infomap_examples" / f"{name}.net"
    flags = " --two-level" * two_level
    other = package.Infomap(f"--silent --num-trials 10{flags}")
    other.read_file(str(path))
    truth = other.run().codelength
    links = read_links(path)
    found = infomap(links, two_level=two_level, trials=10)
    assert found.codelength <= truth * 1.0005
    # The same modules cost the same in both; the package puts states in the order of its file.
    assert found.codelength == pytest.approx(truth, abs=1e-9)
    assert len(found.memberships[links.names.index("i")]) == 2
