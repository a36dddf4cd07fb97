"""InfoNCE is the cross entropy over the matrix of similarities; ranking NCE knows its noise."""

import keras
import numpy as np
import pytest
import scipy.special
from contrast import joint, least, random_scores, value, value_and_slopes
from keras import ops
from samples import numpy

from taolu.nn.losses import info_nce, noise_contrastive, ranking_nce

pytestmark = pytest.mark.usefixtures("fast_compile")


def cross_entropy(scores, shown=True):
    """The definition in float64: minus the log-softmax of the diagonal over what is shown."""
    scores = np.where(shown, scores.astype("float64"), -np.inf)
    rows = np.arange(scores.shape[-2])
    return -scipy.special.log_softmax(scores, axis=-1)[..., rows, rows]


def views(batch=6, width=4, extra=0):
    return random_scores(batch, width), random_scores(batch + extra, width, seed=1)


def test_worked_example():
    """Scores of ln 2 and 0, 0: the true one has 2/4; twice as much noise for it leaves 1/3."""
    two = np.float32([np.log(2)])
    plain = value(lambda x: ranking_nce(x, [[0.0, 0.0]]), two)
    np.testing.assert_allclose(plain, [np.log(2)], rtol=1e-6)
    popular = value(lambda x: ranking_nce(x, [[0.0, 0.0]], np.log(0.5), np.log(0.25)), two)
    np.testing.assert_allclose(popular, [np.log(3)], rtol=1e-6)


@pytest.mark.parametrize("leading", [(), (2,)])
@pytest.mark.parametrize("extra", [0, 3])
def test_it_is_the_cross_entropy_of_the_matrix(leading, extra):
    queries, keys = random_scores(*leading, 5, 4), random_scores(*leading, 5 + extra, 4, seed=1)
    loss, *slopes = value_and_slopes(lambda q, k: info_nce(q, k, temperature=0.5), queries, keys)
    scores = queries @ np.swapaxes(keys, -1, -2) / 0.5
    np.testing.assert_allclose(loss, cross_entropy(scores), rtol=1e-5)
    # Of the queries: sum_j (p_ij - [i = j]) k_j / T
    share = scipy.special.softmax(scores, axis=-1) - np.eye(5, 5 + extra)
    np.testing.assert_allclose(slopes[0], share @ keys / 0.5, atol=1e-5)
    np.testing.assert_allclose(slopes[1], np.swapaxes(share, -1, -2) @ queries / 0.5, atol=1e-5)


def test_it_is_that_of_torch():
    torch = pytest.importorskip("torch")
    queries, keys = views()
    scores = torch.tensor(queries) @ torch.tensor(keys).T / 0.07
    wanted = torch.nn.functional.cross_entropy(scores, torch.arange(6), reduction="none")
    found = info_nce(queries, keys, temperature=0.07)
    np.testing.assert_allclose(numpy(found), wanted.numpy(), rtol=1e-4, atol=1e-5)
    both = torch.nn.functional.cross_entropy(scores.T, torch.arange(6), reduction="none")
    found = info_nce(queries, keys, temperature=0.07, symmetric=True)
    np.testing.assert_allclose(numpy(found), (wanted + both).numpy() / 2, rtol=1e-4, atol=1e-5)


def ask_both(queries, keys):
    return value(lambda q, k: info_nce(q, k, symmetric=True), queries, keys)


def test_two_views_ask_both_questions():
    queries, keys = views()
    scores = queries @ keys.T
    both = ask_both(queries, keys)
    wanted = (cross_entropy(scores) + cross_entropy(scores.T)) / 2
    np.testing.assert_allclose(both, wanted, rtol=1e-5)
    np.testing.assert_allclose(both, ask_both(keys, queries), rtol=1e-5)
    # Further keys are negatives of queries, but ask no question themselves.
    more = np.concatenate([keys, random_scores(2, 4, seed=9)])
    wanted = (cross_entropy(queries @ more.T) + cross_entropy(scores.T)) / 2
    np.testing.assert_allclose(ask_both(queries, more), wanted, rtol=1e-5)


@pytest.mark.parametrize("batch", [1, 16])
def test_not_knowing_costs_the_logarithm_of_the_batch(batch):
    """So `log(batch) - loss`, a bound of the mutual information, is between 0 and log(batch)."""
    unknown = value(info_nce, random_scores(batch, 3), np.ones((batch, 3), "float32"))
    np.testing.assert_allclose(unknown, np.log(batch), atol=1e-5)
    assert (value(info_nce, 1e3 * np.eye(batch), np.eye(batch)) == 0).all()


