"""How a signal fares on its way through a network, before any training.

For every tensor h of the graph: the length of h, the length of the gradient that comes back to it,
and two Jacobians, that of the call that made h and that of h in the model's inputs. A network
that can start to learn keeps both lengths from layer to layer (drift 0). The singular values say
more: the mean of their squares is what lengths feel, their spread is how flat the space has become.
"""

import math
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import ops, tree

from taolu.nn.calls import Call, is_graph, run, tensors
from taolu.nn.differentiate import grad
from taolu.nn.jacobian import (
    Shift,
    Spectrum,
    inner,
    is_float,
    jacobians,
    numpy,
    spectrum,
    zeros_like,
)


@dataclass(frozen=True)
class LayerSignal:
    """What was measured at one tensor, the output of one call.

    Attributes:
        name: Name of the tensor, with the names of nested models before it.
        kind: Class of the layer or operation.
        shape: Shape without the batch.
        forward: Root mean square, over the examples, of the length of the tensor.
        scale: The same for one coordinate: `forward / sqrt(size)`.
        backward: Root mean square, over the examples, of the length of the gradient there of
            v . outputs, where v is a random unit vector for each example.
        own: Jacobian of this call in all its float inputs, at the first example; None where a
            tensor is larger than asked, or nothing is differentiable.
        through: Jacobian from the inputs of the model (from what the embedding gave, where those
            are ids) to here, at the first example; None likewise.
    """

    name: str
    kind: str
    shape: tuple[int, ...]
    forward: float
    scale: float
    backward: float
    own: Spectrum | None
    through: Spectrum | None


@dataclass(frozen=True)
class SignalReport:
    """The signals of a model, in the order of its calls.

    Attributes:
        model: Name of the model.
        examples: Number of examples it was measured on.
        rows: One for each float tensor, the inputs first.
    """

    model: str
    examples: int
    rows: tuple[LayerSignal, ...]

    @property
    def forward_drift(self) -> float:
        """Mean change of ln(length) from one row to the next; 0 where lengths stay."""
        return _drift([row.forward for row in self.rows])

    @property
    def backward_drift(self) -> float:
        """Mean change of ln(gradient length) from one row to the row before it."""
        return _drift([row.backward for row in self.rows][::-1])


def signal_report(
    model: keras.Model, inputs: Any, jacobian_size: int = 1024, seed: int = 0
) -> SignalReport:
    """Forward and backward lengths and Jacobian spectra at every tensor of a model.

    The model is run as for inference. Lengths take one forward and one backward pass; a Jacobian
    takes as many examples as its output has numbers, in one pass of that call, and one singular
    value decomposition, cubic in the size. Nested models are looked into.

    Args:
        model: Functional model, or Sequential that is built; each example by itself.
        inputs: Arrays in the structure the model takes, a batch of real or random examples.
        jacobian_size: Largest number of elements of one example of a tensor whose Jacobian is
            taken; 0 takes none.
        seed: Of the random vectors v.

    Returns:
        The report. `taolu.report.signal` prints and draws it.

    Raises:
        ValueError: The model is no graph, has no float output, or `inputs` do not fit it.

    Example:
        >>> from taolu.nn.initializers import Orthogonal
        >>> layers = [keras.layers.Dense(8, kernel_initializer=Orthogonal()) for _ in range(3)]
        >>> model = keras.Sequential([keras.Input((8,)), *layers])
        >>> report = signal_report(model, np.eye(8))
        >>> [round(row.forward, 4) for row in report.rows]
        [1.0, 1.0, 1.0, 1.0]
        >>> round(report.rows[-1].through.smallest, 4)
        1.0

    References:
        Su Jianlin, 从几何视角来理解模型参数的初始化策略, 2020 (archives/7180).
        Jeffrey Pennington et al., Resurrecting the sigmoid in deep learning through dynamical
        isometry, 2017.
    """
    names = list(tensors(model))  # says what is wrong with a model that is no graph
    flat = tree.flatten(inputs)
    if len(flat) != len(model.inputs):
        raise ValueError(
            f"`inputs` must be {len(model.inputs)} arrays. Received: {len(flat)} arrays."
        )
    pairs = zip(model.inputs, flat, strict=True)
    given = [ops.convert_to_tensor(x, dtype=tensor.dtype) for tensor, x in pairs]
    tape = _Tape()
    outputs = tape.run(model, given)
    found = [(n, "Input", x) for n, x in zip(names, given, strict=False) if is_float(x)]
    found += [row for step in tape.steps for row in step.rows()]
    backward = _backward(model, given, [x for _, _, x in found], outputs, seed)
    spectra = _spectra(given, tape.steps, jacobian_size)
    rows = [
        _row(*what, gradient, *spectrum)
        for what, gradient, spectrum in zip(found, backward, spectra, strict=True)
    ]
    return SignalReport(model.name, len(given[0]), tuple(rows))


