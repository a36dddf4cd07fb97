"""Adaptive learning rates as step control: no step may be longer than a bound.

An integrator that wants `step ||g|| <= bound` takes the step `bound / ||g||`. Smoothed over time,

    G <- rho G + (1 - rho) g^2,    theta <- theta - bound g / sqrt(G + epsilon)

which is RMSprop, every coordinate by itself (*vector*), or with the mean square of the whole
gradient (*scalar*), which keeps its direction. Adam adds momentum and corrects the start.
"""

from dataclasses import dataclass

import numpy as np

from taolu.nn.optimizers.dynamics import Gradient, check_steps


@dataclass(frozen=True)
class StepControl:
    """What an integrator would say of every step of a path.

    Args:
        lengths: Float (steps,), distance walked.
        time_steps: Float (steps,), distance over the length of the gradient: the step of an Euler
            method that walks as far.
        errors: Float (steps,), local error: half the step times the change of its velocity, which
            is the difference between the methods of Euler and of Heun.
        too_long: Bool (steps,), True where the distance exceeds the bound.
    """

    lengths: np.ndarray
    time_steps: np.ndarray
    errors: np.ndarray
    too_long: np.ndarray


def step_control(gradient: Gradient, positions, bound: float) -> StepControl:
    """Judges a finished path of descent, of any method without momentum.

    A step d from theta is that of an Euler method for `theta' = -D grad L` with D fixed, so its
    local error is `||d|| / 2` times the relative change of the gradient along d.

    Args:
        gradient: Gradient of the loss, from (width,) to (width,).
        positions: The path, float (steps + 1, width).
        bound: The longest distance that a step should walk, above 0.

    Returns:
        A `StepControl`.

    Raises:
        ValueError: `bound` is not above 0, or `positions` holds no step.

    Example:
        >>> path = np.array([[1.0], [0.5], [0.25]])
        >>> control = step_control(lambda x: x, path, bound=0.3)
        >>> control.time_steps, control.errors, control.too_long
        (array([0.5, 0.5]), array([0.125 , 0.0625]), array([ True, False]))
    """
    positions = np.asarray(positions, dtype=np.float64)
    if not (positions.ndim == 2 and len(positions) > 1):
        raise ValueError(
            "`positions` must have the shape (steps + 1, width). "
            f"Received: an array of shape {positions.shape}."
        )
    check_steps(bound, 1, "bound")
    gradients = np.stack([gradient(x) for x in positions])
    moves = np.diff(positions, axis=0)
    lengths, slopes = np.linalg.norm(moves, axis=1), np.linalg.norm(gradients[:-1], axis=1)
    # d = -D g in every coordinate, so D times the change of g is d times its relative change.
    safe = np.where(gradients[:-1] == 0, 1, gradients[:-1])
    relative = np.where(gradients[:-1] == 0, 0, np.diff(gradients, axis=0) / safe)
    errors = np.linalg.norm(moves * relative, axis=1) / 2
    time_steps = np.divide(lengths, slopes, out=np.zeros_like(lengths), where=slopes > 0)
    return StepControl(lengths, time_steps, errors, lengths > bound)


def rmsprop(
    gradient: Gradient, start, rate: float, steps: int, rho: float = 0.9, epsilon: float = 1e-7
) -> np.ndarray:
    """The path of RMSprop, every coordinate with its own step.

    Epsilon stands inside the root, as in Keras. G starts at 0 and is not corrected, so the first
    step is `1 / sqrt(1 - rho)` times as long as the rate. With rho and epsilon 0 only the signs
    of the gradient are left.

    Args:
        gradient: Gradient of the loss, from (width,) to (width,).
        start: First position, float (width,).
        rate: Learning rate, the bound on a coordinate's step, above 0.
        steps: Number of steps, at least 1.
        rho: Share of G that is kept, in [0, 1).
        epsilon: Added to G, at least 0.

    Returns:
        Positions, float (steps + 1, width).

    Raises:
        ValueError: An argument is out of range.

    Example:
        >>> path = rmsprop(lambda x: x, [3.0, -4.0], rate=1.0, steps=2, rho=0.0, epsilon=0.0)
        >>> path.tolist()
        [[3.0, -4.0], [2.0, -3.0], [1.0, -2.0]]
    """
    return _descend(gradient, start, rate, steps, rho, epsilon, np.square)


