"""Activations: exact minima and slopes, safe numbers at the ends of every type, save and load."""

import math

import keras
import numpy as np
import pytest
from keras import ops

from taolu.nn import activations
from taolu.nn.activations import bilinear, geglu, glu, reglu, silu, su_exp, swiglu, swish
from taolu.nn.differentiate import grad
from taolu.nn.initializers import GeometricNormal, gain_for

pytestmark = pytest.mark.usefixtures("fast_compile")

OURS = (activations.su_exp, activations.squared_relu, activations.star_relu)
TYPES = ("float32", "float16", "bfloat16")
GRID = np.linspace(-8, 8, 4001).astype("float32")


def slope(function, x):
    x = ops.convert_to_tensor(x)
    return np.asarray(ops.convert_to_numpy(grad(lambda t: ops.sum(function(t)), x)), "float64")


def values(function, x):
    return np.asarray(ops.convert_to_numpy(function(ops.convert_to_tensor(x))), "float64")


def truth(x):
    """su_exp as the article writes it, in double precision, where the exponent is small."""
    x = np.asarray(x, "float64")
    return x * np.minimum(1, np.exp(x))


# su_exp


def test_su_exp_is_lowest_at_minus_one_and_there_minus_one_over_e():
    assert float(su_exp(-1.0)) == pytest.approx(-1 / math.e, abs=1e-7)
    heights = values(su_exp, GRID)
    assert GRID[heights.argmin()] == pytest.approx(-1, abs=4e-3)  # one step of the grid
    assert heights.min() >= -1 / math.e - 1e-7


def test_the_three_forms_of_su_exp_agree():
    x = GRID.astype("float64")
    middle = np.maximum(x, x * np.exp(-np.abs(x)))
    last = x + np.maximum(x * np.exp(-np.abs(x)) - x, 0)
    np.testing.assert_allclose(middle, truth(x), rtol=0, atol=1e-7)
    np.testing.assert_allclose(last, truth(x), rtol=0, atol=1e-7)
    np.testing.assert_allclose(values(su_exp, GRID), truth(x), rtol=0, atol=1e-7)


def test_the_slope_of_su_exp_is_the_analytic_one():
    x = GRID.astype("float64")
    analytic = np.where(x > 0, 1, (1 + x) * np.exp(np.minimum(x, 0)))
    np.testing.assert_allclose(slope(su_exp, GRID), analytic, rtol=0, atol=1e-6)
    assert slope(su_exp, GRID).max() <= 1 + 1e-6
    assert slope(su_exp, GRID).min() >= -math.exp(-2) - 1e-6
    assert slope(su_exp, np.float32(-2.0)) == pytest.approx(-math.exp(-2), abs=1e-7)


def test_the_slope_of_su_exp_at_zero_is_exactly_one():
    assert slope(su_exp, np.zeros(3, "float32")).tolist() == [1, 1, 1]


def test_the_second_derivative_of_su_exp_jumps_from_two_to_zero():
    def bend(x):
        return slope(lambda t: grad(lambda s: ops.sum(su_exp(s)), t), np.float32(x))

    assert bend(-1e-4) == pytest.approx(2, abs=1e-3)
    assert bend(1e-4) == pytest.approx(0, abs=1e-6)


def test_su_exp_never_stretches_a_distance():
    a, b = np.random.default_rng(0).normal(0, 3, (2, 20000)).astype("float32")
    stretched = np.abs(values(su_exp, a) - values(su_exp, b))
    assert (stretched <= np.abs(a.astype("float64") - b) + 1e-6).all()


# swish


def test_swish_has_the_minimum_and_the_steepest_slope_of_the_paper():
    assert swish is silu
    assert float(swish(-1.2784647)) == pytest.approx(-0.2784645, abs=1e-7)
    assert values(swish, GRID).min() >= -0.2784645 - 1e-7
    assert slope(swish, np.float32(2.39936)) == pytest.approx(1.0998393, abs=1e-6)
    assert slope(swish, GRID).max() <= 1.0998393 + 1e-6


# The ends of every type


@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize("function", [su_exp, swish], ids=lambda function: function.__name__)
def test_values_and_slopes_are_finite_at_ten_thousand(function, kind):
    x = ops.cast(ops.convert_to_tensor([-1e4, -100.0, -1.0, 0.0, 1.0, 100.0, 1e4]), kind)
    out = function(x)
    assert keras.backend.standardize_dtype(out.dtype) == kind
    heights = values(function, x)
    slopes = slope(function, x)
    assert np.isfinite(heights).all()
    assert np.isfinite(slopes).all()
    assert heights[[0, -1]] == pytest.approx([0, float(ops.cast(x[-1], "float32"))])
    assert slopes[[0, -1]].tolist() == [0, 1]


