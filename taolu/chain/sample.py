"""Paths drawn from the distribution of a chain.

The last state is drawn from alpha_T(j) exp end(j), and each state before it from
alpha_t(i) exp transitions(i, y_t+1): sums run forward, draws run back.
"""

import numpy as np

from taolu._kernel import kernel
from taolu.chain.forward import log_alphas
from taolu.chain.ragged import chains


def sample(scores, transitions, rng, size: int = 1, *, start=None, end=None) -> np.ndarray:
    """Returns paths drawn from p(y), through one sequence.

    Args:
        scores: Of each state at each step, float64 (time, states).
        transitions: From row to column, float64 (states, states).
        rng: A NumPy Generator.
        size: How many paths.
        start: Added for the first state, float64 (states,).
        end: Added for the last state, float64 (states,).

    Returns:
        States, int32 (size, time).

    Raises:
        ValueError: No path is possible, or an argument does not fit.

    Example:
        >>> stay = [[0.0, -np.inf], [-np.inf, 0.0]]
        >>> paths = sample([[0.0, 0.0]] * 3, stay, np.random.default_rng(0), size=4)
        >>> bool((paths == paths[:, :1]).all())
        True
    """
    if size < 0:
        raise ValueError(f"`size` must not be negative. Received: size={size}.")
    given = chains(scores, transitions, start, end)
    alpha, log_z = log_alphas(given)
    if log_z == -np.inf:
        raise ValueError(
            "`scores` and `transitions` must leave at least one path possible. "
            "Received: every path scores minus infinity."
        )
    paths = np.empty((size, len(alpha)), dtype=np.int32)
    _draw(alpha, given.transitions, given.end, rng.random(paths.shape), paths)
    return paths


@kernel
def _draw(alpha, transitions, end, uniform, paths):
    time, states = alpha.shape
    logs = np.empty(states)
    for n in range(paths.shape[0]):
        for t in range(time - 1, -1, -1):
            for i in range(states):
                onward = end[i] if t == time - 1 else transitions[i, paths[n, t + 1]]
                logs[i] = alpha[t, i] + onward
            high = logs.max()
            total = 0.0
            for i in range(states):
                logs[i] = np.exp(logs[i] - high)
                total += logs[i]
            left = uniform[n, t] * total
            # Rounding may leave a crumb at the end: the last possible state takes it.
            for i in range(states):
                if logs[i] > 0.0:
                    paths[n, t] = i
                    left -= logs[i]
                    if left < 0.0:
                        break
