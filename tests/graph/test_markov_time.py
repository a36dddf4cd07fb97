"""Descriptions of several steps at once, against the infomap package and by hand."""

import networks
import numpy as np
import pytest

from taolu.graph import Links, codelength, infomap, link_flow
from taolu.graph.map_equation import module_rates

WALKS = [
    {"directed": False},
    {"directed": True, "to_nodes": False},
    {"directed": True, "to_nodes": True},
]
TIMES = [
    {"markov_time": 0.4},
    {"markov_time": 3.0},
    {"variable_markov_time": True},
    {"variable_markov_time": True, "markov_time": 2.0},
    *({"variable_markov_time": True, "markov_damping": damping} for damping in (0.0, 0.3, 0.9)),
]


@pytest.mark.parametrize("times", TIMES)
@pytest.mark.parametrize("walk", WALKS)
def test_bits_are_those_of_the_infomap_package(walk, times):
    package = {name.replace("markov_damping", "variable_markov_damping"): value
               for name, value in times.items()}  # fmt: skip
    for seed in range(3):
        rng = np.random.default_rng(seed)
        links = networks.random_links(rng, 20, 50)  # with loops, repeats and nodes without links
        paths = rng.integers(0, 3, (20, 1 + seed % 2))
        truth, rates = networks.infomap_bits(links, 20, paths, **walk, **package)
        flow = link_flow(links, nodes=20, **walk, **times)
        np.testing.assert_allclose(flow.rates, rates, atol=1e-12)
        assert codelength(flow, paths).total == pytest.approx(truth, abs=1e-9)


@pytest.mark.parametrize("times", TIMES[:3])
def test_states_pass_time_like_nodes(times):
    rng = np.random.default_rng(1)
    links = networks.random_links(rng, 20, 60)
    physical, paths = rng.integers(0, 8, 20).tolist(), rng.integers(0, 3, (20, 2))
    states = Links(*(part.astype(np.int32) for part in links[:2]), links[2], 20, directed=True,
                   physical=np.array(physical, dtype=np.int32))  # fmt: skip
    truth, _ = networks.infomap_bits(links, 20, paths, physical=physical, directed=True, **times)
    assert codelength(link_flow(states, **times), paths).total == pytest.approx(truth, abs=1e-9)


def test_two_triangles_at_any_time_by_hand():
    for time in (0.5, 1.0, 4.0):
        flow = link_flow(networks.BARBELL, markov_time=time)
        found = codelength(flow, [0, 0, 0, 1, 1, 1])
        # Visits 2, 2, 3 of 14 in each module, and an exit `time` times as often as at time 1.
        rates = np.array([2, 2, 3, time]) / 14
        module = -(rates * np.log2(rates / rates.sum())).sum()
        assert found.total == pytest.approx(2 * module + 2 * time / 14, abs=1e-12)
        assert found.one_level == pytest.approx(2.5566567075, abs=1e-10)


def test_variable_times_by_hand():
    # A star of four, whose arms lead on to stars of two, and ends that have a single link.
    sources, targets = [0, 0, 0, 0, 1, 4], [1, 2, 3, 4, 5, 6]
    leave = module_rates(link_flow((sources, targets), variable_markov_time=True), np.arange(7), 7)
    # log2 of 4 ways is 2, of 2 or fewer 1: so ends wait for two steps, unless next to the star.
    np.testing.assert_allclose(leave[1] * 12, [4, 3, 1, 1, 3, 2, 2])


def test_longer_times_find_larger_modules():
    ring = [(6 * k + a, 6 * k + b) for k in range(12) for a in range(6) for b in range(a)]
    ring += [(6 * k, (6 * k + 7) % 72) for k in range(12)]
    links = tuple(np.array(ring).T)
    counts = [
        infomap(links, two_level=True, trials=3, markov_time=time).modules.max() + 1
        for time in (1.0, 8.0, 100.0)
    ]
    assert counts[0] == 12
    assert counts[0] > counts[1] > counts[2] == 1


def test_bad_times_are_refused():
    for time in (0, -1.0, float("nan"), float("inf")):
        with pytest.raises(ValueError, match=r"`markov_time` must be above 0.*Received: markov"):
            infomap(networks.BARBELL, markov_time=time)
    for damping in (-0.1, 1.1, float("nan")):
        with pytest.raises(ValueError, match=r"`markov_damping` must lie.*Received: markov_d"):
            link_flow(networks.BARBELL, markov_damping=damping)
    for time in ({"markov_time": 2.0}, {"variable_markov_time": True}):
        with pytest.raises(ValueError, match=r"`markov_time` must be 1.*recorded\. Rec"):
            infomap(networks.BARBELL, directed=True, recorded=True, **time)