def scalar_rmsprop(
    gradient: Gradient, start, rate: float, steps: int, rho: float = 0.9, epsilon: float = 1e-7
) -> np.ndarray:
    """The path of RMSprop with one step for all coordinates, along the gradient.

    G follows `||g||^2 / width`, so that steps are as long as those of `rmsprop` on average.

    Args:
        gradient: Gradient of the loss, from (width,) to (width,).
        start: First position, float (width,).
        rate: Learning rate, the bound on the root mean square of a step, above 0.
        steps: Number of steps, at least 1.
        rho: Share of G that is kept, in [0, 1).
        epsilon: Added to G, at least 0.

    Returns:
        Positions, float (steps + 1, width).

    Raises:
        ValueError: An argument is out of range.

    Example:
        >>> path = scalar_rmsprop(lambda x: x, [3.0, 4.0], 1.0, steps=1, rho=0.0, epsilon=0.0)
        >>> (path[0] - path[1]).round(3)
        array([0.849, 1.131])
    """
    return _descend(gradient, start, rate, steps, rho, epsilon, lambda g: np.mean(g**2))


def adam(
    gradient: Gradient,
    start,
    rate: float,
    steps: int,
    *,
    beta_1: float = 0.9,
    beta_2: float = 0.999,
    epsilon: float = 1e-7,
) -> np.ndarray:
    """The path of Adam: momentum over RMSprop, both corrected for their start at zero.

    `theta <- theta - rate m_hat / (sqrt(v_hat) + epsilon')` with
    `epsilon' = epsilon / sqrt(1 - beta_2^t)`, the "epsilon hat" of the paper, as in Keras. It
    stands outside the root: not interchangeable with that of `rmsprop`.

    Args:
        gradient: Gradient of the loss, from (width,) to (width,).
        start: First position, float (width,).
        rate: Learning rate, above 0.
        steps: Number of steps, at least 1.
        beta_1: Share of the momentum that is kept, in [0, 1).
        beta_2: Share of the mean square that is kept, in [0, 1).
        epsilon: Added to the root, at least 0.

    Returns:
        Positions, float (steps + 1, width).

    Raises:
        ValueError: An argument is out of range.

    Example:
        >>> adam(lambda x: x, [5.0, -0.1], rate=0.5, steps=1).round(3).tolist()
        [[5.0, -0.1], [4.5, 0.4]]

    References:
        Diederik Kingma, Jimmy Ba, Adam: A Method for Stochastic Optimization, 2015. Su Jianlin,
        从动力学角度看优化算法(二):自适应学习率算法, 2018 (archives/6234).
    """
    check_steps(rate, steps, "rate")
    _check_shares(epsilon, beta_1=beta_1, beta_2=beta_2)
    x = np.asarray(start, dtype=np.float64)
    m, v, path = np.zeros_like(x), np.zeros_like(x), [x]
    for t in range(1, steps + 1):
        g = gradient(x)
        m, v = beta_1 * m + (1 - beta_1) * g, beta_2 * v + (1 - beta_2) * g**2
        corrected = rate * np.sqrt(1 - beta_2**t) / (1 - beta_1**t)
        x = x - corrected * m / (np.sqrt(v) + epsilon)
        path.append(x)
    return np.stack(path)


def _descend(gradient, start, rate, steps, rho, epsilon, square):
    check_steps(rate, steps, "rate")
    _check_shares(epsilon, rho=rho)
    x = np.asarray(start, dtype=np.float64)
    mean_square, path = 0.0, [x]
    for _ in range(steps):
        g = gradient(x)
        mean_square = rho * mean_square + (1 - rho) * square(g)
        root = np.sqrt(mean_square + epsilon)
        # Where the mean square is zero the gradient is too: no step.
        x = x - rate * np.divide(g, root, out=np.zeros_like(x), where=root > 0)
        path.append(x)
    return np.stack(path)


def _check_shares(epsilon, **shares):
    for name, share in shares.items():
        if not 0 <= share < 1:
            raise ValueError(f"`{name}` must be in [0, 1). Received: {name}={share}.")
    if not epsilon >= 0:
        raise ValueError(f"`epsilon` must be at least 0. Received: {epsilon=}.")
