"""Sparse patterns of self-attention: full attention with a mask, for a fraction of its cost.

A pattern names the distances `d = j - i` that a query may see. The others are not computed and
hidden but never computed: a text is folded into many short ones, those attend in full, and the
result is unfolded. For a text of T steps the scores number

    full                    T^2
    Local(w), |d| <= w      3 w T
    Atrous(r), r | d        T^2 / r
    Sparse(w, r), either    3 w T + T^2 / r

(2 w T instead of 3 w T when causal). Folding needs zeros at the end; they are masked.
"""

from dataclasses import asdict, dataclass

import keras
from keras import ops

from taolu.nn.layers.attention_core import Scoring, attend, silence, weigh
from taolu.nn.layers.attention_mask import both, over_heads


@dataclass(frozen=True)
class _Pattern:
    """Base of the patterns, each a frozen dataclass."""

    def __post_init__(self):
        for name, value in asdict(self).items():
            if value < 1:
                raise ValueError(f"`{name}` must be at least 1. Received: {name}={value}.")

    def allows(self, distance):
        """Whether the pattern lets a query see a key at this distance; bool, same shape."""
        raise NotImplementedError

    def attend(self, query, key, value, scoring: Scoring, real, causal: bool):
        """What `attend` of `attention_core` gives under the mask `allows`, at the pattern's cost.

        Args:
            query, key, value, scoring: See `attend`; all of the same time.
            real: Bool (batch, time), True where a key is real, or None.
            causal: Whether keys to the right are hidden as well.

        Returns:
            Float (batch, time, heads, value width).
        """
        raise NotImplementedError

    def get_config(self):
        return asdict(self)

    @classmethod
    def from_config(cls, config):
        return cls(**config)


@keras.saving.register_keras_serializable(package="taolu")
@dataclass(frozen=True)
class Local(_Pattern):
    """A query sees its neighbours, `|d| <= window`. Cost: 3 window T scores, 2 window T if causal.

    The text is cut into blocks of `window` steps; a block sees itself and the blocks beside it.

    Args:
        window: Farthest distance, in steps.

    Example:
        >>> ops.convert_to_numpy(Local(1).allows(ops.arange(-2, 3))).tolist()
        [False, True, True, True, False]

    References:
        Su Jianlin, 为节约而生:从标准Attention到稀疏Attention, 2019.
    """

    window: int

    def allows(self, distance):
        """Returns True within the window."""
        return ops.abs(distance) <= self.window

    def attend(self, query, key, value, scoring, real, causal):
        """Attends in blocks of the window and their two neighbours."""
        size = _block_size(self.window, query)
        q, k, v, distance, mask = _fold_blocks(query, key, value, real, size, causal)
        context = attend(q, k, v, scoring, distance, mask)
        return _unfold_blocks(context, query, size)


@keras.saving.register_keras_serializable(package="taolu")
@dataclass(frozen=True)
class Atrous(_Pattern):
    """A query sees every `rate`-th step from its own, `rate` divides `d`. Cost: T^2 / rate scores.

    The steps with the same remainder are gathered into one text of T / rate steps.

    Args:
        rate: Distance between two steps that see each other.

    Example:
        >>> ops.convert_to_numpy(Atrous(2).allows(ops.arange(-2, 3))).tolist()
        [True, False, True, False, True]

    References:
        Su Jianlin, 为节约而生:从标准Attention到稀疏Attention, 2019.
    """

    rate: int

    def allows(self, distance):
        """Returns True at multiples of the rate."""
        return ops.equal(ops.mod(distance, self.rate), 0)

    def attend(self, query, key, value, scoring, real, causal):
        """Attends within each remainder, as so many shorter texts."""
        q, k, v, distance, mask = _fold_strides(query, key, value, real, self.rate, causal)
        context = attend(q, k, v, scoring, distance, mask)
        return _unfold_strides(context, query, self.rate)


@keras.saving.register_keras_serializable(package="taolu")
@dataclass(frozen=True)
class Sparse(_Pattern):
    """Near steps and every `rate`-th far one, under one softmax. Cost: 3 window T + T^2 / rate.

    With A the near and B the far keys that are not near, and Z the normaliser of each softmax,

        softmax over A and B = (Z_A softmax over A + Z_B softmax over B) / (Z_A + Z_B)

    so both are computed apart, at their own cost, and joined exactly. With a window near the rate,
    and the rate near the square root of T, every step reaches every other in two layers.

    Args:
        window: Farthest distance that is near, in steps.
        rate: Distance between far steps.

    Example:
        >>> ops.convert_to_numpy(Sparse(1, 3).allows(ops.arange(-3, 3))).tolist()
        [True, False, True, True, True, False]

    References:
        Child et al., Generating Long Sequences with Sparse Transformers, 2019.
        Su Jianlin, 为节约而生:从标准Attention到稀疏Attention, 2019.
    """

    window: int
    rate: int

    def allows(self, distance):
        """Returns True where one of the two patterns is."""
        return ops.logical_or(
            Local(self.window).allows(distance), Atrous(self.rate).allows(distance)
        )

    def attend(self, query, key, value, scoring, real, causal):
        """Attends by both patterns and joins them under one softmax."""
        size = _block_size(self.window, query)
        q, k, v, distance, mask = _fold_blocks(query, key, value, real, size, causal)
        near, near_log = _weighed(q, k, v, scoring, distance, mask)
        near = _unfold_blocks(near, query, size)
        near_log = _unfold_blocks(near_log, query, size)

        q, k, v, distance, mask = _fold_strides(query, key, value, real, self.rate, causal)
        mask = ops.logical_and(mask, over_heads(ops.abs(distance) > self.window))
        far, far_log = _weighed(q, k, v, scoring, distance, mask)
        far = _unfold_strides(far, query, self.rate)
        far_log = _unfold_strides(far_log, query, self.rate)

        # Z_A / (Z_A + Z_B). A part without keys has the log of nothing, a very negative number.
        share = ops.cast(ops.sigmoid(near_log - far_log), near.dtype)
        return share * near + (1 - share) * far


