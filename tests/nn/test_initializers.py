"""Initial weights: exact moments, lengths that stay, gains, and true rotations."""

import keras
import numpy as np
import pytest
from keras import ops
from scipy import integrate, special

from taolu.nn import initializers
from taolu.nn.initializers import (
    DeltaOrthogonal,
    GeometricNormal,
    GeometricUniform,
    Orthogonal,
    expected_identity_error,
    gain_for,
    identity_error,
    residual_gain,
    scale_feedback,
)

pytestmark = pytest.mark.usefixtures("fast_compile")

ALL = (GeometricNormal, GeometricUniform, Orthogonal, DeltaOrthogonal)
LAWS = (GeometricNormal, GeometricUniform)


def draw(initializer, shape, dtype="float32"):
    return np.asarray(ops.convert_to_numpy(ops.cast(initializer(shape, dtype), "float32")))


# The two laws


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize(
    ("mode", "fan"), [("fan_out", 500), ("fan_in", 300), ("avg", 400)], ids=str
)
def test_the_variance_is_gain_squared_over_the_fan(law, mode, fan):
    kernel = draw(law(gain=1.5, mode=mode, seed=3), (300, 500))  # 300 inputs, 500 outputs
    standard_error = (2 / kernel.size) ** 0.5  # of a variance, relative, for the normal law
    assert kernel.var() * fan / 1.5**2 == pytest.approx(1, abs=4 * standard_error)
    assert abs(kernel.mean()) < 4 * kernel.std() / kernel.size**0.5


@pytest.mark.parametrize(("law", "kurtosis"), [(GeometricNormal, 3.0), (GeometricUniform, 1.8)])
def test_the_laws_have_their_fourth_moment(law, kurtosis):
    kernel = draw(law(seed=0), (300, 500)).astype("float64")
    assert np.mean(kernel**4) / np.mean(kernel**2) ** 2 == pytest.approx(kurtosis, rel=0.03)


def test_the_uniform_law_stops_at_its_limit():
    kernel = draw(GeometricUniform(gain=2, seed=0), (300, 500))
    limit = 2 * (3 / 500) ** 0.5
    assert 0.999 * limit < np.abs(kernel).max() <= limit


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize("size", [100, 400])
def test_the_distance_from_orthogonal_is_the_exact_formula(law, size):
    closed = (size + 1) / size**2 if law is GeometricNormal else (size - 0.2) / size**2
    fourth = (3 if law is GeometricNormal else 1.8) / size**2
    assert expected_identity_error(size, fourth) == pytest.approx(closed, rel=1e-12)
    errors = [identity_error(draw(law(seed=seed), (size, size))) for seed in range(8)]
    assert np.mean(errors) == pytest.approx(closed, rel=0.02)


def test_the_formula_holds_by_enumeration_of_a_small_law():
    # Entries ±1/sqrt 2, all 16 matrices of size 2: fourth moment 1/4.
    signs = np.array(np.meshgrid(*[[-1, 1]] * 4)).reshape(4, -1).T / 2**0.5
    errors = [identity_error(row.reshape(2, 2)) for row in signs]
    assert np.mean(errors) == pytest.approx(expected_identity_error(2, 1 / 4), abs=1e-12)


@pytest.mark.parametrize("law", LAWS)
def test_lengths_stay_within_three_standard_errors_and_axes_name_the_outputs(law):
    inputs, outputs, draws = 60, 90, 300
    x = np.random.default_rng(0).normal(size=inputs)
    x /= np.linalg.norm(x)
    # One tall draw is many layers side by side; each block is a layer of its own.
    wide = draw(law(seed=1, input_axes=[0], output_axes=[2]), (inputs, draws, outputs))
    lengths = np.sum(np.einsum("i,ido->do", x, wide.astype("float64")) ** 2, axis=1)
    assert lengths.mean() == pytest.approx(1, abs=3 * lengths.std() / draws**0.5)
    if law is GeometricNormal:  # Var ||W x||^2 = 2 / m
        assert lengths.var() == pytest.approx(2 / outputs, rel=4 * (2 / draws) ** 0.5)


def test_a_window_multiplies_both_fans():
    kernel = draw(GeometricNormal(seed=0), (3, 5, 20, 40))
    assert kernel.var() * 3 * 5 * 40 == pytest.approx(1, abs=0.05)
    kernel = draw(GeometricNormal(mode="fan_in", seed=0), (3, 5, 20, 40))
    assert kernel.var() * 3 * 5 * 20 == pytest.approx(1, abs=0.05)


