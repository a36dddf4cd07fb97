"""Where momentum converges, and how fast: the roots of its recurrence on a parabola.

On `L = h theta^2 / 2` a step of momentum is linear, and with `a = rate h`,
`b = momentum (1 - reach a)` its characteristic equation is `z^2 - (1 - a + b) z + b = 0`. The
larger modulus of the roots is the factor by which the distance shrinks in a step; the steps
converge where it is below 1.
"""

from dataclasses import dataclass

import numpy as np

from taolu.nn.optimizers.dynamics import check_momentum


@dataclass(frozen=True)
class StabilityRegion:
    """Convergence over a grid of settings.

    Args:
        curved_rates: Float (columns,), learning rate times curvature.
        momenta: Float (rows,).
        factor: Float (rows, columns), shrinking per step; below 1 where the steps converge.
        reach: How far ahead the gradient is taken: 0 plain momentum, 1 Nesterov.
    """

    curved_rates: np.ndarray
    momenta: np.ndarray
    factor: np.ndarray
    reach: float


def convergence_factor(curved_rate, momentum, reach: float = 0.0) -> np.ndarray:
    """The factor by which the distance to the minimum shrinks in a step, in the long run.

    Args:
        curved_rate: Learning rate times curvature, float of any shape.
        momentum: Momentum, of a shape that broadcasts with it.
        reach: How far ahead the gradient is taken: 0 plain momentum, 1/2 balanced, 1 Nesterov.

    Returns:
        Float array; sqrt(momentum) for plain momentum where the roots are complex.

    Example:
        >>> float(convergence_factor(0.01, 0.9).round(6))
        0.948683
        >>> float(convergence_factor(0.01, 0.0))
        0.99
    """
    curved_rate, momentum = np.broadcast_arrays(
        np.asarray(curved_rate, dtype=np.float64), np.asarray(momentum, dtype=np.float64)
    )
    product = momentum * (1 - reach * curved_rate)
    half_sum = (1 - curved_rate + product) / 2
    under_root = half_sum**2 - product
    real = np.abs(half_sum) + np.sqrt(np.maximum(under_root, 0))
    # Complex roots are conjugate: the square of their modulus is their product.
    return np.where(under_root >= 0, real, np.sqrt(np.maximum(product, 0)))


def stability_region(curved_rates, momenta, reach: float = 0.0) -> StabilityRegion:
    """Convergence for every pair of a learning rate and a momentum.

    Args:
        curved_rates: Learning rates times curvature, float (columns,), above 0.
        momenta: Momenta, float (rows,), in [0, 1].
        reach: How far ahead the gradient is taken.

    Raises:
        ValueError: A rate or a momentum is out of range.

    Example:
        >>> region = stability_region([1.0, 3.0, 5.0], [0.0, 0.9])
        >>> region.factor < 1
        array([[ True, False, False],
               [ True,  True, False]])
    """
    curved_rates, momenta = (np.asarray(x, dtype=np.float64) for x in (curved_rates, momenta))
    if not (curved_rates.ndim == 1 and (curved_rates > 0).all()):
        raise ValueError(f"`curved_rates` must be a row above 0. Received: {curved_rates}.")
    for momentum in momenta:
        check_momentum(momentum)
    factor = convergence_factor(curved_rates[None, :], momenta[:, None], reach)
    return StabilityRegion(curved_rates, momenta, factor, reach)
