"""The gate every layer passes: shapes, masks, padding, saving, half precision, one training step.

    check_layer(partial(GatedConvolution, 3), floats(4))

The sample is a batch of sequences with their padding to the right. The gate lays the same real
content out anew, with another amount, place and content of padding, and asks for the same answer:
padding never changes a real position.
"""

import inspect
import tempfile
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
from keras import ops, tree
from samples import LENGTHS, compiled, huge, lay_out, move, noise, numpy, prefixes, zeros

from taolu.nn import differentiate

TOLERANCE = 1e-5  # float32, relative to outputs of size 1


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

    def laid_out(self, mask, fill, source=None, seed=4):
        """The arguments with their real content where `mask` is True, and padding elsewhere."""
        source = self.sample_mask if source is None else source
        return lay_out(self.arguments, self.masked, source, mask, fill, seed)

    def call(self, layer, arguments, mask):
        """Outputs of the layer, as a flat list."""
        rest = {name: x for name, x in arguments.items() if name != self.first}
        # A layer that computes each step by itself takes no mask; Keras hands it on.
        if mask is not None and self.mask_name in inspect.signature(layer.call).parameters:
            rest[self.mask_name] = mask
        return tree.flatten(layer(arguments[self.first], **rest))

    def built(self, policy="float32"):
        """A layer that has been built, its weights moved a little: zeros would hide their part."""
        before = keras.config.dtype_policy()
        keras.config.set_dtype_policy(policy)
        try:
            layer = self.make()
        finally:
            keras.config.set_dtype_policy(before)
        # Built under the policy of the session: sublayers must get theirs from the layer.
        _graph(self, layer)
        rng = np.random.default_rng(1)
        for weight in layer.trainable_weights:
            value = numpy(weight) + 0.2 * rng.normal(size=weight.shape)
            weight.assign(value.astype("float32"))
        return layer


class Subject:
    """A built layer of a case, run on NumPy arrays; on JAX each kind of call is compiled once."""

    def __init__(self, case, policy="float32"):
        self.case = case
        self.layer = case.built(policy)
        self._run = compiled(self._call)
        self._differentiate = compiled(self._gradients)

    def run(self, arguments, mask):
        """Outputs, a list."""
        return [numpy(x) for x in self._run(self._weights(), arguments, mask)]

    def kinds(self, arguments, mask):
        """Dtypes of the outputs, a list."""
        outputs = self._run(self._weights(), arguments, mask)
        return [keras.backend.standardize_dtype(x.dtype) for x in outputs]

    def gradients(self, arguments, mask):
        """Gradients of `_objective`: by float argument, and a list by trainable weight."""
        inputs, weights = self._differentiate(self._weights(), arguments, mask)
        return {k: numpy(x) for k, x in inputs.items()}, [numpy(x) for x in weights]

    def _weights(self):
        return [ops.convert_to_tensor(numpy(weight)) for weight in self.layer.trainable_weights]

    def _call(self, weights, arguments, mask):
        with differentiate.override(list(zip(self.layer.trainable_weights, weights, strict=True))):
            return self.case.call(self.layer, arguments, mask)

    def _gradients(self, weights, arguments, mask):
        names = [name for name, x in self.case.arguments.items() if x.dtype.kind == "f"]
        inputs = {name: ops.convert_to_tensor(arguments[name]) for name in names}

        def objective(values):
            outputs = self._call(values[1], {**arguments, **values[0]}, mask)
            return _objective(self.case, outputs, mask)

        wrt = inputs, weights
        return differentiate.grad(objective, wrt) if tree.flatten(wrt) else wrt


def check_layer(make, inputs, **options):
    """Passes when the layer keeps every promise of this library; see `Case` for the options."""
    check(Case(make, inputs, **options))


def check(case, policies=("mixed_float16", "mixed_bfloat16")):
    """Passes when the layer of this case keeps every promise that it declares."""
    subject = Subject(case)
    check_shape(subject)
    check_config(subject)
    if case.sample_mask is not None:
        check_padding(subject)
        check_any_padding(subject)
        if case.unpadded:
            check_without_padding(subject)
        check_empty_rows(subject)
        if case.differentiable:
            check_gradient_of_padding(subject)
    check_model(subject)  # last of those in float32: it trains the layer
    for policy in policies if case.half else ():
        check_half_precision(Subject(case, policy))


# The checks


def check_shape(subject):
    """The declared shape is the true one, also where batch and time are not known yet."""
    case, layer = subject.case, subject.layer
    shapes = [x.shape for x in subject.run(case.arguments, case.sample_mask)]
    rest = {f"{name}_shape": x.shape for name, x in case.arguments.items() if name != case.first}
    declared = _shapes(layer.compute_output_shape(case.arguments[case.first].shape, **rest))
    assert declared == shapes, f"declared {declared}, found {shapes}"
    for known, shape in zip(_graph(case, layer)[1], shapes, strict=True):
        fits = len(known.shape) == len(shape)
        fits = fits and all(a in (None, b) for a, b in zip(known.shape, shape, strict=True))
        assert fits, f"symbolic {known.shape}, found {shape}"


