"""Noise-contrastive estimation finds densities, their log-partition, and shifted PMI."""

import keras
import numpy as np
import pytest
import scipy.integrate
import scipy.special
from contrast import joint, least, random_scores, value, value_and_slopes
from keras import ops
from samples import numpy

from taolu.nn.differentiate import override
from taolu.nn.losses import LogPartition, negative_sampling, noise_contrastive

pytestmark = pytest.mark.usefixtures("fast_compile")


LOSSES = {
    "nce": lambda p, n, **options: noise_contrastive(p, n, -1.0, -1.0, **options),
    "sampling": negative_sampling,
}


def log_sigmoid(x):
    """The definition, in float64."""
    return -np.logaddexp(0.0, -np.asarray(x, "float64"))


def test_worked_example():
    """Noise is uniform over 4: with k = 2, k U = 1/2. A model that says 1/2 cannot decide."""
    log = np.log

    def loss(positive, negative):
        return noise_contrastive(positive, negative, log(0.25), log(0.25))

    half = value(loss, [log(0.5)], [[log(0.5)] * 2])
    np.testing.assert_allclose(half, [3 * log(2)], rtol=1e-6)
    # It says 3/2 where data are and 1/6 where noise is: all three times right with 3/4.
    right = value(loss, [log(1.5)], [[log(1 / 6)] * 2])
    np.testing.assert_allclose(right, [3 * log(4 / 3)], rtol=1e-6)
    # u.v of 1 and -2, 0: sigma(1) sigma(2) sigma(0)
    sampled = value(negative_sampling, [1.0], [[-2.0, 0.0]])
    wanted = log(1 + np.exp(-1)) + log(1 + np.exp(-2)) + log(2)
    np.testing.assert_allclose(sampled, [wanted], rtol=1e-6)


def test_the_example_of_the_guide():
    """20 true pairs and 10 drawn ones: at PMI - log k the share of true ones is 2/3."""
    score = np.float32([np.log(10) - np.log(5)])

    def loss(score):
        return 20 * negative_sampling(score, score[:, None], negative_weight=0.5)

    _, slope = value_and_slopes(loss, score)
    np.testing.assert_allclose(slope, 0, atol=1e-5)
    np.testing.assert_allclose(scipy.special.expit(score), 2 / 3, rtol=1e-6)


@pytest.mark.parametrize("shape", [(), (4,), (2, 3)])
def test_any_leading_axes_agree_with_the_definition(shape):
    positive, negative = random_scores(*shape), random_scores(*shape, 5, seed=1)
    noise, noises = random_scores(*shape, seed=2), random_scores(*shape, 5, seed=3)
    found = value(noise_contrastive, positive, negative, noise, noises)
    inside = log_sigmoid(-(negative - noises - np.log(5))).sum(axis=-1)
    wanted = -log_sigmoid(positive - noise - np.log(5)) - inside
    assert found.shape == shape
    np.testing.assert_allclose(found, wanted, rtol=1e-5)
    wanted = -log_sigmoid(positive) - log_sigmoid(-negative).sum(axis=-1)
    np.testing.assert_allclose(value(negative_sampling, positive, negative), wanted, rtol=1e-5)


@pytest.mark.parametrize("name", LOSSES)
def test_weights_are_repetitions(name):
    positive, negative = random_scores(3), random_scores(3, 2, seed=1)
    weights = np.float32([1, 3])
    found = value(lambda p, n: LOSSES[name](p, n, negative_weight=weights), positive, negative)
    repeated = value(LOSSES[name], positive, np.repeat(negative, [1, 3], axis=1))
    np.testing.assert_allclose(found, repeated, rtol=1e-5)


