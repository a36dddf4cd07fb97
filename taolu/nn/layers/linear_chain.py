"""Sums, maxima and scores of the paths through a chain, on padded batches: what heads share.

    score(y) = start(y_1) + sum_t h_t(y_t) + sum_t g(y_t-1, y_t) + end(y_T)
    alpha_t(j) = log sum_i exp(alpha_t-1(i) + g(i, j)) + h_t(j),    log Z = log sum_j exp alpha_T(j)

The chain runs over the real steps only, wherever padding stands; a row without any scores 0. Start
and end join the scores of the first and the last real step. `chain_sums` has the sums.

`taolu.chain` defines what these functions return. They check nothing: the layers do. On TensorFlow
the time must be known when a graph is traced, as `ops.scan` of Keras 3.15 wants it.
"""

from keras import ops

from taolu.nn.differentiate import runs_eagerly
from taolu.nn.layers.chain_runs import FEW, log_z_by_runs
from taolu.nn.layers.chain_sums import (
    EXCLUDED,
    LEAST,
    RELIABLE,
    by_matrices,
    log_sum,
    log_sums,
    log_z,
)
from taolu.nn.masking import apply_mask
from taolu.nn.scan import scan


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
    h, real, first = _steps(scores, start, end, mask)
    if parallel:
        found = by_matrices(h, transitions, real, first)[1]
    elif runs_eagerly() and transitions.shape[0] <= FEW:
        found = log_z_by_runs(h, transitions, real, first)
    else:
        found = log_z(h, transitions, real, first)
    return ops.where(ops.any(mask, axis=1), found, 0.0)


def log_marginals(scores, transitions, start, end, mask, parallel=False):
    """Log of the probability of each state at each real step, float32 (batch, time, states).

    Args: as `log_partition`. What stands at other steps means nothing.
    """
    h, real, first = _steps(scores, start, end, mask)
    turned, back = ops.flip(h, axis=0), ops.transpose(transitions)
    _, real_back, first_back = _steps(ops.flip(scores, axis=1), start, end, ops.flip(mask, axis=1))
    # Neither direction counts the score of the step itself.
    both = log_sums(h, transitions, real, first, parallel) + h
    both = both + ops.flip(log_sums(turned, back, real_back, first_back, parallel), axis=0)
    return ops.log_softmax(ops.transpose(both, (1, 0, 2)), axis=-1)


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
        new = ops.where(first, h, log_sum + h)
        new = new - ops.max(new, axis=-1, keepdims=True)
        carry = (
            ops.where(real, new, alpha),
            ops.where(real, ops.where(first, 0.0, after), uncertain),
        )
        return carry, carry

    nothing = ops.zeros_like(scores[:, 0])
    steps = _steps(scores, start, end, mask)
    (alpha, uncertain), _ = scan(step, (nothing, nothing), steps)
    log_q = ops.log_softmax(alpha, axis=-1)
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
    chain = left, transitions, start, end, mask, parallel
    some_open = ops.any(ops.logical_and(mask, labels < 0))
    one_path = ops.maximum(labels, 0), scores, transitions, start, end, mask
    return ops.cond(some_open, lambda: log_partition(*chain), lambda: path_score(*one_path))


def viterbi(scores, transitions, start, end, mask):
    """The best path through each row, int32 (batch, time), -1 where a step is not real.

    Only the best score of each state is kept; which state it came from is looked up on the way
    back, for the one state that the path went through. Of equals the first is taken.

    Args: as `log_partition`.
    """

    def step(best, now):
        h, real, first = now
        new = ops.amax(best[:, :, None] + transitions, axis=1) + h
        new = ops.where(first, h, new)
        # Only differences matter, and those of small numbers keep their digits.
        best = ops.where(real, new - ops.amax(new, axis=-1, keepdims=True), best)
        return best, best

    def back(state, now):
        earlier, moves = now
        came = first_best(earlier + ops.take(turned, state, axis=0))
        return ops.where(moves, came, state), state

    h, real, first = _steps(scores, start, end, mask)
    last, best = scan(step, ops.zeros_like(h[0]), (h, real, first))
    earlier = ops.concatenate([ops.zeros_like(best[:1]), best[:-1]], axis=0)
    turned, moves = ops.transpose(transitions), ops.logical_and(real, ops.logical_not(first))
    _, path = scan(back, first_best(last), (earlier, moves[..., 0]), reverse=True)
    return ops.where(mask, ops.transpose(path), -1)


def first_best(scores):
    """The first of the largest over the last axis, int32: two reductions, faster than argmax."""
    place = ops.arange(ops.shape(scores)[-1], dtype="int32")
    best = scores >= ops.amax(scores, axis=-1, keepdims=True)
    return ops.amin(ops.where(best, place, place[-1]), axis=-1)


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
        lambda: log_sum(scores - top, transitions - high),
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


def _steps(scores, start, end, mask):
    """Scores with start and end, whether steps are real, whether they are the first real ones.

    Time comes first: (time, batch, states), (time, batch, 1) and again.
    """
    real = ops.transpose(mask)[..., None]
    count = ops.cumsum(ops.cast(real, "int32"), axis=0)
    first = ops.logical_and(real, count == 1)
    last = ops.logical_and(real, count == count[-1:])
    h = ops.transpose(apply_mask(scores, mask), (1, 0, 2))
    return h + ops.where(first, start, 0.0) + ops.where(last, end, 0.0), real, first
