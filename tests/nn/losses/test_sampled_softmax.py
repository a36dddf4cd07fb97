"""Candidates come as often as is said, and with the correction the sum over all is estimated."""

import itertools

import keras
import numpy as np
import pytest
import scipy.special
from contrast import random_scores, value, value_and_slopes
from keras import ops
from samples import numpy

from taolu.nn.losses import CandidateSampler, candidate_sampler, log_uniform, sampled_softmax

pytestmark = pytest.mark.usefixtures("fast_compile")

SCORES = np.float32([0.35, 0.82, 0.33, -1.30, 0.91])  # of five ids, the example of all draws
SHARE = np.array([0.4, 0.25, 0.15, 0.1, 0.1])  # what they are drawn by


def test_worked_example():
    """Scores of 0; drawn: the target itself, and another that is expected 1/2 times: Z^ = 1 + 2."""
    table, half = np.zeros((3, 2), "float32"), np.log(np.float32([1.0, 0.5]))
    drawn = np.array([1, 2]), half
    loss = value(lambda x: sampled_softmax(x, np.array([1]), table, *drawn), np.ones((1, 2)))
    np.testing.assert_allclose(loss, [np.log(3)], rtol=1e-6)


# All draws of a few ids: no chance is left


def over_all_draws(count, target, share=SHARE, corrected=True):
    """The mean of Z^, the loss of each draw, and the mean gradient by the scores."""
    draws = np.array(list(itertools.product(np.flatnonzero(share), repeat=count)), "int32")
    chance = share[draws].prod(axis=1)
    log_expected = np.log(count * share[draws]) * corrected
    inputs, targets = np.ones((len(draws), 1)), np.full(len(draws), target)

    def weighted(table):
        each = sampled_softmax(inputs, targets, table, draws, log_expected)
        return ops.stack([each * ops.cast(chance, "float32"), ops.stop_gradient(each)])

    (_, loss), slope = value_and_slopes(weighted, SCORES[:, None])
    total = np.sum(chance * np.exp(loss.astype("float64"))) * np.exp(SCORES[target])
    return total, loss, slope[:, 0]


def full_gradient(target):
    return scipy.special.softmax(SCORES.astype("float64")) - np.eye(5)[target]


def test_the_mean_of_the_estimated_sum_is_the_sum():
    truth, target = np.exp(SCORES.astype("float64")).sum(), 3
    for count in (1, 3):
        assert over_all_draws(count, target)[0] == pytest.approx(truth, rel=1e-6)
        assert over_all_draws(count, target, corrected=False)[0] < 0.8 * truth


@pytest.mark.parametrize("target", [0, pytest.param(3, marks=pytest.mark.slow)])
def test_the_bias_of_the_gradient_falls_as_one_over_the_count(target):
    """SPEC calls it unbiased, which holds of the sum; its logarithm has a bias of order 1 / count.

    Without the correction the gradient goes elsewhere, and stays there.
    """
    bias = {
        (count, corrected): np.abs(
            over_all_draws(count, target, corrected=corrected)[2] - full_gradient(target)
        ).sum()
        for count, corrected in [(1, True), (3, True), (6, True), (6, False)]
    }
    assert bias[6, True] < 0.6 * bias[3, True] < 0.6 * bias[1, True]
    assert bias[6, True] < bias[6, False] / 1.5


def test_the_gradient_is_unbiased_where_candidates_are_drawn_by_their_scores():
    """Then every draw gives the sum itself (target apart), and the loss is that of all ids."""
    share = np.exp(SCORES.astype("float64")) * (np.arange(5) != 2)
    for count in (1, 4):
        _, loss, slope = over_all_draws(count, 2, share / share.sum())
        np.testing.assert_allclose(loss, -scipy.special.log_softmax(SCORES)[2], rtol=1e-5)
        np.testing.assert_allclose(slope, full_gradient(2), atol=1e-5)


# Many draws of many ids


