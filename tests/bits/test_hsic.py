"""HSIC: the trace formula, hyppo, the figures of the article, and tests that keep their level."""

from itertools import permutations
from math import sqrt

import numpy as np
import pytest
from scipy.spatial.distance import pdist

from taolu.bits import (
    Gaussian,
    Linear,
    biased_cka,
    biased_hsic,
    cka,
    hsic,
    hsic_gamma_test,
    hsic_permutation_test,
    median_bandwidth,
)
from taolu.bits import distances as distances_file
from taolu.bits.gram import gram_sums
from taolu.bits.independence import permutation_moments

ONE = {"kernel_x": Gaussian(1.0), "kernel_y": Gaussian(1.0)}
LINEAR = {"kernel_x": Linear(), "kernel_y": Linear()}


def same_class(rows, columns):
    return (rows[:, None] == columns[None, :]).astype(float)


CLASSES = {"kernel_x": same_class, "kernel_y": same_class}


def naive_gram(x, bandwidth):
    x = np.asarray(x, dtype=np.float64).reshape(len(x), -1)
    return np.exp(-np.square(x[:, None] - x[None]).sum(axis=-1) / bandwidth**2)


def naive_biased(k, l):  # noqa: E741
    """Tr(K J L J) / n^2 with an explicit centring matrix."""
    n = len(k)
    j = np.eye(n) - np.ones((n, n)) / n
    return np.trace(k @ j @ l @ j) / n**2


def naive_unbiased(k, l):  # noqa: E741
    n, one = len(k), np.ones(len(k))
    k, l = k - np.diag(np.diag(k)), l - np.diag(np.diag(l))  # noqa: E741
    total = np.trace(k @ l) + (one @ k @ one) * (one @ l @ one) / ((n - 1) * (n - 2))
    return (total - 2 / (n - 2) * (one @ k @ l @ one)) / (n * (n - 3))


def pair(n, seed=0, noise=0.5):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 2))
    return x, x[:, 0] ** 2 + noise * rng.normal(size=n)


def test_classes_by_hand():
    x, y = np.array(list("aabb")), np.array(list("abab"))
    assert biased_hsic(x, x, **CLASSES) == 0.25
    assert biased_hsic(x, y, **CLASSES) == 0.0
    assert hsic(x, x, **CLASSES) == pytest.approx(2 / 3, abs=1e-15)
    assert hsic(x, y, **CLASSES) == pytest.approx(-1 / 3, abs=1e-15)


@pytest.mark.parametrize("n", [4, 5, 37, 300, 513])
def test_sums_agree_with_the_trace_formula(n):
    """300 and 513 samples take several tiles, the last of them with a single column."""
    x, y = pair(n)
    kernels = {"kernel_x": Gaussian(1.3), "kernel_y": Gaussian(0.7)}
    k, l = naive_gram(x, 1.3), naive_gram(y, 0.7)  # noqa: E741
    assert biased_hsic(x, y, **kernels) == pytest.approx(naive_biased(k, l), abs=1e-12)
    assert hsic(x, y, **kernels) == pytest.approx(naive_unbiased(k, l), abs=1e-12)
    expected = naive_biased(k, l) / sqrt(naive_biased(k, k) * naive_biased(l, l))
    assert biased_cka(x, y, **kernels) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("shape", [(60, 3), (300, 1)])
def test_linear_kernel_is_the_squared_covariance(shape):
    rng = np.random.default_rng(1)
    x = rng.normal(size=shape)
    y = x[:, :1] @ [[1.0, 2.0]] + rng.normal(size=(shape[0], 2))
    n, cross = len(x), (x - x.mean(axis=0)).T @ (y - y.mean(axis=0))
    assert biased_hsic(x, y, **LINEAR) == pytest.approx(np.square(cross / n).sum(), rel=1e-12)
    # The article's divisor goes with that of the unbiased covariance.
    by_article = biased_hsic(x, y, **LINEAR) * n**2 / (n - 1) ** 2
    covariance = np.cov(x.T, y.T)[: shape[1], shape[1] :]
    assert by_article == pytest.approx(np.square(covariance).sum(), rel=1e-12)


