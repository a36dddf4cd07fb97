"""Masks: which steps of a padded batch are text. Padding must never change an answer.

A mask is boolean, True where a step is real, and comes with the data: a value of 0 may well be
real (`avg([1, 0, 3, 4, 5]) = 2.6`), so nothing here guesses from values. What "not there" means
depends on the sum that reads the step:

    sum   sum_t m_t x_t               mean   sum_t m_t x_t / sum_t m_t
    max   over t with m_t             softmax   m_t e^{s_t} / sum_u m_u e^{s_u}

and a sum over no steps at all is 0, with gradient 0.
"""

import keras
import ml_dtypes
from keras import ops


def as_mask(mask, name: str = "mask"):
    """A mask of steps as bool (batch, time); None stays None, and means that all steps are real.

    Args:
        mask: Bool (batch, time) or (batch, time, 1), True where a step is real, or None.
        name: What the argument is called in error messages.

    Raises:
        ValueError: The mask is not boolean, or has another shape.

    Example:
        >>> tuple(as_mask([[[True], [False]]]).shape)
        (1, 2)
    """
    if mask is None:
        return None
    mask = _as_bool(mask, name)
    shape = tuple(mask.shape)
    if len(shape) == 3 and shape[-1] == 1:
        return mask[..., 0]
    if len(shape) != 2:
        raise ValueError(
            f"`{name}` must have the shape (batch, time) or (batch, time, 1). Received: {shape}."
        )
    return mask


def as_pair_mask(mask, name: str = "attention_mask"):
    """A mask of pairs as bool (batch, query, key); None stays None: everyone sees everyone.

    Args:
        mask: Bool (batch, query, key), True where a query may see a key, or None.
        name: What the argument is called in error messages.

    Raises:
        ValueError: The mask is not boolean, or has another rank.

    Example:
        >>> tuple(as_pair_mask(causal_mask(3)[None]).shape)
        (1, 3, 3)
    """
    if mask is None:
        return None
    mask = _as_bool(mask, name)
    if len(mask.shape) != 3:
        raise ValueError(
            f"`{name}` must have the shape (batch, query, key). Received: {tuple(mask.shape)}."
        )
    return mask


def apply_mask(x, mask, fill: float = 0.0):
    """Values where the mask is True, `fill` elsewhere; what stood there is forgotten, even NaN.

    Args:
        x: Tensor (batch, time, ...).
        mask: Bool (batch, time) or (batch, time, 1), or None, which changes nothing.
        fill: Number for the steps that are not real.

    Returns:
        Tensor like `x`. No gradient reaches the steps that are not real.

    Raises:
        ValueError: See `as_mask`.

    Example:
        >>> float(ops.sum(apply_mask(ops.ones((1, 3)), [[True, True, False]])))
        2.0
    """
    if mask is None:
        return x
    return ops.where(_expand(as_mask(mask), len(x.shape)), x, ops.cast(fill, x.dtype))


def masked_softmax(scores, mask=None, axis: int = -1):
    """Probabilities over the entries that a mask shows; where it shows none, zeros.

    `p_t = m_t e^{s_t} / sum_u m_u e^{s_u}`, computed in float32. Entries that are hidden get
    exactly 0 and pass no gradient.

    Args:
        scores: Float (...), natural logarithms of weights.
        mask: Bool, of a shape that broadcasts to that of `scores`, or None for all.
        axis: Axis along which probabilities add up to 1.

    Returns:
        Tensor like `scores`, in [0, 1].

    Example:
        >>> p = masked_softmax(ops.zeros((2, 2)), ops.array([[True, False], [False, False]]))
        >>> ops.convert_to_numpy(p)
        array([[1., 0.],
               [0., 0.]], dtype=float32)
    """
    scores32 = ops.cast(scores, "float32")
    if mask is not None:
        scores32 = ops.where(mask, scores32, lowest("float32"))
    weights = ops.exp(scores32 - ops.stop_gradient(ops.max(scores32, axis=axis, keepdims=True)))
    if mask is not None:
        weights = ops.where(mask, weights, 0.0)
    total = ops.sum(weights, axis=axis, keepdims=True)
    # Not the maximum with 1: where one entry is shown the two tie, and share the gradient.
    return ops.cast(weights / ops.where(total > 0, total, 1.0), scores.dtype)