@pytest.mark.parametrize("replacement", [True, False])
def test_many_draws_give_the_sum_and_nearly_the_gradient(replacement):
    draws, size, target = 2000, 200, 7
    table, inputs = random_scores(size, 8), np.tile(0.5 * random_scores(8, seed=1), (draws, 1))
    bias = (0.5 * np.log(log_uniform(size))).astype("float32")
    scores = table.astype("float64") @ inputs[0] + bias
    wanted = scipy.special.softmax(scores) - np.eye(size)[target]
    sampler = CandidateSampler(log_uniform(size), 64, replacement, seed=1)
    ids, log_expected = sampler.draw((draws,))
    targets, away = np.full(draws, target), {}
    for corrected in (True, False):
        log_count = numpy(log_expected) * corrected

        def loss(bias, log_count=log_count):
            return sampled_softmax(inputs, targets, table, ids, log_count, bias=bias)

        each, slope = value_and_slopes(loss, bias)
        away[corrected] = np.abs(slope / draws - wanted).sum()
        sums = np.exp(each.astype("float64") + scores[target] - scipy.special.logsumexp(scores))
        off = abs(sums.mean() - 1) / (sums.std() / np.sqrt(draws))
        assert (off < 4) == corrected
    assert away[True] < away[False] / 3


def test_all_ids_as_candidates_are_the_full_softmax():
    """Expected once each: nothing is left to estimate. One set of candidates serves all rows."""
    inputs, table, bias = random_scores(2, 3, 4), random_scores(9, 4, seed=1), random_scores(9)
    targets = np.array([[0, 1, 8], [3, 3, 5]])
    drawn = CandidateSampler(log_uniform(9), 9, replacement=False).draw()
    np.testing.assert_array_equal(np.sort(numpy(drawn[0])), np.arange(9))

    def loss(inputs, table, bias):
        return sampled_softmax(inputs, targets, table, *drawn, bias=bias)

    each, slope, slopes, tilt = value_and_slopes(loss, inputs, table, bias)
    scores = inputs @ table.T + bias
    logs = scipy.special.log_softmax(scores, axis=-1)
    wanted = -np.take_along_axis(logs, targets[..., None], axis=-1)[..., 0]
    excess = np.exp(logs) - np.eye(9)[targets]
    np.testing.assert_allclose(each, wanted, rtol=1e-5)
    np.testing.assert_allclose(slope, excess @ table, atol=1e-5)
    np.testing.assert_allclose(slopes, np.einsum("bti,btw->iw", excess, inputs), atol=1e-5)
    np.testing.assert_allclose(tilt, excess.sum(axis=(0, 1)), atol=1e-5)


def test_padding_costs_nothing_and_gets_no_gradient():
    inputs, table = random_scores(2, 3, 4), random_scores(9, 4, seed=1)
    mask = np.array([[True, True, False], [False] * 3])
    targets = np.where(mask, 2, -1)
    drawn = np.array([0, 2, 5]), np.zeros(3)
    real = value(lambda x: sampled_softmax(x, np.full((2, 3), 2), table, *drawn), inputs)
    inputs[~mask] = np.nan
    loss, slope, slopes = value_and_slopes(
        lambda x, table: sampled_softmax(x, targets, table, *drawn, mask=mask), inputs, table
    )
    np.testing.assert_array_equal(loss[~mask], 0)
    np.testing.assert_allclose(loss[mask], real[mask], rtol=1e-6)
    np.testing.assert_array_equal(slope[~mask], 0)
    assert (slope[mask] != 0).all()
    assert np.isfinite(slopes).all()
    np.testing.assert_array_equal(np.flatnonzero(np.abs(slopes).sum(axis=1)), [0, 2, 5])


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_extreme_scores_stay_finite(dtype):
    inputs, table = ops.cast([[100.0], [-100.0]], dtype), ops.cast([[100.0], [0.0]], dtype)
    loss, *slopes = value_and_slopes(
        lambda x, table: sampled_softmax(x, np.array([0, 0]), table, np.array([0, 1]), np.zeros(2)),
        inputs,
        table,
    )
    np.testing.assert_allclose(loss, [0, 1e4], rtol=1e-6)
    assert loss.dtype == "float32"
    assert all(np.isfinite(slope).all() for slope in slopes)


# The sampler


