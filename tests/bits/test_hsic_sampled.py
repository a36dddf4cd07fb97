"""Cheaper estimates of HSIC: each has the mean of the full one, and says so on average."""

from itertools import permutations
from math import sqrt

import numpy as np
import pytest

from taolu.bits import (
    Gaussian,
    Linear,
    block_hsic,
    feature_hsic,
    hsic,
    incomplete_hsic,
    random_feature_hsic,
)
from taolu.bits.hsic_sampled import _quadruples

ONE = {"kernel_x": Gaussian(1.0), "kernel_y": Gaussian(0.8)}
LINEAR = {"kernel_x": Linear(), "kernel_y": Linear()}


def pair(n, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 2))
    return x, x[:, 0] ** 2 + 0.5 * rng.normal(size=n)


def assert_mean_is(values, truth):
    values = np.asarray(values)
    assert values.std() > 0
    assert abs(values.mean() - truth) < 4 * values.std() / sqrt(len(values))


def test_features_by_hand():
    # Centred x is -2 -1 1 2, centred y is -1 1 1 -1 over 2: the covariance is 0, and the diagonal
    # that the unbiased estimate leaves out makes it negative.
    k = np.outer([-2, -1, 1, 2], [-2, -1, 1, 2]) * 1.0
    l = np.outer([-1, 1, 1, -1], [-1, 1, 1, -1]) / 4  # noqa: E741
    np.fill_diagonal(k, 0)
    np.fill_diagonal(l, 0)
    rows = k.sum(axis=1) @ l.sum(axis=1)
    expected = ((k * l).sum() + k.sum() * l.sum() / 6 - rows) / 4
    assert feature_hsic([0, 1, 3, 4], [0, 1, 1, 0]) == pytest.approx(expected, abs=1e-15)


@pytest.mark.parametrize("width", [1, 5])
def test_features_are_linear_kernels(width):
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(300, width)), rng.normal(size=(300, 2))
    y[:, 0] += x[:, 0]
    assert feature_hsic(x, y) == pytest.approx(hsic(x, y, **LINEAR), rel=1e-10)
    assert feature_hsic(x + 1e6, y) == pytest.approx(feature_hsic(x, y), rel=1e-7)


def test_random_features_have_the_mean_of_the_full_estimate():
    x, y = pair(200)
    rng = np.random.default_rng(2)
    values = [random_feature_hsic(x, y, rng=rng, frequencies=20, **ONE) for _ in range(400)]
    assert_mean_is(values, hsic(x, y, **ONE))
    many = random_feature_hsic(x, y, rng=rng, frequencies=2000, **ONE)
    assert many == pytest.approx(hsic(x, y, **ONE), rel=0.2)


def test_random_features_come_in_chunks(monkeypatch):
    x, y = pair(200)
    whole = random_feature_hsic(x, y, rng=np.random.default_rng(3), **ONE)
    monkeypatch.setattr("taolu.bits.hsic_sampled.CHUNK", 37)
    parts = random_feature_hsic(x, y, rng=np.random.default_rng(3), **ONE)
    assert parts == pytest.approx(whole, rel=1e-10)


def test_blocks_have_the_mean_of_the_full_estimate():
    x, y = pair(120)
    rng = np.random.default_rng(4)
    results = [block_hsic(x, y, rng=rng, block=12, **ONE) for _ in range(300)]
    assert_mean_is([result.statistic for result in results], hsic(x, y, **ONE))
    x, y = pair(96)
    whole = block_hsic(x, y, rng=rng, block=48, **ONE)
    assert whole.standard_error > 0


def test_the_block_test_keeps_its_level_and_has_power():
    rng = np.random.default_rng(5)
    options = {"rng": rng, "block": 10, **ONE}
    p = [block_hsic(*rng.normal(size=(2, 200)), **options).p_value for _ in range(400)]
    # Small blocks have a skew, so the test is cautious rather than bold.
    assert 0.01 < np.mean(np.array(p) <= 0.05) < 0.065
    x = rng.normal(size=2000)
    assert block_hsic(x, x**2, rng=rng).p_value < 1e-6
    assert block_hsic(x, np.zeros(2000), rng=rng).p_value == 1.0


