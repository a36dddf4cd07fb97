"""The gate every layer passes: shapes, masks, padding, saving, half precision, one training step.

    check_layer(partial(GatedConvolution, 3), floats(8))

The sample is a batch of sequences with their padding to the right. The gate lays the same real
content out anew, with another amount, place and content of padding, and asks for the same answer:
padding never changes a real position.
"""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
from keras import ops, tree

from taolu.nn import differentiate

LENGTHS = (5, 3, 1)  # of the default sample, in steps
TOLERANCE = 1e-5  # float32, relative to outputs of size 1
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


@dataclass(frozen=True)
class Case:
    """A layer, a sample for it, and what it declares.

    Args:
        make: Gives a new layer, without arguments. It is called under each dtype policy.
        inputs: Array (batch, time, ...), or a dict of arrays by call argument, the first of which
            is passed by position.
        mask: Bool (batch, time) with the padding to the right, or None for `LENGTHS`. False: the
            layer knows no padding, and the checks that need it are left out.
        padded: Names of the arguments that have the time axis of the mask; default the first.
        mask_name: Call argument of the mask. With another than `mask`, all of it is about that
            argument, say `memory_mask` and `padded=("memory",)`.
        follows: For each output, "time" where its axis 1 is that of the mask, "row" where it says
            something of the whole row, "none" where padding may change it.
        passes_mask: Whether the layer hands its mask on; False where it consumes it.
        layouts: Where padding may stand: "right", "left", "holes".
        unpadded: Whether a row by itself, without a mask, must give the same answer.
        padding_zeros: Whether padded positions are zeros in the output.
        empty_zeros: Whether a row without any real position gives zeros, and passes no gradient.
        idle: Parts of paths of trainable weights that a training step may leave as they are.
        output_dtype: Of the outputs; default the compute dtype.
        half: Whether to check float16 and bfloat16.
        differentiable: Whether the outputs have a gradient.
        tolerance: Of padding invariance.
    """

    make: Callable
    inputs: np.ndarray | dict
    mask: np.ndarray | bool | None = None
    padded: tuple = ()
    mask_name: str = "mask"
    follows: tuple = ("time",)
    passes_mask: bool = True
    layouts: tuple = ("right",)
    unpadded: bool = True
    padding_zeros: bool = False
    empty_zeros: bool = False
    idle: tuple = ()
    output_dtype: str | None = None
    half: bool = True
    differentiable: bool = True
    tolerance: float = TOLERANCE

    @property
    def arguments(self) -> dict:
        return self.inputs if isinstance(self.inputs, dict) else {"inputs": self.inputs}

    @property
    def first(self) -> str:
        return next(iter(self.arguments))

    @property
    def masked(self) -> tuple:
        return self.padded or (self.first,)

    @property
    def sample_mask(self):
        if self.mask is False:
            return None
        lengths = np.resize(LENGTHS, len(self.arguments[self.first]))
        time = self.arguments[self.masked[0]].shape[1]
        return prefixes(np.minimum(lengths, time), time) if self.mask is None else self.mask

    def check(self):
        check_shape(self)
        check_config(self)
        if self.sample_mask is not None:
            check_mask(self)
            check_padding(self)
            check_empty_rows(self)
            if self.differentiable:
                check_gradient_of_padding(self)
        check_model(self)
        if self.half:
            check_half_precision(self, "mixed_float16")
            check_half_precision(self, "mixed_bfloat16")

    def call(self, layer, arguments, mask):
        """Outputs of the layer, as a flat list."""
        first, *rest = arguments.items()
        masks = {} if mask is None else {self.mask_name: mask}
        return tree.flatten(layer(first[1], **dict(rest), **masks))

    def built(self, policy="float32", shaken=True):
        """A layer that has been called, its weights moved a little: zeros would hide their part."""
        before = keras.config.dtype_policy()
        keras.config.set_dtype_policy(policy)
        try:
            layer = self.make()
        finally:
            keras.config.set_dtype_policy(before)
        # Built under the policy of the session: sublayers must get theirs from the layer.
        self.call(layer, self.arguments, self.sample_mask)
        rng = np.random.default_rng(1)
        for weight in layer.trainable_weights if shaken else ():
            value = numpy(weight) + 0.2 * rng.normal(size=weight.shape)
            weight.assign(value.astype("float32"))
        return layer


def check_layer(make, inputs, **options):
    """Passes when the layer keeps every promise of this library; see `Case` for the options."""
    Case(make, inputs, **options).check()


# The checks


