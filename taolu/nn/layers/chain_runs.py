"""The sum over all paths where every operation has its price: runs of steps side by side.

A chain of T steps is cut into runs of about sqrt(T). The runs are walked through all at once, each
from every state that it may begin in; then a walk over the runs puts them together:

    X_r(i, j) = sum over the paths through run r that come from state i and end in j
    p_r = p_r-1 X_r,    log Z = log sum_j p_R(j)

That is `states` times the work in 2 sqrt(T) rounds instead of T. On torch, where a round costs its
operations however small they are, it pays for a few states. As in `chain_sums` the sums run over
probabilities that are scaled at every step; what is lost so is found out, and done again there.
"""

import math

from keras import ops

from taolu.nn.layers.chain_sums import LEAST, RELIABLE, log_z

FEW = 12  # states; with 16 a loop over the steps is as fast


def log_z_by_runs(h, transitions, real, first):
    """Log partitions, float32 (batch,); arguments as in `chain_sums`, the time known."""
    found, fine = _by_runs(h, transitions, real, first)
    return ops.cond(fine, lambda: found, lambda: log_z(h, transitions, real, first))


def _by_runs(h, transitions, real, first):
    batch, states = ops.shape(h)[1], h.shape[-1]
    top = ops.stop_gradient(ops.max(transitions))
    high = ops.stop_gradient(ops.max(h, axis=-1, keepdims=True))
    weights = ops.exp(transitions - top)
    is_real, is_first = (ops.cast(x, "float32") for x in (real, first))
    logs = ops.sum(is_real * high + (is_real - is_first) * top, axis=0)[:, 0]
    length = 2 ** round(math.log2(h.shape[0]) / 2)
    emitted, real, begins = (_cut(x, length) for x in (ops.exp(h - high), real, is_first))
    continues = 1 - begins
    x = ops.broadcast_to(ops.eye(states), (emitted.shape[1], batch, states, states))
    least = RELIABLE * 2
    for t in range(length):
        # Where the chain begins, it comes from every state alike.
        sums = (x @ weights) * continues[t] + begins[t]
        new = sums * emitted[t]
        scale = ops.stop_gradient(ops.amax(new, axis=(-2, -1), keepdims=True) + LEAST)
        x = ops.where(real[t], new / scale, x)
        logs = logs + ops.sum(ops.where(real[t], ops.log(scale), 0.0), axis=(0, 2, 3))
        smallest = ops.amin(ops.stop_gradient(sums), axis=(-2, -1), keepdims=True)
        least = ops.minimum(least, ops.where(real[t], smallest, 1.0))
    p = ops.full((batch, 1, states), 1 / states)
    for r in range(x.shape[0]):
        p = p @ x[r]
        scale = ops.stop_gradient(ops.sum(p, axis=-1, keepdims=True) + LEAST)
        p, logs = p / scale, logs + ops.log(scale)[:, 0, 0]
    return logs + ops.log(ops.sum(p, axis=-1))[:, 0], ops.all(least > RELIABLE)


def _cut(x, length):
    """(time, batch, n) as (length, runs, batch, 1, n), filled up with zeros."""
    x = ops.pad(x, [(0, -x.shape[0] % length), (0, 0), (0, 0)])
    x = ops.reshape(x, (-1, length, *x.shape[1:]))
    return ops.swapaxes(x, 0, 1)[..., None, :]
