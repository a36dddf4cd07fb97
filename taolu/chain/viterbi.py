"""The best path through a chain of states, and the k best ones.

    score(y) = start(y_1) + sum_t scores(t, y_t) + sum_t transitions(y_t-1, y_t) + end(y_T)
    best_t(j) = max_i best_t-1(i) + transitions(i, j) + scores(t, j)

Scores are log probabilities, weights, anything that adds up: minus infinity forbids. Of several
best paths the first is taken, in the order of the last states, then of the states before them.
"""

from dataclasses import dataclass

import numpy as np

from taolu._kernel import kernel
from taolu.chain.ragged import Chains, chains


@dataclass(frozen=True)
class Path:
    """The best path through each sequence.

    Attributes:
        path: States, int32 (time,), sequences one behind another.
        score: Its score; a float, or float64 (sequences,) where `lengths` were given.
    """

    path: np.ndarray
    score: float | np.ndarray


@dataclass(frozen=True)
class KBest:
    """The k best paths through one sequence, best first; fewer where there are fewer.

    Attributes:
        paths: States, int32 (found, time).
        scores: float64 (found,), never rising.
    """

    paths: np.ndarray
    scores: np.ndarray


def viterbi(scores, transitions, *, start=None, end=None, lengths=None, threads: int = 1) -> Path:
    """Returns the path with the highest score through one sequence, or through each of many.

    A sequence without steps has the score 0. One whose paths all score minus infinity has that
    score, and its path means nothing. Takes time * states**2 steps.

    Args:
        scores: Of each state at each step, float64 (time, states). Sequences stand one behind
            another.
        transitions: From the state of the row to that of the column, float64 (states, states).
        start: Added for the first state, float64 (states,).
        end: Added for the last state, float64 (states,).
        lengths: Steps of each sequence, int (sequences,); by default one sequence has them all.
        threads: Sequences are shared out over so many threads.

    Raises:
        ValueError: Shapes or lengths do not fit, or a score is NaN or plus infinity.

    Example:
        >>> found = viterbi([[0.0, 1.0], [2.0, 0.0]], [[0.0, 0.0], [-5.0, 0.0]])
        >>> found.path, found.score
        (array([0, 0], dtype=int32), 2.0)

    References:
        Viterbi, Error bounds for convolutional codes, 1967.
    """
    given = chains(scores, transitions, start, end, lengths)
    path = np.empty(len(given.scores), dtype=np.int32)
    score = np.empty(given.bounds.size - 1, dtype=np.float64)

    def work(first: int, last: int) -> None:
        bounds = given.bounds[first : last + 1]
        _viterbi(*_tables(given), bounds, path, score[first:last])

    given.share(work, threads)
    return Path(path, float(score[0]) if lengths is None else score)


def k_best(scores, transitions, k: int, *, start=None, end=None) -> KBest:
    """Returns the k paths with the highest scores through one sequence.

    Paths that score minus infinity are left out. Takes time * states**2 * k steps times log(k)
    and time * states * k memory.

    Args:
        scores: Of each state at each step, float64 (time, states).
        transitions: From row to column, float64 (states, states).
        k: How many paths.
        start: Added for the first state, float64 (states,).
        end: Added for the last state, float64 (states,).

    Raises:
        ValueError: `k` is below 1, shapes do not fit, or a score is NaN or plus infinity.

    Example:
        >>> found = k_best([[0.0, 1.0], [2.0, 0.0]], [[0.0, 0.0], [-5.0, 0.0]], k=2)
        >>> found.paths.tolist(), found.scores.tolist()
        ([[0, 0], [1, 1]], [2.0, 1.0])
    """
    if k < 1:
        raise ValueError(f"`k` must be at least 1. Received: k={k}.")
    given = chains(scores, transitions, start, end)
    time, states = given.scores.shape
    if not time:
        return KBest(np.empty((1, 0), dtype=np.int32), np.zeros(1))
    k = min(k, states**time) if time * np.log(states) < 40 else k
    best = np.empty((2, states, k))
    back = np.empty((time, states, k), dtype=np.int64)
    paths = np.empty((k, time), dtype=np.int32)
    found = np.empty(k)
    count = _k_best(
        given.scores, given.transitions, given.start, given.end, best, back, paths, found
    )
    return KBest(paths[:count], found[:count])


def _tables(given: Chains):
    """The arrays, transitions turned: the kernel walks over the states before."""
    turned = np.ascontiguousarray(given.transitions.T)
    return given.scores, turned, given.start, given.end


@kernel
def _viterbi(scores, turned, start, end, bounds, path, score):
    states = scores.shape[1]
    longest = np.max(bounds[1:] - bounds[:-1]) if bounds.size > 1 else 0
    back = np.empty((longest, states), dtype=np.int32)
    best = np.empty(states)
    after = np.empty(states)
    for s in range(bounds.size - 1):
        begin, stop = bounds[s], bounds[s + 1]
        if begin == stop:
            score[s] = 0.0
            continue
        for j in range(states):
            best[j] = start[j] + scores[begin, j]
        for t in range(begin + 1, stop):
            for j in range(states):
                h = scores[t, j]
                # The sum with h is compared, not that without: where h is huge, as penalties
                # are, paths that then score the same tie by rule and not by lost digits.
                high, at = best[0] + turned[j, 0] + h, 0
                for i in range(1, states):
                    total = best[i] + turned[j, i] + h
                    if total > high:
                        high, at = total, i
                after[j] = high
                back[t - begin, j] = at
            best, after = after, best
        at = 0
        for j in range(states):
            best[j] += end[j]
            if best[j] > best[at]:
                at = j
        score[s] = best[at]
        for t in range(stop - 1, begin - 1, -1):
            path[t] = at
            at = back[t - begin, at] if t > begin else 0


@kernel
def _k_best(scores, transitions, start, end, best, back, paths, found):
    time, states = scores.shape
    k = best.shape[2]
    old, new = best[0], best[1]
    old[:] = -np.inf
    for j in range(states):
        old[j, 0] = start[j] + scores[0, j]
    for t in range(1, time):
        for j in range(states):
            new[j] = -np.inf
            for i in range(states):
                for r in range(k):
                    total = old[i, r] + transitions[i, j] + scores[t, j]
                    if not total > new[j, k - 1]:
                        break  # the rest of this state scores no more
                    _insert(total, i * k + r, new[j], back[t, j])
        old, new = new, old
    found[:] = -np.inf
    last = np.empty(k, dtype=np.int64)
    for j in range(states):
        for r in range(k):
            total = old[j, r] + end[j]
            if not total > found[k - 1]:
                break
            _insert(total, j * k + r, found, last)
    count = 0
    while count < k and found[count] > -np.inf:
        at = last[count]
        for t in range(time - 1, -1, -1):
            paths[count, t] = at // k
            if t > 0:
                at = back[t, at // k, at % k]
        count += 1
    return count


@kernel
def _insert(total, entry, ranked, entries):
    """Puts a total into a falling list, behind its equals; the last one drops out."""
    place = ranked.size - 1
    while place > 0 and ranked[place - 1] < total:
        ranked[place] = ranked[place - 1]
        entries[place] = entries[place - 1]
        place -= 1
    ranked[place] = total
    entries[place] = entry