def test_a_batch_may_share_its_noise():
    positive, noise = random_scores(6), random_scores(1, 4, seed=1)

    def shared(positive, noise, weight):
        return noise_contrastive(positive, noise, -1.0, -1.0, negative_weight=weight)

    d, e = positive + 1 - np.log(4 / 6), noise[0] + 1 - np.log(4 / 6)
    wanted = -log_sigmoid(d).sum() - log_sigmoid(-e).sum()
    found = value(shared, positive, noise, np.float32(1 / 6))
    assert found.sum() == pytest.approx(wanted, rel=1e-5)
    nothing = value(shared, positive, noise, np.float32(0))
    np.testing.assert_allclose(nothing, 0, atol=1e-20)


# Densities


def log_density(x, a, b):
    return -a * x**2 - b * x**4


def quartic(n, rng):
    """Samples of the density proportional to exp(-x^2 - x^4 / 2), by inverting its integral."""
    grid = np.linspace(-4, 4, 40_001)
    total = np.cumsum(np.exp(log_density(grid, 1.0, 0.5)))
    return np.interp(rng.random(n), total / total[-1], grid).astype("float32")


def fit_quartic(n, negatives, shift=0.0, seed=0):
    """Finds a, b and gamma of a G(x) with a constant added to it; also the least loss."""
    rng = np.random.default_rng(seed)
    x, y = quartic(n, rng), rng.normal(size=(n, negatives)).astype("float32")
    layer = LogPartition()
    layer.build((None,))

    def loss(theta, x, y):
        with override([(layer.gamma, theta[2])]):
            scores = [layer(log_density(z, theta[0], theta[1]) + shift) for z in (x, y)]
        noise = [-(z**2) / 2 - np.log(2 * np.pi) / 2 for z in (x, y)]
        return ops.mean(noise_contrastive(*scores, *noise))

    return least(loss, np.zeros(3), x, y)


def test_a_density_and_its_log_partition_are_recovered(figure):
    """SPEC: 1e5 samples, noise N(0, 1): both coefficients within 5 %, log Z within 0.02."""
    integral, _ = scipy.integrate.quad(lambda x: np.exp(log_density(x, 1.0, 0.5)), -8, 8)
    assert np.log(integral) == pytest.approx(0.39629709, abs=1e-8)
    (a, b, gamma), _ = fit_quartic(100_000, negatives=1)
    figure("NCE, error of a", abs(a - 1))
    figure("NCE, error of b", abs(b / 0.5 - 1))
    figure("NCE, error of log Z", abs(gamma - 0.39629709))
    assert a == pytest.approx(1.0, rel=0.05)
    assert b == pytest.approx(0.5, rel=0.05)
    assert gamma == pytest.approx(0.39629709, abs=0.02)


def test_a_constant_in_the_scores_comes_back_in_gamma():
    plain, loss = fit_quartic(2000, negatives=2)
    shifted, shifted_loss = fit_quartic(2000, negatives=2, shift=3.0)
    np.testing.assert_allclose(shifted - plain, [0, 0, 3], atol=0.01)
    assert shifted_loss == pytest.approx(loss, abs=1e-5)


# Tables: all words are drawn, with the weights k U, so that no chance is left


def fit_table(size, k, method, hide_hits=False):
    """The unrestricted scores of all pairs at the least expected loss, (size, size)."""
    together, _, noise = joint(size)

    def loss(theta, together, noise):
        scores = ops.reshape(theta, (size, size))
        drawn, options = scores[:, None, :], {"negative_weight": k * noise}
        if hide_hits:
            drawn = ops.broadcast_to(drawn, (size, size, size))
            options["negative_mask"] = ~np.eye(size, dtype=bool)
        each = method(scores, drawn, ops.log(noise), **options)
        return ops.sum(together * each)

    return least(loss, np.zeros(size * size), together, noise)[0].reshape(size, size)


def sgns(positive, negative, log_noise, **options):
    return negative_sampling(positive, negative, **options)


def nce(positive, negative, log_noise, **options):
    return noise_contrastive(positive, negative, log_noise, log_noise, **options)