def check_config(subject):
    """A layer made from its configuration has the same configuration and the same weights."""
    layer = subject.layer
    twin = type(layer).from_config(layer.get_config())
    assert twin.get_config() == layer.get_config(), "another configuration"
    _graph(subject.case, twin)
    shapes = [[tuple(weight.shape) for weight in x.weights] for x in (layer, twin)]
    assert shapes[0] == shapes[1], f"weights of {shapes[0]}, from the configuration {shapes[1]}"
    name = keras.saving.get_registered_name(type(layer))
    assert keras.saving.get_registered_object(name) is type(layer), f"{name} is not registered"


def check_padding(subject):
    """Real positions do not see how much padding there is, where it stands, nor what is in it."""
    case, mask = subject.case, subject.case.sample_mask
    wanted = _real(case, subject.run(case.laid_out(mask, zeros), mask), mask)
    for where in case.layouts:
        for more, fill in ((0, noise), (0, huge), (3, noise)):
            moved = move(mask, where, more)
            given = moved[..., None] if more else moved  # (batch, time, 1) is a mask too
            outputs = subject.run(case.laid_out(moved, fill), given)
            said = f"{where} padding, {more} more, {fill.__name__}"
            assert all(np.isfinite(x).all() for x in outputs), f"{said}: not finite"
            _assert_close(_real(case, outputs, moved), wanted, case.tolerance, said)
            if case.padding_zeros:
                assert not any(x[~moved].any() for x in outputs), f"{said}: not zeros"


def check_any_padding(subject, draws=8):
    """The same, with lengths, places and contents drawn at random."""
    case, whole = subject.case, subject.case.sample_mask
    for seed in range(draws):
        rng = np.random.default_rng(seed)
        lengths = rng.integers(0, whole.sum(axis=1) + 1)
        mask = whole & (np.arange(whole.shape[1]) < lengths[:, None])
        where, fill = rng.choice(case.layouts), (zeros, noise, huge)[rng.integers(3)]
        moved = move(mask, where, 3, seed)
        wanted = _real(case, subject.run(case.arguments, mask), mask)
        outputs = subject.run(case.laid_out(moved, fill, mask, seed), moved[..., None])
        said = f"draw {seed}, lengths {lengths}, {where} padding, {fill.__name__}"
        _assert_close(_real(case, outputs, moved), wanted, case.tolerance, said)


def check_without_padding(subject):
    """Rows cut to their length, without a mask, give what they give inside a padded batch."""
    case = subject.case
    for length in (1, case.sample_mask.sum(axis=1).min()):  # one step is a text too
        mask = case.sample_mask & (np.arange(case.sample_mask.shape[1]) < length)
        wanted = _real(case, subject.run(case.arguments, mask), mask)
        alone = dict(case.arguments)
        alone |= {name: alone[name][:, :length] for name in case.masked}
        found = _real(case, subject.run(alone, None), mask[:, :length])
        _assert_close(found, wanted, case.tolerance, f"without padding, length {length}")


def check_empty_rows(subject):
    """A row without a real position disturbs nothing, and stays finite."""
    case, mask = subject.case, subject.case.sample_mask.copy()
    wanted = subject.run(case.laid_out(mask, zeros), mask)
    mask[-1] = False
    outputs = subject.run(case.arguments, mask)
    for output, want, follows in zip(outputs, wanted, case.follows, strict=True):
        assert np.isfinite(output).all(), "an empty row: not finite"
        if case.empty_zeros:
            assert not output[-1].any(), "an empty row is not zeros"
        if follows != "none":
            kept = mask if follows == "time" else mask.any(axis=1)
            _assert_close([output[kept]], [want[kept]], case.tolerance, "beside an empty row")


def check_gradient_of_padding(subject):
    """What is not text has no say: no gradient from real positions reaches padding."""
    case, mask = subject.case, subject.case.sample_mask.copy()
    if case.empty_zeros:
        mask[-1] = False
    inputs, weights = subject.gradients(case.laid_out(mask, noise, mask), mask)
    for name in set(case.masked) & set(inputs):
        assert np.isfinite(inputs[name]).all(), "the gradient is not finite"
        assert inputs[name][mask].any(), "no gradient at all"
        assert not inputs[name][~mask].any(), "the gradient reaches padding"
    # Nor does the content of padding move a weight.
    _, others = subject.gradients(case.laid_out(mask, zeros, mask), mask)
    _assert_close(weights, others, 10 * case.tolerance, "gradient of the weights")