def test_the_temperature_has_a_gradient():
    queries, keys = views()
    temperature = np.float32(0.7)
    _, slope = value_and_slopes(lambda t: info_nce(queries, keys, temperature=t), temperature)
    step, scores = 1e-4, (queries @ keys.T).astype("float64")
    ends = [cross_entropy(scores / (0.7 + sign * step)).sum() for sign in (1, -1)]
    assert slope == pytest.approx((ends[0] - ends[1]) / (2 * step), rel=1e-3)


@pytest.mark.parametrize("symmetric", [False, True])
def test_padding_and_false_negatives_do_not_count(symmetric):
    queries, keys = views()
    mask = np.array([True, True, False, True, True, False])
    labels = np.array([0, 1, 2, 0, 3, 4])
    pairs = (labels[:, None] != labels) & ~np.eye(6, dtype=bool)  # its own key counts all the same
    scores = queries @ keys.T
    shown = (pairs | np.eye(6, dtype=bool))[mask][:, mask]
    kept = scores[mask][:, mask]
    wanted = cross_entropy(kept, shown)
    if symmetric:
        wanted = (wanted + cross_entropy(kept.T, shown.T)) / 2
    queries[~mask], keys[~mask] = np.nan, np.inf
    loss, *slopes = value_and_slopes(
        lambda q, k: info_nce(q, k, symmetric=symmetric, mask=mask, pair_mask=pairs),
        queries,
        keys,
    )
    np.testing.assert_allclose(loss[mask], wanted, rtol=1e-5)
    np.testing.assert_array_equal(loss[~mask], 0)
    for slope in slopes:
        np.testing.assert_array_equal(slope[~mask], 0)
        assert np.isfinite(slope).all()
        assert (slope[mask] != 0).any(axis=1).all()


def test_a_batch_of_padding_costs_nothing():
    queries, keys = views()
    loss, slope, _ = value_and_slopes(
        lambda q, k: info_nce(q, k, symmetric=True, mask=np.zeros(6, bool)), queries, keys
    )
    np.testing.assert_array_equal(loss, 0)
    np.testing.assert_array_equal(slope, 0)


def test_noise_is_taken_off_columns():
    queries, keys = views()
    left, right = random_scores(6, seed=5), random_scores(6, seed=6)
    scores = queries @ keys.T
    one = cross_entropy(scores - right)
    found = value(lambda q, k: info_nce(q, k, key_log_noise=right), queries, keys)
    np.testing.assert_allclose(found, one, rtol=1e-5)
    options = {"symmetric": True, "key_log_noise": right, "query_log_noise": left}
    found = value(lambda q, k: info_nce(q, k, **options), queries, keys)
    np.testing.assert_allclose(found, (one + cross_entropy(scores.T - left)) / 2, rtol=1e-5)


@pytest.mark.parametrize("corrected", [True, False])
def test_ranking_finds_probabilities_if_it_knows_the_noise_and_ratios_if_not(corrected):
    """All pairs (seen, drawn) of a table, weighed: the least expected loss with one negative."""
    together, left, noise = joint(8)

    def loss(theta, together, noise):
        scores = ops.reshape(theta, (8, 8))
        log_noise = ops.log(noise) if corrected else ops.zeros(8)
        each = ranking_nce(  # query, seen, drawn
            ops.broadcast_to(scores[:, :, None], (8, 8, 8)),
            ops.broadcast_to(scores[:, None, :, None], (8, 8, 8, 1)),
            log_noise[:, None],
            log_noise[:, None],
        )
        return ops.sum(together[:, :, None] * noise * each)

    found = least(loss, np.zeros(64), together, noise)[0].reshape(8, 8)
    wanted = np.log(together / left) - (0 if corrected else np.log(noise))
    found, wanted = (x - x.mean(axis=1, keepdims=True) for x in (found, wanted))
    np.testing.assert_allclose(found, wanted, atol=0.05)