def lowest(dtype) -> float:
    """The score of what is hidden: half of the most negative number of a dtype.

    Half, because a score is added to it and the sum must stay finite; of this dtype, because a
    constant like -1e10 is minus infinity in float16, and a row of those has no softmax.

    Example:
        >>> lowest("float16")
        -32752.0
    """
    return float(ml_dtypes.finfo(keras.backend.standardize_dtype(dtype)).min) / 2


def additive_bias(mask, dtype):
    """A mask as numbers to add to scores: 0 where True, `lowest(dtype)` where False.

    Args:
        mask: Bool (...).
        dtype: The compute dtype, in which the sum is taken.

    Example:
        >>> ops.convert_to_numpy(additive_bias(ops.array([True, False]), "float16")).tolist()
        [0.0, -32752.0]
    """
    return ops.where(mask, ops.cast(0.0, dtype), ops.cast(lowest(dtype), dtype))


# Who may look at whom


def causal_mask(time: int):
    """Bool (time, time), True where a step (row) may see another (column): itself and the past.

    Example:
        >>> ops.convert_to_numpy(causal_mask(2)).tolist()
        [[True, False], [True, True]]
    """
    place = ops.arange(time, dtype="int32")
    return place[None, :] <= place[:, None]


def prefix_mask(prefix):
    """Mask of UniLM: everyone sees the prefix, the rest sees itself from left to right.

    The prefix is read as by an encoder and what follows is written as by a decoder, with one
    Transformer for both: `mask_ij = prefix_j or j <= i`.

    Args:
        prefix: Bool (batch, time), True where a step belongs to the prefix.

    Returns:
        Bool (batch, time, time), row: query, column: key.

    Raises:
        ValueError: See `as_mask`.

    Example:
        >>> ops.convert_to_numpy(prefix_mask([[True, True, False]]))[0].tolist()
        [[True, True, False], [True, True, False], [True, True, True]]

    References:
        Li Dong et al., Unified Language Model Pre-training, 2019.
        Su Jianlin, 从语言模型到Seq2Seq:Transformer如戏,全靠Mask, 2019.
    """
    prefix = as_mask(prefix, "prefix")
    return ops.logical_or(prefix[:, None, :], causal_mask(ops.shape(prefix)[1]))


def segment_mask(segments, key_segments=None):
    """Mask of a packed batch: a step sees the steps of its own document, and no others.

    Short documents laid end to end in one row waste no padding; this mask keeps them apart. It is
    boolean, so fused attention kernels take it as it is; `logical_and` with `causal_mask` gives a
    packed language model.

    Args:
        segments: Int (batch, time): number of the document of each step, from 1; 0 is padding.
        key_segments: The same for the keys, where these are not the steps themselves.

    Returns:
        Bool (batch, time, key time), row: query, column: key. Rows of padding are all False.

    Raises:
        ValueError: The segments are not whole numbers (batch, time).

    Example:
        >>> ops.convert_to_numpy(segment_mask([[1, 1, 2, 0]]))[0].astype(int)
        array([[1, 1, 0, 0],
               [1, 1, 0, 0],
               [0, 0, 1, 0],
               [0, 0, 0, 0]])
    """
    segments = _as_segments(segments, "segments")
    keys = segments if key_segments is None else _as_segments(key_segments, "key_segments")
    same = segments[:, :, None] == keys[:, None, :]
    return ops.logical_and(same, segments[:, :, None] > 0)


def segment_positions(segments):
    """Place of each step in its own document, int32 (batch, time), counted from 0.

    Args:
        segments: Int (batch, time), see `segment_mask`; each document is one run of its number.

    Raises:
        ValueError: The segments are not whole numbers (batch, time).

    Example:
        >>> ops.convert_to_numpy(segment_positions([[1, 1, 1, 2, 2, 0]])).tolist()
        [[0, 1, 2, 0, 1, 0]]
    """
    segments = _as_segments(segments, "segments")
    starts = ops.pad(segments[:, 1:] != segments[:, :-1], [[0, 0], [1, 0]], constant_values=True)
    run = ops.cumsum(ops.cast(starts, "int32"), axis=1)  # from 1
    start = ops.take_along_axis(_places(starts), run - 1, axis=1)
    place = ops.arange(ops.shape(segments)[1], dtype="int32")
    return place - start


