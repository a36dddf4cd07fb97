"""Parameters of hidden Markov models, what they count, and how counts become parameters."""

from dataclasses import dataclass
from typing import Any

import numpy as np

BLOCK = 2**16  # steps that one thread has in hand at a time
UNKNOWN = -1  # in place of a state
NEGLIGIBLE = 1e-100


@dataclass(frozen=True)
class Parameters:
    """A hidden Markov model.

    Attributes:
        start: Probability of the first state, float64 (states,).
        transition: From row to column, float64 (states, states). With `end`, rows add up to
            1 - end.
        end: Probability that a sequence ends after each state, float64 (states,), or None.
        emission: What a state says; the subclass knows.
    """

    start: np.ndarray
    transition: np.ndarray
    end: np.ndarray | None
    emission: Any


@dataclass(frozen=True)
class Counts:
    """Expected uses of first and last states, transitions, emissions: sufficient statistics."""

    start: np.ndarray
    transition: np.ndarray
    end: np.ndarray
    emission: Any


def agrees(known, states) -> np.ndarray:
    """Returns which states each step may have, bool (time, states)."""
    return (known[:, None] == UNKNOWN) | (known[:, None] == np.arange(states))


def impossible(sequence) -> str:
    """Returns what to say of a sequence that has probability zero."""
    return (
        "`X` must be possible under the model: what a probability of zero forbids cannot be "
        "learned. Give `pseudocount`, or a start without these zeros. "
        f"Received: sequence {sequence} has probability 0."
    )


def maximised(counts: Counts, old: Parameters | None, ends: bool) -> Parameters:
    """Counts divided by their sums; a state that was not used keeps its old row."""
    start = counts.start / counts.start.sum()
    final = counts.end if ends else np.zeros_like(counts.end)
    totals = counts.transition.sum(axis=1) + final
    unused = totals <= 0
    safe = np.where(unused, 1.0, totals)
    transition = counts.transition / safe[:, None]
    end = final / safe if ends else None
    if unused.any():
        k = len(start)
        transition[unused] = 1.0 / k if old is None else old.transition[unused]
        if end is not None and old is not None and old.end is not None:
            end[unused] = old.end[unused]
    # EM would take these to zero one factor at a time, and never back.
    transition[transition < NEGLIGIBLE] = 0.0
    return Parameters(start, np.ascontiguousarray(transition), end, None)


def blocks(bounds, first, last):
    """Runs of sequences of about BLOCK steps."""
    while first < last:
        stop = int(np.searchsorted(bounds, bounds[first] + BLOCK, side="right")) - 1
        stop = min(max(stop, first + 1), last)
        yield first, stop
        first = stop


def probabilities(name, given, guess) -> np.ndarray:
    """Returns what the user gave, checked; or the guess where nothing was given."""
    if given is None:
        return guess
    given = np.array(given, dtype=np.float64)
    if given.shape != guess.shape:
        raise ValueError(f"`{name}` must have the shape {guess.shape}. Received: {given.shape}.")
    sums = given.sum(axis=-1)
    if not ((given >= 0).all() and (abs(sums - 1) < 1e-6).all()):
        raise ValueError(
            f"`{name}` must hold probabilities whose rows add up to 1. "
            f"Received: least {given.min():g}, sums from {sums.min():g} to {sums.max():g}."
        )
    return given
