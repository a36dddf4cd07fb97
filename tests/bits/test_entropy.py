"""Entropy and divergences: by hand, beside SciPy, and within their bounds."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from taolu.bits import cross_entropy, entropy, js_divergence, kl_divergence, miller_madow_entropy

WEIGHTS = st.lists(st.floats(0, 1e6), min_size=3, max_size=3).filter(lambda w: sum(w) > 1e-3)


def distributions(rng, rows=50, outcomes=7):
    p = rng.dirichlet(np.full(outcomes, 0.3), size=rows)
    p[rng.random(p.shape) < 0.2] = 0
    p[:, 0] += 1e-3
    return p / p.sum(axis=1, keepdims=True)


def test_entropy_by_hand():
    assert entropy([0.5, 0.25, 0.25]) == entropy([2, 1, 1]) == 1.5
    assert entropy([7]) == entropy([0, 7, 0]) == 0.0
    assert str(entropy([7])) == "0.0"
    assert entropy(np.ones(1024)) == pytest.approx(10, abs=1e-12)


def test_divergences_by_hand():
    p, q = [0.5, 0.5, 0.0], [0.25, 0.25, 0.5]
    assert cross_entropy(p, q) == 2.0
    assert kl_divergence(p, q) == 1.0
    assert kl_divergence(q, p) == cross_entropy(q, p) == np.inf
    # m = (3/8, 3/8, 1/4); KL(p, m) = log2(4/3), KL(q, m) = 1/2 log2(2/3) + 1/2 log2(2)
    by_hand = (np.log2(4 / 3) + 0.5 * np.log2(2 / 3) + 0.5) / 2
    assert js_divergence(p, q) == pytest.approx(by_hand, abs=1e-15)


def test_they_agree_with_scipy():
    rng = np.random.default_rng(0)
    p, q = distributions(rng), distributions(rng)
    full = q + 0.01
    full /= full.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(entropy(p), stats.entropy(p, base=2, axis=1), atol=1e-12)
    np.testing.assert_allclose(
        kl_divergence(p, full), stats.entropy(p, full, base=2, axis=1), atol=1e-12
    )
    np.testing.assert_array_equal(
        np.isinf(kl_divergence(p, q)), np.isinf(stats.entropy(p, q, axis=1))
    )
    middle = (p + q) / 2
    halves = [stats.entropy(part, middle, base=2, axis=1) / 2 for part in (p, q)]
    np.testing.assert_allclose(js_divergence(p, q), sum(halves), atol=1e-12)
    np.testing.assert_allclose(
        cross_entropy(p, full), entropy(p) + kl_divergence(p, full), atol=1e-12
    )


def test_one_distribution_stands_against_many():
    p = distributions(np.random.default_rng(1))
    uniform = np.full(7, 1 / 7)
    np.testing.assert_allclose(kl_divergence(p, uniform), np.log2(7) - entropy(p), atol=1e-12)
    assert kl_divergence(p[None], uniform).shape == (1, 50)


@given(WEIGHTS, WEIGHTS)
def test_the_bounds_hold(a, b):
    p, q = np.divide(a, sum(a)), np.divide(b, sum(b))
    assert 0 <= entropy(p) <= np.log2(3) + 1e-12
    assert kl_divergence(p, q) >= 0
    assert 0 <= js_divergence(p, q) <= 1
    assert js_divergence(p, q) == pytest.approx(js_divergence(q, p), abs=1e-12)
    assert kl_divergence(p, p) == js_divergence(p, p) == 0


def test_the_bound_of_js_is_log_two_and_not_half_of_it():
    """The article says log(2) / 2; two distributions that share nothing reach log 2."""
    nats = js_divergence([1.0, 0.0], [0.0, 1.0]) * np.log(2)
    assert nats == np.log(2) > np.log(2) / 2


def test_the_smallest_number_shares_nothing_with_zero():
    assert js_divergence([5e-324, 1.0], [0.0, 1.0]) == pytest.approx(0, abs=1e-300)


def test_miller_madow_takes_away_most_of_the_bias():
    rng = np.random.default_rng(2)
    p = np.array([0.4, 0.3, 0.2, 0.1])
    counts = rng.multinomial(50, p, size=20_000)
    truth = stats.entropy(p, base=2)
    plug_in, corrected = entropy(counts).mean(), miller_madow_entropy(counts).mean()
    assert plug_in - truth == pytest.approx(-3 / (100 * np.log(2)), rel=0.1)
    assert abs(corrected - truth) < 0.1 * abs(plug_in - truth)


def test_miller_madow_by_hand():
    assert miller_madow_entropy([3, 1, 0]) == pytest.approx(
        entropy([3, 1]) + 1 / 8 / np.log(2), abs=1e-15
    )


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: entropy([1, -1]), "`weights` must be finite and at least 0.*with -1.0"),
        (lambda: entropy([1, np.nan]), "finite and at least 0.*with nan"),
        (lambda: entropy([1, np.inf]), "finite and at least 0.*with inf"),
        (lambda: entropy([[1, 2], [0, 0]]), r"something above 0 in each row.*\(2, 2\).*zeros"),
        (lambda: entropy([]), r"at least one outcome.*\(0,\)"),
        (lambda: entropy(3.0), r"at least one outcome.*shape \(\)"),
        (lambda: kl_divergence([1, 1], [0.5, 0.5]), "`p` must add up to one.*adds up to 2"),
        (lambda: js_divergence([0.5, 0.5], [0.5, 0.4]), "`q` must add up to one.*up to 0.9"),
        (lambda: cross_entropy([1.0], [0.5, 0.5]), r"as many outcomes.*\(1,\).*\(2,\)"),
        (lambda: miller_madow_entropy([0.5, 0.5]), "`counts` must be whole.*with 0.5"),
    ],
)
def test_errors_name_the_argument_and_what_came(call, message):
    with pytest.raises(ValueError, match=f"(?s){message}") as error:
        call()
    assert "Received: " in str(error.value)
