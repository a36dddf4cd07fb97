"""Scores of what was seen and of what was drawn beside it, read and checked once for every loss.

A positive is something seen; its negatives stand in one more axis at the end, so that negatives of
a row cannot be taken for those of a batch. From here on all is float32, whatever the policy.
"""

import keras
from keras import ops

from taolu.nn.masking import lowest


def read_scores(positive, negative):
    """Both as float32.

    Args:
        positive: Float (...).
        negative: Float (..., negatives); an axis in front of the last may be 1, where several
            positives share their negatives.

    Returns:
        The pair (positive, negative), float32.

    Raises:
        ValueError: The shapes do not belong together, or there is no negative.
    """
    positive, negative = as_float(positive), as_float(negative)
    shapes = tuple(positive.shape), tuple(negative.shape)
    same_rank = len(shapes[1]) == len(shapes[0]) + 1
    if not same_rank or not fits(shapes[1][:-1], shapes[0]) or shapes[1][-1] == 0:
        raise ValueError(
            "`negative` must have the shape of `positive` and one more axis, for at least one "
            f"negative. Received: positive of shape {shapes[0]}, negative of shape {shapes[1]}."
        )
    return positive, negative


def read_part(part, whole, name, of):
    """Numbers as float32, of a shape that broadcasts to that of `whole`.

    Args:
        part: Float.
        whole: Tensor.
        name: What `part` is called in error messages.
        of: What `whole` is called.

    Raises:
        ValueError: The shape does not broadcast to that of `whole`.
    """
    part = as_float(part)
    if not fits(part.shape, whole.shape):
        raise ValueError(
            f"`{name}` must broadcast to the shape of `{of}`. Received: {name} of shape "
            f"{tuple(part.shape)}, {of} of shape {tuple(whole.shape)}."
        )
    return part


def read_mask(mask, shape, name="mask", of="positive"):
    """A mask as bool of this shape; None stays None.

    Args:
        mask: Bool, of this shape or with one more axis of size 1, or None.
        shape: Shape of what it hides; sizes that are not known are None.
        name: What the mask is called in error messages.
        of: What has that shape.

    Raises:
        ValueError: The mask is not boolean, or has another shape.
    """
    if mask is None:
        return None
    mask = ops.convert_to_tensor(mask)
    dtype, found, shape = keras.backend.standardize_dtype(mask.dtype), mask.shape, tuple(shape)
    if len(found) == len(shape) + 1 and found[-1] == 1:
        mask = ops.squeeze(mask, axis=-1)
    sizes = list(zip(mask.shape, shape, strict=False))
    same = len(mask.shape) == len(shape) and all(
        None in pair or len({*pair}) == 1 for pair in sizes
    )
    if dtype != "bool" or not same:
        raise ValueError(
            f"`{name}` must be bool of the shape of `{of}`, True where it counts. "
            f"Received: dtype {dtype}, shape {tuple(found)}, for the shape {shape}."
        )
    return mask


def read_negative_mask(mask, negative):
    """A mask of negatives as bool of a shape that broadcasts to theirs; None stays None.

    Raises:
        ValueError: The mask is not boolean, or its shape does not broadcast.
    """
    if mask is None:
        return None
    mask = ops.convert_to_tensor(mask)
    dtype = keras.backend.standardize_dtype(mask.dtype)
    if dtype != "bool" or not fits(mask.shape, negative.shape):
        raise ValueError(
            "`negative_mask` must be bool and broadcast to the shape of `negative`, True where a "
            f"negative counts. Received: dtype {dtype}, shape {tuple(mask.shape)}, for the shape "
            f"{tuple(negative.shape)}."
        )
    return mask


def rank_loss(excess, shown, mask):
    """`log(1 + sum_j e^{d_j})` over the negatives that are shown: 0 where none is.

    Args:
        excess: How far each negative is above its positive, float32 (..., negatives).
        shown: Bool that broadcasts to it, or None for all.
        mask: Bool (...), or None for all.

    Returns:
        Float32 (...), 0 where the mask is False.
    """
    if shown is not None:
        excess = ops.where(shown, excess, lowest("float32"))
    return hide(ops.softplus(ops.logsumexp(excess, axis=-1)), mask)


def hide(x, mask):
    """Values where the mask is True, 0 elsewhere, even for NaN; None hides nothing."""
    return x if mask is None else ops.where(mask, x, 0.0)


def as_float(x):
    """A tensor of float32."""
    return ops.cast(ops.convert_to_tensor(x), "float32")


def fits(shape, whole):
    """Whether one shape broadcasts to the other; a size that is not known fits."""
    pairs = zip(reversed(tuple(shape)), reversed(tuple(whole)), strict=False)
    return len(shape) <= len(whole) and all(a in (None, 1, b) or b is None for a, b in pairs)
