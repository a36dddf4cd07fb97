"""The sum over all paths through a chain of states, and what it says about each step.

    Z = sum over paths y of exp(score(y)),   p(y) = exp(score(y)) / Z
    alpha_t(j) = (sum_i alpha_t-1(i) exp transitions(i, j)) exp scores(t, j)

The sums run over probabilities that are scaled to one at every step, as that takes one exponential
for each state instead of one for each pair. Where a number that is not zero would be lost by it,
the sequence is done again with logarithms of sums: slower, and exact at any scale.
"""

from dataclasses import dataclass

import numpy as np

from taolu._kernel import kernel
from taolu.chain.ragged import Chains, chains, penalties
from taolu.chain.viterbi import viterbi

# A state below this share is not trusted to be scaled; one e**NEVER times rarer is impossible.
_LEAST = 1e-250
_NEVER = -1e9
_FEW, _MANY = 1e-30, 1e30


@dataclass(frozen=True)
class Posterior:
    """The distribution over the paths through each sequence.

    Attributes:
        log_partition: Natural log of Z; a float, or float64 (sequences,) where `lengths` were
            given. Minus infinity where no path is possible; then the rest is zero.
        marginals: Probability of each state at each step, float64 (time, states).
        transitions: Expected uses of each transition in all sequences, float64 (states, states).
        entropy: Of the paths, in nats; shaped like `log_partition`.
    """

    log_partition: float | np.ndarray
    marginals: np.ndarray
    transitions: np.ndarray
    entropy: float | np.ndarray


def forward(
    scores, transitions, *, start=None, end=None, lengths=None, threads: int = 1
) -> Posterior:
    """Returns log partition, marginals, expected transitions and entropy, for one sequence or many.

    The log probability of a path is its score less `log_partition`. A sequence without steps has
    one path, the empty one. Takes time * states**2 steps.

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
        >>> found = forward(np.log([[3.0, 1.0], [1.0, 1.0]]), np.zeros((2, 2)))
        >>> round(float(np.exp(found.log_partition)), 6), found.marginals.round(6).tolist()
        (8.0, [[0.75, 0.25], [0.5, 0.5]])

    References:
        Rabiner, A tutorial on hidden Markov models, 1989.
    """
    given = chains(scores, transitions, start, end, lengths)
    sequences = given.bounds.size - 1
    marginals = np.zeros_like(given.scores)
    sums = np.zeros((sequences, 2))  # log partition, entropy

    def work(first: int, last: int) -> np.ndarray:
        pairs = np.zeros_like(given.transitions)
        bounds = given.bounds[first : last + 1]
        tables = given.transitions, given.start, given.end
        _forward(given.scores, tables, bounds, marginals, pairs, sums[first:last])
        return pairs

    pairs = np.add.reduce(given.share(work, threads), axis=0)
    log_partition, entropy = sums.T
    # A sum of many terms may end a rounding error below zero; an entropy may not.
    entropy = np.maximum(entropy, 0.0)
    if lengths is None:
        return Posterior(float(log_partition[0]), marginals, pairs, float(entropy[0]))
    return Posterior(log_partition, marginals, pairs, entropy)


def log_partition(scores, transitions, *, start=None, end=None, lengths=None, threads: int = 1):
    """Returns the natural log of the sum over paths of exp(score), without the rest of `forward`.

    Args:
        scores: As for `forward`, and so are the other arguments.

    Returns:
        A float, or float64 (sequences,) where `lengths` are given.

    Example:
        >>> found = log_partition(np.log([[3.0, 1.0], [1.0, 1.0]]), np.zeros((2, 2)))
        >>> round(float(np.exp(found)), 6)
        8.0
    """
    given = chains(scores, transitions, start, end, lengths)
    sums = np.zeros(given.bounds.size - 1)

    def work(first: int, last: int) -> None:
        tables = given.transitions, given.start, given.end
        _log_partition(given.scores, tables, given.bounds[first : last + 1], sums[first:last])

    given.share(work, threads)
    return float(sums[0]) if lengths is None else sums


