"""What the distance between two positions adds to attention: one strategy object per scheme.

With `d = j - i`, the distance from the query at `i` to the key at `j`, `Attention` scores

    s_ij = scale * rotate(q_i, i) . (rotate(k_j, j) + r_d) + b_d
    o_i  = sum_j softmax_j(s_ij) (v_j + r_d)

A `RelativePosition` supplies some of: a rotation of queries and keys (`Rotary`), a bias `b_d` per
head (`T5Bias`, `ALiBi`), a vector `r_d` (`Nezha`). They are layers, so a table that several
attention layers share is one object given to all of them, saved once.
"""

import math

import keras
import numpy as np
from keras import ops

from taolu.nn.layers.position import sinusoids


class RelativePosition(keras.layers.Layer):
    """Base of the schemes; a scheme overrides the terms that it has.

    The three terms below are what `Attention` asks for. Calling the layer itself gives its term for
    whole sequences, as a tensor: compute a bias once, hand it to many layers.
    """

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.supports_masking = (
            True  # a term stands for every pair: a mask neither enters nor leaves
        )

    def build(self, inputs_shape=None):
        """Creates what a scheme learns; no shape matters, so `Attention` builds it without one."""

    def compute_mask(self, inputs, previous_mask=None):
        return None

    def check(self, heads: int, head_width: int, value_width: int) -> None:
        """Raises a ValueError if the scheme does not fit an attention of this form."""

    def rotate(self, query, key, positions):
        """Query and key, (batch, time, heads, head width), turned to their positions."""
        return query, key

    def bias(self, distance):
        """Bias (..., heads, query, key) for distances (..., query, key), or None."""

    def vectors(self, distance):
        """Vectors (..., query, key, width) added to keys and values, or None."""


def distances(inputs, memory=None):
    """Distance from every query to every key of two sequences.

    Args:
        inputs: The queries, any tensor (batch, query, ...).
        memory: The keys, any tensor (batch, key, ...). Default: `inputs`.

    Returns:
        Int32 (query, key): index of the key minus index of the query.

    Example:
        >>> ops.convert_to_numpy(distances(np.zeros((1, 2, 8)))).tolist()
        [[0, 1], [-1, 0]]
    """
    keys = ops.arange(ops.shape(inputs if memory is None else memory)[1], dtype="int32")
    return keys[None, :] - ops.arange(ops.shape(inputs)[1], dtype="int32")[:, None]


class _HeadBias(RelativePosition):
    """A bias per head: what `T5Bias` and `ALiBi` share."""

    def __init__(self, heads: int, **kwargs):
        super().__init__(**kwargs)
        if heads < 1:
            raise ValueError(f"`heads` must be at least 1. Received: heads={heads}.")
        self.heads = heads

    def check(self, heads, head_width, value_width):
        if heads != self.heads:
            raise ValueError(
                f"The {type(self).__name__} must have as many `heads` as the attention. "
                f"Received: {self.heads} and {heads}."
            )

    def call(self, inputs, memory=None):
        return ops.cast(self.bias(distances(inputs, memory))[None], self.compute_dtype)

    def compute_output_shape(self, inputs_shape, memory_shape=None):
        return (1, self.heads, inputs_shape[1], (memory_shape or inputs_shape)[1])

    def get_config(self):
        return {**super().get_config(), "heads": self.heads}


