"""Keys and values of the past, so that writing a text does not compute them again at every step.

A cache is a pair of arrays of fixed length, keys (batch, length, key-value heads, head width) and
values (batch, length, key-value heads, value width), one pair a layer: arrays of all layers stacked
into one would be copied whole at every step.
"""

from keras import ops


def write(cache, new, index):
    """The cache with new steps written into it.

    Args:
        cache: Any dtype (batch, length, ...).
        new: The same dtype (batch, steps, ...).
        index: Slot of the first new step: an int, a scalar, or int (batch,) where rows have
            different lengths.

    Returns:
        Like `cache`. Steps that would fall behind its end are lost when `index` is (batch,); a
        scalar must leave room for all of them.

    Example:
        >>> ops.convert_to_numpy(write(ops.zeros((2, 3)), ops.ones((2, 1)), 2))
        array([[0., 0., 1.],
               [0., 0., 1.]], dtype=float32)
        >>> ops.convert_to_numpy(write(ops.zeros((2, 3)), ops.ones((2, 1)), ops.array([0, 2])))
        array([[1., 0., 0.],
               [0., 0., 1.]], dtype=float32)
    """
    new = ops.cast(new, cache.dtype)
    if not _per_row(index):
        start = (0, index, *[0] * (len(cache.shape) - 2))
        return ops.slice_update(cache, start, new)
    steps = ops.shape(new)[1]
    source = (
        ops.arange(ops.shape(cache)[1], dtype="int32")[None, :] - ops.cast(index, "int32")[:, None]
    )
    fresh = ops.logical_and(source >= 0, source < steps)
    axes = (..., *[None] * (len(cache.shape) - 2))
    rows = ops.take_along_axis(new, ops.clip(source, 0, steps - 1)[axes], axis=1)
    return ops.where(fresh[axes], rows, cache)


def slots(index, steps):
    """Slots of the steps of one call: int32 (time,) or, with an index per row, (batch, time).

    Example:
        >>> ops.convert_to_numpy(slots(3, steps=2)).tolist()
        [3, 4]
    """
    place = ops.arange(steps, dtype="int32")
    if not _per_row(index):
        return place + ops.cast(index, "int32")
    return place[None, :] + ops.cast(index, "int32")[:, None]


def _per_row(index):
    return len(getattr(index, "shape", ())) == 1


def written(cache, place, mask, index):
    """Slots that hold a real step after a call: bool (1 or batch, length).

    Slots of earlier calls count as real: whoever padded them must keep saying so with
    `memory_mask`.

    Args:
        cache: Any array (batch, length, ...).
        place: Slots of the steps of this call, see `slots`.
        mask: Bool (batch, time), which of these steps are real, or None.
        index: Slot of the first of them.
    """
    slot = ops.arange(ops.shape(cache)[1], dtype="int32")
    held = slot <= place[..., -1:]
    held = held if len(held.shape) == 2 else held[None, :]
    if mask is None:
        return held
    batch, length = ops.shape(cache)[:2]
    kept = write(ops.ones((batch, length), dtype="int32"), ops.cast(mask, "int32"), index)
    return ops.logical_and(held, kept > 0)