def posterior_decode(marginals, allowed=None, *, lengths=None) -> np.ndarray:
    """Returns the states that are expected to be right at most steps, int32 (time,).

    Each step takes its likeliest state. The path as a whole may be impossible, unless `allowed`
    says which neighbours are legal: then the legal path with the largest sum of marginals is taken.

    Args:
        marginals: Probability of each state at each step, float64 (time, states).
        allowed: Which transitions are legal, bool (states, states).
        lengths: Steps of each sequence, int (sequences,).

    Example:
        >>> posterior_decode([[0.4, 0.6], [0.7, 0.3]])
        array([1, 0], dtype=int32)
        >>> posterior_decode([[0.4, 0.6], [0.7, 0.3]], [[True, True], [False, True]])
        array([0, 0], dtype=int32)
    """
    marginals = np.asarray(marginals, dtype=np.float64)
    if allowed is None:
        allowed = np.ones((marginals.shape[-1],) * 2, dtype=bool)
    return viterbi(marginals, penalties(allowed), lengths=lengths).path


def log_alphas(given: Chains) -> tuple[np.ndarray, float]:
    """Returns the logs of the sums over paths up to each state, and log Z, of one sequence.

    Args:
        given: Checked scores of one sequence.

    Returns:
        float64 (time, states), and a float.
    """
    alpha = np.empty_like(given.scores)
    tables = given.transitions, given.start, given.end
    return alpha, float(_log_forward(given.scores, tables, 0, len(alpha), alpha))


def scaled_sums(weights, tables, bounds, marginals, pairs, log_sums) -> bool:
    """Forward-backward over probabilities, for loops that have them at hand; see `_scaled`.

    Fills the marginals, adds to `pairs`, and sets `log_sums`. The weights are
    probabilities up to a factor for each step, and so are the tables.

    Args:
        weights: float64 (time, states).
        tables: Transitions (states, states), start (states,) and end (states,), float64.
        bounds: int64 (sequences + 1,).
        marginals: Filled, float64 (time, states).
        pairs: Added to, float64 (states, states).
        log_sums: Filled, float64 (sequences,).

    Returns:
        False when a sequence needs logarithms; then what is filled means nothing.
    """
    return bool(_scaled_sums(weights, tables, bounds, marginals, pairs, log_sums))


@kernel
def _forward(scores, tables, bounds, marginals, pairs, sums):
    states = scores.shape[1]
    transitions, start, end = tables
    longest = np.max(bounds[1:] - bounds[:-1]) if bounds.size > 1 else 0
    alpha, weights = np.empty((longest, states)), np.empty((longest, states))
    scale, beta = np.empty(longest), np.empty((2, states))
    powers, first, last, shift = _powers(transitions, start, end)
    own = np.empty((states, states))
    for s in range(bounds.size - 1):
        begin, stop = bounds[s], bounds[s + 1]
        if begin == stop:
            continue
        own[:] = 0.0
        high = _weigh(scores[begin:stop], weights)
        total = -np.inf
        fine = high > -np.inf and shift[0] > -np.inf
        if fine:
            found = _scaled(weights[: stop - begin], (powers, first, last), alpha, scale)
            fine = found > _NEVER / 10
            total = found + high + shift[1] + (stop - begin - 1) * shift[0]
        if fine:
            tail = alpha[: stop - begin], scale[: stop - begin]
            _scaled_back(weights, (powers, last), tail, beta, marginals[begin:stop], own)
            sums[s, 1] = total - _expected(scores, tables, (begin, stop), marginals, own)
        else:
            total = _log_forward(scores, tables, begin, stop, alpha)
            span = begin, stop, total
            sums[s, 1] = _log_back(scores, tables, span, alpha, beta, marginals, own)
        sums[s, 0] = total
        pairs += own


@kernel
def _log_partition(scores, tables, bounds, sums):
    states = scores.shape[1]
    longest = np.max(bounds[1:] - bounds[:-1]) if bounds.size > 1 else 0
    alpha, weights, scale = (
        np.empty((longest, states)),
        np.empty((longest, states)),
        np.empty(longest),
    )
    powers, first, last, shift = _powers(tables[0], tables[1], tables[2])
    for s in range(bounds.size - 1):
        begin, stop = bounds[s], bounds[s + 1]
        if begin == stop:
            continue
        high = _weigh(scores[begin:stop], weights)
        found = -np.inf
        if high > -np.inf and shift[0] > -np.inf:
            found = _scaled(weights[: stop - begin], (powers, first, last), alpha, scale)
        if found > _NEVER / 10:
            sums[s] = found + high + shift[1] + (stop - begin - 1) * shift[0]
        else:
            sums[s] = _log_forward(scores, tables, begin, stop, alpha)


