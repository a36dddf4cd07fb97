"""Where a mixture starts: rows that lie apart, and centres that are means."""

import numpy as np
import pytest
from scipy import sparse

from taolu.fit.starts import assign, k_means, spread_rows


def heaps(k=6, each=40, seed=0):
    rng = np.random.default_rng(seed)
    centres = 100 * rng.permutation(k)[:, None] + np.zeros((k, 2))
    return np.repeat(centres, each, axis=0) + rng.normal(size=(k * each, 2))


def generator(seed=0):
    return np.random.default_rng(seed)


@pytest.mark.parametrize("seed", range(10))
def test_every_heap_gets_one_row(seed):
    x = heaps(seed=seed)
    rows = spread_rows(x, 6, generator(seed), np.ones(len(x)))
    assert sorted(rows // 40) == list(range(6))


def test_dense_and_sparse_rows_are_drawn_alike():
    x = np.random.default_rng(0).poisson(1.0, (50, 8)).astype(float)
    one, two = (spread_rows(m, 5, generator(), np.ones(50)) for m in (x, sparse.csr_array(x)))
    np.testing.assert_array_equal(one, two)


def test_a_row_without_weight_is_never_drawn():
    x = heaps()
    weights = (np.arange(len(x)) % 2).astype(float)
    for seed in range(20):
        assert (spread_rows(x, 6, generator(seed), weights) % 2 == 1).all()


def test_copies_are_drawn_only_when_nothing_else_is_left():
    x = np.array([[0.1, 0.3]] * 10 + [[5.0, 5.0]] * 10)
    for seed in range(10):
        assert len(np.unique(spread_rows(x, 2, generator(seed), np.ones(20)) // 10)) == 2
    assert len(spread_rows(x, 4, generator(), np.ones(20))) == 4


def test_centres_are_the_means_of_the_rows_nearest_to_them():
    x = np.random.default_rng(0).normal(size=(200, 3))
    weights = np.random.default_rng(1).uniform(0.5, 2, 200)
    centres = k_means(x, 4, generator(), weights, rounds=200)
    labels = assign(x, centres)
    apart = ((x[:, None] - centres) ** 2).sum(axis=-1)
    np.testing.assert_array_equal(labels, apart.argmin(axis=1))
    means = [np.average(x[labels == k], axis=0, weights=weights[labels == k]) for k in range(4)]
    np.testing.assert_allclose(centres, means, rtol=1e-12)
