"""Sums, maxima and scores of the paths through a chain, on padded batches: what heads share.

    score(y) = start(y_1) + sum_t h_t(y_t) + sum_t g(y_t-1, y_t) + end(y_T)
    alpha_t(j) = log sum_i exp(alpha_t-1(i) + g(i, j)) + h_t(j),    log Z = log sum_j exp alpha_T(j)

The chain runs over the real steps only, wherever padding stands; a row without any scores 0. With
alpha and g shifted by their maxima the sum over i is one matrix product,

    log sum_i exp(alpha(i) - a) exp(g(i, j) - b) + a + b

states**2 multiplications instead of as many exponentials. It loses paths that are `e**-87` of the
best, which matters where nothing else leads to a state: g has a spread of more than 57 nats, by
rules say, and alpha too. `_exact_enough` sees that, and the whole batch is done again with sums of
logarithms. Everything here is float32, and finite scores give finite gradients.

`taolu.chain` defines what these functions return. They check nothing: the layers do. On TensorFlow
the time must be known when a graph is traced, as `ops.scan` of Keras 3.15 wants it.
"""

import keras
from keras import ops

from taolu.nn.masking import apply_mask

LEAST = 1e-37  # just above the smallest float32 that all processors keep
RELIABLE = -57.0  # log of a sum; what was lost below LEAST is then a part in 10**12
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

    def total(alphas, totals):
        return ops.logsumexp(alphas[-1] + end, axis=-1) + totals[-1][:, 0]

    found = _guarded(total, scores, transitions, start, mask, parallel)
    return ops.where(ops.any(mask, axis=1), found, 0.0)


def log_marginals(scores, transitions, start, end, mask, parallel=False):
    """Log of the probability of each state at each real step, float32 (batch, time, states).

    Args: as `log_partition`. What stands at other steps means nothing.
    """

    def all_of(alphas, totals):
        return alphas

    turned = ops.flip(scores, axis=1), ops.transpose(transitions), end, ops.flip(mask, axis=1)
    forward = _guarded(all_of, scores, transitions, start, mask, parallel)
    backward = ops.flip(_guarded(all_of, *turned, parallel), axis=0)
    # Both directions count the score of the step itself.
    both = ops.transpose(forward + backward, (1, 0, 2)) - apply_mask(scores, mask)
    return ops.log_softmax(both, axis=-1)


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


def known_log_partition(labels, scores, transitions, start, end, mask, parallel=False):
    """Log of the sum over the paths that agree with the labels where these are known.

    `log_partition` of a chain in which a known label excludes the other states of its step.

    Args:
        labels: Int (batch, time); -1 where any state may be.
        scores, transitions, start, end, mask, parallel: As `log_partition`.
    """
    state = ops.arange(transitions.shape[0], dtype="int32")
    excluded = ops.logical_and(labels[..., None] >= 0, labels[..., None] != state)
    scores = scores + ops.where(excluded, EXCLUDED, 0.0)
    return log_partition(scores, transitions, start, end, mask, parallel)


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
        came = ops.argmax(earlier + ops.take(ops.transpose(transitions), state, axis=0), axis=-1)
        moves = ops.logical_and(real, ops.logical_not(first))[:, 0]
        return ops.where(moves, ops.cast(came, "int32"), state), state

    steps = _steps(scores, mask)
    last, best = ops.scan(step, ops.zeros_like(scores[:, 0]), steps)
    earlier = ops.concatenate([ops.zeros_like(best[:1]), best[:-1]], axis=0)
    state = ops.cast(ops.argmax(last + end, axis=-1), "int32")
    _, path = ops.scan(back, state, (earlier, *steps[1:]), reverse=True)
    return ops.where(mask, ops.transpose(path), -1)


def log_products(scores, transitions):
    """log sum_i exp(h(i) + g(i, j)), float32 (batch, time, states), by the fast sums or the exact.

    Args:
        scores: h, float32 (batch, time, states).
        transitions: g, float32 (states, states).
    """
    top = ops.stop_gradient(ops.max(scores, axis=-1, keepdims=True))
    high = ops.stop_gradient(ops.max(transitions))
    fast = _by_product(transitions - high)(scores - top)
    found = ops.cond(
        ops.all(fast > RELIABLE),
        lambda: fast,
        lambda: _by_logarithms(transitions - high)(scores - top),
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


def _guarded(read, scores, transitions, start, mask, parallel):
    """What `read` makes of alphas and their totals, by the fast sums where these are exact."""
    steps = _steps(scores, mask)
    if parallel:
        return read(*_by_matrices(steps, transitions, start))
    fast = _alphas(_by_product, steps, transitions, start)
    answer = read(*fast)

    # Recomputed for the gradient: in a branch not taken JAX would store its zeros, (time, batch,
    # states, states) of them. Arguments, not a closure: TensorFlow would lose the gradient.
    @keras.remat
    def exact(h, transitions, start):
        return read(*_alphas(_by_logarithms, (h, *steps[1:]), transitions, start))

    return ops.cond(
        _exact_enough(fast[0], *steps),
        lambda: answer,
        lambda: exact(steps[0], transitions, start),
    )


def _exact_enough(alphas, h, real, first):
    """Whether all sums that were taken were far above what float32 loses; NaN is not."""
    summed = ops.logical_and(real, ops.logical_not(first))
    return ops.all(ops.logical_or(ops.logical_not(summed), alphas - h > RELIABLE))


def _alphas(log_sums, steps, transitions, start):
    """Alphas, (time, batch, states), and what was taken from them to keep them small, (..., 1).

    The shifts are constants to the gradient, as the sum of both does not depend on them.
    """
    high = ops.stop_gradient(ops.max(transitions))
    log_sums = log_sums(transitions - high)

    def step(carry, now):
        (alpha, total), (h, real, first) = carry, now
        top = ops.stop_gradient(ops.max(alpha, axis=-1, keepdims=True))
        new = ops.where(first, start + h, log_sums(alpha - top) + h)
        moved = ops.where(first, 0.0, top + high)
        carry = ops.where(real, new, alpha), total + ops.where(real, moved, 0.0)
        return carry, carry

    nothing = ops.zeros_like(steps[0][0])
    return ops.scan(step, (nothing, nothing[:, :1]), steps)[1]


def _by_product(transitions):
    weights = ops.exp(transitions)
    return lambda alpha: ops.log(ops.maximum(ops.matmul(ops.exp(alpha), weights), LEAST))


def _by_logarithms(transitions):
    return lambda alpha: ops.logsumexp(alpha[..., :, None] + transitions, axis=-2)


def _by_matrices(steps, transitions, start):
    """Alphas as products of one matrix a step, `g(i, j) + h_t(j)`, which may be paired at will.

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
    return alphas, ops.zeros_like(alphas[..., :1])
