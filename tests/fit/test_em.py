"""The loop of EM: it climbs, it stops honestly, and it says when the steps do not fit together."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import taolu.fit
from taolu.fit.em import EMResult, best_of, em

HEADS = np.array([8.0, 7.0, 2.0])
TOSSES = 10
START = np.array([0.6, 0.4])


def coins(heads):
    """The two steps for two coins of equal chance, one of them tossed ten times for each row."""
    heads = heads[:, None]

    def e_step(bias):
        likelihoods = bias**heads * (1 - bias) ** (TOSSES - heads) / 2
        evidence = likelihoods.sum(axis=1)
        return np.log(evidence).sum(), likelihoods / evidence[:, None]

    def m_step(shares, bias):
        return (heads * shares).sum(axis=0) / (TOSSES * shares.sum(axis=0))

    return e_step, m_step


def climbing(*values):
    """Steps that give these log-likelihoods, whatever happens; the parameters count the M-steps."""
    return (lambda taken: (values[taken], None)), (lambda statistics, taken: taken + 1)


# Worked example: the coins of the guide page


def test_two_coins_by_hand():
    e_step, m_step = coins(HEADS)
    np.testing.assert_allclose(e_step(START)[1][:, 0], [0.9193, 0.8351, 0.0807], atol=5e-5)
    once = em(START, e_step, m_step, iterations=1, tolerance=0)
    np.testing.assert_allclose(once.parameters, [0.7281, 0.3124], atol=5e-5)
    twice = em(START, e_step, m_step, iterations=2, tolerance=0)
    np.testing.assert_allclose(twice.parameters, [0.7500, 0.2240], atol=5e-5)
    final = em(START, e_step, m_step, iterations=200, tolerance=1e-14)
    np.testing.assert_allclose(final.parameters, [0.7497, 0.2018], atol=5e-5)
    bits = -np.append(twice.log_likelihoods, final.log_likelihood) / math.log(2)
    np.testing.assert_allclose(bits, [28.70, 26.86, 26.46, 26.44], atol=5e-3)


def test_the_end_is_where_the_gradient_vanishes():
    e_step, m_step = coins(HEADS)
    bias = em(START, e_step, m_step, iterations=500, tolerance=1e-15).parameters
    for coin in range(2):
        step = np.eye(2)[coin] * 1e-6
        slope = (e_step(bias + step)[0] - e_step(bias - step)[0]) / 2e-6
        assert abs(slope) < 1e-5


# Invariant: it never gets worse


@given(
    st.lists(st.integers(1, TOSSES - 1), min_size=1, max_size=6),
    st.tuples(st.floats(0.05, 0.95), st.floats(0.05, 0.95)),
)
def test_the_likelihood_never_falls(heads, start):
    result = em(np.array(start), *coins(np.array(heads, dtype=float)), iterations=20, tolerance=0)
    assert len(result.log_likelihoods) == 21
    assert np.diff(result.log_likelihoods).min() >= -1e-10


# Stopping


def test_it_stops_at_the_first_small_gain_of_the_mean():
    steps = climbing(-10.0, -6.0, -4.0, -3.0, -2.5, -2.25)
    result = em(0, *steps, tolerance=0.3, iterations=5, observations=4)
    np.testing.assert_array_equal(result.log_likelihoods, [-2.5, -1.5, -1.0, -0.75])
    assert (result.parameters, result.iterations) == (3, 3)
    assert result.converged is True  # a bool of Python
    assert result.log_likelihood == -0.75


def test_it_admits_that_the_iterations_ran_out():
    result = em(0, *climbing(-10.0, -6.0, -4.0), tolerance=0.1, iterations=2)
    assert (result.parameters, result.converged) == (2, False)


def test_no_iteration_judges_the_start():
    result = em(0, *climbing(-10.0), iterations=0)
    assert (result.parameters, result.iterations, result.converged) == (0, 0, False)
    assert result.log_likelihood == -10


def test_tolerance_zero_runs_every_iteration():
    result = em(0, *climbing(*[-1.0] * 6), tolerance=0, iterations=5)
    assert (result.iterations, result.converged) == (5, False)


def test_the_callback_sees_every_iteration():
    seen = []
    em(
        0,
        *climbing(-3.0, -2.0, -1.0),
        tolerance=0,
        iterations=2,
        callback=lambda *a: seen.append(a),
    )
    assert seen == [(0, -3.0, 0), (1, -2.0, 1), (2, -1.0, 2)]


# The promise


def test_a_fall_is_named_with_its_iteration():
    steps = climbing(-3.0, -2.0, -2.001)
    with pytest.raises(
        ValueError, match=r"Received: a fall from -2 to -2\.001 nats at iteration 2"
    ):
        em(0, *steps, tolerance=0, iterations=5)


def test_rounding_is_forgiven():
    result = em(0, *climbing(-3e6, -2e6, -2e6 - 1e-5), tolerance=0, iterations=2)
    assert result.iterations == 2


def test_slack_forgives_what_regularisation_costs():
    result = em(0, *climbing(-3.0, -2.0, -2.1), tolerance=0, iterations=2, slack=0.1)
    assert result.log_likelihood == -2.1
    assert em(0, *climbing(-3.0, -9.0), iterations=1, slack=math.inf).log_likelihood == -9


# Several starts


def test_the_best_start_wins_and_all_are_told():
    best = best_of(iter([3, -1, 2]), lambda x: EMResult(x, np.array([-9.0, -abs(x)]), True))
    assert best.result.parameters == -1
    np.testing.assert_array_equal(best.log_likelihoods, [-3, -1, -2])


def test_the_first_of_equal_runs_wins():
    best = best_of("ab", lambda x: EMResult(x, np.array([-1.0]), False))
    assert best.result.parameters == "a"


def test_the_room_hands_out_the_function():
    assert taolu.fit.em is em


# Errors


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"tolerance": -1}, r"`tolerance` must be at least 0\. Received: tolerance=-1"),
        ({"tolerance": math.nan}, "`tolerance` must be at least 0"),
        ({"iterations": -1}, "`iterations` must be a whole number, at least 0"),
        ({"iterations": 1.5}, r"Received: iterations=1\.5"),
        ({"observations": 0}, "`observations` must be positive and finite"),
        ({"slack": -1}, "`slack` must be at least 0"),
    ],
)
def test_options_out_of_range_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        em(0, *climbing(-1.0, -1.0), **options)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_likelihood_that_is_not_finite_is_named(bad):
    with pytest.raises(ValueError, match=f"Received: {bad} at iteration 1"):
        em(0, *climbing(-1.0, bad))


def test_there_must_be_a_start():
    with pytest.raises(ValueError, match="`starts` must hold at least one start"):
        best_of([], lambda x: x)
