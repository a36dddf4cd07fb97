"""HSIC as a loss is that of `taolu.bits`, with the right gradient, and takes a nuisance away."""

import keras
import numpy as np
import pytest
from keras import ops
from samples import compiled, numpy

from taolu import bits
from taolu.bits import Gaussian, Linear, biased_hsic
from taolu.nn.differentiate import value_and_grad
from taolu.nn.losses import IndependencePenalty, cka, hsic
from taolu.nn.losses.hsic import _median_square

pytestmark = pytest.mark.usefixtures("fast_compile")

KERNELS = {
    "median": {},
    "given": {"kernel_x": Gaussian(1.3), "kernel_y": Gaussian(0.7)},
    "linear": {"kernel_x": Linear(), "kernel_y": Linear()},
    "mixed": {"kernel_x": Gaussian(), "kernel_y": Linear()},
}
ONE = {"kernel_x": Gaussian(1.0), "kernel_y": Gaussian(1.0)}


def pair(n, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 3)).astype("float32")
    return x, (x[:, 0] ** 2 + 0.5 * rng.normal(size=n)).astype("float32")


def value_of(measure, x, y, mask=None, **kernels):
    """The value as a number."""
    function = compiled(lambda x, y: measure(x, y, mask=mask, **kernels))
    return float(numpy(function(ops.convert_to_tensor(x), ops.convert_to_tensor(y))))


def slope_of(measure, x, y, mask=None, **kernels):
    """Value and gradient by x, as NumPy."""
    both = compiled(lambda x: value_and_grad(lambda x: measure(x, y, mask=mask, **kernels), x))
    return [numpy(part) for part in both(ops.convert_to_tensor(x))]


def one_hot(labels, classes):
    return np.eye(classes, dtype="float32")[labels]


def test_worked_example():
    """x and y are the same two classes twice: 2/3, as the guide says; crossed: -1/3."""
    x, crossed = one_hot([0, 0, 1, 1], 2), one_hot([0, 1, 0, 1], 2)
    assert value_of(hsic, x, x, **KERNELS["linear"]) == pytest.approx(2 / 3, abs=1e-6)
    assert value_of(hsic, x, crossed, **KERNELS["linear"]) == pytest.approx(-1 / 3, abs=1e-6)


@pytest.mark.parametrize("name", KERNELS)
@pytest.mark.parametrize("n", [4, 65])  # 6 pairs and 2080: the lower middle of an even number
def test_the_numpy_half_is_the_definition(name, n):
    x, y = pair(n, seed=n)
    for ours, theirs in ((hsic, bits.hsic), (cka, bits.cka)):
        truth = theirs(x, y, **KERNELS[name])
        assert value_of(ours, x, y, **KERNELS[name]) == pytest.approx(truth, abs=1e-5, rel=1e-5)


@pytest.mark.parametrize("shares", [(0.5, 0.5), (0.9, 0.1), (0.98, 0.02)])
def test_categories_have_the_bandwidth_of_the_definition(shares):
    """The same category is at distance exactly 0, which the median may have to pass over."""
    labels = np.random.default_rng(1).choice(2, size=101, p=shares)
    y, x = one_hot(labels, 2) * np.float32(0.3), pair(101)[0]
    assert value_of(hsic, x, y) == pytest.approx(bits.hsic(x, y), abs=1e-6)
    assert value_of(hsic, y, y) == pytest.approx(bits.hsic(y, y), abs=1e-6)


@pytest.mark.parametrize("measure", [hsic, cka])
def test_what_does_not_vary_depends_on_nothing(measure):
    value, slope = slope_of(measure, np.full((8, 2), 3.0, "float32"), pair(8)[1])
    assert value == pytest.approx(0, abs=1e-7)
    np.testing.assert_array_equal(slope, 0)


def test_digits_survive_where_kernels_are_nearly_constant():
    """With a bandwidth of 1e4 the kernel is 1 - d^2 / 1e8: HSIC is a covariance over 1e16."""
    x, y = pair(100)
    wide = {"kernel_x": Gaussian(1e4), "kernel_y": Gaussian(1e4)}
    truth = bits.hsic(x, y, **KERNELS["linear"])
    assert value_of(hsic, x, y, **wide) * 1e16 == pytest.approx(4 * truth, rel=1e-4)
    assert value_of(hsic, x + 1e3, y, **KERNELS["linear"]) == pytest.approx(truth, rel=1e-3)


