"""Noise: the stationary laws with their factors of two, and SGD as a diffusion."""

import numpy as np
import pytest

from taolu.nn.optimizers.diffusion import (
    kramers,
    langevin,
    sgd_noise,
    stationary_density,
    temperature,
)

WALKERS = 20_000


def rng(seed=0):
    return np.random.default_rng(seed)


def parabola(x):
    return x


def settle(friction, walkers=WALKERS, loss=parabola, step=0.1):
    start = np.zeros(walkers)
    options = {"friction": friction, "noise": 1.0, "step": step, "every": 50, "rng": rng()}
    walk = kramers(loss, start, steps=600, **options)
    return walk.position[6:], walk.velocity[6:]


def test_langevin_settles_at_exp_of_minus_two_losses():
    # exp(-2 L / sigma^2) for L = x^2 / 2: variance 1/2. Without the two it would be 1.
    start = np.zeros(WALKERS)
    walk = langevin(parabola, start, noise=1.0, step=0.02, steps=600, every=100, rng=rng())
    assert walk.times[-1] == pytest.approx(12)
    assert walk.position[3:].var() == pytest.approx(0.5, rel=0.03)


@pytest.mark.parametrize(("friction", "variance"), [(0.5, 1.0), (2.0, 0.25)])
def test_kramers_settles_at_exp_of_minus_two_frictions_times_energy(friction, variance):
    position, velocity = settle(friction)
    assert position.var() == pytest.approx(variance, rel=0.03)
    assert velocity.var() == pytest.approx(variance, rel=0.03)
    assert temperature(1.0, friction) == pytest.approx(variance)


def test_the_bias_of_the_step_is_the_known_one():
    # Exact variances of the recurrences, as the docstrings have them, by a long time average.
    walk = langevin(parabola, np.zeros(WALKERS), noise=1.0, step=1.0, steps=200, rng=rng())
    assert walk.position[50:].var() == pytest.approx(0.5 / (1 - 0.5), rel=0.01)
    position, _ = settle(2.0, step=1.0)
    assert position.var() == pytest.approx(0.25 / (1 - 0.25), rel=0.02)


def test_without_friction_the_energy_grows_and_nothing_settles():
    walk = kramers(
        parabola,
        np.zeros(WALKERS),
        friction=0.0,
        noise=1.0,
        step=0.05,
        steps=400,
        every=40,
        rng=rng(),
    )
    energy = (walk.velocity**2 + walk.position**2).mean(axis=1) / 2
    slope = np.polyfit(walk.times, energy, 1)[0]
    assert slope == pytest.approx(0.5, rel=0.03)  # sigma^2 / 2 in a unit of time
    with pytest.raises(ValueError, match=r"without it there is no stationary law. Received: fr"):
        temperature(1.0, friction=0.0)


def test_the_law_of_a_double_well_is_the_histogram_of_its_walkers():
    def loss(x):
        return (x**2 - 1) ** 2 / 2

    walk = langevin(
        lambda x: 2 * x * (x**2 - 1),
        rng(1).normal(size=WALKERS),
        noise=1.0,
        step=0.01,
        steps=800,
        every=100,
        rng=rng(),
    )
    counts, edges = np.histogram(walk.position[2:], bins=40, range=(-2, 2), density=True)
    grid = (edges[1:] + edges[:-1]) / 2
    law = stationary_density(loss, np.linspace(-4, 4, 2001), temperature(1.0))
    law = np.interp(grid, np.linspace(-4, 4, 2001), law)
    np.testing.assert_allclose(counts, law, atol=0.03)
    half_as_hot = stationary_density(loss, np.linspace(-4, 4, 2001), 2 * temperature(1.0))
    assert np.abs(counts - np.interp(grid, np.linspace(-4, 4, 2001), half_as_hot)).max() > 0.06


def test_the_density_has_area_one_and_the_ratio_of_boltzmann():
    grid = np.linspace(-6, 6, 4001)
    density = stationary_density(lambda x: x**2 / 2, grid, heat=0.7)
    assert np.trapezoid(density, grid) == pytest.approx(1)
    assert np.trapezoid(grid**2 * density, grid) == pytest.approx(0.7, rel=1e-6)
    one, zero = np.searchsorted(grid, 1.0 - 1e-9), len(grid) // 2
    assert np.log(density[zero] / density[one]) == pytest.approx(grid[one] ** 2 / 2 / 0.7)


def test_sgd_with_batches_is_langevin_with_this_noise():
    # Examples c ~ N(0, 4) pull on L = mean (x - c)^2 / 2; batches of 8, rate 0.05.
    rate, batch, random = 0.05, 8, rng(2)
    x, seen = np.zeros(5000), []
    for n in range(400):
        x = x - rate * (x - random.normal(scale=2.0, size=(5000, batch)).mean(axis=1))
        seen += [x] if n > 150 and n % 25 == 0 else []
    noise = sgd_noise(rate, 4.0, batch)
    exact = temperature(noise) / (1 - rate / 2)
    assert np.var(seen) == pytest.approx(exact, rel=0.03)
    assert sgd_noise(4 * rate, 4.0, 4 * batch) == pytest.approx(noise)


def test_records_and_seeds():
    options = {"noise": 1.0, "step": 0.1, "steps": 10}
    one = kramers(parabola, np.zeros((3, 2)), friction=1.0, every=4, rng=rng(), **options)
    two = kramers(parabola, np.zeros((3, 2)), friction=1.0, every=4, rng=rng(), **options)
    assert one.position.shape == one.velocity.shape == (2, 3, 2)
    np.testing.assert_allclose(one.times, [0.4, 0.8])
    np.testing.assert_array_equal(one.position, two.position)
    assert langevin(parabola, np.zeros(2), rng=rng(), **options).velocity is None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"noise": -1.0}, r"`noise` must be at least 0. Received: noise=-1.0"),
        ({"step": 0.0}, r"`step` must be above 0. Received: step=0.0"),
        ({"steps": 0}, r"`steps` must be an integer of at least 1. Received: steps=0"),
        ({"every": 11}, r"`every` must be between 1 and `steps`. Received: every=11, steps=10"),
    ],
)
def test_wrong_arguments_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        langevin(
            parabola, np.zeros(2), rng=rng(), **{"noise": 1.0, "step": 0.1, "steps": 10, **options}
        )


def test_a_density_needs_heat():
    with pytest.raises(ValueError, match=r"`heat` must be above 0. Received: heat=0"):
        stationary_density(np.square, np.arange(3.0), heat=0.0)
