"""Sums, maxima and scores of the paths through a chain, on padded batches: what heads share.

    score(y) = start(y_1) + sum_t h_t(y_t) + sum_t g(y_t-1, y_t) + end(y_T)
    alpha_t(j) = log sum_i exp(alpha_t-1(i) + g(i, j)) + h_t(j),    log Z = log sum_j exp alpha_T(j)

The chain runs over the real steps only, wherever padding stands; a row without any scores 0. The
sums run over probabilities that are scaled to a maximum of one at every step, so that a step is one
matrix product and the exponentials are all taken at once, before it starts:

    s_t(j) = sum_i p_t-1(i) exp g(i, j),    p_t(j) = s_t(j) exp h_t(j) / scale_t

This loses paths that are `e**-87` of the best, which matters only where little else leads to a
state, that is where an s is tiny: g has a spread of 57 nats, by rules say, and the scores too. Then
the whole batch is done again with logarithms of sums. All is float32, with finite gradients.

`taolu.chain` defines what these functions return. They check nothing: the layers do. On TensorFlow
the time must be known when a graph is traced, as `ops.scan` of Keras 3.15 wants it.
"""

import keras
from keras import ops

from taolu.nn.masking import apply_mask

LEAST = 1e-37  # just above the smallest float32 that all processors keep
RELIABLE = 1e-25  # a sum of weights up to one; what was lost below LEAST is then a part in 10**12
EXCLUDED = -1e30  # score of a state that a label excludes: added once to a path, it stays finite


def log_partition(scores, transitions, start, end, mask, parallel=False):
    """Log of the sum over all paths of exp(score), float32 (batch,), in nats.

    Args:
        scores: h, float32 (batch, time, states).
        transitions: g, float32 (states, states), from row to column.
        start: Float32 (states,).
        end: Float32 (states,).
        mask: Bool (batch, time).
        parallel: Whether to combine the steps as matrices, in log(time) rounds; states**3 work.
    """

    found = _guarded(1, scores, transitions, start, end, mask, parallel)
    return ops.where(ops.any(mask, axis=1), found, 0.0)


def log_marginals(scores, transitions, start, end, mask, parallel=False):
    """Log of the probability of each state at each real step, float32 (batch, time, states).

    Args: as `log_partition`. What stands at other steps means nothing.
    """

    turned = ops.flip(scores, axis=1), ops.transpose(transitions), end, start
    forward = _guarded(0, scores, transitions, start, end, mask, parallel)
    backward = _guarded(0, *turned, ops.flip(mask, axis=1), parallel)
    # Neither direction counts the score of the step itself.
    both = ops.transpose(forward + ops.flip(backward, axis=0), (1, 0, 2))
    return ops.log_softmax(both + apply_mask(scores, mask), axis=-1)


def entropy(scores, transitions, start, end, mask):
    """Entropy of the paths, float32 (batch,), in nats; never the difference of two large numbers.

    With q(i | j) the probability that state i came before j, the paths that end in j have
    `H_t(j) = sum_i q(i | j) (H_t-1(i) - log q(i | j))`. Takes an exponential for each pair.

    Args: as `log_partition`.
    """

    def step(carry, now):
        (alpha, uncertain), (h, real, first) = carry, now
        pairs = alpha[:, :, None] + transitions
        log_sum = ops.logsumexp(pairs, axis=1)
        log_q = pairs - log_sum[:, None, :]
        after = ops.sum(ops.exp(log_q) * (uncertain[:, :, None] - log_q), axis=1)
        new = ops.where(first, start + h, log_sum + h)
        new = new - ops.max(new, axis=-1, keepdims=True)
        carry = (
            ops.where(real, new, alpha),
            ops.where(real, ops.where(first, 0.0, after), uncertain),
        )
        return carry, carry

    nothing = ops.zeros_like(scores[:, 0])
    (alpha, uncertain), _ = ops.scan(step, (nothing, nothing), _steps(scores, mask))
    log_q = ops.log_softmax(alpha + end, axis=-1)
    found = ops.sum(ops.exp(log_q) * (uncertain - log_q), axis=-1)
    return ops.where(ops.any(mask, axis=1), found, 0.0)


def path_score(labels, scores, transitions, start, end, mask):
    """The score of one path through each row, float32 (batch,).

    Args:
        labels: Int (batch, time), in [0, states) at real steps.
        scores, transitions, start, end, mask: As `log_partition`.
    """
    states = transitions.shape[0]
    labels = ops.where(mask, labels, 0)
    source = before(mask)
    count = ops.cumsum(ops.cast(mask, "int32"), axis=1)
    pairs = ops.take_along_axis(labels, ops.maximum(source, 0), axis=1) * states + labels
    steps = ops.take_along_axis(scores, labels[..., None], axis=2)[..., 0]
    links = ops.take(ops.reshape(transitions, (-1,)), pairs)
    steps = steps + ops.where(source < 0, ops.take(start, labels), links)
    steps = steps + ops.where(count == count[:, -1:], ops.take(end, labels), 0.0)
    return ops.sum(ops.where(mask, steps, 0.0), axis=1)