def reverse_sequence(x, mask=None):
    """The real steps in reverse order, each row on its own; padding stays where it is.

    `y[t] = x[len - 1 - t]` for `t < len` when padding stands on the right. In general the real
    steps swap places among themselves, first with last, so reversing twice gives the input back.
    A recurrent network that runs backwards over `y` never meets padding before text.

    Args:
        x: Tensor (batch, time, ...).
        mask: Bool (batch, time) or (batch, time, 1), or None for all steps.

    Returns:
        Tensor like `x`.

    Raises:
        ValueError: See `as_mask`.

    Example:
        >>> x = ops.array([[1, 2, 3, 0, 0]])
        >>> ops.convert_to_numpy(reverse_sequence(x, x > 0)).tolist()
        [[3, 2, 1, 0, 0]]
    """
    x = ops.convert_to_tensor(x)
    if mask is None:
        return ops.flip(x, axis=1)
    mask = as_mask(mask)
    rank = ops.cumsum(ops.cast(mask, "int32"), axis=1)  # of a real step, from 1
    mirror = ops.maximum(rank[:, -1:] - rank, 0)
    place = ops.arange(ops.shape(mask)[1], dtype="int32")
    source = ops.where(mask, ops.take_along_axis(_places(mask), mirror, axis=1), place)
    return _gather(x, source)


def compact(x, mask):
    """The real steps first, in order, whatever stood between them; the others follow.

    Args:
        x: Tensor (batch, time, ...).
        mask: Bool (batch, time) or (batch, time, 1).

    Returns:
        Tensor like `x`.

    Raises:
        ValueError: See `as_mask`.

    Example:
        >>> x = ops.array([[0, 1, 0, 2]])
        >>> ops.convert_to_numpy(compact(x, x > 0)).tolist()
        [[1, 2, 0, 0]]
    """
    return _gather(x, _places(as_mask(mask)))


def spread(x, mask):
    """The opposite of `compact`: the first steps back to where the mask is True, zeros elsewhere.

    Args:
        x: Tensor (batch, time, ...), the real steps first.
        mask: Bool (batch, time) or (batch, time, 1).

    Returns:
        Tensor like `x`.

    Raises:
        ValueError: See `as_mask`.

    Example:
        >>> ops.convert_to_numpy(spread(ops.array([[1, 2, 8, 9]]), [[False, True, False, True]]))
        array([[0, 1, 0, 2]], dtype=int32)
    """
    mask = as_mask(mask)
    rank = ops.cumsum(ops.cast(mask, "int32"), axis=1)  # of a real step, from 1
    return apply_mask(_gather(x, ops.maximum(rank - 1, 0)), mask)


def _gather(x, source):
    """The steps of x at the places `source`, int (batch, time)."""
    source = ops.broadcast_to(_expand(source, len(x.shape)), ops.shape(x))
    return ops.take_along_axis(x, source, axis=1)


def _as_bool(mask, name):
    mask = ops.convert_to_tensor(mask)
    dtype = keras.backend.standardize_dtype(mask.dtype)
    if dtype != "bool":
        raise ValueError(
            f"`{name}` must be boolean, True where a step is real; compare ids with the id of "
            f"padding to make one. Received: dtype {dtype}, shape {tuple(mask.shape)}."
        )
    return mask


def _places(mask):
    """Where a mask (batch, time) is True, in order, then the other places; int32 (batch, time)."""
    time = ops.shape(mask)[1]
    place = ops.arange(time, dtype="int32")
    # No two keys are equal, so it does not matter whether the sort of the backend is stable.
    return ops.cast(ops.argsort(ops.where(mask, place, place + time), axis=1), "int32")


def _as_segments(segments, name):
    segments = ops.convert_to_tensor(segments)
    dtype, shape = keras.backend.standardize_dtype(segments.dtype), tuple(segments.shape)
    if "int" not in dtype or len(shape) != 2:
        raise ValueError(
            f"`{name}` must be whole numbers (batch, time). Received: dtype {dtype}, shape {shape}."
        )
    return segments


def _expand(x, rank):
    """The tensor with axes of size 1 behind it, up to `rank` axes."""
    for _ in range(rank - len(x.shape)):
        x = x[..., None]
    return x