def _weighed(query, key, value, scoring, distance, mask):
    """Context and log of the normaliser of folded queries, keys and values."""
    bias, vectors = scoring.bias(distance), scoring.vectors(distance)
    context, normaliser = weigh(query, key, value, scoring, mask, bias, vectors)
    return silence(context, mask), normaliser


# Blocks: (batch, time, ...) <-> (batch * blocks, size, ...).


def _block_size(window, query):
    """Wider than the text would only add zeros; the farthest distance in it is time - 1."""
    time = query.shape[1]
    return window if time is None else max(min(window, time - 1), 1)


def _fold_blocks(query, key, value, real, size, causal):
    """Queries by block, keys and values by block with its neighbours; distances and mask."""
    batch, time = ops.shape(query)[:2]
    end = (-time) % size
    after = 0 if causal else size
    query = ops.reshape(_pad(query, 0, end), (-1, size, *query.shape[2:]))
    key, value = (_neighbours(_pad(x, size, end + after), size, causal) for x in (key, value))
    keys = ops.arange(2 * size if causal else 3 * size, dtype="int32") - size
    distance = keys[None, :] - ops.arange(size, dtype="int32")[:, None]
    seen = ops.abs(distance) <= size
    if causal:
        seen = ops.logical_and(seen, distance <= 0)
    real = both(ops.ones((batch, time), dtype="bool"), real)  # what is padded becomes False
    real = _neighbours(_pad(real, size, end + after), size, causal)
    return query, key, value, distance, ops.logical_and(real[:, None, None, :], over_heads(seen))


def _neighbours(x, size, causal):
    """Each block beside those around it: (batch * blocks, 2 or 3 * size, ...)."""
    blocks = ops.reshape(x, (ops.shape(x)[0], -1, size, *x.shape[2:]))
    if causal:
        parts = [blocks[:, :-1], blocks[:, 1:]]
    else:
        parts = [blocks[:, :-2], blocks[:, 1:-1], blocks[:, 2:]]
    return ops.reshape(ops.concatenate(parts, axis=2), (-1, len(parts) * size, *x.shape[2:]))


def _unfold_blocks(x, query, size):
    time = ops.shape(query)[1]
    return ops.reshape(x, (-1, time + (-time) % size, *x.shape[2:]))[:, :time]


# Strides: (batch, time, ...) <-> (batch * rate, time / rate, ...).


def _fold_strides(query, key, value, real, rate, causal):
    """Queries, keys and values by remainder of their position; distances and mask."""
    real = both(ops.ones(ops.shape(query)[:2], dtype="bool"), real)
    query, key, value = (_stride(x, rate) for x in (query, key, value))
    place = rate * ops.arange(ops.shape(query)[1], dtype="int32")
    distance = place[None, :] - place[:, None]
    mask = _stride(real, rate)[:, None, None, :]
    if causal:
        mask = ops.logical_and(mask, over_heads(distance <= 0))
    return query, key, value, distance, mask


def _stride(x, rate):
    time = ops.shape(x)[1]
    end = (-time) % rate  # none at all when the rate divides the time
    rows = ops.reshape(_pad(x, 0, end), (-1, (time + end) // rate, rate, *x.shape[2:]))
    return ops.reshape(ops.swapaxes(rows, 1, 2), (-1, (time + end) // rate, *x.shape[2:]))


def _unfold_strides(x, query, rate):
    time = ops.shape(query)[1]
    end = (-time) % rate
    rows = ops.reshape(x, (-1, rate, (time + end) // rate, *x.shape[2:]))
    return ops.reshape(ops.swapaxes(rows, 1, 2), (-1, time + end, *x.shape[2:]))[:, :time]


def _pad(x, before, after):
    """Zeros (False for a mask) before and after the steps; the counts may be tensors."""
    batch, width = ops.shape(x)[0], x.shape[2:]
    parts = [ops.zeros((batch, steps, *width), dtype=x.dtype) for steps in (before, after)]
    return ops.concatenate([parts[0], x, parts[1]], axis=1)