def known_score(labels, scores, transitions, start, end, mask, parallel=False):
    """Log of the sum over the paths that agree with the labels that are known, float32 (batch,).

    Where all are known that is the score of one path; else the log partition of a chain in which a
    known label excludes the other states of its step.

    Args:
        labels: Int (batch, time), in [0, states) at real steps; -1 where any state may be.
        scores, transitions, start, end, mask, parallel: As `log_partition`.
    """
    state = ops.arange(transitions.shape[0], dtype="int32")
    excluded = ops.logical_and(labels[..., None] >= 0, labels[..., None] != state)
    left = scores + ops.where(excluded, EXCLUDED, 0.0)
    chain = _steps(left, mask), transitions, start, end
    some_open = ops.any(ops.logical_and(mask, labels < 0))

    def one_path():
        score = path_score(ops.maximum(labels, 0), scores, transitions, start, end, mask)
        return score, ops.ones((), "bool")

    def many_paths():
        return (_by_matrices if parallel else _by_products)(*chain)[1:]

    found, fine = ops.cond(some_open, many_paths, one_path)
    # One after the other: TensorFlow has no gradient for a condition inside another.
    answer = ops.cond(fine, lambda: found, lambda: _by_logarithms(*chain)[1])
    return ops.where(ops.any(mask, axis=1), answer, 0.0)


def viterbi(scores, transitions, start, end, mask):
    """The best path through each row, int32 (batch, time), -1 where a step is not real.

    Only the best score of each state is kept; which state it came from is looked up on the way
    back, for the one state that the path went through. Of equals the first is taken.

    Args: as `log_partition`.
    """

    def step(best, now):
        h, real, first = now
        new = ops.max(best[:, :, None] + transitions, axis=1) + h
        new = ops.where(first, start + h, new)
        # Only differences matter, and those of small numbers keep their digits.
        best = ops.where(real, new - ops.max(new, axis=-1, keepdims=True), best)
        return best, best

    def back(state, now):
        earlier, real, first = now
        came = first_best(earlier + ops.take(turned, state, axis=0))
        moves = ops.logical_and(real, ops.logical_not(first))[:, 0]
        return ops.where(moves, came, state), state

    steps = _steps(scores, mask)
    last, best = ops.scan(step, ops.zeros_like(scores[:, 0]), steps)
    earlier = ops.concatenate([ops.zeros_like(best[:1]), best[:-1]], axis=0)
    turned, state = ops.transpose(transitions), first_best(last + end)
    _, path = ops.scan(back, state, (earlier, *steps[1:]), reverse=True)
    return ops.where(mask, ops.transpose(path), -1)


def first_best(scores):
    """The first of the largest over the last axis, int32: two reductions, faster than argmax."""
    place = ops.arange(ops.shape(scores)[-1], dtype="int32")
    best = scores >= ops.max(scores, axis=-1, keepdims=True)
    return ops.min(ops.where(best, place, place[-1]), axis=-1)


def log_products(scores, transitions):
    """log sum_i exp(h(i) + g(i, j)), float32 (batch, time, states), by the fast sums or the exact.

    Args:
        scores: h, float32 (batch, time, states).
        transitions: g, float32 (states, states).
    """
    top = ops.stop_gradient(ops.max(scores, axis=-1, keepdims=True))
    high = ops.stop_gradient(ops.max(transitions))
    sums = ops.matmul(ops.exp(scores - top), ops.exp(transitions - high))
    found = ops.cond(
        ops.all(sums > RELIABLE),
        lambda: ops.log(ops.maximum(sums, LEAST)),
        lambda: _log_sums(scores - top, transitions - high),
    )
    return found + top + high


def before(mask):
    """Place of the real step before each step, int32 (batch, time); -1 where there is none.

    Args:
        mask: Bool (batch, time).
    """
    place = ops.broadcast_to(ops.arange(ops.shape(mask)[1], dtype="int32"), ops.shape(mask))
    latest = ops.associative_scan(ops.maximum, ops.where(mask, place, -1), axis=1)
    return ops.concatenate([-ops.ones_like(place[:, :1]), latest[:, :-1]], axis=1)


def after(mask):
    """Place of the real step after each step, int32 (batch, time); -1 where there is none.

    Args:
        mask: Bool (batch, time).
    """
    mirrored = ops.flip(before(ops.flip(mask, axis=1)), axis=1)
    return ops.where(mirrored < 0, -1, ops.shape(mask)[1] - 1 - mirrored)