def test_ranking_masks():
    positive, negative = random_scores(3), random_scores(3, 4, seed=1)
    wanted = np.logaddexp.reduce([0, *(negative[0, :2].astype("float64") - positive[0])])
    mask, shown = np.array([True, False, True]), np.ones((3, 4), bool)
    shown[0, 2:], shown[2] = False, False
    negative[~shown], positive[1] = np.nan, np.nan
    loss, slope, slopes = value_and_slopes(
        lambda p, n: ranking_nce(p, n, mask=mask, negative_mask=shown), positive, negative
    )
    np.testing.assert_allclose(loss, [wanted, 0, 0], rtol=1e-5)
    np.testing.assert_array_equal(slope[1:], 0)
    np.testing.assert_array_equal(slopes[1:], 0)
    np.testing.assert_array_equal(slopes[0, 2:], 0)


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_extreme_scores_stay_finite(dtype):
    queries = ops.cast([[100.0, 0.0], [0.0, -100.0]], dtype)
    keys = ops.cast([[100.0, 0.0], [0.0, 100.0]], dtype)  # similarities 1e4, 0 and 0, -1e4
    loss, *slopes = value_and_slopes(lambda q, k: info_nce(q, k, symmetric=True), queries, keys)
    exact = numpy(queries).astype("float64") @ numpy(keys).astype("float64").T
    wanted = (cross_entropy(exact) + cross_entropy(exact.T)) / 2
    np.testing.assert_allclose(loss, wanted, rtol=1e-6)
    assert all(np.isfinite(slope).all() for slope in slopes)
    assert loss.dtype == "float32"
    scores = ops.cast([1e4, -1e4], dtype), ops.cast([[-1e4], [1e4]], dtype)
    np.testing.assert_allclose(value(ranking_nce, *scores), [0, 2e4], rtol=2e-3)


class Contrast(keras.layers.Layer):
    """Adds every loss that needs no ids, and hands on the first of its inputs."""

    def call(self, queries, keys):
        self.add_loss(ops.mean(info_nce(queries, keys, temperature=0.5, symmetric=True)))
        self.add_loss(ops.mean(ranking_nce(queries[:, 0], keys)))
        self.add_loss(ops.mean(noise_contrastive(queries[:, 0], keys, -1.0, -1.0)))
        return queries

    def compute_output_shape(self, queries_shape, keys_shape):
        return queries_shape


def test_a_model_trains_with_a_short_last_batch():
    """So that the size of a batch is not known where a backend traces the step only once."""
    inputs, keys = keras.Input((4,)), keras.Input((4,))
    queries = keras.layers.Dense(4, dtype="mixed_float16")(inputs)
    model = keras.Model([inputs, keys], Contrast(dtype="mixed_float16")(queries, keys))
    model.compile(keras.optimizers.Adam(0.03))
    history = model.fit(list(views(37)), batch_size=16, epochs=5, verbose=0).history["loss"]
    assert history[-1] < history[0]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: info_nce(np.ones((3, 2)), np.ones((2, 2))), r"as many keys.*\(3, 2\) and \(2, 2"),
        (lambda: info_nce(np.ones((3, 2)), np.ones((3, 4))), r"`queries` and `keys` must"),
        (lambda: info_nce(np.ones(3), np.ones(3)), r"shapes \(3,\) and"),
        (lambda: info_nce(*views(), temperature=0), "`temperature` must be above 0.*=0"),
        (lambda: info_nce(*views(), query_log_noise=np.ones(6)), "`query_log_noise` is for"),
        (lambda: info_nce(*views(), key_log_noise=np.ones(5)), r"`key_log_noise` must.*\(5,\)"),
        (lambda: info_nce(*views(), mask=np.ones(6)), "`mask` must be bool.*float"),
        (lambda: info_nce(*views(), mask=np.ones(5, bool)), r"`mask`.*keys.*\(5,\).*\(6,\)"),
        (lambda: info_nce(*views(), pair_mask=np.ones(6, bool)), r"`pair_mask` must.*\(6,\)"),
        (lambda: ranking_nce([1.0], [1.0]), "`negative` must have the shape"),
        (lambda: ranking_nce([1.0], [[1.0]], [1.0, 2.0]), "`positive_log_noise` must"),
        (lambda: ranking_nce([1.0], [[1.0]], 0.0, np.ones(2)), "`negative_log_noise` must"),
        (lambda: ranking_nce([1.0], [[1.0]], negative_mask=np.ones(1)), "`negative_mask` must"),
    ],
)
def test_errors_name_the_argument_and_what_came(call, message):
    with pytest.raises(ValueError, match=f"(?s){message}") as raised:
        call()
    assert "Received: " in str(raised.value)
