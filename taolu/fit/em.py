"""The loop of expectation maximisation, and its promise never to get worse.

Part of the story, Y, is hidden. EM brings two joint distributions together, the data completed by a
guess, and the model:

    min  KL( p~(X) p~(Y|X) || p_θ(X|Y) p_θ(Y) )

    E:  p~(Y|X) = p_θ(X, Y) / Σ_Y p_θ(X, Y)          the best guess, the parameters fixed
    M:  θ = argmax E_X Σ_Y p~(Y|X) log p_θ(X, Y)     the best parameters, the guess fixed

Neither step can raise the divergence, so the log-likelihood never falls. The divergence is the
negative log-likelihood up to the entropy of the data, a constant. This file knows the loop only;
`mixture` and `hmm` bring the two steps.
"""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

SLACK = 1e-10  # a fall this small, relative to the log-likelihood, is rounding


@dataclass(frozen=True)
class EMResult:
    """Where EM arrived.

    Args:
        parameters: The parameters after the last M-step, of whatever type the steps use.
        log_likelihoods: Mean log-likelihood of one observation, in nats, float64
            (iterations + 1,): at the start, then after each iteration. The last value belongs to
            `parameters`.
        converged: True if the last gain was below the tolerance; False if the iterations ran out.
        statistics: What the E-step said of `parameters`: another M-step may go on from it.
    """

    parameters: Any
    log_likelihoods: np.ndarray
    converged: bool
    statistics: Any = None

    @property
    def log_likelihood(self) -> float:
        """Mean log-likelihood of one observation under `parameters`, in nats."""
        return float(self.log_likelihoods[-1])

    @property
    def iterations(self) -> int:
        """How many M-steps were taken."""
        return len(self.log_likelihoods) - 1


@dataclass(frozen=True)
class Best:
    """The best of several runs of EM.

    Args:
        result: The run of the highest final log-likelihood; the first, if several are equal.
        log_likelihoods: Final mean log-likelihoods of all runs, in nats, float64 (runs,).
    """

    result: EMResult
    log_likelihoods: np.ndarray


def em(
    parameters: Any,
    e_step: Callable[[Any], tuple[float, Any]],
    m_step: Callable[[Any, Any], Any],
    *,
    tolerance: float = 1e-3,
    iterations: int = 100,
    observations: float = 1,
    slack: float = SLACK,
    callback: Callable[[int, float, Any], object] | None = None,
) -> EMResult:
    """Parameters that the two steps lead to, with the log-likelihood of every iteration.

    It stops when an iteration changes the mean log-likelihood of one observation by less than
    `tolerance` (scikit-learn's rule), or after `iterations`. A fall larger than rounding is an
    error: the steps do not belong to the same model. Steps that regularise keep the promise only
    for a penalised objective; let `e_step` return that, or allow a fall by `slack`.

    Args:
        parameters: Where to start.
        e_step: From parameters to the log-likelihood of all data, in nats, and what the M-step
            needs to know: the expected statistics.
        m_step: From these statistics and the old parameters to better parameters.
        tolerance: Smallest change of the mean log-likelihood worth another iteration, in nats;
            with 0 all iterations are run.
        iterations: Most M-steps to take; with 0 only the start is judged.
        observations: How many observations the log-likelihood speaks of: what the mean divides by.
        slack: Largest fall that is forgiven, as a share of 1 + |mean log-likelihood|; `math.inf`
            forgives every fall.
        callback: Called with (iteration, mean log-likelihood, parameters) at the start, iteration
            0, and after each iteration: for progress, or to keep a trace.

    Returns:
        The last parameters, the history of means, and whether the tolerance was met.

    Raises:
        ValueError: An option is out of range, the log-likelihood is not finite, or it fell.

    Example:
        Two coins of unknown bias; each time one was tossed ten times, and nobody wrote down which.

        >>> heads = np.array([8.0, 7.0, 2.0])
        >>> def e_step(bias):
        ...     likelihoods = bias ** heads[:, None] * (1 - bias) ** (10 - heads[:, None]) / 2
        ...     evidence = likelihoods.sum(axis=1)
        ...     return np.log(evidence).sum(), likelihoods / evidence[:, None]
        >>> def m_step(shares, bias):
        ...     return heads @ shares / (10 * shares.sum(axis=0))
        >>> em(np.array([0.6, 0.4]), e_step, m_step, iterations=1).parameters.round(4)
        array([0.7281, 0.3124])
        >>> result = em(np.array([0.6, 0.4]), e_step, m_step, tolerance=1e-9, observations=3)
        >>> result.parameters.round(4), result.converged
        (array([0.7497, 0.2018]), True)

    References:
        Su Jianlin, 从最大似然到EM算法: 一致的理解方式, spaces.ac.cn/archives/5239, 2018.
        Dempster, Laird, Rubin, Maximum likelihood from incomplete data via the EM algorithm, 1977.
    """
    _check_options(tolerance, iterations, observations, slack)
    total, statistics = e_step(parameters)
    history = [_mean(total, observations, 0)]
    converged = False
    if callback is not None:
        callback(0, history[0], parameters)
    while len(history) <= iterations and not converged:
        parameters = m_step(statistics, parameters)
        total, statistics = e_step(parameters)
        history.append(_mean(total, observations, len(history)))
        _check_promise(history, slack)
        converged = abs(history[-1] - history[-2]) < tolerance
        if callback is not None:
            callback(len(history) - 1, history[-1], parameters)
    return EMResult(parameters, np.array(history), converged, statistics)