def relative_bucket(distance, buckets: int, max_distance: int, bidirectional: bool = True):
    """Bucket of a distance: one for each short distance, ever wider ones for long distances.

    Of `n` buckets for one direction the first half holds one distance each; the rest divide the
    way to `max_distance` evenly on a logarithmic scale; all beyond share the last. Bidirectional,
    each direction has half of the buckets; otherwise keys to the right fall into bucket 0.

    Args:
        distance: Int (...), position of the key minus position of the query.
        buckets: Number of buckets.
        max_distance: The last bucket begins at or below this distance.
        bidirectional: Whether right and left differ.

    Returns:
        Int32 (...), in [0, buckets).

    Example:
        >>> buckets = relative_bucket(ops.array([-200, -9, -2, 0, 2]), 32, 128)
        >>> ops.convert_to_numpy(buckets).tolist()
        [15, 8, 2, 0, 18]
    """
    count = buckets // 2 if bidirectional else buckets
    exact = count // 2
    # A table over all distances: logarithms of a backend could round a border to either side.
    steps = np.arange(max_distance + 1)
    wide = np.log(np.maximum(steps, 1) / exact) / math.log(max_distance / exact) * (count - exact)
    wide = np.minimum(exact + np.floor(wide + 1e-9).astype("int32"), count - 1)
    table = np.where(steps < exact, steps, wide).astype("int32")
    away = ops.abs(distance) if bidirectional else ops.maximum(-distance, 0)
    bucket = ops.take(table, ops.minimum(away, max_distance), axis=0)
    if bidirectional:
        bucket = bucket + ops.where(distance > 0, count, 0)
    return ops.cast(bucket, "int32")


@keras.saving.register_keras_serializable(package="taolu")
class T5Bias(_HeadBias):
    """A learned number per head and bucket of distance, added to the scores.

    `b_d = table[bucket(d)]`, see `relative_bucket`. T5 has one table for all layers of a stack:
    give the same object to each `Attention`, or call it once and pass the result as `bias`.
    T5 does not divide scores by the square root of the key width: `Attention(scale=1.0)`.

    Masking: takes and returns no mask; the bias stands for every pair.

    Args:
        heads: Number of heads.
        buckets: Number of buckets; even when `bidirectional`.
        max_distance: From here on all distances share a bucket.
        bidirectional: True in an encoder, False in a causal decoder.
        initializer: First values of the table.

    Call arguments:
        inputs: The queries, (batch, query, ...); only the length matters.
        memory: The keys, (batch, key, ...). Default: `inputs`.

    Returns:
        Bias, float (1, heads, query, key).

    Raises:
        ValueError: `buckets` is too small or odd, or `max_distance` leaves no room for them.

    Example:
        >>> tuple(T5Bias(heads=2, buckets=8, max_distance=16)(np.zeros((1, 5, 4))).shape)
        (1, 2, 5, 5)

    References:
        Raffel et al., Exploring the Limits of Transfer Learning, 2020.
        Su Jianlin, 让研究人员绞尽脑汁的Transformer位置编码, 2021.
    """

    def __init__(
        self,
        heads: int,
        buckets: int = 32,
        max_distance: int = 128,
        bidirectional: bool = True,
        initializer="uniform",
        **kwargs,
    ):
        super().__init__(heads, **kwargs)
        step = 4 if bidirectional else 2
        if buckets < step or (bidirectional and buckets % 2):
            raise ValueError(
                f"`buckets` must be at least {step}, and even when `bidirectional`. "
                f"Received: buckets={buckets}, bidirectional={bidirectional}."
            )
        if max_distance <= buckets // step:
            raise ValueError(
                f"`max_distance` must exceed the {buckets // step} distances that have buckets of "
                f"their own. Received: max_distance={max_distance}, buckets={buckets}."
            )
        self.buckets = buckets
        self.max_distance = max_distance
        self.bidirectional = bidirectional
        self.initializer = keras.initializers.get(initializer)

    def build(self, inputs_shape=None):
        self.embeddings = self.add_weight(
            shape=(self.buckets, self.heads), initializer=self.initializer, name="embeddings"
        )

    def bias(self, distance):
        """Returns one number a head for each distance, by bucket."""
        bucket = relative_bucket(distance, self.buckets, self.max_distance, self.bidirectional)
        return ops.moveaxis(ops.take(self.embeddings, bucket, axis=0), -1, -3)

    def get_config(self):
        config = {"buckets": self.buckets, "max_distance": self.max_distance}
        config["bidirectional"] = self.bidirectional
        config["initializer"] = keras.initializers.serialize(self.initializer)
        return {**super().get_config(), **config}