def determination(found, wanted):
    return 1 - np.sum((found - wanted) ** 2) / np.sum((wanted - wanted.mean()) ** 2)


@pytest.mark.parametrize("k", [1, 5])
def test_negative_sampling_converges_to_shifted_pmi(k, figure):
    """SPEC: R^2 above 0.99 on a joint of 50 by 50."""
    together, left, right = joint(50)
    found = determination(fit_table(50, k, sgns), np.log(together / left / right) - np.log(k))
    figure("negative sampling, R^2 with PMI - log k", found)
    assert found > 0.99


def test_with_the_noise_scores_are_log_probabilities():
    """And nothing is left of k: the rows sum to 1 though nobody normalised them."""
    together, left, _ = joint(20)
    found = fit_table(20, 5, nce)
    assert determination(found, np.log(together / left)) > 0.99
    np.testing.assert_allclose(np.exp(found).sum(axis=1), 1, atol=0.03)


def test_hiding_hits_turns_probabilities_into_odds():
    together, left, _ = joint(6)
    given = together / left
    found = fit_table(6, 3, nce, hide_hits=True)
    assert determination(found, np.log(given / (1 - given))) > 0.99
    assert determination(found, np.log(given)) < 0.95


# Masks, extremes, half precision


@pytest.mark.parametrize(("name", "last_axis"), [("nce", False), ("sampling", True)])
def test_padding_costs_nothing_and_gets_no_gradient(name, last_axis):
    mask = np.array([[True, True, False], [False, False, False]])
    positive, negative = random_scores(2, 3), random_scores(2, 3, 4, seed=1)
    wanted = value(LOSSES[name], positive, negative)[mask]
    positive[~mask], negative[~mask] = np.nan, np.inf
    shown = mask[..., None] if last_axis else mask
    loss, *slopes = value_and_slopes(
        lambda p, n: LOSSES[name](p, n, mask=shown), positive, negative
    )
    np.testing.assert_array_equal(loss[~mask], 0)
    np.testing.assert_allclose(loss[mask], wanted, rtol=1e-6)
    for slope in slopes:
        np.testing.assert_array_equal(slope[~mask], 0)
        assert (slope[mask] != 0).all()


@pytest.mark.parametrize("name", LOSSES)
def test_hidden_negatives_do_not_count_but_were_drawn(name):
    positive, negative = random_scores(3), random_scores(3, 4, seed=1)
    hits = np.array([[False, True, False, False]] * 3)
    negative[hits] = np.nan
    loss, _, slope = value_and_slopes(
        lambda p, n: LOSSES[name](p, n, negative_mask=~hits), positive, negative
    )
    shift = 1 - np.log(4) if name == "nce" else 0
    inside = log_sigmoid(-negative[~hits].reshape(3, 3) - shift).sum(axis=-1)
    np.testing.assert_allclose(loss, -log_sigmoid(positive + shift) - inside, rtol=1e-5)
    np.testing.assert_array_equal(slope[hits], 0)
    assert (slope[~hits] > 0).all()


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_extreme_scores_stay_finite(name, dtype):
    positive = ops.cast([1e4, -1e4, 30.0, -30.0], dtype)
    negative = ops.cast([[1e4, -1e4], [-1e4, 1e4], [-30.0, 0.0], [30.0, 0.0]], dtype)
    loss, *slopes = value_and_slopes(LOSSES[name], positive, negative)
    assert np.isfinite(loss).all()
    assert all(np.isfinite(slope).all() for slope in slopes)
    exact = numpy(positive), numpy(negative)
    shift = 1 - np.log(2) if name == "nce" else 0
    wanted = -log_sigmoid(exact[0] + shift) - log_sigmoid(-exact[1] - shift).sum(axis=-1)
    np.testing.assert_allclose(loss, wanted, rtol=1e-6)
    np.testing.assert_allclose(slopes[0], [0, -1, 0, -1], atol=1e-2)
    assert loss.dtype == "float32"


