"""Nodes in several modules: the same walk, described shorter."""

import networks
import numpy as np
import pytest

from taolu.graph import Links, as_links, codelength, infomap, link_flow
from taolu.graph.overlap import links_if_split, split_nodes

WALKS = [
    {"directed": False},
    {"directed": True, "to_nodes": False},
    {"directed": True, "to_nodes": True},
]


def cliques(size):
    """Two complete networks that share node `size - 1`."""
    pairs = [
        (a, b) for a in range(2 * size - 1) for b in range(a) if a <= size - 1 or b >= size - 1
    ]
    return tuple(np.array(pairs).T)


@pytest.mark.parametrize("two_level", [True, False])
def test_the_node_that_two_cliques_share_is_in_both(two_level):
    found = infomap(cliques(6), overlap=True, two_level=two_level, trials=3)
    hard = infomap(cliques(6), two_level=two_level, trials=3)
    # 60 ends of links, 5 at each node and 10 at the shared one. In one module, 5 of 60 steps leave
    # for the other and 5 come back; split, half of each: those that change circles.
    rates = {"hard": [(5, 5, 5, 5, 5, 10, 5), (5, 5, 5, 5, 5, 5)], "split": [(*[5] * 6, 2.5)] * 2}
    index = {"hard": 10 / 60, "split": 5 / 60}
    for name, partition in (("hard", hard), ("split", found)):
        books = [np.array(book) / 60 for book in rates[name]]
        module = sum(-(book * np.log2(book / book.sum())).sum() for book in books)
        assert partition.codelength == pytest.approx(index[name] + module, abs=1e-12)
    assert found.codelength == pytest.approx(3.0921, abs=1e-4)
    assert [len(modules) for modules in found.memberships] == [1] * 5 + [2] + [1] * 5
    assert found.memberships[5] == pytest.approx({(0,): 0.5, (1,): 0.5})
    np.testing.assert_array_equal(found.trials, hard.trials)


def test_overlap_is_found_where_one_module_is_best_without():
    assert infomap(cliques(4), trials=3).modules.max() == 0
    found = infomap(cliques(4), overlap=True, trials=3)
    assert found.codelength == pytest.approx(2.69116, abs=1e-5)
    assert len(found.memberships[3]) == 2


@pytest.mark.parametrize("walk", WALKS)
def test_states_that_stay_with_their_nodes_cost_the_same(walk):
    for seed in range(6):
        rng = np.random.default_rng(seed)
        links = as_links(networks.random_links(rng, 20, 45), nodes=20)  # with loops and lonely ones
        flow = link_flow(links, **walk)
        for labels in (rng.integers(0, 4, 20), np.arange(20)):
            split = split_nodes(links, flow, labels)
            visits = np.bincount(split.physical, split.rates, 20)
            np.testing.assert_allclose(visits, flow.rates, atol=1e-13)
            paths = rng.integers(0, 3, (20, 2))
            truth = codelength(flow, paths)
            found = codelength(split, paths[split.physical])
            assert found.total == pytest.approx(truth.total, abs=1e-12)
            assert found.one_level == pytest.approx(truth.one_level, abs=1e-12)
            if flow.balanced:
                inside = np.bincount(split.physical, split.leaving - split.entering, 20)
                np.testing.assert_allclose(inside, 0, atol=1e-13)
        assert split.starts[-1] <= 2 * links_if_split(links, walk["directed"]) + 40


@pytest.mark.parametrize("walk", WALKS)
def test_the_description_never_gets_longer(walk):
    for seed in range(2):
        links = networks.random_links(np.random.default_rng(seed), 20, 40, loops=seed > 0)
        hard = infomap(links, nodes=20, trials=2, **walk)
        found = infomap(links, nodes=20, trials=2, overlap=True, **walk)
        assert found.codelength <= hard.codelength
        assert codelength(found.flow, found.paths).total == pytest.approx(found.codelength)
        assert all(sum(shares.values()) == pytest.approx(1) for shares in found.memberships)


def test_what_cannot_be_split_is_refused():
    one = np.zeros(1, dtype=np.int32)
    states = Links(one, one + 1, np.ones(1), 2, physical=np.zeros(2, dtype=np.int32))
    kinds = Links(one, one + 1, np.ones(1), 2, bipartite=1)
    barbell = networks.BARBELL
    for links, settings in (
        (link_flow(barbell), {}),
        (states, {}),
        (kinds, {}),
        (barbell, {"directed": True, "recorded": True}),
        (barbell, {"markov_time": 2.0}),
        (barbell, {"variable_markov_time": True}),
    ):
        with pytest.raises(ValueError, match=r"`overlap` needs links.*Received: "):
            infomap(links, overlap=True, **settings)