def check_model(subject):
    """In a functional model: the mask is carried, a training step moves all weights, files hold."""
    case, layer = subject.case, subject.layer
    inputs, outputs = _graph(case, layer)
    model = keras.Model(inputs, outputs)
    data = dict(case.arguments)
    if case.sample_mask is not None:
        data["the_mask"] = case.sample_mask
        check_mask(case, layer, outputs)
    before = [numpy(weight) for weight in layer.trainable_weights]
    if before:
        _train(model, data, subject.run(case.arguments, case.sample_mask))
    pairs = zip(layer.trainable_weights, before, strict=True)
    still = [weight.path for weight, old in pairs if np.array_equal(numpy(weight), old)]
    still = [path for path in still if not any(part in path for part in case.idle)]
    assert not still, f"a training step leaves these weights as they are: {still}"
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "model.keras")
        model.save(path)
        loaded = keras.models.load_model(path)
    assert len(loaded.weights) == len(model.weights), "the file has other weights"
    for old, new in zip(model.weights, loaded.weights, strict=True):
        np.testing.assert_array_equal(numpy(new), numpy(old), err_msg=old.path)
    found = tree.flatten(loaded.predict_on_batch(data))
    wanted = subject.run(case.arguments, case.sample_mask)
    _assert_close(found, wanted, case.tolerance, "the model loaded, its mask carried by Keras")
    if keras.backend.backend() != "jax":  # there another program would have to be compiled
        for old, new in zip(tree.flatten(model.predict_on_batch(data)), found, strict=True):
            np.testing.assert_array_equal(new, old, strict=True)


def check_mask(case, layer, outputs):
    """The layer hands the mask on as declared."""
    if case.mask_name == "mask":
        reveal = Reveal()
        reveal(outputs[0])
        assert reveal.seen is not None or not case.passes_mask, "the mask is lost"
        assert reveal.seen is None or case.passes_mask, "the mask is handed on"
        mask = ops.convert_to_tensor(case.sample_mask)
        given = ops.convert_to_tensor(case.arguments[case.first])
        handed = tree.flatten(layer.compute_mask(given, mask))
        for passed in handed if case.passes_mask else ():
            np.testing.assert_array_equal(numpy(passed), case.sample_mask)


def check_half_precision(subject):
    """No NaN in half precision, huge padding and empty rows included; outputs in that precision."""
    case, layer = subject.case, subject.layer
    for part in layer._flatten_layers():
        policy = part.dtype_policy.name
        assert policy == layer.dtype_policy.name, f"{part.path} has the policy {policy}"
    mask, arguments = case.sample_mask, case.arguments
    if mask is not None:
        mask = mask.copy()
        mask[-1] = False
        filled = subject.run(case.laid_out(mask, huge, mask), mask)
        finite = all(np.isfinite(x).all() for x in _real(case, filled, mask))
        assert finite, f"{layer.compute_dtype}, huge padding: not finite"
        arguments = case.laid_out(mask, noise, mask)
    finite = all(np.isfinite(x).all() for x in subject.run(arguments, mask))
    assert finite, f"{layer.compute_dtype}: not finite"
    wanted = layer.compute_dtype if case.output_dtype is None else case.output_dtype
    kinds = {kind for kind in subject.kinds(arguments, mask) if "float" in kind}
    assert kinds <= {wanted}, f"outputs of {kinds} instead of {wanted}"


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
            arguments[case.first] = Mark()([arguments[case.first], mask])
            mask = None
    return inputs, case.call(layer, arguments, mask)


def _train(model, data, answers):
    kept = [i for i, x in enumerate(tree.flatten(model.outputs)) if "float" in x.dtype]
    trained = keras.Model(model.inputs, [tree.flatten(model.outputs)[i] for i in kept])
    trained.compile(keras.optimizers.SGD(0.1), loss=["mse"] * len(kept))
    rng = np.random.default_rng(2)
    targets = [rng.normal(size=answers[i].shape).astype("float32") for i in kept]
    with warnings.catch_warnings():  # the check that follows says it better
        warnings.filterwarnings("ignore", "Gradients do not exist for variables")
        loss = trained.train_on_batch([data[x.name] for x in model.inputs], targets)
    assert np.isfinite(loss).all(), f"the loss is {loss}"


def _shapes(nest):
    """The shapes in a nest of shapes, which are tuples of numbers and None."""
    if all(size is None or isinstance(size, int) for size in nest):
        return [tuple(nest)]
    return [shape for part in nest for shape in _shapes(part)]


def _real(case, outputs, mask):
    """What the outputs say of real positions, and of rows that have one."""
    kept = []
    for output, follows in zip(outputs, case.follows, strict=True):
        if follows == "time":
            kept.append(numpy(output)[mask])
        elif follows == "row":
            kept.append(numpy(output)[mask.any(axis=1)])
    return kept


def _objective(case, outputs, mask):
    """A scalar that reads real positions only, each output with a weight of its own."""
    total, rng = 0.0, np.random.default_rng(5)
    for output, follows in zip(outputs, case.follows, strict=True):
        if "float" not in keras.backend.standardize_dtype(output.dtype) or follows == "none":
            continue
        weight = ops.convert_to_tensor(rng.normal(size=output.shape).astype("float32"))
        if follows == "time" and mask is not None:
            real = ops.reshape(mask, (*mask.shape, *[1] * (len(output.shape) - 2)))
            weight = weight * ops.cast(real, "float32")
        total = total + ops.sum(ops.cast(output, "float32") * weight)
    return total


def _assert_close(found, wanted, tolerance, said):
    for a, b in zip(found, wanted, strict=True):
        scale = max(1.0, np.abs(b).max(initial=0.0)) if b.dtype.kind == "f" else 1.0
        np.testing.assert_allclose(a, b, rtol=0, atol=tolerance * scale, err_msg=said)
