"""Norms told by a condition: NumPy formulas, Keras' own norms, and no effect before training."""

import keras
import numpy as np
import pytest
from keras import ops
from samples import compiled, numpy

from taolu.nn.layers.normalization import ConditionalLayerNormalization, ScaleOffset

pytestmark = pytest.mark.usefixtures("fast_compile")

RNG = np.random.default_rng(0)
X = RNG.normal(size=(2, 3, 4)).astype("float32") * 2 + 1
CONDITION = RNG.normal(size=(2, 5)).astype("float32")


def built(*shapes, **options):
    layer = ConditionalLayerNormalization(**options)
    layer.build(*shapes)
    return layer


def shaken(layer):
    rng = np.random.default_rng(1)
    for weight in layer.trainable_weights:
        weight.assign(rng.normal(size=weight.shape).astype("float32"))
    return {
        "/".join(w.path.split("/")[1:]): numpy(w).astype("float64") for w in layer.trainable_weights
    }


def by_hand(x, center, gamma, beta):
    x = x.astype("float64")
    if center:
        x = x - x.mean(axis=-1, keepdims=True)
    return x / np.sqrt((x**2).mean(axis=-1, keepdims=True) + 1e-6) * gamma + beta


@pytest.mark.parametrize("center", [True, False])
@pytest.mark.parametrize("steps", [False, True], ids=["one a row", "one a step"])
def test_it_is_its_formula(center, steps):
    condition = RNG.normal(size=(2, 3, 5)).astype("float32") if steps else CONDITION
    layer = built(X.shape, condition.shape, center=center)
    w = shaken(layer)
    told = condition if steps else condition[:, None]
    gamma = w["gamma"] + told @ w["condition_gamma/kernel"]
    beta = w["beta"] + told @ w["condition_beta/kernel"] if center else 0
    found = numpy(compiled(lambda x, c: layer(x, condition=c))(X, condition))
    np.testing.assert_allclose(found, by_hand(X, center, gamma, beta), rtol=0, atol=1e-5)


def test_a_condition_may_pass_a_hidden_layer_first():
    layer = built(X.shape, CONDITION.shape, hidden_width=3, hidden_activation="tanh")
    w = shaken(layer)
    told = np.tanh(CONDITION @ w["hidden/kernel"])[:, None]
    gamma = w["gamma"] + told @ w["condition_gamma/kernel"]
    beta = w["beta"] + told @ w["condition_beta/kernel"]
    found = numpy(compiled(lambda x, c: layer(x, condition=c))(X, CONDITION))
    np.testing.assert_allclose(found, by_hand(X, True, gamma, beta), rtol=0, atol=1e-5)


@pytest.mark.parametrize("center", [True, False])
def test_before_training_the_condition_says_nothing(center):
    """So the gamma and beta of a trained model can be put in, and its answers stay."""
    layer = built(X.shape, CONDITION.shape, center=center, epsilon=1e-6)
    kind = keras.layers.LayerNormalization if center else keras.layers.RMSNormalization
    plain = kind(epsilon=1e-6)
    plain.build(X.shape)
    values = [RNG.normal(size=w.shape).astype("float32") for w in plain.weights]
    plain.set_weights(values)
    layer.gamma.assign(values[0])
    if center:
        layer.beta.assign(values[1])
    run = compiled(lambda x, c: (layer(x, condition=c), plain(x)))
    for condition in (CONDITION, 100 * CONDITION):
        found, wanted = (numpy(y) for y in run(X, condition))
        np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-5)


def test_statistics_are_taken_in_float32():
    """In float16 the square of 300 overflows."""
    x = ops.cast(np.array([[300.0, -300.0, 300.0, -300.0]]), "float16")
    layer = ConditionalLayerNormalization(dtype="float16")
    layer.build((1, 4), (1, 2))
    found = compiled(lambda x: layer(x, condition=ops.ones((1, 2), "float16")))(x)
    assert keras.backend.standardize_dtype(found.dtype) == "float16"
    np.testing.assert_allclose(numpy(found), [[1, -1, 1, -1]], rtol=0, atol=1e-3)


def test_scale_and_offset_are_one_number_a_channel():
    layer = ScaleOffset()
    layer.build(X.shape)
    np.testing.assert_array_equal(numpy(layer(X)), X)
    gamma, beta = RNG.normal(size=(2, 4)).astype("float32")
    layer.set_weights([gamma, beta])
    np.testing.assert_allclose(numpy(layer(X)), X * gamma + beta, rtol=0, atol=1e-6)
    assert [w.name for w in layer.weights] == ["gamma", "beta"]
    for options, names in (({"offset": False}, ["gamma"]), ({"scale": False}, ["beta"])):
        part = ScaleOffset(**options)
        part.build(X.shape)
        assert [w.name for w in part.weights] == names


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ScaleOffset(False, False), "`scale` or `offset` must be True. Received: scale="),
        (
            lambda: ConditionalLayerNormalization(epsilon=0),
            r"`epsilon` must be positive\. Received: epsilon=0",
        ),
        (
            lambda: ConditionalLayerNormalization(hidden_width=0),
            r"`hidden_width` must be at least 1\. Received: hidden_width=0",
        ),
        (
            lambda: built(X.shape, (2, 3, 4, 5)),
            r"`condition` must have the shape .* Received: .*\(2, 3, 4, 5\)",
        ),
    ],
)
def test_wrong_arguments_are_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()