def _row(name, kind, x, gradient, own, through):
    shape = tuple(map(int, x.shape[1:]))
    forward = _length(x)
    scale = forward / math.sqrt(math.prod(shape) or 1)
    return LayerSignal(name, kind, shape, forward, scale, _length(gradient), own, through)


@dataclass(frozen=True, eq=False)
class _Step:
    """A call that was made, with what it was given and what it gave."""

    name: str
    call: Call
    arguments: Any
    outputs: list

    def rows(self):
        for name, x in zip(self.call.names, self.outputs, strict=True):
            if is_float(x):
                label = self.name + name.removeprefix(self.call.name)
                yield label, type(self.call.operation).__name__, x


class _Tape:
    """Runs a model and its nested models, adds probes to what comes out, and notes each step."""

    def __init__(self, probes=None):
        self.probes = probes
        self.steps = []
        self.shift = Shift()

    def run(self, model, inputs, before=""):
        def visit(call, *args, **kwargs):
            name = before + call.name
            if is_graph(call.operation):
                return self.run(call.operation, [*args, *kwargs.values()][0], f"{name}/")
            outputs = tree.flatten(call.operation(*args, **kwargs))
            if self.probes is not None:
                outputs = [self.shift(x, next(self.probes)) if is_float(x) else x for x in outputs]
            self.steps.append(_Step(name, call, (args, kwargs), outputs))
            return outputs

        return run(model, inputs, visit)


def _backward(model, given, values, outputs, seed):
    """Gradients of v . outputs at every value: of zeros that are added there."""
    outputs = tree.flatten(outputs)
    ends = [number for number, x in enumerate(outputs) if is_float(x)]
    if not ends:
        kinds = [keras.backend.standardize_dtype(x.dtype) for x in outputs]
        raise ValueError(f"`model` must have a float output. Received: outputs of type {kinds}.")
    rng = np.random.default_rng(seed)
    drawn = [rng.normal(size=tuple(outputs[number].shape)) for number in ends]
    lengths = np.sqrt(sum(np.square(v).reshape(len(v), -1).sum(1) for v in drawn))
    units = [v / lengths.reshape(-1, *[1] * (v.ndim - 1)) for v in drawn]

    def along(probes):
        rest = iter(probes)
        shifted = [x + next(rest) if is_float(x) else x for x in given]
        made = tree.flatten(_Tape(rest).run(model, shifted))
        return inner([made[number] for number in ends], units)

    return grad(along, [zeros_like(x) for x in values])


def _spectra(given, steps, limit):
    """The spectrum of each call and of its chain, in the order of the rows."""
    through = {id(x): _source(x, limit) for x in given if is_float(x)}
    found: list[tuple[Spectrum | None, Spectrum | None]] = [(None, None)] * len(through)
    last = {id(x): step for step in steps for x in tree.flatten(step.arguments)}
    for step in steps:
        ends = [x for x in step.outputs if is_float(x)]
        operation = step.call.operation
        slopes = jacobians(operation, step.arguments, step.outputs, limit)
        for x, matrices in zip(ends, slopes, strict=True):
            if matrices:
                # The order counts: a layer that does nothing gives back the tensor it took.
                parts = through[id(x)] = _chain(matrices, through)
                whole = None if parts is None else spectrum(parts.values())
                found.append((spectrum(matrices.values()), whole))
            else:  # too large; or made from ids, where the chain starts anew
                through[id(x)] = None if matrices is None else _source(x, limit)
                found.append((None, None))
        for x in tree.flatten(step.arguments):
            if last[id(x)] is step:
                through.pop(id(x), None)  # products of wide layers are large
    return found


def _source(x, limit):
    size = math.prod(x.shape[1:])
    return {id(x): np.eye(size)} if size <= limit else None


def _chain(matrices, through):
    """Products with the Jacobians of the inputs, summed for each source; None if one is missing."""
    total: dict[int, np.ndarray] = {}
    for key, matrix in matrices.items():
        if through.get(key) is None:
            return None
        for source, before in through[key].items():
            with np.errstate(invalid="ignore", over="ignore"):  # the report shows it
                total[source] = total.get(source, 0) + matrix @ before
    return total


def _length(x):
    """Root mean square, over the examples, of the length."""
    return float(np.sqrt(np.mean(np.square(numpy(x)).reshape(len(x), -1).sum(1))))


def _drift(lengths):
    if len(lengths) < 2 or not all(0 < length < math.inf for length in (lengths[0], lengths[-1])):
        return math.nan
    return math.log(lengths[-1] / lengths[0]) / (len(lengths) - 1)