def test_norm_preserving_matrices_are_not_spectrally_orthogonal():
    singular = np.linalg.svd(draw(GeometricNormal(seed=0), (400, 400)), compute_uv=False)
    assert singular[0] == pytest.approx(2, abs=0.05)
    assert singular[-1] < 0.02


# Rotations


@pytest.mark.parametrize("shape", [(30, 70), (70, 30), (2, 5, 7, 30)], ids=str)
def test_every_singular_value_of_orthogonal_is_the_gain(shape):
    kernel = draw(Orthogonal(gain=1.0, seed=2), shape).reshape(-1, shape[-1])
    singular = np.linalg.svd(kernel.astype("float64"), compute_uv=False)
    np.testing.assert_allclose(singular, 1, rtol=0, atol=1e-5)
    assert np.linalg.norm(draw(Orthogonal(gain=3, seed=2), shape)) == pytest.approx(
        3 * np.linalg.norm(kernel), rel=1e-5
    )


def test_orthogonal_is_uniform_over_rotations():
    """Under Haar measure the trace has mean 0 and variance 1; without the sign fix it has not."""
    seeds = keras.random.SeedGenerator(0)
    traces = np.array([np.trace(draw(Orthogonal(seed=seeds), (6, 6))) for _ in range(400)])
    assert abs(traces.mean()) < 4 / 20
    assert traces.var() == pytest.approx(1, abs=4 * 2**0.5 / 20)


@pytest.mark.parametrize(("kind", "room"), [("float16", 2e-3), ("bfloat16", 2e-2)])
def test_orthogonal_knows_half_precision(kind, room):
    kernel = Orthogonal(seed=0)((24, 24), kind)
    assert keras.backend.standardize_dtype(kernel.dtype) == kind
    kernel = np.asarray(ops.convert_to_numpy(ops.cast(kernel, "float32")))
    np.testing.assert_allclose(kernel.T @ kernel, np.eye(24), rtol=0, atol=room)


def test_a_deep_linear_stack_keeps_its_shape_only_when_orthogonal():
    def spread(initializer):
        product = np.eye(24)
        for _ in range(30):
            product = product @ draw(initializer, (24, 24)).astype("float64")
        return np.linalg.svd(product, compute_uv=False)

    straight = spread(Orthogonal(seed=keras.random.SeedGenerator(0)))
    bent = spread(GeometricNormal(seed=keras.random.SeedGenerator(0)))
    np.testing.assert_allclose(straight, 1, rtol=0, atol=1e-4)
    # The i-th of n exponents of a normal product is (ln(2/n) + digamma((n - i + 1) / 2)) / 2.
    exponents = special.psi((24 - np.arange(24)) / 2) / 2
    spread = 30 * (exponents[0] - np.median(exponents))  # 10.3: a factor of thirty thousand
    assert np.log(bent[0] / np.median(bent)) == pytest.approx(spread, abs=3)


@pytest.mark.parametrize("window", [(4,), (3, 3)], ids=str)
def test_a_delta_orthogonal_convolution_keeps_every_length(window):
    layer = (keras.layers.Conv1D if len(window) == 1 else keras.layers.Conv2D)(
        12, window, padding="same", kernel_initializer=DeltaOrthogonal(seed=1), use_bias=False
    )
    x = np.random.default_rng(0).normal(size=(2, *[7] * len(window), 8)).astype("float32")
    out = ops.convert_to_numpy(layer(x))
    np.testing.assert_allclose(np.linalg.norm(out, axis=-1), np.linalg.norm(x, axis=-1), rtol=1e-5)


# Gains


@pytest.mark.parametrize(
    ("name", "gain"),
    [
        ("relu", 2**0.5),
        ("tanh", 1.592537),
        ("silu", 1.676532),
        ("gelu", 1.533530),
        ("su_exp", 1.357532),
    ],
)
def test_gains_are_those_of_the_specification(name, gain):
    assert gain_for(name) == pytest.approx(gain, abs=5e-7)


def test_gains_with_a_closed_form():
    assert gain_for("relu") == pytest.approx(2**0.5, abs=1e-8)
    assert gain_for("linear") == pytest.approx(1, abs=1e-6)
    assert gain_for("selu") == pytest.approx(1, abs=1e-6)  # its constants were chosen so
    assert gain_for("star_relu") == pytest.approx(1, abs=1e-6)
    assert gain_for("squared_relu") == pytest.approx((2 / 3) ** 0.5, abs=1e-6)  # E relu^4 = 3/2
    slope = 0.2
    leaky = gain_for(lambda x: keras.activations.leaky_relu(x, negative_slope=slope))
    assert leaky == pytest.approx((2 / (1 + slope**2)) ** 0.5, abs=1e-6)