def test_quadruples_have_the_mean_of_the_full_estimate():
    x, y = pair(60)
    rng = np.random.default_rng(6)
    values = [incomplete_hsic(x, y, rng=rng, quadruples=500, **ONE) for _ in range(400)]
    assert_mean_is(values, hsic(x, y, **ONE))
    values = [incomplete_hsic(x, y, rng=rng, quadruples=500, **LINEAR) for _ in range(400)]
    assert_mean_is(values, hsic(x, y, **LINEAR))


def test_all_quadruples_are_different_samples_with_the_same_chance():
    drawn = _quadruples(5, 24_000, np.random.default_rng(7))
    rows, counts = np.unique(drawn, axis=0, return_counts=True)
    assert [tuple(row) for row in rows] == sorted(permutations(range(5), 4))
    assert ((counts - 200) ** 2 / 200).sum() < 170  # chi-squared of 119 degrees, p = 0.001


def test_more_quadruples_than_a_chunk_are_nearly_the_full_estimate():
    x, y = pair(50)
    drawn = incomplete_hsic(x, y, rng=np.random.default_rng(8), quadruples=200_000, **ONE)
    assert drawn == pytest.approx(hsic(x, y, **ONE), rel=0.05)


@pytest.mark.parametrize("measure", [random_feature_hsic, block_hsic, incomplete_hsic])
def test_the_same_generator_gives_the_same_value(measure, monkeypatch):
    monkeypatch.setattr("taolu.bits.hsic_sampled.FEW", 150)  # of 300, for the bandwidth
    x, y = pair(300)
    first, second = (measure(x, y, rng=np.random.default_rng(9)) for _ in range(2))
    assert first == second
    assert getattr(first, "statistic", first) == pytest.approx(hsic(x, y), rel=0.5)


NEW = np.random.default_rng(0)


@pytest.mark.parametrize(
    ("error", "call", "message"),
    [
        (ValueError, lambda: feature_hsic([1, 2], [1]), "as many samples.*2 samples of x, 1 of y"),
        (ValueError, lambda: feature_hsic([1, 2, 3], [1, 2, 3]), "at least 4 samples"),
        (
            ValueError,
            lambda: random_feature_hsic(*pair(9), rng=NEW, frequencies=0),
            "`frequencies` must be at least 1.*frequencies=0",
        ),
        (
            TypeError,
            lambda: random_feature_hsic(*pair(9), rng=NEW, kernel_y=Linear()),
            r"`kernel_y` must be Gaussian.*kernel_y=Linear\(\)",
        ),
        (ValueError, lambda: block_hsic(*pair(9), rng=NEW, block=5), "half.*block=5, 9 samples"),
        (ValueError, lambda: block_hsic(*pair(9), rng=NEW, block=3), "at least 4.*block=3"),
        (
            ValueError,
            lambda: incomplete_hsic(*pair(9), rng=NEW, quadruples=0),
            "`quadruples` must be at least 1.*quadruples=0",
        ),
        (
            TypeError,
            lambda: incomplete_hsic(*pair(9), rng=NEW, kernel_x=len),
            "`kernel_x` must be Gaussian or Linear.*kernel_x=<built-in function len>",
        ),
        (
            ValueError,
            lambda: incomplete_hsic(np.zeros(5), np.zeros(6), rng=NEW),
            "as many of each.*5 samples of x, 6 of y",
        ),
    ],
)
def test_errors_name_the_argument_and_what_came(error, call, message):
    with pytest.raises(error, match=f"(?s){message}") as raised:
        call()
    assert "Received: " in str(raised.value)
