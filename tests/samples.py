"""Padded samples: sequences, their masks, and the same content laid out with other padding."""

import keras
import numpy as np
from keras import ops

LENGTHS = (5, 3, 3)  # of the default sample, in steps
HUGE = 1e4  # in padding: finite in float16 too


def floats(*width, lengths=LENGTHS, seed=0):
    """Random normal inputs, float32 (batch, time, *width)."""
    shape = (len(lengths), max(lengths), *width)
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def ids(size, lengths=LENGTHS, seed=0):
    """Random ids from 1 to size - 1, int32 (batch, time), with the largest among the real ones."""
    shape = (len(lengths), max(lengths))
    values = np.random.default_rng(seed).integers(1, size, shape).astype("int32")
    values[0, 0] = size - 1
    return values


def prefixes(lengths, time=None):
    """Bool (batch, time), True on the first `lengths[b]` steps of row b."""
    return np.arange(time or max(lengths))[None] < np.asarray(lengths)[:, None]


# Padding: its content, of a shape, by a generator; ids are at most `largest`


def zeros(rng, shape, largest):
    return np.zeros(shape)


def noise(rng, shape, largest):
    return rng.normal(size=shape) if largest is None else rng.integers(0, largest + 1, shape)


def huge(rng, shape, largest):
    return HUGE * rng.choice([-1, 1], shape) if largest is None else np.full(shape, largest)


def move(mask, where, more, seed=3):
    """The mask with as many real steps in each row, and `more` further steps of padding."""
    batch, time = mask.shape[0], mask.shape[1] + more
    moved, rng = np.zeros((batch, time), bool), np.random.default_rng(seed)
    for row, length in enumerate(mask.sum(axis=1)):
        if where == "holes":
            moved[row, rng.choice(time, length, replace=False)] = True
        else:
            moved[row, slice(length) if where == "right" else slice(time - length, time)] = True
    return moved


def lay_out(arguments, names, source, mask, fill, seed=4):
    """The arguments, those named with their real content moved from `source` to `mask`.

    Elsewhere they hold padding; both masks have as many real steps in each row.
    """
    laid, rng = dict(arguments), np.random.default_rng(seed)
    for name in names:
        array = laid[name]
        largest = None if array.dtype.kind == "f" else array.max()
        new = fill(rng, (*mask.shape, *array.shape[2:]), largest).astype(array.dtype)
        new[mask] = array[source]
        laid[name] = new
    return laid


# Tensors


def numpy(x):
    """The tensor as a NumPy array, half precision as float32."""
    if "float16" in keras.backend.standardize_dtype(x.dtype):
        x = ops.cast(x, "float32")
    return np.asarray(ops.convert_to_numpy(x))


def compiled(function):
    """On JAX one program instead of a hundred small ones, each of which would be compiled."""
    if keras.backend.backend() != "jax":
        return function
    import jax

    return jax.jit(function)
