"""Scaled dot-product attention over heads: the one sum that every pattern and position shares.

    o_i = sum_j p_ij v_j,   p_i = softmax_j(scale q_i . k_j + b_ij)

A fused kernel of the backend computes it where nothing needs the probabilities `p`; dropout,
vectors of distance (NEZHA) and a value width of its own do. Shapes are those of Keras: queries
(batch, query, heads, head width), keys and values (batch, key, key-value heads, width), where each
key-value head serves `heads / key-value heads` neighbouring query heads.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import keras
from keras import ops

from taolu.nn.layers.attention_bias import RelativePosition
from taolu.nn.layers.attention_mask import over_heads
from taolu.nn.masking import lowest


@dataclass(frozen=True)
class Scoring:
    """How one call of an attention layer scores and weighs.

    Args:
        scale: Factor on every product of a query and a key.
        position: Terms that depend on distance, or None.
        drop: Dropout on probabilities, or None.
        flash: Whether to use flash attention; None lets Keras decide.
    """

    scale: float
    position: RelativePosition | None = None
    drop: Callable | None = None
    flash: bool | None = None

    def bias(self, distance):
        """Bias of distance, (1 or batch, heads, query, key), or None."""
        bias = None if self.position is None else self.position.bias(distance)
        return bias[None] if bias is not None and len(bias.shape) == 3 else bias

    def vectors(self, distance):
        """Vectors of distance, ([batch,] query, key, width), or None."""
        return None if self.position is None else self.position.vectors(distance)


def attend(query, key, value, scoring: Scoring, distance, mask=None, bias=None, causal=False):
    """Attention of every query to the keys that its mask shows.

    Args:
        query: Float (batch, query, heads, head width).
        key: Float (batch, key, key-value heads, head width).
        value: Float (batch, key, key-value heads, value width).
        scoring: See `Scoring`.
        distance: Int (query, key) or (batch, query, key): position of the key minus that of the
            query.
        mask: Bool, broadcastable to (batch, heads, query, key), or None.
        bias: Float, broadcastable to (batch, heads, query, key), added to the scores, or None.
        causal: Whether to hide keys at positive distance when `mask` is None. Kernels that know
            the triangle skip half of the work.

    Returns:
        Float (batch, query, heads, value width). A query that sees no key gets zeros, and neither
        it nor any key gets a gradient through it.

    Example:
        >>> query, key = ops.zeros((1, 1, 1, 2)), ops.zeros((1, 2, 1, 2))
        >>> value = ops.array([[[[2.0, 4.0]], [[6.0, 8.0]]]])
        >>> context = attend(query, key, value, Scoring(scale=1.0), ops.array([[0, 1]]))
        >>> ops.convert_to_numpy(context)[0, 0, 0].tolist()
        [4.0, 6.0]
    """
    bias = _sum(bias, scoring.bias(distance))
    vectors = scoring.vectors(distance)
    fused = vectors is None and _may_fuse(query, key, value, scoring)
    if causal and mask is None and not (fused and bias is None):
        mask, causal = over_heads(distance <= 0), False
    if fused:
        context = _fused(query, key, value, scoring, mask, bias, causal)
    else:
        context, _ = weigh(query, key, value, scoring, mask, bias, vectors)
    return silence(context, mask)


def _may_fuse(query, key, value, scoring):
    if scoring.drop is not None or key.shape[-1] != value.shape[-1]:
        return False
    # JAX 0.10 cannot compile its float16 product on a CPU (it asks for an algorithm that only GPUs
    # have), so half precision of this kind takes the long way unless flash is demanded.
    return keras.backend.standardize_dtype(query.dtype) != "float16" or bool(scoring.flash)


def _fused(query, key, value, scoring, mask, bias, causal):
    heads = query.shape[2]
    if key.shape[2] == 1 < heads:  # Keras repeats shared heads, but not one alone on TensorFlow
        key, value = (ops.repeat(x, heads, axis=2) for x in (key, value))
    seen = mask
    if bias is not None:  # kernels take a mask or a bias, so the bias carries the mask
        bias = ops.cast(bias, query.dtype)
        if mask is not None:
            bias, seen = ops.where(mask, bias, lowest(query.dtype)), None
    return ops.dot_product_attention(
        query,
        key,
        value,
        bias=bias,
        mask=seen,
        scale=scoring.scale,
        is_causal=causal,
        flash_attention=scoring.flash,
    )


def weigh(query, key, value, scoring: Scoring, mask, bias, vectors):
    """Attention written out, for what fused kernels cannot do.

    Args:
        query, key, value, scoring, mask, bias: See `attend`; `bias` is the sum of all.
        vectors: Float ([batch,] query, key, width), added to keys and values, or None.

    Returns:
        The context, (batch, query, heads, value width), and the logarithm of its normaliser,
        float32 (batch, query, heads, 1).
    """
    scores = _scores(query, key, scoring.scale, vectors)
    if bias is not None:
        scores = scores + ops.cast(bias, "float32")
    if mask is not None:
        scores = ops.where(mask, scores, lowest("float32"))
    top = ops.stop_gradient(ops.max(scores, axis=-1, keepdims=True))
    shares = ops.exp(scores - top)
    total = ops.sum(shares, axis=-1, keepdims=True)
    normaliser = ops.transpose(ops.log(total) + top, (0, 2, 1, 3))
    probabilities = ops.cast(shares / total, value.dtype)
    if scoring.drop is not None:
        probabilities = scoring.drop(probabilities)
    return _mix(probabilities, value, vectors), normaliser


def _scores(query, key, scale, vectors):
    """Scaled products in float32, (batch, heads, query, key)."""
    steps, heads, shared = ops.shape(query)[1], query.shape[2], key.shape[2]
    # Scaled first: in float16 the product of wide heads could overflow before it is scaled.
    query = query * ops.cast(scale, query.dtype)
    grouped = ops.reshape(query, (-1, steps, shared, heads // shared, query.shape[3]))
    scores = ops.einsum("bqhgw,bkhw->bhgqk", grouped, key)
    scores = ops.reshape(scores, (-1, heads, steps, ops.shape(key)[1]))
    if vectors is not None:
        rows = "bqkw" if len(vectors.shape) == 4 else "qkw"
        vectors = ops.cast(vectors, query.dtype)
        scores = scores + ops.einsum(f"bqhw,{rows}->bhqk", query, vectors)
    return ops.cast(scores, "float32")


def _mix(probabilities, value, vectors):
    """Values weighed with their probabilities, (batch, query, heads, value width)."""
    heads, shared = probabilities.shape[1], value.shape[2]
    steps, keys = ops.shape(probabilities)[2], ops.shape(value)[1]
    grouped = ops.reshape(probabilities, (-1, shared, heads // shared, steps, keys))
    context = ops.einsum("bhgqk,bkhw->bqhgw", grouped, value)
    context = ops.reshape(context, (-1, steps, heads, value.shape[3]))
    if vectors is not None:
        rows = "bqkw" if len(vectors.shape) == 4 else "qkw"
        vectors = ops.cast(vectors, value.dtype)
        context = context + ops.einsum(f"bhqk,{rows}->bqhw", probabilities, vectors)
    return context


def silence(context, mask):
    """Zeros where a query sees no key: its softmax is finite, an average over what is hidden."""
    if mask is None:
        return context
    sees = ops.transpose(ops.any(mask, axis=-1), (0, 2, 1))[..., None]
    return ops.where(sees, context, ops.zeros_like(context))


def log_factor(length: int, mask, place, key, causal: bool):
    """Factor on queries that keeps the entropy of attention about constant: log(n) / log(length).

    Args:
        length: Steps at which the factor is 1.
        mask: Bool (1 or batch, key), True where a key is real, or None.
        place: Int (query,) or (batch, query), index of each query among the keys.
        key: Tensor whose axis 1 is that of the keys.
        causal: Whether n counts the real keys up to a query, or all real keys.

    Returns:
        Float32 (1 or batch, 1 or query, 1, 1).
    """
    real = ops.ones((1, ops.shape(key)[1]), "bool") if mask is None else mask
    count = ops.cumsum(ops.cast(real, "float32"), axis=1)
    if not causal:
        count = count[:, -1:]
    elif len(place.shape) == 1:
        count = ops.take(count, place, axis=1)
    else:
        count = ops.take_along_axis(ops.broadcast_to(count, ops.shape(key)[:2]), place, axis=1)
    return (ops.log(ops.maximum(count, 1)) / math.log(length))[..., None, None]


def _sum(first, second):
    return second if first is None else first if second is None else first + second