@pytest.mark.parametrize("name", KERNELS)
@pytest.mark.parametrize("measure", ["hsic", "cka"])
def test_the_gradient_is_that_of_finite_differences(name, measure):
    """Of the definition in float64, the bandwidths held fast."""
    ours, theirs = {"hsic": (hsic, bits.hsic), "cka": (cka, bits.cka)}[measure]
    x, y = pair(12, seed=3)
    fixed = {
        of: Gaussian(bits.median_bandwidth(data)) if kernel == Gaussian() else kernel
        for of, data in (("kernel_x", x), ("kernel_y", y))
        for kernel in [KERNELS[name].get(of, Gaussian())]
    }
    wanted, step = np.zeros(x.shape), 1e-5
    for place in np.ndindex(x.shape):
        for sign in (1, -1):
            moved = x.astype("float64")
            moved[place] += sign * step
            wanted[place] += sign * theirs(moved, y, **fixed) / (2 * step)
    scale = np.abs(wanted).max()
    assert scale > 1e-3
    found = slope_of(ours, x, y, **KERNELS[name])[1]
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-4 * scale)


def test_no_gradient_passes_the_median():
    x, pairs = pair(9)[0], ops.convert_to_tensor(~np.eye(9, dtype=bool))

    def median(x, y, mask):
        return _median_square(ops.sum(ops.square(x[:, None] - x[None]), axis=-1), pairs)

    value, slope = slope_of(median, x, None)
    assert value == pytest.approx(bits.median_bandwidth(x) ** 2, rel=1e-6)
    np.testing.assert_array_equal(slope, 0)


@pytest.mark.parametrize("name", ["median", "linear"])
@pytest.mark.parametrize("measure", ["hsic", "cka"])
def test_what_is_hidden_does_not_count(name, measure):
    ours, theirs = {"hsic": (hsic, bits.hsic), "cka": (cka, bits.cka)}[measure]
    x, y = pair(40)
    mask = np.random.default_rng(4).random(40) < 0.6
    spoiled, other = x.copy(), y.copy()
    spoiled[~mask], other[~mask] = np.nan, np.inf
    value, slope = slope_of(ours, spoiled, other, mask=mask, **KERNELS[name])
    truth = theirs(x[mask], y[mask], **KERNELS[name])
    assert value == pytest.approx(truth, abs=1e-5, rel=1e-5)
    np.testing.assert_array_equal(slope[~mask], 0)
    assert (slope[mask] != 0).any(axis=1).all()


@pytest.mark.parametrize("count", [0, 1, 3])
@pytest.mark.parametrize("name", ["median", "linear"])
def test_too_few_samples_that_count_give_zero(count, name):
    for measure in (hsic, cka):
        value, slope = slope_of(measure, *pair(6), mask=np.arange(6) < count, **KERNELS[name])
        assert value == 0
        np.testing.assert_array_equal(slope, 0)


def test_batches_of_independent_data_have_the_mean_zero():
    """SPEC: |mean| below 3 standard errors; the biased estimate is far from it."""
    batches = np.random.default_rng(5).normal(size=(2000, 2, 16)).astype("float32")
    values = numpy(
        ops.vectorized_map(lambda batch: hsic(batch[0], batch[1], **ONE), ops.array(batches))
    )
    assert values.shape == (2000,)
    assert abs(values.mean()) < 3 * values.std() / np.sqrt(len(values))
    assert (values < 0).mean() > 0.3  # not clipped
    biased = np.array([biased_hsic(x, y, **ONE) for x, y in batches])
    # (n-1)/n^2 (1 - E k)^2, and E k = 1/sqrt(5) of normal samples and bandwidth 1
    assert biased.mean() == pytest.approx(15 / 256 * (1 - 5**-0.5) ** 2, rel=0.02)
    assert biased.mean() > 30 * biased.std() / np.sqrt(len(biased))


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_is_computed_in_float32(dtype):
    x, y = pair(32)
    half = ops.cast(x * 1e4, dtype)  # squares leave float16
    found = hsic(half, y)
    assert keras.backend.standardize_dtype(found.dtype) == "float32"
    assert float(numpy(found)) == pytest.approx(bits.hsic(numpy(half), y), abs=1e-5)


# The layer


