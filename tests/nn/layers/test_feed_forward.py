"""Feed-forward: its formula in NumPy, plain and for every gate of the family."""

import keras
import numpy as np
import pytest
from keras import ops
from samples import compiled, numpy
from scipy import special

from taolu.nn import activations
from taolu.nn.layers.feed_forward import FeedForward, independent

pytestmark = pytest.mark.usefixtures("fast_compile")

X = np.random.default_rng(0).normal(size=(2, 3, 4)).astype("float32")
NUMPY = {
    "linear": lambda x: x,
    "relu": lambda x: np.maximum(x, 0),
    "sigmoid": special.expit,
    "silu": lambda x: x * special.expit(x),
    "gelu": lambda x: x * special.ndtr(x),
    "squared_relu": lambda x: np.maximum(x, 0) ** 2,
}


def shaken(layer):
    """The layer with random biases too, and its weights by the name of their sublayer."""
    layer.build(X.shape)
    rng = np.random.default_rng(1)
    weights = {}
    for weight in layer.trainable_weights:
        weight.assign(rng.normal(size=weight.shape).astype("float32"))
        weights["/".join(weight.path.split("/")[-2:])] = numpy(weight).astype("float64")
    return weights


@pytest.mark.parametrize("name", NUMPY)
def test_it_is_its_formula(name):
    layers = [FeedForward(5, name, gated, output_width=3) for gated in (False, True)]
    weights = [shaken(layer) for layer in layers]
    found = compiled(lambda x: [layer(x) for layer in layers])(X)
    for output, w, gated in zip(found, weights, (False, True), strict=True):
        inner, act = X @ w["inner/kernel"] + w["inner/bias"], NUMPY[name]
        inner = act(X @ w["gate/kernel"] + w["gate/bias"]) * inner if gated else act(inner)
        wanted = inner @ w["output/kernel"] + w["output/bias"]
        np.testing.assert_allclose(numpy(output), wanted, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "gate"),
    [
        ("sigmoid", activations.glu),
        ("relu", activations.reglu),
        ("silu", activations.swiglu),
        ("linear", activations.bilinear),
    ],
)
def test_the_gates_are_those_of_the_activations(name, gate):
    layer = FeedForward(5, name, gated=True, use_bias=False)
    shaken(layer)

    def both(x):
        value, told = layer.inner_projection(x), layer.gate_projection(x)
        return ops.stack([layer(x), layer.output_projection(gate(value, told))])

    found, wanted = numpy(compiled(both)(X))
    np.testing.assert_allclose(found, wanted, rtol=1e-6, atol=1e-6)


def test_gelu_is_the_exact_one():
    layer = FeedForward(1, use_bias=False, output_width=1)
    layer.build((None, 1))
    layer.set_weights([np.ones((1, 1)), np.ones((1, 1))])
    assert numpy(layer(np.array([[1.0]], "float32"))).item() == pytest.approx(0.8413447, abs=1e-6)


def test_sizes_are_those_of_the_arguments():
    plain, gated = FeedForward(8), FeedForward(8, gated=True, use_bias=False)
    for layer in (plain, gated):
        layer.build((None, None, 4))
    assert plain.count_params() == (4 * 8 + 8) + (8 * 4 + 4)
    assert gated.count_params() == 3 * 4 * 8
    assert plain.compute_output_shape((None, 7, 4)) == (None, 7, 4)


def test_no_two_kernels_begin_alike():
    """A gate that began as a copy of what it gates would make `f(x) x` of one projection."""
    for seed in (None, 3):
        initializer = keras.initializers.GlorotUniform(seed=seed)
        layer = FeedForward(4, gated=True, kernel_initializer=initializer)
        layer.build(X.shape)
        kernels = [numpy(w) for w in layer.weights if w.path.endswith("kernel")]
        assert len({kernel.tobytes() for kernel in kernels}) == 3
    twin = FeedForward(4, gated=True, kernel_initializer=keras.initializers.GlorotUniform(seed=3))
    twin.build(X.shape)
    np.testing.assert_array_equal(numpy(twin.weights[0]), numpy(layer.weights[0]))
    assert independent(ops.zeros, 1) is ops.zeros


def test_dropout_acts_in_training_only():
    layer = FeedForward(50, dropout=0.5, seed=0)
    layer.build(X.shape)
    run = compiled(lambda x: [layer(x), layer(x, training=False)])
    quiet, still = (numpy(x) for x in run(X))
    np.testing.assert_array_equal(still, quiet)
    assert not np.allclose(numpy(layer(X, training=True)), quiet)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"inner_width": 0}, r"`inner_width` must be at least 1\. Received: inner_width=0"),
        ({"inner_width": 2, "output_width": 0}, r"`output_width` must be at least 1\. Received:"),
        ({"inner_width": 2, "activation": "gelo"}, "Received: identifier='gelo'"),
    ],
)
def test_wrong_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        FeedForward(**arguments)
