"""HMM, MEMM and CRF in one algebra: each is a chain of scores, and differs only in what they are.

    score(y) = start(y_1) + sum_t scores(t, y_t) + sum_t transitions(y_t-1, y_t) + end(y_T)

- HMM: log p(y_1), log p(x_t | y_t), log p(y_t | y_t-1). Z is p(x).
- CRF: any weights. Z normalises whole paths.
- MEMM: weights that are normalised at every step, so Z is one:
  log p(y_t | y_t-1, x) = f_t(y_t) + g(y_t-1, y_t) - r_t(y_t-1),
  r_t(i) = log sum_j exp(g(i, j) + f_t(j)). The normaliser depends on the state before only, so it
  joins the scores of the step before, and the transitions stay the same at every step.

To decode a MEMM with its raw weights f and g, as some programs do, is to decode a CRF.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from taolu._kernel import kernel
from taolu.chain.forward import Posterior, forward, log_partition
from taolu.chain.ragged import chains
from taolu.chain.viterbi import Path, viterbi


@dataclass(frozen=True)
class LinearChain:
    """Scores of all paths through each of many sequences: what the networks must agree with.

    Args:
        scores: Of each state at each step, float64 (time, states), sequences one behind another.
        transitions: From row to column, float64 (states, states).
        start: Of the first state, float64 (states,); zeros by default.
        end: Of the last state, float64 (states,); zeros by default.
        lengths: Steps of each sequence, int (sequences,); by default one sequence has them all.

    Raises:
        ValueError: Shapes or lengths do not fit, or a score is NaN or plus infinity.

    Example:
        >>> chain = LinearChain([[0.0, 1.0], [2.0, 0.0]], [[0.0, 0.0], [-5.0, 0.0]])
        >>> chain.log_scores([1, 1]).tolist(), chain.viterbi().path.tolist()
        ([1.0], [0, 0])
    """

    scores: np.ndarray
    transitions: np.ndarray
    # Never None once made: `__post_init__` puts in what was left out.
    start: Any = None
    end: Any = None
    lengths: Any = None

    def __post_init__(self) -> None:
        given = chains(self.scores, self.transitions, self.start, self.end, self.lengths)
        for name in ("scores", "transitions", "start", "end"):
            object.__setattr__(self, name, getattr(given, name))
        object.__setattr__(self, "lengths", np.diff(given.bounds))

    def log_scores(self, path) -> np.ndarray:
        """Returns the score of one path through each sequence, float64 (sequences,).

        Args:
            path: States, int (time,).

        Raises:
            ValueError: A state is not in [0, states), or there is not one for each step.
        """
        path = np.asarray(path)
        states = self.scores.shape[1]
        if path.shape != self.scores.shape[:1] or path.dtype.kind not in "iu":
            raise ValueError(
                f"`path` must be whole numbers of shape {self.scores.shape[:1]}. "
                f"Received: {path.dtype}, shape {path.shape}."
            )
        if path.size and not 0 <= path.min() <= path.max() < states:
            raise ValueError(
                f"`path` must lie in [0, {states}). Received: from {path.min()} to {path.max()}."
            )
        steps = self.scores[np.arange(path.size), path]
        first, last = self._ends()
        steps[first] += self.start[path[first]]
        steps[last] += self.end[path[last]]
        inner = np.ones(path.size, dtype=bool)
        inner[first] = False
        steps[inner] += self.transitions[path[:-1][inner[1:]], path[inner]]
        # Adding up from one sequence to the next would spread a minus infinity.
        return np.array([part.sum() for part in np.split(steps, np.cumsum(self.lengths)[:-1])])

    def log_probabilities(self, path) -> np.ndarray:
        """Returns the natural log of the probability of one path through each sequence."""
        return self.log_scores(path) - self.log_partition()

    def viterbi(self, *, threads: int = 1) -> Path:
        """Returns the best path through each sequence; see `chain.viterbi`."""
        return viterbi(**self._arguments(), threads=threads)

    def forward(self, *, threads: int = 1) -> Posterior:
        """Returns log partitions, marginals and entropies; see `chain.forward`."""
        return forward(**self._arguments(), threads=threads)

    def log_partition(self, *, threads: int = 1) -> np.ndarray:
        """Returns the log partition of each sequence, float64 (sequences,)."""
        return log_partition(**self._arguments(), threads=threads)

    def __add__(self, other: "LinearChain") -> "LinearChain":
        """Returns the chain whose scores are the sums: the product of two models."""
        if self.scores.shape != other.scores.shape or not np.array_equal(
            self.lengths, other.lengths
        ):
            raise ValueError(
                "`other` must have the same states, steps and sequences. Received: scores of shape "
                f"{other.scores.shape} for {self.scores.shape}, or other lengths."
            )
        names = ("scores", "transitions", "start", "end")
        return replace(self, **{n: getattr(self, n) + getattr(other, n) for n in names})

    def _arguments(self) -> dict[str, np.ndarray | None]:
        names = ("scores", "transitions", "start", "end", "lengths")
        return {name: getattr(self, name) for name in names}

    def _ends(self) -> tuple[np.ndarray, np.ndarray]:
        """First and last steps of the sequences that have any."""
        last = np.cumsum(self.lengths)[self.lengths > 0] - 1
        return last + 1 - self.lengths[self.lengths > 0], last


def hmm_chain(start, transition, emission, *, end=None, lengths=None) -> LinearChain:
    """Returns the chain of a hidden Markov model, for the observations of which it has the scores.

    Its log partition is the log likelihood of the observations.

    Args:
        start: Probability of the first state, (states,).
        transition: Probability of the state of the column after that of the row, (states, states).
        emission: Natural log of the probability of each observation in each state,
            (time, states).
        end: Probability that a sequence ends after each state, (states,). By default sequences
            are cut off from outside, and all ends are alike.
        lengths: Steps of each sequence, int (sequences,).

    Raises:
        ValueError: A probability is negative or NaN, those of a row do not add up to 1, or an
            argument does not fit.

    Example:
        >>> emission = np.log([[0.5, 0.1], [0.4, 0.3], [0.1, 0.6]])
        >>> chain = hmm_chain([0.6, 0.4], [[0.7, 0.3], [0.4, 0.6]], emission)
        >>> round(float(np.exp(chain.log_partition()[0])), 5)
        0.03628
    """
    first, onward = _log("start", start), _log("transition", transition)
    last = None if end is None else _log("end", end)
    rows = np.asarray(transition, dtype=np.float64).sum(axis=-1)
    _check_sums("start", np.sum(start))
    _check_sums("transition", rows if end is None else rows + np.asarray(end))
    return LinearChain(emission, onward, first, last, lengths)


def crf_chain(scores, transitions, *, start=None, end=None, lengths=None) -> LinearChain:
    """Returns the chain of a conditional random field: the weights are the scores.

    Args:
        scores: f_t(j), float64 (time, states).
        transitions: g(i, j), float64 (states, states).
        start: Of the first state, float64 (states,).
        end: Of the last state, float64 (states,).
        lengths: Steps of each sequence, int (sequences,).
    """
    return LinearChain(scores, transitions, start, end, lengths)


def memm_chain(scores, transitions, *, lengths=None) -> LinearChain:
    """Returns the chain of a maximum entropy Markov model, normalised at every step.

    p(y_1) = softmax f_1, p(y_t | y_t-1) = softmax(f_t + g(y_t-1, .)). Its log partition is zero.

    Args:
        scores: f_t(j), float64 (time, states).
        transitions: g(i, j), float64 (states, states).
        lengths: Steps of each sequence, int (sequences,).

    Example:
        >>> chain = memm_chain([[0.0, 1.0], [2.0, 0.0]], [[0.0, 3.0], [1.0, 0.0]])
        >>> bool(abs(chain.log_partition()[0]) < 1e-12)
        True

    References:
        McCallum, Freitag, Pereira, Maximum entropy Markov models, 2000.
    """
    raw = LinearChain(scores, transitions, lengths=lengths)
    normalised = raw.scores.copy()
    _normalise(raw.scores, raw.transitions, _bounds(raw), normalised)
    return replace(raw, scores=normalised)


def backward_memm_chain(scores, transitions, *, lengths=None) -> LinearChain:
    """Returns the MEMM that runs from the last step to the first, with the same weights.

    p(y_T) = softmax f_T, p(y_t | y_t+1) = softmax(f_t + g(., y_t+1)). The two directions of a
    bidirectional MEMM are `memm_chain` and this one; their product is `memm + backward_memm`.

    Args:
        scores: f_t(j), float64 (time, states).
        transitions: g(i, j), float64 (states, states), from the earlier state to the later.
        lengths: Steps of each sequence, int (sequences,).
    """
    raw = LinearChain(scores, transitions, lengths=lengths)
    turned = np.ascontiguousarray(raw.scores[::-1])
    normalised = turned.copy()
    bounds = len(turned) - _bounds(raw)[::-1]
    _normalise(turned, np.ascontiguousarray(raw.transitions.T), bounds, normalised)
    return replace(raw, scores=normalised[::-1])


def _bounds(chain: LinearChain) -> np.ndarray:
    return np.concatenate([[0], np.cumsum(chain.lengths)]).astype(np.int64)


def _check_sums(name: str, sums) -> None:
    if not np.allclose(sums, 1.0, rtol=0.0, atol=1e-6):
        raise ValueError(
            f"`{name}` must add up to 1 in each row, where there are ends together with `end`. "
            f"Received: sums from {np.min(sums):.6g} to {np.max(sums):.6g}."
        )


def _log(name: str, probabilities) -> np.ndarray:
    probabilities = np.asarray(probabilities, dtype=np.float64)
    if not (probabilities >= 0).all():
        raise ValueError(
            f"`{name}` must be probabilities, not negative and not NaN. "
            f"Received: least {probabilities.min()}."
        )
    return np.log(probabilities, where=probabilities > 0, out=np.full_like(probabilities, -np.inf))


@kernel
def _normalise(scores, transitions, bounds, normalised):
    states = scores.shape[1]
    terms = np.empty(states)
    for s in range(bounds.size - 1):
        for t in range(bounds[s], bounds[s + 1]):
            sources = 1 if t == bounds[s] else states
            for i in range(sources):
                for j in range(states):
                    terms[j] = scores[t, j]
                    if t > bounds[s]:
                        terms[j] += transitions[i, j]
                high = terms.max()
                total = high
                if high > -np.inf:
                    total += np.log(np.exp(terms - high).sum())
                if t > bounds[s]:
                    # A state from which nothing is possible has no probability to share out.
                    normalised[t - 1, i] -= total if total > -np.inf else 0.0
                elif total > -np.inf:
                    for j in range(states):
                        normalised[t, j] -= total