def test_the_exponent_must_be_safe_because_where_does_not_save_the_gradient():
    def unsafe(x):
        return ops.where(x > 0, x, x * ops.exp(x))

    x = np.float32([1e4])
    assert np.isfinite(values(unsafe, x)).all()
    assert np.isnan(slope(unsafe, x)).all()
    assert slope(su_exp, x).tolist() == [1]


@pytest.mark.parametrize("kind", TYPES)
def test_gates_are_finite_at_ten_thousand_where_the_product_is(kind):
    ends = ops.cast(ops.convert_to_tensor([-1e4, 1e4, -1e4, 1e4]), kind)
    gates = ops.cast(ops.convert_to_tensor([-1e4, 1e4, 1e4, -1e4]), kind)

    def openings(gate):  # the others have no bound on the gate, so their value must be small
        return sum(other(ops.ones_like(gate), gate) for other in (reglu, geglu, swiglu, bilinear))

    assert np.isfinite(values(lambda t: glu(t, gates), ends)).all()
    assert np.isfinite(slope(lambda t: glu(t, gates), ends)).all()
    assert np.isfinite(slope(lambda t: glu(ends, t) + openings(t), gates)).all()


# Gates


def test_gates_are_the_products_of_the_papers():
    rng = np.random.default_rng(1)
    value, gate = rng.normal(0, 2, (2, 5, 4)).astype("float32")
    sigmoid = 1 / (1 + np.exp(-gate.astype("float64")))
    normal = np.array([[0.5 * (1 + math.erf(g / 2**0.5)) for g in row] for row in gate])
    expected = {
        glu: value * sigmoid,
        reglu: value * np.maximum(gate, 0),
        geglu: value * gate * normal,
        swiglu: value * gate * sigmoid,
        bilinear: value * gate,
    }
    for function, product in expected.items():
        np.testing.assert_allclose(
            ops.convert_to_numpy(function(value, gate)), product, rtol=0, atol=2e-6
        )


# Names, save and load


def test_a_name_finds_ours_and_those_of_keras():
    assert [activations.get(function.__name__) for function in OURS] == list(OURS)
    assert activations.get("gelu") is keras.activations.gelu
    assert activations.get(math.tanh) is math.tanh


@pytest.mark.parametrize("identifier", ["su_expp", None, 3])
def test_an_unknown_name_says_which_are_known(identifier):
    with pytest.raises(ValueError, match=r"one of \['squared_relu', 'star_relu', 'su_exp'\]"):
        activations.get(identifier)
    with pytest.raises(ValueError, match="Received: identifier="):
        activations.get(identifier)


@pytest.mark.parametrize("function", OURS, ids=lambda function: function.__name__)
def test_a_dense_layer_with_our_activation_saves_and_loads(function, tmp_path):
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(4, activation=function)])
    x = np.random.default_rng(0).normal(size=(5, 3)).astype("float32")
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert loaded.layers[-1].activation is function
    np.testing.assert_array_equal(
        ops.convert_to_numpy(loaded(x)), ops.convert_to_numpy(model(x)), strict=True
    )


# A network of twenty layers without normalisation


def digits_accuracy(activation, seed, width=64, depth=20):
    """Test accuracy of a deep network on the 1797 digits; every third image is held out."""
    images, labels = pytest.importorskip("sklearn.datasets").load_digits(return_X_y=True)
    images = ((images - images.mean()) / images.std()).astype("float32")
    held = np.arange(len(labels)) % 3 == 0
    keras.utils.set_random_seed(seed)
    gain = gain_for(activation)  # for weights behind an activation: not for the first
    layers = [
        keras.layers.Dense(
            width,
            activation=activation,
            kernel_initializer=GeometricNormal(
                gain if number else 1, "fan_in", seed=100 * seed + number
            ),
        )
        for number in range(depth - 1)
    ]
    model = keras.Sequential([keras.Input((64,)), *layers, keras.layers.Dense(10)])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    # Of 3e-4, 1e-3, 2e-3 and 4e-3 the rate at which ReLU does best.
    model.compile(keras.optimizers.Adam(2e-3), loss, metrics=["accuracy"])
    model.fit(images[~held], labels[~held], batch_size=64, epochs=30, verbose=0)
    return model.evaluate(images[held], labels[held], batch_size=599, verbose=0)[1]


@pytest.mark.slow
def test_twenty_layers_learn_digits_as_well_as_with_relu(figure):
    means = {
        name: np.mean([digits_accuracy(activations.get(name), seed) for seed in range(5)])
        for name in ("relu", "su_exp", "swish")
    }

    for name, mean in means.items():
        figure(f"digits, 20 layers, accuracy, {name}", mean)
    assert means["relu"] > 0.9  # a reference that learned
    assert means["su_exp"] >= means["relu"] - 0.005
    assert means["swish"] >= means["relu"] - 0.005