@kernel
def _scaled_sums(weights, tables, bounds, marginals, pairs, log_sums):
    states = weights.shape[1]
    longest = np.max(bounds[1:] - bounds[:-1]) if bounds.size > 1 else 0
    alpha, scale, beta = np.empty((longest, states)), np.empty(longest), np.empty((2, states))
    for s in range(bounds.size - 1):
        begin, stop = bounds[s], bounds[s + 1]
        log_sums[s] = 0.0
        if begin == stop:
            continue
        rows = weights[begin:stop]
        log_sums[s] = _scaled(rows, tables, alpha, scale)
        if not log_sums[s] > _NEVER / 10:
            return False
        tail = alpha[: stop - begin], scale[: stop - begin]
        _scaled_back(rows, (tables[0], tables[2]), tail, beta, marginals[begin:stop], pairs)
    return True


@kernel
def _powers(transitions, start, end):
    """Exponentials of the tables, each divided by its largest, and the logs of what was divided.

    The first log is -inf where exponentials lose something that is possible.
    """
    flat = transitions.ravel()
    powers, first, last = np.empty(flat.size), np.empty(start.size), np.empty(end.size)
    high, low = _exponentials(flat, powers), _exponentials(start, first)
    top = _exponentials(end, last)
    shift = high if low > -np.inf and top > -np.inf else -np.inf
    return powers.reshape(transitions.shape), first, last, (shift, low + top)


@kernel
def _exponentials(values, powers):
    """Fills in exponentials, the largest one; returns its log, or -inf where others are lost."""
    high = values.max()
    if high == -np.inf:
        powers[:] = 0.0
        return high
    for i in range(values.size):
        powers[i] = np.exp(values[i] - high)
        if powers[i] < _LEAST and values[i] - high > _NEVER:
            return -np.inf
    return high


@kernel
def _weigh(scores, weights):
    """Exponentials of the scores, each step divided by its largest; returns the logs' sum.

    Or -inf where exponentials lose a state that is possible.
    """
    total = 0.0
    for t in range(scores.shape[0]):
        high = _exponentials(scores[t], weights[t])
        if high == -np.inf:
            return high
        total += high
    return total


@kernel
def _scaled(weights, tables, alpha, scale):
    """Fills alpha, scaled to one at every step; returns log Z, or -inf where a state may be lost.

    A share too small to trust is fine where it is zero for good: the state's weight is zero, or so
    are all transitions to it. What e**_NEVER makes zero counts as zero, too; it would only matter
    if Z itself were that small, and then the caller turns to logarithms.
    """
    transitions, start, end = tables
    time, states = weights.shape
    log_z, product = 0.0, 1.0
    for t in range(time):
        total = 0.0
        for j in range(states):
            mass = start[j]
            if t > 0:
                mass = 0.0
                for i in range(states):
                    mass += alpha[t - 1, i] * transitions[i, j]
            alpha[t, j] = mass * weights[t, j]
            total += alpha[t, j]
        if not total > _LEAST:
            return -np.inf
        scale[t] = 1.0 / total
        # One logarithm for many steps: they are dear.
        product *= total
        if not _FEW < product < _MANY:
            log_z += np.log(product)
            product = 1.0
        for j in range(states):
            alpha[t, j] *= scale[t]
            lost = alpha[t, j] < _LEAST and weights[t, j] > 0.0
            if lost and _possible(t, j, alpha, transitions, start):
                return -np.inf
    total = 0.0
    for j in range(states):
        total += alpha[time - 1, j] * end[j]
    return log_z + np.log(product) + np.log(total) if total > _LEAST else -np.inf


@kernel
def _possible(t, j, alpha, transitions, start):
    """Whether there is a way to the state, however rare."""
    if t == 0:
        return start[j] > 0.0
    for i in range(transitions.shape[0]):
        if alpha[t - 1, i] > 0.0 and transitions[i, j] > 0.0:
            return True
    return False