def _steps(scores, mask):
    """Scores, whether steps are real, whether they are the first real ones: time comes first."""
    real = ops.transpose(mask)[..., None]
    count = ops.cumsum(ops.cast(real, "int32"), axis=0)
    scores = ops.transpose(apply_mask(scores, mask), (1, 0, 2))
    return scores, real, ops.logical_and(real, count == 1)


def _guarded(which, scores, transitions, start, end, mask, parallel):
    """Log sums (0) or log partitions (1), by products where these are exact.

    The log sums are those of the paths up to each state, its own score left out and up to one
    constant a step, float32 (time, batch, states).
    """
    chain = _steps(scores, mask), transitions, start, end
    if parallel:
        return _by_matrices(*chain)[which]
    *fast, reliable = _by_products(*chain)
    return ops.cond(reliable, lambda: fast[which], lambda: _by_logarithms(*chain)[which])


def _by_products(steps, transitions, start, end):
    """Log sums and log partitions, and whether all sums were far above what float32 loses.

    Maxima and scales are constants to the gradient, as the results do not depend on them. The
    bounds keep all its factors finite: where the results are not used it must be zero, not NaN.
    """
    h, real, first = steps
    tops = [ops.stop_gradient(ops.max(x)) for x in (transitions, start, end)]
    tables = (transitions, start, end)
    weights, entry, leave = (ops.exp(x - top) for x, top in zip(tables, tops, strict=True))
    high = ops.stop_gradient(ops.max(h, axis=-1, keepdims=True))

    def step(carry, now):
        p, (emitted, real, first) = carry[0], now
        sums = ops.where(first, entry, ops.matmul(p, weights))
        new = sums * emitted
        scale = ops.stop_gradient(ops.maximum(ops.max(new, axis=-1, keepdims=True), LEAST))
        carry = ops.where(real, new / scale, p), sums, scale
        return carry, carry

    nothing = ops.zeros_like(h[0])
    steps = ops.exp(h - high), real, first
    carry, (_, sums, scale) = ops.scan(step, (nothing, nothing, nothing[:, :1]), steps)
    last = ops.sum(carry[0] * leave, axis=-1)
    scales = ops.log(scale) + high + ops.where(first, tops[1], tops[0])
    scales = ops.sum(ops.where(real, scales, 0.0), axis=0)[:, 0]
    log_z = ops.log(ops.maximum(last, LEAST)) + tops[2] + scales
    log_sums = ops.where(first, start - tops[1], ops.log(ops.maximum(sums, LEAST)))
    summed = ops.logical_and(real, ops.logical_not(first))
    fine = ops.all(ops.logical_or(ops.logical_not(summed), sums > RELIABLE))
    empty = ops.logical_not(ops.any(real, axis=0)[:, 0])
    return log_sums, log_z, ops.logical_and(fine, ops.all(ops.logical_or(empty, last > RELIABLE)))


def _by_logarithms(steps, transitions, start, end):
    """The same with an exponential for every pair of states, exact at any scale."""

    def step(carry, now):
        (alpha, total), (h, real, first) = carry, now
        top = ops.stop_gradient(ops.max(alpha, axis=-1, keepdims=True))
        sums = ops.where(first, start, _log_sums(alpha - top, transitions))
        moved = ops.where(ops.logical_and(real, ops.logical_not(first)), top, 0.0)
        carry = ops.where(real, sums + h, alpha), total + moved
        return carry, carry

    nothing = ops.zeros_like(steps[0][0])
    (alpha, total), (alphas, _) = ops.scan(step, (nothing, nothing[:, :1]), steps)
    return alphas - steps[0], ops.logsumexp(alpha + end, axis=-1) + total[:, 0]


# Recomputed for the gradient: kept, the pairs of states of all steps are so large that a program
# which merely might need them becomes slower.
@keras.remat
def _log_sums(alpha, transitions):
    return ops.logsumexp(alpha[..., :, None] + transitions, axis=-2)


def _by_matrices(steps, transitions, start, end):
    """As `_by_products`, by matrices `g(i, j) + h_t(j)`, one a step, which may be paired at will.

    Padding is the matrix that changes nothing. The rows of the first step are all alike, so that
    every row of the products to the left of a step holds its alphas.
    """
    h, real, first = (x[:, :, None] for x in steps)
    states = transitions.shape[0]
    same = ops.where(ops.eye(states, dtype="bool"), 0.0, EXCLUDED)
    matrices = ops.where(real, ops.where(first, start + h, transitions + h), same)

    def multiply(a, b):
        return ops.logsumexp(a[..., :, :, None] + b[..., None, :, :], axis=-2)

    # TensorFlow forgets the rank where the batch is not known yet.
    products = ops.reshape(ops.associative_scan(multiply, matrices, axis=0), ops.shape(matrices))
    alphas = products[:, :, 0]
    log_z = ops.logsumexp(alphas[-1] + end, axis=-1)
    return alphas - steps[0], log_z, ops.ones((), "bool")