def test_the_mean_over_draws_is_zero_only_for_the_unbiased(figure):
    """E1: dividing by (n - 1)^2 leaves a bias of 6.2e-3 at n = 50."""
    rng = np.random.default_rng(2)
    draws, n = 2000, 50
    unbiased, by_article = np.empty(draws), np.empty(draws)
    for i in range(draws):
        sums = gram_sums(*rng.normal(size=(2, n, 1)), Gaussian(1.0), Gaussian(1.0))
        unbiased[i] = sums.unbiased(0, 1)
        by_article[i] = sums.biased(0, 1) * n**2 / (n - 1) ** 2
    figure("HSIC, n = 50, unbiased, mean of 2000", unbiased.mean())
    figure("HSIC, n = 50, unbiased, standard error", unbiased.std() / sqrt(draws))
    figure("HSIC, n = 50, over (n - 1)^2, mean of 2000", by_article.mean())
    assert abs(unbiased.mean()) < 3 * unbiased.std() / sqrt(draws)
    assert by_article.mean() == pytest.approx(6.2e-3, abs=1e-4)
    # In closed form: E exp(-(x - x')^2) is 1 / sqrt 5, and the bias (1 - that)^2 / (n - 1).
    assert by_article.mean() == pytest.approx((1 - 5**-0.5) ** 2 / (n - 1), rel=0.01)


def test_the_figures_of_the_article(figure):
    """n = 1000, bandwidth 1: SPEC has 2.96e-4 +- 1.0e-4 and 0.0943 +- 0.0026, biased."""
    rng = np.random.default_rng(3)
    independent, dependent = [], []
    for _ in range(10):
        x, other, noise = rng.normal(size=(3, 1000))
        independent.append(biased_hsic(x, other, **ONE))
        dependent.append(biased_hsic(x, x + 0.1 * noise, **ONE))
    figure("HSIC, n = 1000, biased, independent", np.mean(independent))
    figure("HSIC, n = 1000, biased, y = x + 0.1 noise", np.mean(dependent))
    assert np.mean(independent) == pytest.approx(2.96e-4, abs=1.0e-4)
    assert np.mean(dependent) == pytest.approx(0.0943, abs=0.0026)


@pytest.mark.slow  # hyppo compiles for half a minute
@pytest.mark.filterwarnings("ignore:Please import:DeprecationWarning")
def test_parity_with_hyppo(figure):
    """Hyppo has a 2 in its kernel, and takes the bandwidth of x for y as well."""
    hyppo = pytest.importorskip("hyppo.independence", exc_type=ImportError)
    for n in (20, 120):
        x, y = pair(n, seed=n)
        x = x[:, 0]
        shared = Gaussian(sqrt(2) * np.median(pdist(x[:, None])))
        kernels = {"kernel_x": shared, "kernel_y": shared}
        columns = x[:, None], y[:, None]
        theirs = hyppo.Hsic(bias=False).statistic(*columns)
        figure("HSIC beside hyppo", abs(cka(x, y, **kernels) - theirs))
        assert cka(x, y, **kernels) == pytest.approx(theirs, abs=1e-9)
        theirs = hyppo.Hsic(bias=True).statistic(*columns)
        figure("HSIC beside hyppo", abs(sqrt(biased_cka(x, y, **kernels)) - theirs))
        assert sqrt(biased_cka(x, y, **kernels)) == pytest.approx(theirs, abs=1e-9)


def test_what_does_not_matter_does_not_change_it():
    x, y = pair(300)
    value = hsic(x, y)
    order = np.random.default_rng(4).permutation(len(x))
    assert hsic(x[order], y[order]) == pytest.approx(value, rel=1e-12)
    assert hsic(y, x) == pytest.approx(value, rel=1e-12)
    assert hsic(5 * x + 3, y) == pytest.approx(value, rel=1e-9)  # the bandwidth grows with x
    assert hsic(x, y, threads=3) == value
    assert cka(x, 2 * x) == pytest.approx(1, abs=1e-12)


def test_digits_survive_where_kernels_are_nearly_constant():
    """With a bandwidth of 1e4 the kernel is 1 - d^2 / 1e8: HSIC is a covariance over 1e16."""
    x, y = pair(100)
    x = x[:, 0]
    wide = {"kernel_x": Gaussian(1e4), "kernel_y": Gaussian(1e4)}
    linear = 4 * hsic(x, y, **LINEAR)
    assert hsic(x, y, **wide) * 1e16 == pytest.approx(linear, rel=1e-5)
    assert hsic(x + 1e6, y - 1e6, **LINEAR) == pytest.approx(hsic(x, y, **LINEAR), rel=1e-8)
    single = hsic(x.astype(np.float32), y.astype(np.float32), **ONE)
    assert single == pytest.approx(hsic(x, y, **ONE), rel=1e-5)


