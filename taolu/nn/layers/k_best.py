"""The k best paths through a chain, on padded batches: `taolu.chain.k_best` defines the answer.

    best_t(j, 1..k) = the k largest of  best_t-1(i, r) + g(i, j) + h_t(j)  over all i and r

Each state keeps the k best paths that end in it, and of each the entry (i, r) it came from. With
the entries sorted as `i k + r`, and a sort that leaves equals as they are, ties fall as they do in
the definition: to the lower last state, then to the lower states before it.
"""

import math

from keras import ops

from taolu.nn.masking import apply_mask
from taolu.nn.scan import scan


def k_best(scores, transitions, start, end, mask, k):
    """The paths with the highest scores, best first, and their scores.

    Takes time * states**2 * k sums and their sorting, and time * states * k memory for each row.
    Minus infinity in a table forbids. No gradient passes. On TensorFlow the time must be known when
    a graph is traced.

    Args:
        scores: h, float32 (batch, time, states).
        transitions: g, float32 (states, states), from row to column.
        start: Float32 (states,).
        end: Float32 (states,).
        mask: Bool (batch, time).
        k: How many, at least 1.

    Returns:
        Paths, int32 (batch, k, time), -1 where a step is not real; and float32 (batch, k). Where
        there are fewer than k paths the rest score minus infinity, and are -1 all along.

    Raises:
        ValueError: `k` is below 1.
    """
    if k < 1:
        raise ValueError(f"`k` must be at least 1. Received: k={k}.")
    states = transitions.shape[0]

    def step(carry, now):
        (best, moved, _), (h, real, first) = carry, now
        sums = best[..., None] + transitions[:, None, :]  # from a state and rank to a state
        sums = ops.reshape(sums, (-1, states * k, states))
        new, came = _largest(ops.transpose(sums, (0, 2, 1)), k)
        new = ops.where(first, _only(start, k), new) + h[..., None]
        # Only differences matter, and those of small numbers keep their digits.
        top = ops.max(new, axis=(1, 2), keepdims=True)
        top = ops.where(ops.logical_and(real, top > -math.inf), top, 0.0)
        carry = ops.where(real, new - top, best), moved + top, came
        return carry, carry  # TensorFlow stacks only what has the dtypes of the carry

    def back(entry, now):
        came, moves = now
        return ops.where(moves, ops.take_along_axis(came, entry, axis=1), entry), entry // k

    real = ops.transpose(mask)[..., None, None]
    first = ops.logical_and(real, ops.cumsum(ops.cast(real, "int32"), axis=0) == 1)
    h = ops.transpose(apply_mask(scores, mask), (1, 0, 2))
    # A row without steps has one path, an empty one.
    empty = ops.zeros_like(h[0])[..., None] + _only(ops.zeros(states), k)
    carry = empty, empty[:, :1, :1], ops.zeros_like(empty, dtype="int32")
    (best, moved, _), (*_, came) = scan(step, carry, (h, real, first))
    last, entry = _largest(ops.reshape(best + end[:, None], (-1, states * k)), k)
    there = ops.any(mask, axis=1)[:, None]
    found = ops.where(there, last + moved[:, 0], _only(ops.zeros(1), k))
    came = ops.reshape(came, (ops.shape(h)[0], ops.shape(h)[1], states * k))
    moves = ops.logical_and(real, ops.logical_not(first))[..., 0]
    _, paths = scan(back, entry, (came, moves), reverse=True)
    shown = ops.logical_and(mask[:, None], found[..., None] > -math.inf)
    paths = ops.where(shown, ops.transpose(paths, (1, 2, 0)), -1)
    return paths, ops.stop_gradient(found)


def _only(scores, k):
    """Scores as the first of k ranks, (states, k); the others stay empty."""
    return ops.pad(scores[:, None], [[0, 0], [0, k - 1]], constant_values=-math.inf)


def _largest(scores, k):
    """The k largest of the last axis, and where they stood, int32; equals keep their order."""
    order = ops.cast(ops.argsort(-scores, axis=-1)[..., :k], "int32")
    return ops.take_along_axis(scores, order, axis=-1), order