def check_shape(case):
    """The declared shape is the true one, also where batch and time are not known yet."""
    layer = case.built()
    outputs = case.call(layer, case.arguments, case.sample_mask)
    shapes = {name: array.shape for name, array in case.arguments.items()}
    declared = _shapes(_declared(layer, shapes))
    assert [tuple(x.shape) for x in outputs] == declared
    _, symbolic = _graph(case, layer)
    for output, known in zip(outputs, symbolic, strict=True):
        assert len(known.shape) == len(output.shape)
        assert all(a in (None, b) for a, b in zip(known.shape, output.shape, strict=True))


def check_config(case):
    """A layer made from its configuration has the same configuration and the same weights."""
    layer = case.built()
    twin = type(layer).from_config(layer.get_config())
    assert twin.get_config() == layer.get_config()
    case.call(twin, case.arguments, case.sample_mask)
    assert [tuple(w.shape) for w in twin.weights] == [tuple(w.shape) for w in layer.weights]
    assert keras.saving.get_registered_object(keras.saving.get_registered_name(type(layer)))


def check_mask(case):
    """The mask that Keras carries is used as the one given by hand, and handed on as declared."""
    if case.mask_name != "mask":
        return
    layer, mask, reveal = case.built(), case.sample_mask, Reveal()
    marked = _marked(case, case.arguments, mask)
    first, *rest = marked.items()
    outputs = tree.flatten(layer(first[1], **dict(rest)))
    wanted = case.call(layer, case.arguments, mask)
    for output, want in zip(outputs, wanted, strict=True):
        np.testing.assert_array_equal(numpy(output), numpy(want))
    reveal(outputs[0])
    if case.passes_mask:
        assert reveal.seen is not None, "the mask is lost"
        np.testing.assert_array_equal(numpy(reveal.seen), mask)
    else:
        assert reveal.seen is None, "the mask is handed on"


def check_padding(case):
    """Real positions do not see how much padding there is, where it stands, nor what is in it."""
    layer, mask = case.built(), case.sample_mask
    wanted = _real(case, case.call(layer, _laid_out(case, mask, _zeros), mask), mask)
    for where in case.layouts:
        for more, fill in ((0, _noise), (0, _huge), (3, _noise)):
            moved = _move(mask, where, more)
            outputs = case.call(layer, _laid_out(case, moved, fill), moved)
            assert all(np.isfinite(numpy(x)).all() for x in outputs), f"{where} padding: not finite"
            said = f"{where} padding, {more} more, {fill.__name__}"
            _assert_close(_real(case, outputs, moved), wanted, case.tolerance, said)
            if case.padding_zeros:
                assert not numpy(outputs[0])[~moved].any(), f"{said}: not zeros"
    three = mask[..., None]
    _assert_close(
        _real(case, case.call(layer, case.arguments, three), mask),
        _real(case, case.call(layer, case.arguments, mask), mask),
        case.tolerance,
        "mask of shape (batch, time, 1)",
    )
    if case.unpadded:
        _check_unpadded(case, layer, wanted)


def _check_unpadded(case, layer, wanted):
    """A batch of padded rows gives what each row gives alone."""
    pieces = []
    for row, length in enumerate(case.sample_mask.sum(axis=1)):
        alone = {name: array[row : row + 1] for name, array in case.arguments.items()}
        alone |= {name: alone[name][:, :length] for name in case.masked}
        pieces.append(_real(case, case.call(layer, alone, None), np.ones((1, length), bool)))
    joined = [np.concatenate(parts) for parts in zip(*pieces, strict=True)]
    _assert_close(joined, wanted, case.tolerance, "each row by itself")


def check_empty_rows(case):
    """A row without a real position disturbs nothing, and stays finite."""
    layer, mask = case.built(), case.sample_mask.copy()
    wanted = case.call(layer, _laid_out(case, mask, _zeros), mask)
    mask[-1] = False
    arguments = {name: array.copy() for name, array in case.arguments.items()}
    outputs = case.call(layer, arguments, mask)
    for output, want, follows in zip(outputs, wanted, case.follows, strict=True):
        output, want = numpy(output), numpy(want)
        assert np.isfinite(output).all()
        if case.empty_zeros:
            assert not output[-1].any(), "an empty row is not zeros"
        if follows == "time":
            output, want = output[mask], want[mask]
        if follows != "none":
            rows = -1 if follows == "row" else None
            _assert_close([output[:rows]], [want[:rows]], case.tolerance, "beside an empty row")