def slopes(heads: int) -> np.ndarray:
    """ALiBi's slope of each head: a geometric sequence from `2^(-8/heads)` to `2^-8`.

    For a number of heads that is no power of two, the sequence of the power below, then every
    other slope of the power above, as in the paper's code.

    Example:
        >>> slopes(4)
        array([0.25      , 0.0625    , 0.015625  , 0.00390625])
    """
    power = 2 ** math.floor(math.log2(heads))
    first = 2.0 ** (-8 * np.arange(1, power + 1) / power)
    between = 2.0 ** (-4 * np.arange(1, 2 * (heads - power), 2) / power)
    return np.concatenate([first, between])


@keras.saving.register_keras_serializable(package="taolu")
class ALiBi(_HeadBias):
    """A fixed penalty that grows with distance, `b_d = -slope |d|`, another slope for every head.

    It has no parameters and lets a model read texts longer than it was trained on.

    Masking: takes and returns no mask; the bias stands for every pair.

    Args:
        heads: Number of heads.

    Call arguments:
        inputs: The queries, (batch, query, ...); only the length matters.
        memory: The keys, (batch, key, ...). Default: `inputs`.

    Returns:
        Bias, float (1, heads, query, key), never positive.

    Example:
        >>> ops.convert_to_numpy(ALiBi(heads=8)(np.zeros((1, 3, 4))))[0, 0, 2]
        array([-1. , -0.5, -0. ], dtype=float32)

    References:
        Press, Smith & Lewis, Train Short, Test Long, 2022.
    """

    def bias(self, distance):
        """Returns minus the distance times the slope of the head."""
        slope = ops.convert_to_tensor(slopes(self.heads), dtype="float32")[:, None, None]
        return -ops.cast(ops.abs(distance), "float32")[..., None, :, :] * slope


@keras.saving.register_keras_serializable(package="taolu")
class Nezha(RelativePosition):
    """A fixed sinusoidal vector for every clipped distance, added to keys and to values.

    `r_d = PE(clip(d, -m, m) + m)` with `m = max_distance`; one table for all heads.

    Masking: takes and returns no mask; the vectors stand for every pair.

    Args:
        width: Width of a head, the same for keys and values.
        max_distance: `m`; all longer distances look alike.

    Call arguments:
        inputs: The queries, (batch, query, ...); only the length matters.
        memory: The keys, (batch, key, ...). Default: `inputs`.

    Returns:
        Vectors, float (query, key, width).

    Example:
        >>> ops.convert_to_numpy(Nezha(width=4, max_distance=2)(np.zeros((1, 5, 4))))[4, 0]
        array([0., 1., 0., 1.], dtype=float32)

    References:
        Wei et al., NEZHA: Neural Contextualized Representation for Chinese, 2019.
        Shaw, Uszkoreit & Vaswani, Self-Attention with Relative Position Representations, 2018.
    """

    def __init__(self, width: int, max_distance: int = 64, **kwargs):
        super().__init__(**kwargs)
        if width < 1 or max_distance < 1:
            raise ValueError(
                "`width` and `max_distance` must be at least 1. "
                f"Received: width={width}, max_distance={max_distance}."
            )
        self.width = width
        self.max_distance = max_distance

    def check(self, heads, head_width, value_width):
        """Raises ValueError unless keys and values of a head have this width."""
        if not self.width == head_width == value_width:
            raise ValueError(
                "`width` of Nezha must equal `head_width` and `value_width` of the attention. "
                f"Received: {self.width}, {head_width} and {value_width}."
            )

    def vectors(self, distance):
        """Returns a sinusoidal vector for each distance."""
        most = self.max_distance
        table = sinusoids(np.arange(2 * most + 1), self.width)
        return ops.take(table, ops.clip(distance, -most, most) + most, axis=0)

    def call(self, inputs, memory=None):
        return ops.cast(self.vectors(distances(inputs, memory)), self.compute_dtype)

    def compute_output_shape(self, inputs_shape, memory_shape=None):
        return (inputs_shape[1], (memory_shape or inputs_shape)[1], self.width)

    def get_config(self):
        config = {"width": self.width, "max_distance": self.max_distance}
        return {**super().get_config(), **config}
