"""Who may look at whom: the masks of one attention, checked and brought to one shape."""

import keras
from keras import ops

from taolu.nn.masking import as_mask


def step_mask(name: str, mask, batch, time):
    """A mask of steps as bool (batch, time), or None; (batch, time, 1) is accepted too."""
    mask = as_mask(mask, name)
    if mask is not None:
        _check_sizes(name, mask, (batch, time), repeats=False)
    return mask


def pair_mask(mask, sizes):
    """A mask of pairs as bool (batch, 1 or heads, query, key), or None."""
    if mask is None:
        return None
    mask = ops.convert_to_tensor(mask)
    dtype = keras.backend.standardize_dtype(mask.dtype)
    if dtype != "bool" or len(mask.shape) not in (3, 4):
        raise ValueError(
            "`attention_mask` must be boolean, (batch, query, key) or (batch, heads, query, key), "
            f"True where a query may see a key. Received: dtype {dtype}, shape {tuple(mask.shape)}."
        )
    if len(mask.shape) == 3:
        mask = mask[:, None]
    _check_sizes("attention_mask", mask, sizes)
    return mask


def pair_bias(bias, sizes):
    """A bias of pairs, (1 or batch, 1 or heads, 1 or query, 1 or key), or None."""
    if bias is None:
        return None
    bias = ops.convert_to_tensor(bias)
    if len(bias.shape) != 4:
        raise ValueError(
            f"`bias` must be (batch, heads, query, key). Received: shape {tuple(bias.shape)}."
        )
    _check_sizes("bias", bias, sizes)
    return bias


def over_heads(pairs):
    """Adds the axis of heads, and of the batch where there is none: (1 or batch, 1, query, key).

    Example:
        >>> tuple(over_heads(ops.ones((3, 4))).shape), tuple(over_heads(ops.ones((2, 3, 4))).shape)
        ((1, 1, 3, 4), (2, 1, 3, 4))
    """
    return pairs[None, None] if len(pairs.shape) == 2 else pairs[:, None]


def both(first, second):
    """Where both masks are True; None stands for a mask that is True everywhere.

    Example:
        >>> both(None, None) is None
        True
    """
    if first is None or second is None:
        return second if first is None else first
    return ops.logical_and(first, second)


def _check_sizes(name, x, sizes, repeats=True):
    """Sizes that are known must agree; a size of 1 stands for all where `repeats`."""
    for found, wanted in zip(x.shape, sizes, strict=True):
        known = isinstance(found, int) and isinstance(wanted, int)
        if known and found != wanted and not (repeats and found == 1):
            raise ValueError(
                f"`{name}` must fit the shape {tuple(sizes)}. Received: {tuple(x.shape)}."
            )