@pytest.mark.parametrize("name", ["softplus", "mish", "elu", "hard_tanh", "sigmoid"])
def test_gains_agree_with_adaptive_quadrature(name):
    def weighted(z):
        height = float(ops.convert_to_numpy(keras.activations.get(name)(np.float32(z))))
        return height**2 * np.exp(-(z**2) / 2) / (2 * np.pi) ** 0.5

    whole, _ = integrate.quad(weighted, -9, 9, points=[-1, 0, 1], epsabs=1e-5)
    assert gain_for(name) == pytest.approx(whole**-0.5, rel=1e-4)


def test_the_feedback_is_the_slope_of_the_scale():
    """Against a finite difference of q -> g^2 E f(sqrt(q) z)^2 at q = 1."""

    def scale(name, q):
        function = initializers.activations.get(name)
        return gain_for(name) ** 2 / gain_for(lambda x: function(q**0.5 * x)) ** 2

    for name in ("relu", "su_exp", "silu", "tanh"):
        difference = (scale(name, 1.01) - scale(name, 0.99)) / 0.02
        assert scale_feedback(name) == pytest.approx(difference, abs=1e-3)
    assert scale_feedback("relu") == pytest.approx(1, abs=1e-6)
    assert scale_feedback("su_exp") < 1 < scale_feedback("silu")


def test_the_gain_keeps_the_mean_square_through_a_layer():
    x = np.random.default_rng(0).normal(size=(400, 400)).astype("float32")
    for name in ("relu", "su_exp", "tanh"):
        out = ops.convert_to_numpy(initializers.activations.get(name)(x))
        units = out @ draw(GeometricNormal(gain_for(name), seed=5), (400, 400))
        assert np.mean(np.square(units)) == pytest.approx(1, abs=0.06)


def test_the_residual_gain_bounds_the_growth():
    rng = np.random.default_rng(0)
    branches = 40
    x = rng.normal(size=(50, 200))
    start = np.mean(x**2)
    for _ in range(branches):
        x = x + residual_gain(branches) * x @ rng.normal(size=(200, 200)) / 200**0.5
    assert 2 < np.mean(x**2) / start < np.e * 1.1


# Doors


@pytest.mark.parametrize("initializer", ALL)
def test_an_initializer_saves_and_loads_inside_a_layer(initializer, tmp_path):
    given = initializer(gain=1.25, seed=7)
    layer = keras.layers.Conv1D(6, 3, kernel_initializer=given, padding="same")
    model = keras.Sequential([keras.Input((5, 4)), layer])
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras").layers[-1].kernel_initializer
    assert type(loaded) is initializer
    assert loaded.get_config() == given.get_config()
    np.testing.assert_array_equal(draw(loaded, (3, 4, 6)), draw(given, (3, 4, 6)), strict=True)


def test_the_configuration_names_our_arguments():
    given = GeometricNormal(2.0, "avg", 5, [0], [1])
    config = {"gain": 2.0, "mode": "avg", "seed": 5, "input_axes": [0], "output_axes": [1]}
    assert given.get_config() == config
    assert GeometricNormal.from_config(config).get_config() == config


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"gain": 0}, r"`gain` must be a positive number. Received: gain=0\."),
        ({"gain": float("nan")}, "`gain` must be a positive number. Received: gain=nan"),
        ({"gain": "relu"}, "`gain` must be a positive number. Received: gain='relu'"),
        ({"mode": "fan"}, r"`mode` must be one of .*'avg'.* Received: mode='fan'\."),
        ({"input_axes": [0]}, "must be given together. Received: input_axes="),
    ],
)
@pytest.mark.parametrize("law", LAWS)
def test_wrong_arguments_are_named(law, arguments, message):
    with pytest.raises(ValueError, match=message):
        law(**arguments)


@pytest.mark.parametrize("shape", [(4, 8), (3, 8, 4)], ids=str)
def test_a_delta_orthogonal_kernel_needs_a_window_and_room(shape):
    with pytest.raises(ValueError, match=r"no more inputs than outputs. Received: shape="):
        DeltaOrthogonal(seed=0)(shape)


def test_an_activation_without_a_gain_is_refused():
    with pytest.raises(ValueError, match=r"act on each number by itself. Received: .*'softmax'"):
        gain_for("softmax")
    with pytest.raises(ValueError, match="positive, finite mean square"):
        gain_for(ops.zeros_like)
    with pytest.raises(ValueError, match="positive, finite mean square"):
        gain_for(lambda x: x / ops.zeros_like(x))
    with pytest.raises(ValueError, match="Received: identifier='rellu'"):
        gain_for("rellu")
    with pytest.raises(ValueError, match=r"`branches` must be at least 1. Received: branches=0"):
        residual_gain(0)