@pytest.mark.parametrize(
    ("frequencies", "count"),
    [(log_uniform(20), 4), ([100, 1, 0, 1, 1], 3), ([5, 5, 5], 3), ([1e300, 1e-300, 0, 1], 2)],
)
@pytest.mark.parametrize("replacement", [True, False])
def test_expected_counts_are_exact(frequencies, count, replacement, monkeypatch):
    """On a line of 1024 integers every place is tried, and each id counted."""
    monkeypatch.setattr(candidate_sampler, "LINE", 1024)
    sampler = CandidateSampler(frequencies, count, replacement)
    step = 1024 if replacement else 1024 // count
    places = np.arange(step, dtype="int32")[:, None]
    monkeypatch.setattr(keras.random, "randint", lambda *_, **__: ops.convert_to_tensor(places))
    ids, log_expected = map(numpy, sampler.draw((step,)))
    counted = np.bincount(ids.ravel(), minlength=len(frequencies)) / step
    counted *= count if replacement else 1
    expected = np.exp(numpy(sampler.log_expected_count(np.arange(len(frequencies)))))
    np.testing.assert_allclose(expected, counted, rtol=1e-6)
    np.testing.assert_allclose(np.exp(log_expected), counted[ids], rtol=1e-6)
    assert expected.sum() == pytest.approx(count, rel=1e-6)
    np.testing.assert_array_equal(expected > 0, np.asarray(frequencies) > 0)
    if not replacement:
        assert expected.max() == pytest.approx(min(1, expected.max()), rel=1e-6)


@pytest.mark.parametrize("replacement", [True, False])
def test_draws_follow_the_frequencies(replacement):
    """Each of 1000 ids within 5 standard errors in 10,000 rows; no id twice if not allowed."""
    rows, count = 10_000, 40
    sampler = CandidateSampler(log_uniform(1000), count, replacement, seed=3)
    ids = numpy(sampler.draw((rows,))[0])
    found = np.bincount(ids.ravel(), minlength=1000) / rows
    expected = np.exp(numpy(sampler.log_expected_count(np.arange(1000))).astype("float64"))
    spread = expected if replacement else expected * (1 - expected)
    assert (np.abs(found - expected) <= 5 * np.sqrt(spread / rows) + 1e-6).all()
    if replacement:
        np.testing.assert_allclose(expected, count * log_uniform(1000), rtol=1e-4)
    else:
        assert (np.diff(np.sort(ids, axis=1)) > 0).all()
        # c p, but at most 1: six come every time, as c p of the sixth is 1.055, of the next 0.915
        free = log_uniform(1000)[6:]
        np.testing.assert_allclose(expected[:6], 1, rtol=1e-6)
        np.testing.assert_allclose(expected[6:], 34 * free / free.sum(), rtol=1e-3)


def test_log_uniform_is_the_share_of_an_interval():
    cut = np.floor(np.exp(np.random.default_rng(0).uniform(0, np.log(6), 200_000))) - 1
    np.testing.assert_allclose(np.bincount(cut.astype(int)) / 200_000, log_uniform(5), atol=0.005)
    assert log_uniform(10_000).sum() == pytest.approx(1, abs=1e-12)


def test_seeds():
    one, same, other = (CandidateSampler(np.ones(500), 20, seed=seed) for seed in (1, 1, 2))
    first, second = (numpy(one.draw()[0]) for _ in range(2))
    np.testing.assert_array_equal(first, numpy(same.draw()[0]))
    assert (first != second).any()
    assert (first != numpy(other.draw()[0])).any()


@keras.saving.register_keras_serializable(package="test")
class Head(keras.layers.Layer):
    """Adds the sampled softmax of (batch, width) with targets (batch,) to the loss."""

    def __init__(self, ids, shared=True, **kwargs):
        super().__init__(**kwargs)
        self.ids = ids
        self.shared = shared
        self.sampler = CandidateSampler(log_uniform(ids), 32, replacement=False, seed=0)

    def build(self, inputs_shape, targets_shape):
        self.table = self.add_weight((self.ids, inputs_shape[-1]), "zeros", name="table")

    def call(self, inputs, targets):
        self.add_loss(ops.mean(sampled_softmax(inputs, targets, self.table, *self.sampler.draw())))
        return ops.matmul(inputs, ops.transpose(ops.convert_to_tensor(self.table)))

    def compute_output_shape(self, inputs_shape, targets_shape):
        return (inputs_shape[0], self.ids)

    def get_config(self):
        return {**super().get_config(), "ids": self.ids, "shared": self.shared}


