"""The gate is shut to layers with a fault: each of these has one, and one check that sees it."""

import check_layer
import keras
import numpy as np
import pytest
from check_layer import Case, Subject
from keras import ops
from samples import HUGE, LENGTHS, floats, huge, ids, move

from taolu.nn.masking import apply_mask, as_mask

pytestmark = pytest.mark.usefixtures("fast_compile")


@keras.saving.register_keras_serializable(package="tests")
class Sound(keras.layers.Layer):
    """A Dense layer and a mean over the real steps added to each: right, for others to break."""

    def __init__(self, width=4, **kwargs):
        super().__init__(**kwargs)
        self.width = width
        self.supports_masking = True

    def build(self, input_shape):
        self.dense = keras.layers.Dense(self.width, dtype=self.dtype_policy, name="dense")
        self.dense.build(input_shape)

    def call(self, inputs, mask=None):
        x = apply_mask(inputs, mask)
        return self.dense(x) + ops.sum(x, axis=1, keepdims=True) / self.count(x, mask)

    def count(self, x, mask):
        real = ops.ones(ops.shape(x)[:2], "bool") if mask is None else as_mask(mask)
        count = ops.sum(ops.cast(real, x.dtype), axis=1, keepdims=True)
        return ops.maximum(count, 1)[..., None]

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], self.width)

    def get_config(self):
        return {**super().get_config(), "width": self.width}


class DividesByTime(Sound):
    def count(self, x, mask):
        return ops.cast(ops.shape(x)[1], x.dtype)


class ReadsValues(Sound):
    def call(self, inputs, mask=None):
        return super().call(inputs, ops.any(ops.not_equal(inputs, 0), axis=-1))


class MasksTooLate(Sound):
    def call(self, inputs, mask=None):
        return apply_mask(super().call(inputs), mask)


class KnowsNoFlatMask(Sound):
    def count(self, x, mask):
        if mask is not None and len(mask.shape) == 3:
            return ops.cast(ops.shape(x)[1], x.dtype)
        return super().count(x, mask)


class LeaksGradient(Sound):
    def call(self, inputs, mask=None):
        total = ops.sum(inputs, axis=1, keepdims=True)
        return super().call(inputs, mask) + (total - ops.stop_gradient(total))


class DividesByNothing(Sound):
    def count(self, x, mask):
        return ops.sum(ops.cast(as_mask(mask), x.dtype), axis=1, keepdims=True)[..., None]


class FillsPadding(Sound):
    def call(self, inputs, mask=None):
        return apply_mask(super().call(inputs, mask), mask, 1.0)


class WrongShape(Sound):
    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], self.width + 1)


class ForgetsWidth(Sound):
    def get_config(self):
        return {name: x for name, x in super().get_config().items() if name != "width"}


class LosesMask(Sound):
    def compute_mask(self, inputs, previous_mask=None):
        return None


class OwnPolicy(Sound):
    def build(self, input_shape):
        self.dense = keras.layers.Dense(self.width)
        self.dense.build(input_shape)


class AlwaysFloat32(Sound):
    def call(self, inputs, mask=None):
        return ops.cast(super().call(inputs, mask), "float32")


class InfiniteScores(Sound):
    def call(self, inputs, mask=None):
        scores = ops.sum(inputs, axis=-1)  # -1e10 is infinite in float16
        if mask is not None:
            scores = ops.where(as_mask(mask), scores, ops.cast(-np.inf, inputs.dtype))
        weights = ops.exp(scores - ops.max(scores, axis=1, keepdims=True))
        return super().call(inputs, mask) + ops.sum(weights, axis=1)[:, None, None] * 0


class DeadWeight(Sound):
    def build(self, input_shape):
        super().build(input_shape)
        self.dead = self.add_weight((2,), "zeros", name="dead")


class ForgetsState(Sound):
    def build(self, input_shape):
        super().build(input_shape)
        self.factor = float(np.random.default_rng().normal())

    def call(self, inputs, mask=None):
        return super().call(inputs, mask) * self.factor


for fault in Sound.__subclasses__():
    keras.saving.register_keras_serializable(package="tests")(fault)


class NotRegistered(Sound):
    pass


def half(case):
    return Subject(case, "mixed_float16")


ZEROS = {"padding_zeros": True, "empty_zeros": True}


@pytest.mark.parametrize(
    ("fault", "check", "message", "declared"),
    [
        (DividesByTime, "check_padding", "right padding, 3 more", {}),
        (DividesByTime, "check_without_padding", "without padding, length 1", {}),
        (ReadsValues, "check_padding", "right padding, 0 more, noise", {}),
        (MasksTooLate, "check_padding", "right padding, 0 more, noise", {}),
        (KnowsNoFlatMask, "check_padding", "right padding, 3 more", {}),
        (LeaksGradient, "check_gradient_of_padding", "the gradient reaches padding", {}),
        (DividesByNothing, "check_empty_rows", "an empty row: not finite", {}),
        (FillsPadding, "check_padding", "not zeros", ZEROS),
        (FillsPadding, "check_empty_rows", "an empty row is not zeros", ZEROS),
        (WrongShape, "check_shape", r"declared \[\(3, 5, 4\)\], found \[\(3, 5, 3\)\]", {}),
        (ForgetsWidth, "check_config", "weights of .* from the configuration", {}),
        (NotRegistered, "check_config", "NotRegistered is not registered", {}),
        (LosesMask, "check_model", "the mask is lost", {}),
        (Sound, "check_model", "the mask is handed on", {"passes_mask": False}),
        (DeadWeight, "check_model", "leaves these weights as they are: .*dead", {}),
        (ForgetsState, "check_model", "the model loaded", {}),
    ],
)
def test_a_fault_is_found(fault, check, message, declared):
    subject = Subject(Case(lambda: fault(3), floats(3), **declared))
    with pytest.raises(AssertionError, match=f"(?is){message}"):
        getattr(check_layer, check)(subject)


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (OwnPolicy, "own_policy/dense.* has the policy float32"),
        (AlwaysFloat32, "outputs of {'float32'} instead of float16"),
        (InfiniteScores, "float16.*not finite"),
    ],
)
def test_a_fault_of_half_precision_is_found(fault, message):
    subject = Subject(Case(lambda: fault(3), floats(3)), "mixed_float16")
    with pytest.raises(AssertionError, match=message):
        check_layer.check_half_precision(subject)


def test_a_sound_layer_passes():
    check_layer.check_layer(lambda: Sound(4), floats(4), layouts=("right", "left", "holes"))


def test_samples_are_padded_to_the_right_and_known_by_seed():
    assert ids(5, (3, 1)).shape == (2, 3)
    assert ids(5, (3, 1)).min() >= 1
    assert ids(5, (3, 1)).max() == 4
    np.testing.assert_array_equal(floats(2), floats(2))
    case = Case(lambda: Sound(4), floats(4))
    assert case.sample_mask.sum(axis=1).tolist() == list(LENGTHS)


@pytest.mark.parametrize("where", ["right", "left", "holes"])
def test_padding_moves_and_the_real_content_stays(where):
    case = Case(lambda: Sound(4), floats(4))
    moved = move(case.sample_mask, where, 3)
    laid = case.laid_out(moved, huge)["inputs"]
    assert moved.sum(axis=1).tolist() == list(LENGTHS)
    np.testing.assert_array_equal(laid[moved], case.inputs[case.sample_mask])
    assert np.abs(laid[~moved]).min() == HUGE