def test_a_confident_answer_keeps_its_digits():
    """1 - sigma(20) is 2e-9, which a sigmoid in float32 rounds to 0."""
    loss = value(negative_sampling, np.float32([20.0]), np.float32([[-100.0]]))
    np.testing.assert_allclose(loss, [np.log1p(np.exp(-20))], rtol=1e-5)


# The layer


@pytest.mark.parametrize("policy", ["float32", "mixed_float16", "mixed_bfloat16"])
def test_the_log_partition_is_float32(policy):
    layer = LogPartition(initial=0.001, dtype=policy)
    scores = ops.cast([1024.0], layer.compute_dtype)
    np.testing.assert_allclose(numpy(layer(scores)), [1023.999], rtol=1e-7)
    assert keras.backend.standardize_dtype(layer.gamma.dtype) == "float32"


def test_a_model_trains_its_log_partition_and_keeps_it(tmp_path):
    """Scores of 3 for all 4 things that noise and data have in common: log Z = 3 + log 4."""
    inputs = keras.Input((3,))
    model = keras.Model(inputs, LogPartition(initial=4.0, name="partition")(inputs))

    def loss(_, densities):
        return noise_contrastive(densities[:, 0], densities[:, 1:], -np.log(4.0), -np.log(4.0))

    model.compile(keras.optimizers.Adam(0.1), loss=loss)
    model.fit(np.full((32, 3), 3.0), np.zeros(32), batch_size=32, epochs=150, verbose=0)
    gamma = float(numpy(model.get_layer("partition").gamma))
    assert gamma == pytest.approx(3 + np.log(4), abs=0.01)
    model.save(tmp_path / "model.keras", include_optimizer=False)
    loaded = keras.saving.load_model(tmp_path / "model.keras", compile=False)
    assert float(numpy(loaded.get_layer("partition").gamma)) == gamma
    assert loaded.get_layer("partition").initial == 4.0


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: negative_sampling([1.0], [1.0]), r"`negative` must.*\(1,\), negative.*\(1,\)"),
        (lambda: negative_sampling([1.0], [[1.0]] * 2), r"`negative` must have the shape.*\(2, 1"),
        (lambda: negative_sampling(np.ones(2), np.ones((2, 0))), "at least one negative"),
        (
            lambda: noise_contrastive([1.0], [[1.0]], [0.0, 0.0], 0.0),
            r"`positive_log_noise` must broadcast.*\(2,\)",
        ),
        (
            lambda: noise_contrastive([1.0], [[1.0]], 0.0, np.zeros((2, 1))),
            r"`negative_log_noise` must broadcast.*\(2, 1\)",
        ),
        (
            lambda: negative_sampling([1.0], [[1.0]], negative_weight=[1.0, 1.0]),
            r"`negative_weight` must broadcast.*\(2,\)",
        ),
        (lambda: negative_sampling([1.0], [[1.0]], mask=[1.0]), "`mask` must be bool.*float32"),
        (lambda: negative_sampling([1.0], [[1.0]], mask=[True] * 2), r"`mask` must.*\(2,\), for"),
        (
            lambda: negative_sampling([1.0], [[1.0]], negative_mask=[[1]]),
            "`negative_mask` must be bool.*int",
        ),
        (lambda: LogPartition(np.inf), "`initial` must be finite.*inf"),
    ],
)
def test_errors_name_the_argument_and_what_came(call, message):
    with pytest.raises(ValueError, match=f"(?s){message}") as raised:
        call()
    assert "Received: " in str(raised.value)


def test_the_room_hands_out_the_functions_and_not_the_files():
    import importlib

    from taolu.nn import losses

    for name in ("noise_contrastive", "info_nce", "sampled_softmax"):
        assert getattr(importlib.import_module(f"taolu.nn.losses.{name}"), name) is getattr(
            losses, name
        )
