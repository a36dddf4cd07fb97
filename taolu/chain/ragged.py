"""Sequences of different lengths, one behind another in one array, and the checks of it.

A batch is never padded: step `t` of sequence `s` is row `bounds[s] + t`. Sequences are shared out
over threads in runs of about equally many steps; each thread writes rows of its own, so the result
does not depend on their number.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

FORBIDDEN = -1e12


@dataclass(frozen=True)
class Chains:
    """Checked scores of a batch of sequences; what the kernels take.

    Attributes:
        scores: float64 (time, states).
        transitions: float64 (states, states); row the state before, column the state after.
        start: float64 (states,).
        end: float64 (states,).
        bounds: int64 (sequences + 1,), first steps of the sequences, and the end.
    """

    scores: np.ndarray
    transitions: np.ndarray
    start: np.ndarray
    end: np.ndarray
    bounds: np.ndarray

    def share(self, work: Callable[[int, int], object], threads: int) -> list:
        """Runs `work(first, last)` on runs of sequences, and returns what it returned, in order."""
        if threads < 1:
            raise ValueError(f"`threads` must be at least 1. Received: threads={threads}.")
        places = np.linspace(0, self.bounds[-1], threads + 1)
        edges = np.unique(np.searchsorted(self.bounds, places))
        edges[-1] = self.bounds.size - 1  # empty sequences may stand at the end
        spans = list(pairwise(edges)) or [(0, self.bounds.size - 1)]
        if len(spans) == 1:
            return [work(*spans[0])]
        with ThreadPoolExecutor(len(spans)) as pool:
            return list(pool.map(lambda span: work(*span), spans))


def chains(scores, transitions, start=None, end=None, lengths=None) -> Chains:
    """Returns the arrays as the kernels take them.

    Args:
        scores: Of each state at each step, (time, states); minus infinity is allowed.
        transitions: From row to column, (states, states); minus infinity is allowed.
        start: Of the first state, (states,); zeros by default.
        end: Of the last state, (states,); zeros by default.
        lengths: Steps of each sequence, (sequences,); by default one sequence has them all.

    Raises:
        ValueError: A shape does not fit, a length is negative, or a score is NaN or plus infinity.
    """
    scores = _scores("scores", scores)
    if scores.ndim != 2 or not scores.shape[1]:
        raise ValueError(
            f"`scores` must have the shape (time, states). Received: shape {scores.shape}."
        )
    states = scores.shape[1]
    transitions = _shaped("transitions", transitions, (states, states))
    start = _shaped("start", np.zeros(states) if start is None else start, (states,))
    end = _shaped("end", np.zeros(states) if end is None else end, (states,))
    return Chains(scores, transitions, start, end, bounds_of(lengths, len(scores)))


def bounds_of(lengths, time: int) -> np.ndarray:
    """Returns where sequences of these lengths begin, and the end, int64 (sequences + 1,).

    Args:
        lengths: Steps of each sequence, int (sequences,), or None for one sequence.
        time: Steps of all.

    Raises:
        ValueError: The lengths are negative or do not add up.
    """
    lengths = np.array([time]) if lengths is None else np.asarray(lengths)
    if lengths.ndim != 1 or (lengths.size and lengths.dtype.kind not in "iu"):
        raise ValueError(
            "`lengths` must be one whole number for each sequence. "
            f"Received: {lengths.dtype}, shape {lengths.shape}."
        )
    if (lengths.size and lengths.min() < 0) or lengths.sum() != time:
        raise ValueError(
            f"`lengths` must not be negative and must add up to the {time} steps there are. "
            f"Received: sum {lengths.sum()}, least {lengths.min() if lengths.size else None}."
        )
    return np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)


def penalties(allowed, penalty: float = FORBIDDEN) -> np.ndarray:
    """Returns scores that forbid: 0 where allowed, a large negative number elsewhere.

    Added to `scores`, `transitions`, `start` or `end`, they keep the best path legal. The penalty
    is finite, so a text without a legal path still gets the path that breaks fewest rules, and a
    gradient through the sum over paths is not NaN. The score of a path tells how many rules it
    breaks: `round(score / FORBIDDEN)`.

    Args:
        allowed: bool, any shape.
        penalty: What a broken rule costs; scores of legal paths must be far smaller.

    Example:
        >>> penalties([True, False])
        array([ 0.e+00, -1.e+12])
    """
    return np.where(np.asarray(allowed, dtype=bool), 0.0, float(penalty))


def _scores(name: str, values) -> np.ndarray:
    values = np.ascontiguousarray(values, dtype=np.float64)
    # One pass without a temporary: NaN and plus infinity both survive a maximum.
    highest = values.max(initial=-np.inf)
    if not highest < np.inf:
        raise ValueError(f"`{name}` must be below infinity and not NaN. Received: {highest}.")
    return values


def _shaped(name: str, values, shape: tuple[int, ...]) -> np.ndarray:
    values = _scores(name, values)
    if values.shape != shape:
        raise ValueError(
            f"`{name}` must have the shape {shape}, as `scores` has {shape[-1]} states. "
            f"Received: shape {values.shape}."
        )
    return values