def check_gradient_of_padding(case):
    """What is not text has no say: no gradient from real positions reaches padding."""
    layer, mask = case.built(), case.sample_mask.copy()
    if case.empty_zeros:
        mask[-1] = False
    names = [name for name in case.masked if case.arguments[name].dtype.kind == "f"]
    if names:
        gradients = _input_gradients(case, layer, _laid_out(case, mask, _noise, mask), mask, names)
        for gradient in gradients:
            assert np.isfinite(gradient).all()
            assert gradient[mask].any(), "no gradient at all"
            assert not gradient[~mask].any(), "the gradient reaches padding"
    # Nor does the content of padding move a weight.
    first, second = (
        _weight_gradients(case, layer, _laid_out(case, mask, fill, mask), mask)
        for fill in (_zeros, _noise)
    )
    _assert_close(first, second, 10 * case.tolerance, "gradient of the weights")


def check_model(case):
    """In a functional model: one training step moves all weights, saving changes no output."""
    layer = case.built(shaken=False)
    inputs, outputs = _graph(case, layer)
    model = keras.Model(inputs, outputs)
    data = {**case.arguments}
    if case.sample_mask is not None:
        data["the_mask"] = case.sample_mask
    if layer.trainable_weights:
        before = [numpy(weight) for weight in layer.trainable_weights]
        _train(model, data)
        still = [
            weight.path
            for weight, old in zip(layer.trainable_weights, before, strict=True)
            if np.array_equal(numpy(weight), old)
        ]
        still = [path for path in still if not any(part in path for part in case.idle)]
        assert not still, f"a training step leaves these weights as they are: {still}"
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "model.keras")
        model.save(path)
        loaded = keras.models.load_model(path)
    assert len(loaded.weights) == len(model.weights)
    for old, new in zip(tree.flatten(model(data)), tree.flatten(loaded(data)), strict=True):
        np.testing.assert_array_equal(numpy(new), numpy(old), strict=True)


def check_half_precision(case, policy):
    """No NaN in half precision, huge padding and empty rows included; outputs in that precision."""
    layer = case.built(policy)
    wanted = layer.compute_dtype if case.output_dtype is None else case.output_dtype
    for part in layer._flatten_layers():
        assert part.dtype_policy.name == policy, f"{part.path}: {part.dtype_policy.name}"
    if case.sample_mask is None:
        outputs = case.call(layer, case.arguments, None)
        assert all(np.isfinite(numpy(x)).all() for x in outputs)
    else:
        mask = case.sample_mask.copy()
        mask[-1] = False
        outputs = case.call(layer, _laid_out(case, mask, _noise, mask), mask)
        assert all(np.isfinite(numpy(x)).all() for x in outputs)
        filled = case.call(layer, _laid_out(case, mask, _huge, mask), mask)
        assert all(np.isfinite(x).all() for x in _real(case, filled, mask))
    kinds = {keras.backend.standardize_dtype(x.dtype) for x in outputs}
    assert {kind for kind in kinds if "float" in kind} <= {wanted}


# Models around a layer


@keras.saving.register_keras_serializable(package="tests")
class Mark(keras.layers.Layer):
    """Its first input, carrying the second as its mask."""

    def __init__(self, **kwargs):
        super().__init__(autocast=False, **kwargs)
        self.supports_masking = True

    def call(self, inputs):
        return ops.copy(inputs[0])

    def compute_output_shape(self, input_shape):
        return input_shape[0]

    def compute_mask(self, inputs, previous_mask=None):
        return inputs[1]


class Reveal(keras.layers.Layer):
    """Keeps the mask that its input carries in `seen`."""

    def __init__(self, **kwargs):
        super().__init__(autocast=False, **kwargs)
        self.supports_masking = True

    def call(self, inputs, mask=None):
        self.seen = mask
        return inputs


def _graph(case, layer):
    """Inputs, by name, and outputs of a functional model whose batch and time are not known."""
    inputs, mask = {}, None
    for name, array in case.arguments.items():
        shape = (None, *array.shape[2:]) if name in case.masked else array.shape[1:]
        inputs[name] = keras.Input(shape, dtype=array.dtype, name=name)
    arguments = dict(inputs)
    if case.sample_mask is not None:
        mask = inputs["the_mask"] = keras.Input((None,), dtype="bool", name="the_mask")
        if case.mask_name == "mask":
            arguments, mask = _marked(case, arguments, mask), None
    return inputs, case.call(layer, arguments, mask)


def _marked(case, arguments, mask):
    """The arguments, the first of them carrying the mask as an embedding would give it."""
    first = Mark()([arguments[case.first], ops.convert_to_tensor(mask)])
    return {**arguments, case.first: first}