def best_of(starts: Iterable[Any], run: Callable[[Any], EMResult]) -> Best:
    """The run that ends with the highest log-likelihood, over several starts.

    EM climbs to a local optimum, so a hard problem deserves several starts. They are drawn one by
    one: a generator of random starts costs the memory of one.

    Args:
        starts: Where to start: the parameters of each run, or whatever `run` takes.
        run: From a start to the result of `em`.

    Returns:
        The best run, and the final mean log-likelihoods of all.

    Raises:
        ValueError: There is no start.

    Example:
        >>> climb = lambda x: EMResult(x, np.array([-9.0, -abs(x)]), True)
        >>> best = best_of([3, -1, 2], climb)
        >>> best.result.parameters, best.log_likelihoods
        (-1, array([-3., -1., -2.]))
    """
    best: EMResult | None = None
    finals = []
    for start in starts:
        result = run(start)
        finals.append(result.log_likelihood)
        if best is None or result.log_likelihood > best.log_likelihood:
            best = result
    if best is None:
        raise ValueError("`starts` must hold at least one start. Received: none.")
    return Best(best, np.array(finals))


def _check_options(tolerance, iterations, observations, slack) -> None:
    if not tolerance >= 0:
        raise ValueError(f"`tolerance` must be at least 0. Received: tolerance={tolerance}.")
    if iterations != int(iterations) or iterations < 0:
        raise ValueError(
            f"`iterations` must be a whole number, at least 0. Received: iterations={iterations}."
        )
    if not 0 < observations < math.inf:
        raise ValueError(
            f"`observations` must be positive and finite. Received: observations={observations}."
        )
    if not slack >= 0:
        raise ValueError(f"`slack` must be at least 0. Received: slack={slack}.")


def _mean(total, observations, iteration) -> float:
    mean = float(total / observations)
    if not math.isfinite(mean):
        raise ValueError(
            "`e_step` must return a finite log-likelihood; -inf means that the parameters call the "
            f"data impossible. Received: {mean} at iteration {iteration}."
        )
    return mean


def _check_promise(history, slack) -> None:
    before, after = history[-2:]
    if before - after > slack * (1 + abs(before)):
        raise ValueError(
            "`m_step` must never lower the log-likelihood of `e_step`; if it regularises, let "
            "`e_step` return the penalised objective, or allow the fall by `slack`. Received: a "
            f"fall from {before:.12g} to {after:.12g} nats at iteration {len(history) - 1}."
        )
