"""The Jacobian of one call at one example, and its singular values.

`J = d outputs / d inputs` has a row for each number of the outputs. One backward pass gives all of
them: repeat the example once for each row and differentiate the sum of the diagonal,
`sum_i y_i(x_i)`, in all the x_i at once. This needs each example to be worked on by itself.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import ops, tree

from taolu.nn.differentiate import grad


@dataclass(frozen=True)
class Spectrum:
    """Singular values of a matrix in four numbers; of the smaller side, so none is zero by shape.

    Attributes:
        smallest: The least one.
        median: The middle one.
        largest: The greatest one, how much a vector can grow.
        typical: Their root mean square, what lengths feel on average.
    """

    smallest: float
    median: float
    largest: float
    typical: float


def spectrum(matrices: Iterable[np.ndarray]) -> Spectrum:
    """The singular values of matrices side by side; all nan where one is not finite.

    Args:
        matrices: Floats (outputs, inputs), with the same outputs.

    Example:
        >>> spectrum([3 * np.eye(2), 4 * np.eye(2)])
        Spectrum(smallest=5.0, median=5.0, largest=5.0, typical=5.0)
    """
    whole = np.hstack(list(matrices))
    if not np.isfinite(whole).all():
        return Spectrum(*[math.nan] * 4)
    values = np.linalg.svd(whole, compute_uv=False)
    values[values <= max(whole.shape) * np.finfo("float64").eps * values[0]] = 0  # rounding
    typical = np.sqrt(np.mean(np.square(values)))
    return Spectrum(*map(float, (values[-1], np.median(values), values[0], typical)))


def jacobians(
    operation: keras.Operation, arguments: Any, outputs: Sequence[Any], limit: int
) -> list[dict[int, np.ndarray] | None]:
    """The Jacobians of the float outputs of a call in its float inputs, at the first example.

    Args:
        operation: Layer or operation.
        arguments: The pair (positional, keyword) it was called with; tensors with the batch
            first. A tensor that enters twice is one variable.
        outputs: What it gave, flat.
        limit: Largest number of elements of one example of a tensor.

    Returns:
        For each float output, in order: its matrices (elements of the output, elements of the
        input), float64, by `id` of the input; {} if there is no float input, None if a tensor
        exceeds the limit.

    Example:
        >>> x = ops.ones((1, 2))
        >>> (found,) = jacobians(keras.layers.Rescaling(3.0), ((x,), {}), [x], 8)
        >>> found[id(x)].tolist()
        [[3.0, 0.0], [0.0, 3.0]]
    """
    ends = [x for x in outputs if is_float(x)]
    if not ends:
        return []
    leaves = [x for x in tree.flatten(arguments) if _has_batch(x, len(ends[0]))]
    inputs = {id(x): x for x in leaves if is_float(x)}
    sizes = [math.prod(x.shape[1:]) for x in ends]
    if not inputs:
        return [{} for _ in ends]
    if max(*sizes, *(math.prod(x.shape[1:]) for x in inputs.values())) > limit:
        return [None for _ in ends]
    rows, cuts = np.eye(sum(sizes)), np.cumsum(sizes)[:-1]
    repeat, shift = _Repeat(len(rows)), Shift()
    known = {id(x): repeat(x) for x in leaves}

    def diagonal(probes):
        moved = {key: shift(known[key], x) for key, x in zip(inputs, probes, strict=True)}

        def fill(x):
            return moved.get(id(x), known.get(id(x), x))

        args, kwargs = tree.map_structure(fill, arguments)
        made = [x for x in tree.flatten(operation(*args, **kwargs)) if is_float(x)]
        return inner(made, np.split(rows, cuts, axis=1))

    slopes = grad(diagonal, [zeros_like(known[key]) for key in inputs])
    pieces = [np.split(numpy(slope).reshape(len(rows), -1), cuts) for slope in slopes]
    return [dict(zip(inputs, parts, strict=True)) for parts in zip(*pieces, strict=True)]


class Shift(keras.layers.Layer):
    """x + probe, as a layer, so that Keras carries a mask along from x.

    A gradient in a probe of zeros is the gradient in x, whatever hangs on x.

    Example:
        >>> float(Shift()(ops.ones(()), ops.ones(())))
        2.0
    """

    def __init__(self):
        super().__init__(autocast=False)
        self.supports_masking = True
        self.built = True

    def call(self, x, probe):
        return x + probe

    def compute_mask(self, inputs, previous_mask):
        return previous_mask


class _Repeat(keras.layers.Layer):
    """The first example many times, with its mask, if Keras carries one along."""

    def __init__(self, count):
        super().__init__(autocast=False)
        self.supports_masking = True
        self.built = True
        self.count = count

    def call(self, x):
        return _tensor(np.repeat(ops.convert_to_numpy(x)[:1], self.count, axis=0), x.dtype)

    def compute_mask(self, inputs, previous_mask):
        return None if previous_mask is None else self.call(previous_mask)


def inner(tensors: Iterable[Any], weights: Iterable[np.ndarray]) -> Any:
    """The sum of all products of tensors and weights, in float32.

    Args:
        tensors: Float tensors.
        weights: For each an array of as many numbers.

    Example:
        >>> float(inner([ops.ones((2, 2))], [np.arange(4.0)]))
        6.0
    """
    total = 0.0
    for x, weight in zip(tensors, weights, strict=True):
        weight = _tensor(weight.reshape(tuple(x.shape)), "float32")
        total = total + ops.sum(ops.cast(x, "float32") * weight)
    return total


def is_float(x: Any) -> bool:
    """Says whether something is a tensor of floats that has at least a batch axis."""
    if not ops.is_tensor(x) or not len(x.shape):
        return False
    return keras.backend.is_float_dtype(keras.backend.standardize_dtype(x.dtype))


def zeros_like(x: Any) -> Any:
    """Zeros of the shape and type of a tensor."""
    return _tensor(np.zeros(tuple(x.shape)), x.dtype)


def numpy(x: Any) -> np.ndarray:
    """The numbers of a tensor, in float64."""
    return np.asarray(ops.convert_to_numpy(x)).astype("float64")


def _has_batch(x, batch):
    return ops.is_tensor(x) and len(x.shape) > 0 and x.shape[0] == batch


def _tensor(array, dtype):
    # What NumPy lays out, JAX need not compile for each shape.
    return ops.convert_to_tensor(array, dtype=keras.backend.standardize_dtype(dtype))