def _train(model, data):
    outputs = [x for x in tree.flatten(model.outputs) if "float" in x.dtype]
    trained = keras.Model(model.inputs, outputs)
    trained.compile(keras.optimizers.SGD(0.1), loss=["mse"] * len(outputs))
    rng = np.random.default_rng(2)
    shapes = [x.shape for x in tree.flatten(model(data))]
    kept = [i for i, x in enumerate(tree.flatten(model.outputs)) if "float" in x.dtype]
    targets = [rng.normal(size=shapes[i]).astype("float32") for i in kept]
    loss = trained.train_on_batch([data[x.name] for x in model.inputs], targets)
    assert np.isfinite(loss).all()


def _declared(layer, shapes):
    first, *rest = shapes.items()
    return layer.compute_output_shape(first[1], **{f"{name}_shape": s for name, s in rest})


def _shapes(nest):
    """The shapes in a nest of shapes, which are tuples of numbers and None."""
    if all(size is None or isinstance(size, int) for size in nest):
        return [tuple(nest)]
    return [shape for part in nest for shape in _shapes(part)]


# Padding


def _zeros(rng, shape, largest):
    return np.zeros(shape)


def _noise(rng, shape, largest):
    return rng.normal(size=shape) if largest is None else rng.integers(0, largest + 1, shape)


def _huge(rng, shape, largest):
    return HUGE * rng.choice([-1, 1], shape) if largest is None else np.full(shape, largest)


def _move(mask, where, more):
    """The mask with as many real steps in each row, and `more` further steps of padding."""
    batch, time = mask.shape[0], mask.shape[1] + more
    moved, rng = np.zeros((batch, time), bool), np.random.default_rng(3)
    for row, length in enumerate(mask.sum(axis=1)):
        if where == "holes":
            moved[row, rng.choice(time, length, replace=False)] = True
        else:
            moved[row, slice(length) if where == "right" else slice(time - length, time)] = True
    return moved


def _laid_out(case, mask, fill, source=None):
    """The arguments with their real content where `mask` is True, and padding elsewhere."""
    source, rng = case.sample_mask if source is None else source, np.random.default_rng(4)
    laid = dict(case.arguments)
    for name in case.masked:
        array = laid[name]
        largest = None if array.dtype.kind == "f" else array.max()
        new = fill(rng, (*mask.shape, *array.shape[2:]), largest).astype(array.dtype)
        new[mask] = array[source]
        laid[name] = new
    return laid


def _real(case, outputs, mask):
    """What the outputs say of real positions, and of rows that have one."""
    kept = []
    for output, follows in zip(outputs, case.follows, strict=True):
        if follows == "time":
            kept.append(numpy(output)[mask])
        elif follows == "row":
            kept.append(numpy(output)[mask.any(axis=1)])
    return kept


# Gradients


def _objective(case, layer, arguments, mask):
    """A scalar that reads real positions only, each output with a weight of its own."""
    total, rng = 0.0, np.random.default_rng(5)
    for output, follows in zip(case.call(layer, arguments, mask), case.follows, strict=True):
        if "float" not in keras.backend.standardize_dtype(output.dtype) or follows == "none":
            continue
        weight = rng.normal(size=output.shape).astype("float32")
        if follows == "time" and mask is not None:
            weight[~mask] = 0
        total = total + ops.sum(ops.cast(output, "float32") * ops.convert_to_tensor(weight))
    return total


def _input_gradients(case, layer, arguments, mask, names):
    tensors = [ops.convert_to_tensor(arguments[name]) for name in names]

    def loss(values):
        return _objective(case, layer, arguments | dict(zip(names, values, strict=True)), mask)

    return [numpy(gradient) for gradient in differentiate.grad(loss, tensors)]


def _weight_gradients(case, layer, arguments, mask):
    if not layer.trainable_weights:
        return []
    gradients = differentiate.grad(
        lambda: _objective(case, layer, arguments, mask), layer.trainable_weights
    )
    return [numpy(gradient) for gradient in gradients]


# Numbers


def numpy(x):
    """The tensor as a NumPy array, half precision as float32."""
    if "float16" in keras.backend.standardize_dtype(x.dtype):
        x = ops.cast(x, "float32")
    return np.asarray(ops.convert_to_numpy(x))


def _assert_close(found, wanted, tolerance, said):
    for a, b in zip(found, wanted, strict=True):
        scale = max(1.0, np.abs(b).max(initial=0.0)) if b.dtype.kind == "f" else 1.0
        np.testing.assert_allclose(a, b, rtol=0, atol=tolerance * scale, err_msg=said)
