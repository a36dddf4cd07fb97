"""The sums over all paths through a chain: by matrix products, by logarithms, by matrices.

    alpha_t(j) = log sum_i exp(alpha_t-1(i) + g(i, j)) + h_t(j),    log Z = log sum_j exp alpha_T(j)

The sums run over probabilities that add up to one at every step, so that a step is one matrix
product and the exponentials are all taken at once, before it starts:

    s_t(j) = sum_i p_t-1(i) exp g(i, j),    p_t(j) = s_t(j) exp h_t(j) / scale_t

The gradient of log Z is written down, not left to the backend: by h the marginals, by g how often
each pair of states is expected. Backwards from q = 1 after the last step,

    q_t(i) = exp h_t(i) / scale_t * sum_j exp g(i, j) q_t+1(j),    p(y_t = j) = s_t(j) q_t(j),
    p(y_t-1 = i, y_t = j) = p_t-1(i) exp g(i, j) q_t(j)

where the pairs of all steps are summed by one matrix product after the loop.

This loses paths that are `e**-87` of the best, which matters only where little else leads to a
state, that is where an s is tiny: g has a spread of 57 nats, by rules say, and the scores too. Then
the whole batch is done again with logarithms of sums. All is float32, with finite gradients.

Everywhere h is float32 (time, batch, states), with the scores of start and end in it, transitions g
are float32 (states, states), real and first say of each step whether it is there, and the first
that is: (time, batch, 1), bool for the public functions, 0 or 1 inside. In loops stand operators
where `ops` has functions that do the same: those take torch ten times as long.
"""

from typing import Any, NamedTuple

import keras
from keras import ops

from taolu.nn.scan import scan

LEAST = 1e-37  # just above the smallest float32 that all processors keep
RELIABLE = 1e-25  # a sum of weights up to one; what was lost below LEAST is then a part in 10**12
EXCLUDED = -1e30  # score of a state that a label excludes: added once to a path, it stays finite


def log_z(h, transitions, real, first):
    """Log partitions, float32 (batch,), with the gradient of the file's docstring."""

    @ops.custom_gradient
    def summed(h, transitions, real, first):
        kept = _products(h, transitions, real, first)
        found = ops.cond(
            kept.fine > 0,
            lambda: kept.log_z,
            lambda: _logarithms(h, transitions, real, first)[2],
        )

        def gradient(*given, upstream=None):
            if upstream is None:  # JAX, TensorFlow
                return _gradient(kept, (h, transitions, real, first), *given)
            # torch did not record what is kept; done again it may be differentiated again.
            return _gradient(_products(*given), given, upstream)

        return found, gradient

    # What a gradient keeps must be float: JAX takes other things for constants of the program.
    return summed(h, transitions, ops.cast(real, "float32"), ops.cast(first, "float32"))


def log_sums(h, transitions, real, first, parallel):
    """Log of the sums over the paths up to each state, its own score left out.

    Up to one constant a step; float32 (time, batch, states).
    """
    if parallel:
        return by_matrices(h, transitions, real, first)[0]
    real, first = (ops.cast(x, "float32") for x in (real, first))
    found = _products(h, transitions, real, first)
    return ops.cond(
        found.fine > 0,
        # The bound keeps the gradient finite where the result is not used: it must be zero.
        lambda: ops.log(ops.maximum(found.sums, LEAST)),
        lambda: _logarithms(h, transitions, real, first)[1],
    )


class _Products(NamedTuple):
    """What a loop of matrix products finds."""

    log_z: Any  # (batch,)
    fine: Any  # float32 (), 1 if all sums were far above what float32 loses, else 0
    total: Any  # sum of the last p, (batch,)
    sums: Any  # s
    before: Any  # p of the real step before
    scales: Any  # (time, batch, 1)
    emitted: Any  # exp h, up to one factor a step, which is in the scales
    weights: Any  # exp g, up to one factor, which is in log_z


def _products(h, transitions, real, first):
    top = ops.stop_gradient(ops.max(transitions))
    high = ops.stop_gradient(ops.max(h, axis=-1, keepdims=True))
    emitted, weights = ops.exp(h - high), ops.exp(transitions - top)

    def step(carry, now):
        p, (emitted, real, first) = carry[0], now
        sums = p @ weights + first
        new = sums * emitted
        scale = ops.stop_gradient(ops.sum(new, axis=-1, keepdims=True) + LEAST)
        return (ops.where(real > 0, new / scale, p), sums, scale), (p, sums, scale)

    nothing = ops.zeros_like(h[0])
    carry = nothing, nothing, nothing[:, :1]
    (p, *_), (before, sums, scales) = scan(step, carry, (emitted, real, first))
    logs = real * (ops.log(scales) + high) + (real - first) * top
    fine = ops.cast(ops.all(ops.logical_or(real == 0, sums > RELIABLE)), "float32")
    # One, but where scales are constants it carries how log Z changes to a second derivative.
    total = ops.sum(p, axis=-1)
    total = ops.where(total > 0, total, 1.0)
    log_z = ops.sum(logs, axis=0)[:, 0]
    return _Products(log_z, fine, total, sums, before, scales, emitted, weights)