@pytest.mark.parametrize("policy", ["float32", "mixed_float16", "mixed_bfloat16"])
def test_the_layer_hands_features_on_and_adds_the_penalty(policy):
    x, y = pair(32)
    layer = IndependencePenalty(10.0, bandwidth=2.0, nuisance_bandwidth=1e5, dtype=policy)
    y = y * 1e5  # no float16
    features = ops.cast(x, layer.compute_dtype)
    kept = layer(features, y)
    assert kept.dtype == features.dtype
    np.testing.assert_array_equal(numpy(kept), numpy(features))
    (loss,) = layer.losses
    truth = bits.hsic(numpy(features), y, kernel_x=Gaussian(2.0), kernel_y=Gaussian(1e5))
    assert float(numpy(loss)) == pytest.approx(10 * truth, rel=1e-4)


def test_the_layer_hides_samples_and_hands_the_mask_on():
    x, y = pair(32)
    mask = np.arange(32) < 20
    layer = IndependencePenalty()
    layer(x, y, mask=mask)
    assert float(numpy(layer.losses[0])) == pytest.approx(bits.hsic(x[:20], y[:20]), abs=1e-6)
    assert layer.compute_mask(ops.array(x), mask) is mask


@pytest.mark.parametrize("batch", [1, 3])
def test_a_short_batch_passes_through_the_layer(batch):
    layer = IndependencePenalty()
    np.testing.assert_array_equal(numpy(layer(*pair(batch))), pair(batch)[0])
    assert layer.losses == []


def small_model(policy="float32", **options):
    features, nuisance = keras.Input((3,)), keras.Input((), name="nuisance")
    hidden = keras.layers.Dense(2, activation="tanh", dtype=policy, name="encoding")(features)
    kept = IndependencePenalty(dtype=policy, name="penalty", **options)(hidden, nuisance)
    answer = keras.layers.Dense(1, dtype="float32")(kept)
    return keras.Model([features, nuisance], answer)


@pytest.mark.parametrize("policy", ["float32", "mixed_float16", "mixed_bfloat16"])
def test_a_model_trains_with_a_short_last_batch_and_predicts_one(policy):
    keras.utils.set_random_seed(0)
    x, y = pair(35)
    model = small_model(policy, weight=3.0)
    model.compile(keras.optimizers.SGD(0.1), loss="mse")
    history = model.fit([x, y], x[:, :1], batch_size=16, epochs=1, verbose=0)
    assert np.isfinite(history.history["loss"]).all()
    assert all(np.isfinite(numpy(weight)).all() for weight in model.weights)
    assert model.predict([x[:1], y[:1]], verbose=0).shape == (1, 1)


def test_the_loss_of_a_model_is_the_task_and_the_penalty():
    keras.utils.set_random_seed(0)
    x, y = pair(32)
    model = small_model(weight=3.0)
    model.compile(loss="mse")
    hidden = keras.Model(model.inputs, model.get_layer("encoding").output)
    encoding, answer = (m.predict([x, y], verbose=0) for m in (hidden, model))
    truth = np.mean((answer - x[:, :1]) ** 2) + 3 * bits.hsic(encoding, y)
    found = model.evaluate([x, y], x[:, :1], batch_size=32, verbose=0)
    assert found == pytest.approx(truth, rel=1e-4)


def test_save_and_load(tmp_path):
    model = small_model(weight=3.0, bandwidth=0.5, nuisance_bandwidth=2.0)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    layer = loaded.get_layer("penalty")
    assert (layer.weight, layer.bandwidth, layer.nuisance_bandwidth) == (3.0, 0.5, 2.0)
    x, y = pair(8)
    for each in (model, loaded):
        each.compile(loss="mse")
    losses = [m.evaluate([x, y], x[:, :1], batch_size=8, verbose=0) for m in (model, loaded)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-6)
    assert layer.compute_output_shape((None, 2), (None,)) == (None, 2)


