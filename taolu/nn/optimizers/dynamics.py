"""Optimizers as integrators of differential equations: descent is Euler, momentum is leapfrog.

Gradient descent of rate a is Euler's method for `theta' = -grad L` with time step a. Momentum is
the leapfrog method for a ball with friction, `theta'' + friction theta' = -grad L`; a time step
gamma gives

    momentum = (1 - friction gamma / 2) / (1 + friction gamma / 2)
    rate     = gamma^2 / (1 + friction gamma / 2)

so a step of momentum lasts about sqrt(rate), and an error of gamma^2 is one of the rate.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

Gradient = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Path:
    """A trajectory.

    Args:
        times: Float (steps + 1,), in the time of the differential equation.
        position: Float (steps + 1, ...), the parameters theta.
        velocity: Float (steps + 1, ...), their change per unit of time.
    """

    times: np.ndarray
    position: np.ndarray
    velocity: np.ndarray


def euler(gradient: Gradient, start, step: float, steps: int) -> Path:
    """The path of gradient descent: `theta <- theta - step grad L(theta)`.

    The error at a fixed time is proportional to `step`.

    Args:
        gradient: Gradient of the loss, from an array to one of the same shape.
        start: First position, float of any shape.
        step: Time step, which is the learning rate, above 0.
        steps: Number of steps, at least 1.

    Returns:
        A `Path`; its velocity is minus the gradient.

    Raises:
        ValueError: `step` or `steps` is out of range.

    Example:
        >>> euler(lambda x: x, 1.0, step=0.1, steps=3).position.round(3)
        array([1.   , 0.9  , 0.81 , 0.729])
    """
    check_steps(step, steps, "step")
    position = [np.asarray(start, dtype=np.float64)]
    for _ in range(steps):
        position.append(position[-1] - step * gradient(position[-1]))
    velocity = [-gradient(x) for x in position]
    return Path(step * np.arange(steps + 1), np.stack(position), np.stack(velocity))


def heavy_ball(gradient: Gradient, start, rate: float, momentum: float, steps: int) -> Path:
    """The path of SGD with momentum from rest.

    `v <- momentum v - rate grad L(theta)`, `theta <- theta + v`: the convention of Keras, with
    the rate inside v. Where the rate changes on the way, v carries the old one; in the convention
    of PyTorch, `v <- momentum v + grad L`, `theta <- theta - rate v`, it takes the new one.

    Args:
        gradient: Gradient of the loss, from an array to one of the same shape.
        start: First position, float of any shape.
        rate: Learning rate, above 0.
        momentum: Share of v that is kept, in [0, 1].
        steps: Number of steps, at least 1.

    Returns:
        A `Path` in units of time of sqrt(rate); its velocity is `v / sqrt(rate)`.

    Raises:
        ValueError: `rate`, `momentum` or `steps` is out of range.

    Example:
        >>> heavy_ball(lambda x: x, 1.0, rate=0.1, momentum=0.5, steps=3).position.round(3)
        array([1.   , 0.9  , 0.76 , 0.614])
    """
    check_steps(rate, steps, "rate")
    check_momentum(momentum)
    start = np.asarray(start, dtype=np.float64)
    position, displacement = _heavy_ball(
        gradient, start, np.zeros_like(start), rate, momentum, steps
    )
    unit = rate**0.5
    return Path(unit * np.arange(steps + 1), position, displacement / unit)


def leapfrog(
    gradient: Gradient, start, velocity, *, friction: float, step: float, steps: int
) -> Path:
    """The path of a ball with friction, `theta'' + friction theta' = -grad L(theta)`.

    Positions at whole steps, velocities h between them:
    `h' = ((1 - c) h - step grad L(theta)) / (1 + c)` with `c = friction step / 2`, then
    `theta' = theta + step h'`. This is momentum with `momentum_of(friction, step)`. The error is
    proportional to `step^2`, because the first velocity is moved back by half a step; started
    with the plain velocity it would be proportional to `step`.

    Args:
        gradient: Gradient of the loss, from an array to one of the same shape.
        start: First position, float of any shape.
        velocity: First velocity, of the same shape or a number.
        friction: Friction, at least 0.
        step: Time step, above 0.
        steps: Number of steps, at least 1.

    Returns:
        A `Path`; its velocity belongs to half a step before each time.

    Raises:
        ValueError: `friction`, `step` or `steps` is out of range.

    Example:
        >>> path = leapfrog(lambda x: x, 1.0, 0.0, friction=0.0, step=0.1, steps=31)
        >>> bool(abs(path.position[-1] - np.cos(3.1)) < 1e-3)
        True
    """
    check_steps(step, steps, "step")
    rate, momentum = momentum_of(friction, step)
    start = np.asarray(start, dtype=np.float64)
    velocity = np.broadcast_to(np.asarray(velocity, dtype=np.float64), start.shape)
    half_back = velocity + step / 2 * (friction * velocity + gradient(start))
    position, displacement = _heavy_ball(gradient, start, step * half_back, rate, momentum, steps)
    return Path(step * np.arange(steps + 1), position, displacement / step)


def implicit_midpoint(
    gradient: Gradient, start, velocity, *, friction: float, step: float, steps: int
) -> Path:
    """The same ball, with the gradient in the middle of each step: Nesterov's origin.

    `theta' = theta + step m`, `h' = h - step (friction m + grad L((theta + theta') / 2))` with
    `m = (h + h') / 2`. The error is proportional to `step^2`. The equation for h' is solved by
    repetition, which converges while `step^2 / 4` times the curvature stays below 1.

    Args:
        gradient: Gradient of the loss, from an array to one of the same shape.
        start: First position, float of any shape.
        velocity: First velocity, of the same shape or a number.
        friction: Friction, at least 0.
        step: Time step, above 0.
        steps: Number of steps, at least 1.

    Returns:
        A `Path`.

    Raises:
        ValueError: An argument is out of range, or `step` is too large for the repetition.

    Example:
        >>> path = implicit_midpoint(lambda x: x, 1.0, 0.0, friction=0.0, step=0.1, steps=31)
        >>> energy = path.position**2 + path.velocity**2
        >>> bool(np.ptp(energy) < 1e-12)
        True
    """
    check_steps(step, steps, "step")
    check_friction(friction)
    x = np.asarray(start, dtype=np.float64)
    h = np.broadcast_to(np.asarray(velocity, dtype=np.float64), x.shape)
    path = [(x, h)]
    for _ in range(steps):
        mean = _mean_velocity(gradient, x, h, friction, step)
        x, h = x + step * mean, 2 * mean - h
        path.append((x, h))
    position, velocities = (np.stack(part) for part in zip(*path, strict=True))
    return Path(step * np.arange(steps + 1), position, velocities)


def nesterov(
    gradient: Gradient, start, rate: float, momentum: float, steps: int, reach: float = 1.0
) -> Path:
    """The path of Nesterov's method from rest, in its own variables.

    `v <- momentum v - rate grad L(theta + reach momentum v)`, `theta <- theta + v`. A reach of 1
    is the standard, 1/2 the balanced variant that the midpoint gives, 0 plain momentum.

    Args:
        gradient: Gradient of the loss, from an array to one of the same shape.
        start: First position, float of any shape.
        rate: Learning rate, above 0.
        momentum: Share of v that is kept, in [0, 1].
        steps: Number of steps, at least 1.
        reach: How far ahead the gradient is taken, in units of the coming displacement.

    Returns:
        A `Path` like that of `heavy_ball`. A framework stores `theta + reach momentum v` instead.

    Raises:
        ValueError: `rate`, `momentum` or `steps` is out of range.

    Example:
        >>> path = nesterov(lambda x: x, 1.0, rate=0.1, momentum=0.9, steps=20)
        >>> round(float(path.position[-1] + 0.9 * path.velocity[-1] * 0.1**0.5), 14)
        0.11997223969476

    References:
        Yurii Nesterov, A method of solving a convex programming problem with convergence rate
        O(1/k^2), 1983. Su Jianlin, 从动力学角度看优化算法(一):从SGD到动量加速, 2018
        (archives/5655).
    """
    check_steps(rate, steps, "rate")
    check_momentum(momentum)
    x = np.asarray(start, dtype=np.float64)
    v = np.zeros_like(x)
    path = [(x, v)]
    for _ in range(steps):
        v = momentum * v - rate * gradient(x + reach * momentum * v)
        x = x + v
        path.append((x, v))
    position, displacement = (np.stack(part) for part in zip(*path, strict=True))
    return Path(rate**0.5 * np.arange(steps + 1), position, displacement / rate**0.5)


def momentum_of(friction: float, step: float) -> tuple[float, float]:
    """Learning rate and momentum of the leapfrog method.

    Args:
        friction: Friction of the ball, at least 0.
        step: Time step, above 0; `friction * step` at most 2.

    Returns:
        `(rate, momentum)`.

    Raises:
        ValueError: An argument is out of range.

    Example:
        >>> [round(x, 6) for x in momentum_of(friction=2.0, step=0.1)]
        [0.009091, 0.818182]
    """
    check_friction(friction)
    if not (step > 0 and friction * step <= 2):
        raise ValueError(
            "`step` must be above 0 and `friction * step` at most 2. "
            f"Received: {step=}, {friction=}."
        )
    half = friction * step / 2
    return step**2 / (1 + half), (1 - half) / (1 + half)


def friction_of(rate: float, momentum: float) -> tuple[float, float]:
    """Friction and time step of a ball that moves like this momentum: `momentum_of` undone.

    Args:
        rate: Learning rate, above 0.
        momentum: Momentum, in [0, 1].

    Returns:
        `(friction, step)`.

    Raises:
        ValueError: An argument is out of range.

    Example:
        >>> [round(x, 6) for x in friction_of(*momentum_of(friction=2.0, step=0.1))]
        [2.0, 0.1]
    """
    check_steps(rate, 1, "rate")
    check_momentum(momentum)
    step = (2 * rate / (1 + momentum)) ** 0.5
    return 2 * (1 - momentum) / ((1 + momentum) * step), step


def couple(momentum: float, ratio: float) -> float:
    """The momentum that keeps the friction when the learning rate is multiplied.

    `1 - (1 - momentum) sqrt(ratio)`, at least 0. With `momentum = 1 - friction step` and
    `rate = step^2`, Nesterov's case, the friction stays exactly; for the leapfrog it changes by a
    factor of `sqrt((1 + momentum) / (1 + new momentum))`, 1.3 % from 0.9 to 0.95.

    Args:
        momentum: Momentum before, in [0, 1].
        ratio: New learning rate divided by the old one, at least 0.

    Raises:
        ValueError: An argument is out of range.

    Example:
        >>> couple(0.9, ratio=0.25)
        0.95
    """
    check_momentum(momentum)
    if not ratio >= 0:
        raise ValueError(f"`ratio` must be at least 0. Received: {ratio=}.")
    return max(0.0, 1 - (1 - momentum) * ratio**0.5)


def check_steps(size, steps, name):
    """Refuses a step size that is not positive, and less than one step."""
    if not size > 0:
        raise ValueError(f"`{name}` must be above 0. Received: {name}={size}.")
    if not (isinstance(steps, int | np.integer) and steps >= 1):
        raise ValueError(f"`steps` must be an integer of at least 1. Received: {steps=}.")


def check_momentum(momentum):
    """Refuses a momentum outside [0, 1]."""
    if not 0 <= momentum <= 1:
        raise ValueError(f"`momentum` must be in [0, 1]. Received: {momentum=}.")


def check_friction(friction):
    """Refuses a negative friction."""
    if not friction >= 0:
        raise ValueError(f"`friction` must be at least 0. Received: {friction=}.")


def _heavy_ball(gradient, x, v, rate, momentum, steps):
    path = [(x, v)]
    for _ in range(steps):
        v = momentum * v - rate * gradient(x)
        x = x + v
        path.append((x, v))
    return [np.stack(part) for part in zip(*path, strict=True)]


def _mean_velocity(gradient, x, h, friction, step):
    mean = h
    for _ in range(500):
        # h' = 2 mean - h, so the rule for h' is one for the mean; the friction is solved exactly.
        new = (h - step / 2 * gradient(x + step / 2 * mean)) / (1 + friction * step / 2)
        if np.allclose(new, mean, rtol=1e-15, atol=1e-15):
            return new
        mean = new
    raise ValueError(
        "`step` must be small enough for the midpoint equation to converge. "
        f"Received: {step=}, at position {np.array2string(x, threshold=5)}."
    )