def test_what_does_not_vary_depends_on_nothing():
    x = np.arange(10.0)
    for measure in (hsic, biased_hsic, cka, biased_cka):
        assert measure(np.zeros(10), x) == pytest.approx(0, abs=1e-15)
    assert hsic_gamma_test(np.zeros(10), x).p_value == 1.0
    assert hsic_permutation_test(np.zeros(10), x, rng=np.random.default_rng(0)).p_value == 1.0


def test_a_gram_matrix_at_hand_is_a_kernel_of_indices():
    x, y = pair(60)
    gram = naive_gram(x, 1.0)
    indices = np.arange(60)
    ours = hsic(indices, y, kernel_x=lambda i, j: gram[np.ix_(i, j)], kernel_y=Gaussian(1.0))
    assert ours == pytest.approx(hsic(x, y, **ONE), rel=1e-12)


@pytest.mark.parametrize("n", [2, 3, 50, 300])
def test_the_median_is_that_of_all_pairs(n, monkeypatch):
    x = np.random.default_rng(n).normal(size=(n, 3))
    expected = np.quantile(pdist(x), 0.5, method="lower")
    assert median_bandwidth(x) == pytest.approx(expected, rel=1e-14)
    monkeypatch.setattr(distances_file, "FEW", 1)  # count buckets instead of keeping distances
    assert median_bandwidth(x) == pytest.approx(expected, rel=1e-14)
    assert median_bandwidth(x, threads=3) == median_bandwidth(x)


@pytest.mark.parametrize("few", [1, 2048])
def test_a_median_of_zero_gives_way_to_the_others(few, monkeypatch):
    monkeypatch.setattr(distances_file, "FEW", few)
    x = np.zeros(300)
    assert median_bandwidth(x) == 1.0
    x[:20] = 3.0  # nearly all pairs are the same
    assert median_bandwidth(x) == 3.0
    x[20] = 5.0
    assert median_bandwidth(x) == 3.0
    assert hsic(x, x) == hsic(x, x, kernel_x=Gaussian(3.0), kernel_y=Gaussian(3.0)) > 0


def test_the_moments_are_those_over_all_orders():
    x, y = pair(6, seed=5)
    sums = gram_sums(x, y[:, None], Gaussian(1.0), Gaussian(0.5))
    k, l = naive_gram(x, 1.0), naive_gram(y, 0.5)  # noqa: E741
    values = [naive_biased(k, l[np.ix_(p, p)]) for p in permutations(range(6))]
    mean, variance = permutation_moments(sums)
    assert mean == pytest.approx(np.mean(values), rel=1e-12)
    assert variance == pytest.approx(np.var(values), rel=1e-10)


def test_the_permutation_test_agrees_with_all_orders():
    x, y = pair(6, seed=6)
    k, l = naive_gram(x, 1.0), naive_gram(y, 1.0)  # noqa: E741
    values = [naive_unbiased(k, l[np.ix_(p, p)]) for p in permutations(range(6))]
    exact = np.mean(np.array(values) >= values[0] - 1e-12)
    drawn = hsic_permutation_test(x, y, permutations=2999, rng=np.random.default_rng(7), **ONE)
    assert drawn.statistic == pytest.approx(values[0], abs=1e-14)
    assert drawn.p_value == pytest.approx(exact, abs=4 * sqrt(exact * (1 - exact) / 3000))


def test_the_permutation_test_over_several_tiles():
    x, y = pair(300, noise=4.0)
    tests = [
        hsic_permutation_test(x, y, permutations=20, threads=t, rng=np.random.default_rng(8))
        for t in (1, 3)
    ]
    assert tests[0] == tests[1]
    assert tests[0].statistic == pytest.approx(hsic(x, y), rel=1e-10)
    # The orders themselves, one by one.
    orders = np.tile(np.arange(300, dtype=np.int32), (20, 1))
    np.random.default_rng(8).permuted(orders, axis=1, out=orders)
    reached = sum(hsic(x, y[order]) >= tests[0].statistic for order in orders)
    assert tests[0].p_value == (1 + reached) / 21


def test_orders_that_are_the_same_count_whatever_the_rounding():
    x = np.array(list("aaabbb"))
    y = np.array(list("ababab"))
    values = set()
    for p in permutations(range(6)):
        values.add(round(hsic(x, y[list(p)], **CLASSES), 12))
    # The table is 2 1 / 1 2: of 20 splits 2 are better (3 0 / 0 3), all others are the same.
    assert len(values) == 2
    assert hsic_permutation_test(x, y, rng=np.random.default_rng(9), **CLASSES).p_value == 1.0