@pytest.mark.parametrize(
    ("error", "call", "message"),
    [
        (ValueError, lambda: hsic(*pair(3)), "at least 4.*3 samples of x, 3 of y"),
        (ValueError, lambda: cka(np.zeros(5), np.zeros(6)), "as many of each.*5.*of x, 6 of y"),
        (ValueError, lambda: hsic(np.zeros((4, 2, 2)), np.zeros(4)), r"`x` must.*\(4, 2, 2\)"),
        (ValueError, lambda: hsic(np.zeros(4), np.float32(1)), r"`y` must have.*shape \(\)"),
        (TypeError, lambda: hsic(*pair(5), kernel_y=len), "`kernel_y` must be Gaussian or Linear"),
        (ValueError, lambda: hsic(*pair(5), mask=np.ones(5)), "`mask` must be bool.*float"),
        (ValueError, lambda: hsic(*pair(5), mask=np.ones(4, bool)), r"`mask`.*\(4,\), for 5"),
        (ValueError, lambda: IndependencePenalty(-1.0), "`weight` must.*weight=-1.0"),
        (ValueError, lambda: IndependencePenalty(np.nan), "`weight` must.*weight=nan"),
        (ValueError, lambda: IndependencePenalty(bandwidth=0), "`bandwidth` must.*bandwidth=0"),
        (
            ValueError,
            lambda: IndependencePenalty(nuisance_bandwidth=-2),
            "`nuisance_bandwidth` must.*nuisance_bandwidth=-2",
        ),
    ],
)
def test_errors_name_the_argument_and_what_came(error, call, message):
    with pytest.raises(error, match=f"(?s){message}") as raised:
        call()
    assert "Received: " in str(raised.value)


def test_the_room_hands_out_the_function_and_not_the_file():
    import importlib

    assert importlib.import_module("taolu.nn.losses.hsic").hsic is hsic


# A nuisance taken away


def mixture(n, seed):
    """Eight sensors, each a bent mixture of signal and nuisance; the nuisance; the signal."""
    rng = np.random.default_rng(seed)
    signal, nuisance = rng.normal(size=(2, n, 1))
    mixing = np.random.default_rng(99).normal(size=(2, 8)) * [[0.5], [1.5]]
    sensors = np.tanh(np.hstack([signal, nuisance]) @ mixing) + 0.05 * rng.normal(size=(n, 8))
    return [part.astype("float32") for part in (sensors, nuisance, signal)]


def encoder(weight, seed):
    """Gives the encoding and the signal read from it; starts the same on every backend."""
    sensors, nuisance = keras.Input((8,)), keras.Input((1,))
    hidden = keras.layers.Dense(32, activation="tanh")(sensors)
    encoding = keras.layers.Dense(2)(hidden)
    encoding = keras.layers.BatchNormalization(center=False, scale=False, momentum=0.9)(encoding)
    encoding = IndependencePenalty(weight)(encoding, nuisance)
    model = keras.Model([sensors, nuisance], [encoding, keras.layers.Dense(1)(encoding)])
    rng = np.random.default_rng(seed)
    for variable in model.trainable_variables:
        if len(variable.shape) == 2:
            variable.assign(rng.normal(size=variable.shape) / np.sqrt(variable.shape[0]))
    return model


def trained(weight, seed):
    """What encodings of new data tell about the nuisance, and R^2 of the task on them.

    The largest absolute correlation of a unit with the nuisance, and that of the best line
    through both units.
    """
    model = encoder(weight, seed)
    rate = keras.optimizers.schedules.CosineDecay(0.01, 480)
    model.compile(keras.optimizers.Adam(rate), loss=[None, "mse"])
    x, s, t = mixture(2048, seed)
    model.fit([x, s], [s, t], batch_size=128, epochs=30, shuffle=False, verbose=0)
    x, s, t = mixture(10_000, 1000 + seed)
    codes, answers = model.predict([x, s], batch_size=2500, verbose=0)
    unit = max(abs(np.corrcoef(code, s[:, 0])[0, 1]) for code in codes.T)
    columns = np.hstack([codes, np.ones_like(s)])
    line = columns @ np.linalg.lstsq(columns, s, rcond=None)[0]
    return unit, np.corrcoef(line[:, 0], s[:, 0])[0, 1], 1 - np.mean((answers - t) ** 2) / t.var()


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_a_nuisance_is_taken_away_and_the_task_stays(seed, figure):
    """SPEC: the correlation falls below 0.05, here the largest absolute one of a unit."""
    unit_before, line_before, task_before = trained(0.0, seed)
    unit, line, task = trained(3.0, seed)
    names = ("correlation of a unit", "correlation of the best line", "R^2 of the task")
    for name, *values in zip(
        names, (unit_before, line_before, task_before), (unit, line, task), strict=True
    ):
        for loss, value in zip(("without", "with"), values, strict=True):
            figure(f"nuisance, {name}, {loss} the loss", value)
    assert unit < 0.05 < 0.2 < unit_before
    assert line < line_before / 2
    assert task > 0.9
    assert task > task_before - 0.02