def _gradient(kept, chain, upstream):
    """The gradient by all arguments of `log_z`, given that by log Z, float32 (batch,)."""
    h, transitions, real, first = chain
    by_h, by_transitions = ops.cond(
        kept.fine > 0,
        lambda: _gradient_by_products(kept, real, upstream),
        lambda: _gradient_by_logarithms(h, transitions, real, first, upstream),
    )
    return by_h, by_transitions, ops.zeros_like(real), ops.zeros_like(first)


def _gradient_by_products(kept, real, upstream):
    """The gradient by h and by g."""
    states = kept.weights.shape[0]
    turned = ops.transpose(kept.weights)
    shares = real / kept.scales

    def step(q, now):
        emitted, share, real = now
        own = q * (emitted * share)
        return ops.where(real > 0, own @ turned, q), own

    q = ops.broadcast_to((upstream / kept.total)[:, None], ops.shape(kept.sums[0]))
    _, own = scan(step, q, (kept.emitted, shares, real), reverse=True)
    pairs = ops.transpose(ops.reshape(kept.before, (-1, states))) @ ops.reshape(own, (-1, states))
    return kept.sums * own, pairs * kept.weights


def _logarithms(h, transitions, real, first):
    """The alphas before each step, log sums and log partitions; exact at any scale.

    Takes an exponential for every pair of states.
    """

    def step(carry, now):
        (alpha, _, total), (h, real, first) = carry, now
        top = ops.stop_gradient(ops.max(alpha, axis=-1, keepdims=True))
        sums = (1 - first) * log_sum(alpha - top, transitions)
        after = ops.where(real > 0, sums + h, alpha)
        return (after, sums, total + (real - first) * top), (alpha, sums, total)

    nothing = ops.zeros_like(h[0])
    carry = nothing, nothing, nothing[:, :1]
    (alpha, _, total), (before, sums, _) = scan(step, carry, (h, real, first))
    return before, sums, ops.logsumexp(alpha, axis=-1) + total[:, 0]


def _gradient_by_logarithms(h, transitions, real, first, upstream):
    """As `_gradient_by_products`."""
    before, sums, _ = _logarithms(h, transitions, real, first)
    shares = (real - first) * upstream[:, None]

    def step(carry, now):
        (beta, pairs), (h, real, share, before) = carry, now
        both = h + beta
        paths = before[:, :, None] + transitions + both[:, None, :]
        p = ops.exp(paths - ops.logsumexp(paths, axis=(1, 2), keepdims=True))
        left = log_sum(both, ops.transpose(transitions))
        left = left - ops.max(left, axis=-1, keepdims=True)
        pairs = pairs + ops.sum(p * share[:, :, None], axis=0)
        return (ops.where(real > 0, left, beta), pairs), (both, pairs)

    nothing = ops.zeros_like(h[0]), ops.zeros_like(transitions)
    (_, pairs), (both, _) = scan(step, nothing, (h, real, shares, before), reverse=True)
    marginals = ops.softmax(sums + both, axis=-1)
    return real * marginals * upstream[:, None], pairs


# Recomputed for the gradient: kept, the pairs of states of all steps are so large that a program
# which merely might need them becomes slower.
@keras.remat
def log_sum(alpha, transitions):
    return ops.logsumexp(alpha[..., :, None] + transitions, axis=-2)


def by_matrices(h, transitions, real, first):
    """Log sums and log partitions, by matrices `g(i, j) + h_t(j)`, which may be paired at will.

    Padding is the matrix that changes nothing. The rows of the first step are all alike, so that
    every row of the products to the left of a step holds its alphas.
    """
    own, real, first = (x[:, :, None] for x in (h, real, first))
    same = ops.where(ops.eye(transitions.shape[0], dtype="bool"), 0.0, EXCLUDED)
    matrices = ops.where(real, own + ops.where(first, 0.0, transitions), same)

    def multiply(a, b):
        return ops.logsumexp(a[..., :, :, None] + b[..., None, :, :], axis=-2)

    # TensorFlow forgets the rank where the batch is not known yet.
    products = ops.reshape(ops.associative_scan(multiply, matrices, axis=0), ops.shape(matrices))
    alphas = products[:, :, 0]
    return alphas - h, ops.logsumexp(alphas[-1], axis=-1)