@kernel
def _scaled_back(weights, tables, forwards, beta, marginals, pairs):
    """Fills the marginals and adds expected transitions to `pairs`."""
    transitions, end = tables
    alpha, scale = forwards
    time, states = alpha.shape
    after, now = beta[0], beta[1]
    total = 0.0
    for j in range(states):
        total += alpha[time - 1, j] * end[j]
    for j in range(states):
        after[j] = end[j] / total
        marginals[time - 1, j] = alpha[time - 1, j] * after[j]
    for t in range(time - 2, -1, -1):
        for j in range(states):
            after[j] *= weights[t + 1, j] * scale[t + 1]
        for i in range(states):
            now[i] = 0.0
            marginals[t, i] = 0.0
            share = alpha[t, i]
            if share > 0.0:  # a state that cannot be reached has any beta, infinity too
                for j in range(states):
                    onward = transitions[i, j] * after[j]
                    now[i] += onward
                    pairs[i, j] += share * onward
                marginals[t, i] = share * now[i]
        after, now = now, after


@kernel
def _log_forward(scores, tables, begin, stop, alpha):
    """Fills alpha with logs of sums; returns log Z."""
    transitions, start, end = tables
    states = scores.shape[1]
    if begin == stop:
        return 0.0
    terms = np.empty(states)
    for j in range(states):
        alpha[0, j] = start[j] + scores[begin, j]
    for t in range(1, stop - begin):
        for j in range(states):
            for i in range(states):
                terms[i] = alpha[t - 1, i] + transitions[i, j]
            alpha[t, j] = _log_sum(terms) + scores[begin + t, j]
    for j in range(states):
        terms[j] = alpha[stop - begin - 1, j] + end[j]
    return _log_sum(terms)


@kernel
def _log_back(scores, tables, span, alpha, beta, marginals, pairs):
    """Fills the marginals and adds expected transitions to `pairs`; returns the entropy.

    By the chain rule, sum_t sum_i p(y_t = i) H(y_t+1 | y_t = i): log Z less the expected score is
    the same, but loses all digits where scores are huge.
    """
    transitions, _, end = tables
    begin, stop, total = span
    states = scores.shape[1]
    marginals[begin:stop] = 0.0
    entropy = 0.0
    if total == -np.inf:
        return entropy
    terms = np.empty(states)
    after, now = beta[0], beta[1]
    after[:] = end
    for t in range(stop - 1, begin - 1, -1):
        if t < stop - 1:
            for i in range(states):
                for j in range(states):
                    terms[j] = transitions[i, j] + scores[t + 1, j] + after[j]
                now[i] = _log_sum(terms)
                share = np.exp(alpha[t - begin, i] + now[i] - total)
                if share > 0.0:
                    for j in range(states):
                        onward = np.exp(terms[j] - now[i])
                        pairs[i, j] += share * onward
                        if onward > 0.0:
                            entropy += share * onward * (now[i] - terms[j])
            after, now = now, after
        for j in range(states):
            log_share = alpha[t - begin, j] + after[j] - total
            marginals[t, j] = np.exp(log_share)
            if t == begin and marginals[t, j] > 0.0:
                entropy -= marginals[t, j] * log_share
    return entropy


@kernel
def _log_sum(terms):
    high = terms.max()
    if high == -np.inf:
        return high
    total = 0.0
    for i in range(terms.size):
        total += np.exp(terms[i] - high)
    return high + np.log(total)


@kernel
def _expected(scores, tables, span, marginals, pairs):
    """Expected score of a path; what is impossible adds nothing."""
    transitions, start, end = tables
    begin, stop = span
    total = 0.0
    for j in range(scores.shape[1]):
        if marginals[begin, j] > 0.0:
            total += marginals[begin, j] * start[j]
        if marginals[stop - 1, j] > 0.0:
            total += marginals[stop - 1, j] * end[j]
        for t in range(begin, stop):
            if marginals[t, j] > 0.0:
                total += marginals[t, j] * scores[t, j]
        for i in range(scores.shape[1]):
            if pairs[i, j] > 0.0:
                total += pairs[i, j] * transitions[i, j]
    return total