@pytest.mark.parametrize(
    ("policy", "shared"),
    [("mixed_float16", False), pytest.param("float32", True, marks=pytest.mark.slow)],
)
def test_a_model_learns_from_new_candidates_at_every_step(policy, shared, tmp_path):
    """Eight inputs, each with its own id of 100: the loss falls far below log 100, which is 4.6."""
    inputs, targets = keras.Input((8,)), keras.Input((), dtype="int32")
    head = Head(100, shared, dtype=policy, name="head")
    model = keras.Model([inputs, targets], head(inputs, targets))
    model.compile(keras.optimizers.Adam(0.1))
    place = np.arange(64) % 8
    x, y = 4 * np.eye(8, dtype="float32")[place], (11 * place).astype("int32")
    before = numpy(head.sampler.seed_generator.state)
    model.fit([x, y], batch_size=24, epochs=30, verbose=0)
    assert (numpy(head.sampler.seed_generator.state) != before).any()
    scores = model.predict([x[:8], y[:8]], verbose=0)
    logs = scipy.special.log_softmax(scores.astype("float64"), axis=-1)
    assert -logs[range(8), y[:8]].mean() < 0.1
    model.save(tmp_path / "model.keras", include_optimizer=False)
    loaded = keras.saving.load_model(tmp_path / "model.keras", compile=False)
    np.testing.assert_array_equal(loaded.predict([x[:8], y[:8]], verbose=0), scores)
    draws = [numpy(m.get_layer("head").sampler.draw()[0]) for m in (loaded, loaded)]
    assert (draws[0] != draws[1]).any()


def test_a_sampler_is_remade_from_its_configuration():
    sampler = CandidateSampler(np.array([3, 0, 1]), 2, replacement=False, seed=4)
    again = CandidateSampler.from_config(sampler.get_config())
    assert again.get_config() == sampler.get_config()
    np.testing.assert_array_equal(numpy(again.draw((5,))[0]), numpy(sampler.draw((5,))[0]))


def call(inputs=(2, 3), targets=(2,), table=(9, 3), candidates=(4,), expected=None, **options):
    shape = candidates if expected is None else expected
    ids = np.zeros(targets, int), np.ones(table), np.zeros(candidates, int)
    return sampled_softmax(np.ones(inputs), *ids, np.zeros(shape), **options)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda: call(inputs=(2, 4)), r"`inputs` must.*\(2, 4\), \(2,\) and \(9, 3\)"),
        (lambda: call(targets=(2, 1)), r"`inputs` must.*\(2, 1\)"),
        (lambda: call(candidates=(2, 2, 4)), r"`candidates` must be.*\(2, 2, 4\)"),
        (lambda: call(candidates=(0,)), r"`candidates` must be.*\(0,\)"),
        (lambda: call(expected=(3,)), r"of the same shape.*\(4,\) and \(3,\)"),
        (lambda: call(mask=np.ones(2)), "`mask` must be bool.*float"),
        (lambda: call(mask=np.ones(3, bool)), r"`mask` must.*targets.*\(3,\)"),
        (lambda: log_uniform(0), "`size` must be at least 1.*size=0"),
        (lambda: CandidateSampler(np.ones((2, 2)), 1), r"one row.*\(2, 2\)"),
        (lambda: CandidateSampler([], 1), r"one row.*\(0,\)"),
        (lambda: CandidateSampler([1.0, -1.0], 1), "at least 0.*from -1.0 to 1.0"),
        (lambda: CandidateSampler([1.0, np.nan], 1), "finite.*nan"),
        (lambda: CandidateSampler([0.0, 0.0], 1), "not all 0"),
        (lambda: CandidateSampler([1.0, 1.0], 0), "at least 1.*count=0"),
        (lambda: CandidateSampler([1.0, 1.0], 1.5), "whole number.*count=1.5"),
        (lambda: CandidateSampler([1, 1, 0], 3, replacement=False), "count=3, for 2 such ids"),
    ],
)
def test_errors_name_the_argument_and_what_came(wrong, message):
    with pytest.raises(ValueError, match=f"(?s){message}") as raised:
        wrong()
    assert "Received: " in str(raised.value)