def test_the_permutation_test_keeps_its_level(figure):
    rng = np.random.default_rng(10)  # it is exact at any n, so a small one will do
    tests = (
        hsic_permutation_test(*rng.normal(size=(2, 25)), rng=rng, permutations=99)
        for _ in range(1000)
    )
    rejected = np.mean([test.p_value <= 0.05 for test in tests])
    figure("HSIC, permutation test, rejected at 5%", rejected)
    assert rejected == pytest.approx(0.05, abs=0.015)


@pytest.mark.parametrize("n", [30, pytest.param(100, marks=pytest.mark.slow)])
def test_the_gamma_test_keeps_its_level(n, figure):
    rng = np.random.default_rng(0)
    p = np.array([hsic_gamma_test(*rng.normal(size=(2, n))).p_value for _ in range(10_000)])
    for level in (0.05, 0.01):
        name = f"HSIC, gamma test, n = {n}, rejected at {level:.0%}"
        figure(name, np.mean(p <= level))
    assert np.mean(p <= 0.05) == pytest.approx(0.05, abs=0.015)
    assert np.mean(p <= 0.5) == pytest.approx(0.5, abs=0.05)


@pytest.mark.parametrize("test", [hsic_permutation_test, hsic_gamma_test])
def test_the_tests_see_a_parabola_that_correlation_does_not(test, figure):
    rng = np.random.default_rng(11)
    options = {} if test is hsic_gamma_test else {"rng": rng, "permutations": 99}
    found = []
    for _ in range(60):
        x, noise = rng.normal(size=(2, 100))
        found.append(test(x, x**2 + 0.3 * noise, **options).p_value <= 0.05)
    figure("HSIC, power at n = 100, parabola", np.mean(found))
    assert np.mean(found) > 0.95


def test_the_gamma_law_is_near_the_permutations():
    x, y = pair(200, seed=12, noise=3.0)
    near = hsic_gamma_test(x, y).p_value
    drawn = hsic_permutation_test(x, y, permutations=999, rng=np.random.default_rng(13)).p_value
    assert near == pytest.approx(drawn, abs=0.03)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: hsic([1, 2, 3], [1, 2, 3]), "at least 4.*3 samples of x, 3 of y"),
        (lambda: cka([1, 2, 3], [1, 2, 3]), "at least 4.*3 samples of x"),
        (lambda: biased_hsic([1], [1]), "at least 2.*1 samples of x"),
        (lambda: hsic(np.zeros(5), np.zeros(6)), "as many of each.*5 samples of x, 6 of y"),
        (lambda: hsic([1, 2, np.nan, 4], np.zeros(4)), "`x` must be finite.*x with nan"),
        (lambda: hsic(np.zeros(4), [1, 2, np.inf, 4]), "`y` must be finite.*y with inf"),
        (lambda: hsic(np.zeros((4, 2, 2)), np.zeros(4)), r"`x` must have the shape.*\(4, 2, 2\)"),
        (lambda: hsic(*pair(9), threads=0), "`threads` must be at least 1.*threads=0"),
        (lambda: Gaussian(0.0), "`bandwidth` must be above 0.*bandwidth=0.0"),
        (lambda: Gaussian(np.nan), "`bandwidth` must be above 0.*bandwidth=nan"),
        (lambda: Gaussian()([0.0], [1.0]), "`bandwidth` must be a number.*bandwidth=None"),
        (lambda: median_bandwidth([1.0]), r"`x` must have.*at least 2 samples.*\(1, 1\)"),
        (
            lambda: hsic(*pair(9), kernel_x=lambda i, j: i),
            r"must return an array of shape \(rows, columns\).*\(9, 2\) for 9 rows",
        ),
        (
            lambda: hsic_permutation_test(*pair(9), rng=np.random.default_rng(0), permutations=0),
            "`permutations` must be at least 1.*permutations=0",
        ),
        (lambda: hsic_gamma_test([1, 2, 3], [1, 2, 3]), "at least 4.*3 samples"),
    ],
)
def test_errors_name_the_argument_and_what_came(call, message):
    with pytest.raises(ValueError, match=f"(?s){message}") as error:
        call()
    assert "Received: " in str(error.value)


def test_the_room_hands_out_functions_and_not_files():
    import importlib
    import subprocess
    import sys

    code = "import taolu.bits.hsic, taolu.bits.entropy; from taolu.bits import hsic, entropy; "
    code += "assert callable(hsic) and callable(entropy)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
    assert importlib.import_module("taolu.bits.hsic").hsic is hsic
