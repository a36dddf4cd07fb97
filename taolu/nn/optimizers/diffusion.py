"""Descent with noise, and the laws in which it settles.

Langevin, a step of SGD:      d theta = -grad L dt + sigma dW         settles in exp(-L / T)
Kramers, SGD with momentum:   d theta = h dt
                              d h = (-friction h - grad L) dt + sigma dW
                                                               settles in exp(-(h^2/2 + L) / T)

with the temperature `T = sigma^2 / 2` for Langevin and `T = sigma^2 / (2 friction)` for Kramers.
Without friction nothing settles: noise adds `sigma^2 / 2` of energy in a unit of time.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from taolu.nn.optimizers.dynamics import Gradient, check_steps, momentum_of


@dataclass(frozen=True)
class Ensemble:
    """Many walkers at some times.

    Args:
        times: Float (records,).
        position: Float (records, walkers, ...).
        velocity: Float (records, walkers, ...), half a step before; None without inertia.
    """

    times: np.ndarray
    position: np.ndarray
    velocity: np.ndarray | None = None


def langevin(
    gradient: Gradient, start, *, noise: float, step: float, steps: int, rng, every: int = 1
) -> Ensemble:
    """Walkers that descend while they are shaken: `theta <- theta - step grad L + sigma dW`.

    SGD of learning rate a with batches of B examples is this with `step = a` and
    `noise = sgd_noise(a, variance, B)`. On a parabola of curvature h the variance is too large by
    a factor of `1 / (1 - step h / 2)`.

    Args:
        gradient: Gradient of the loss, from (walkers, ...) to the same shape.
        start: First positions, float (walkers, ...).
        noise: sigma, at least 0.
        step: Time step, above 0.
        steps: Number of steps, at least 1.
        rng: NumPy Generator.
        every: A record is kept every so many steps.

    Returns:
        An `Ensemble` with `steps // every` records.

    Raises:
        ValueError: An argument is out of range.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> walk = langevin(
        ...     lambda x: x, np.zeros(20000), noise=1.0, step=0.02, steps=200, rng=rng)
        >>> bool(abs(walk.position[-1].var() - 0.5) < 0.015)
        True
    """
    _check(noise, step, steps, every)
    x = np.asarray(start, dtype=np.float64)
    records = []
    for n in range(1, steps + 1):
        x = x - step * gradient(x) + noise * step**0.5 * rng.standard_normal(x.shape)
        if n % every == 0:
            records.append(x)
    return Ensemble(_record_times(step, steps, every), np.stack(records))


def kramers(
    gradient: Gradient,
    start,
    velocity=0.0,
    *,
    friction: float,
    noise: float,
    step: float,
    steps: int,
    rng,
    every: int = 1,
) -> Ensemble:
    """Walkers with inertia and friction that are shaken: momentum with noisy gradients.

    The leapfrog method with `sigma dW` added to the force. On a parabola of curvature h the
    variance is too large by a factor of `1 / (1 - step^2 h / 4)`.

    Args:
        gradient: Gradient of the loss, from (walkers, ...) to the same shape.
        start: First positions, float (walkers, ...).
        velocity: First velocities, of the same shape or a number.
        friction: Friction, at least 0.
        noise: sigma, at least 0.
        step: Time step, above 0.
        steps: Number of steps, at least 1.
        rng: NumPy Generator.
        every: A record is kept every so many steps.

    Returns:
        An `Ensemble` with `steps // every` records and velocities.

    Raises:
        ValueError: An argument is out of range.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> walk = kramers(lambda x: x, np.zeros(20000), friction=2.0, noise=1.0, step=0.1,
        ...     steps=100, rng=rng)
        >>> bool(abs(walk.position[-1].var() - 0.25) < 0.0075)
        True
    """
    _check(noise, step, steps, every)
    rate, momentum = momentum_of(friction, step)
    x = np.asarray(start, dtype=np.float64)
    # From the equation of the leapfrog, a force F moves v by rate F; here F = sigma dW / step.
    shake = noise * rate / step**0.5
    v = step * np.broadcast_to(np.asarray(velocity, dtype=np.float64), x.shape)
    records = []
    for n in range(1, steps + 1):
        v = momentum * v - rate * gradient(x) + shake * rng.standard_normal(x.shape)
        x = x + v
        if n % every == 0:
            records.append((x, v / step))
    position, velocities = (np.stack(part) for part in zip(*records, strict=True))
    return Ensemble(_record_times(step, steps, every), position, velocities)


def temperature(noise: float, friction: float | None = None) -> float:
    """The temperature T of the law exp(-L / T) in which the walkers settle.

    Args:
        noise: sigma, at least 0.
        friction: Friction of Kramers' equation, above 0; None for Langevin's.

    Raises:
        ValueError: `friction` is 0: nothing settles.

    Example:
        >>> temperature(1.0), temperature(1.0, friction=2.0)
        (0.5, 0.25)
    """
    if friction is not None and not friction > 0:
        raise ValueError(
            "`friction` must be above 0: without it there is no stationary law. "
            f"Received: {friction=}."
        )
    return noise**2 / 2 / (1 if friction is None else friction)


def stationary_density(loss: Callable[[np.ndarray], np.ndarray], grid, heat: float) -> np.ndarray:
    """The density exp(-L / heat) on a line, with area 1.

    Args:
        loss: The loss, from an array to one of the same shape.
        grid: Places, float (points,), increasing.
        heat: Temperature, above 0.

    Returns:
        Float (points,).

    Raises:
        ValueError: `heat` is not above 0.

    Example:
        >>> grid = np.linspace(-5, 5, 1001)
        >>> density = stationary_density(lambda x: x**2 / 2, grid, heat=0.5)
        >>> float(density.max().round(4))
        0.5642
    """
    if not heat > 0:
        raise ValueError(f"`heat` must be above 0. Received: {heat=}.")
    grid = np.asarray(grid, dtype=np.float64)
    logarithm = -loss(grid) / heat
    density = np.exp(logarithm - logarithm.max())
    return density / np.trapezoid(density, grid)


def sgd_noise(rate: float, variance: float, batch: int) -> float:
    """The sigma of the Langevin equation that SGD follows: `sqrt(rate variance / batch)`.

    A step of SGD has noise of variance `rate^2 variance / batch`, one of Langevin `sigma^2 rate`.
    So a larger batch cools exactly like a smaller learning rate.

    Args:
        rate: Learning rate, above 0.
        variance: Variance of the gradient of a single example.
        batch: Examples in a batch, at least 1.

    Example:
        >>> sgd_noise(0.1, 10.0, batch=1) == sgd_noise(0.4, 10.0, batch=4)
        True
    """
    return (rate * variance / batch) ** 0.5


def _check(noise, step, steps, every):
    check_steps(step, steps, "step")
    if not noise >= 0:
        raise ValueError(f"`noise` must be at least 0. Received: {noise=}.")
    if not 1 <= every <= steps:
        raise ValueError(f"`every` must be between 1 and `steps`. Received: {every=}, {steps=}.")


def _record_times(step, steps, every):
    return step * every * np.arange(1, steps // every + 1)
