"""Stability: the closed form against the eigenvalues, against paths, and its known borders."""

import numpy as np
import pytest

from taolu.nn.optimizers.dynamics import heavy_ball, nesterov
from taolu.nn.optimizers.stability import convergence_factor, stability_region

RATES = np.linspace(0.01, 4.5, 37)
MOMENTA = np.linspace(0, 1, 21)


def eigenvalue_factor(curved_rate, momentum, reach):
    """The largest modulus among the eigenvalues of one step on (theta, v), h = 1."""
    kept = momentum * (1 - reach * curved_rate)
    step = np.array([[1 - curved_rate, kept], [-curved_rate, kept]])
    return np.abs(np.linalg.eigvals(step)).max()


@pytest.mark.parametrize("reach", [0.0, 0.5, 1.0])
def test_it_is_the_largest_eigenvalue_of_a_step(reach):
    ours = convergence_factor(RATES, MOMENTA[:, None], reach)
    theirs = [[eigenvalue_factor(rate, m, reach) for rate in RATES] for m in MOMENTA]
    # At a double root the eigenvalues themselves are good to the root of the precision.
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-6)


def test_it_is_the_largest_root_of_the_characteristic_equation():
    for rate, momentum in [(0.01, 0.9), (0.5, 0.3), (3.0, 0.8), (0.1, 0.0)]:
        roots = np.roots([1, -(1 + momentum - rate), momentum])
        found = convergence_factor(rate, momentum)
        assert found == pytest.approx(np.abs(roots).max(), abs=1e-6)


def test_complex_roots_shrink_by_the_root_of_the_momentum():
    assert convergence_factor(0.01, 0.9) == pytest.approx(0.9**0.5, abs=1e-12)


@pytest.mark.parametrize("reach", [0.0, 0.5, 1.0])
@pytest.mark.parametrize(("rate", "momentum"), [(0.01, 0.9), (0.003, 0.9), (0.5, 0.2), (1.5, 0.5)])
def test_a_path_shrinks_at_this_rate_in_the_long_run(rate, momentum, reach):
    path = nesterov(lambda x: x, 1.0, rate, momentum, 3000, reach)
    # theta and v together: where the roots are complex, their quadratic form shrinks evenly.
    size = np.hypot(path.position, path.velocity)
    whole = size > 1e-280
    last = np.flatnonzero(whole)[-1]
    first = last // 2
    fitted = np.polyfit(np.arange(first, last), np.log(size[first:last]), 1)[0]
    # Complex roots make the size swing; the fit over many swings is good to 1e-3 of a step.
    assert np.exp(fitted) == pytest.approx(
        float(convergence_factor(rate, momentum, reach)), abs=2e-4
    )


@pytest.mark.parametrize(
    ("rate", "momentum"), [(0.001, 0.9), (0.1, 0.2), (2.95, 0.5), (1.5, 0.0), (3.7, 0.85)]
)
def test_the_heavy_ball_shrinks_by_the_larger_of_two_real_roots(rate, momentum):
    roots = np.roots([1, -(1 + momentum - rate), momentum])
    assert np.isreal(roots).all()
    x = heavy_ball(lambda x: x, 1.0, rate, momentum, 400).position
    assert abs(x[-1] / x[-2]) == pytest.approx(np.abs(roots).max(), abs=1e-6)
    assert abs(x[-1] / x[-2]) == pytest.approx(float(convergence_factor(rate, momentum)), abs=1e-6)


def test_the_heavy_ball_shrinks_evenly_in_the_invariant_of_its_recurrence():
    # theta_n^2 - (1 + b - a) theta_n theta_{n-1} + b theta_{n-1}^2 shrinks by b in every step.
    rate, momentum = 0.01, 0.9
    x = heavy_ball(lambda x: x, 1.0, rate, momentum, 300).position
    form = x[1:] ** 2 - (1 + momentum - rate) * x[1:] * x[:-1] + momentum * x[:-1] ** 2
    factor = (form[-1] / form[0]) ** (0.5 / (len(form) - 1))
    assert factor == pytest.approx(float(convergence_factor(rate, momentum)), abs=1e-6)


def test_the_borders_of_the_region():
    # Plain momentum converges up to 2 (1 + momentum), Nesterov up to 2 (1 + m) / (1 + 2 m).
    for momentum in (0.0, 0.3, 0.9):
        for reach, border in (
            (0, 2 * (1 + momentum)),
            (1, 2 * (1 + momentum) / (1 + 2 * momentum)),
        ):
            assert convergence_factor(border - 1e-6, momentum, reach) < 1
            assert convergence_factor(border + 1e-6, momentum, reach) > 1
    region = stability_region(RATES, MOMENTA[:-1])
    np.testing.assert_array_equal(region.factor < 1, 2 * (1 + MOMENTA[:-1, None]) > RATES)


def test_wrong_grids_are_named():
    with pytest.raises(
        ValueError, match=r"`curved_rates` must be a row above 0. Received: \[0\.\]"
    ):
        stability_region([0.0], [0.5])
    with pytest.raises(ValueError, match=r"`momentum` must be in \[0, 1\]. Received: momentum="):
        stability_region([1.0], [1.5])
