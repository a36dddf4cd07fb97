"""Pooling: the worked examples of the article, loops over real steps, rows of negative numbers."""

import keras
import numpy as np
import pytest
from keras import ops
from samples import compiled, numpy

from taolu.nn.differentiate import grad
from taolu.nn.layers.pooling import (
    AttentionPooling,
    FirstPooling,
    LastPooling,
    LogSumExpPooling,
    MaxPooling,
    MeanPooling,
    SumPooling,
)

pytestmark = pytest.mark.usefixtures("fast_compile")

MASK = np.array([[1, 1, 1, 1, 1], [0, 1, 0, 1, 0], [0, 0, 0, 0, 1], [0, 0, 0, 0, 0]], bool)
X = np.random.default_rng(0).normal(size=(4, 5, 3)).astype("float32")


def log_sum_exp(x):
    return 0.5 * np.log(np.exp(x / 0.5).sum(axis=0))


TRUTH = {
    MeanPooling: lambda x: x.mean(axis=0),
    SumPooling: lambda x: x.sum(axis=0),
    MaxPooling: lambda x: x.max(axis=0),
    FirstPooling: lambda x: x[0],
    LastPooling: lambda x: x[-1],
    LogSumExpPooling: log_sum_exp,
}


def make(kind):
    return kind(temperature=0.5) if kind is LogSumExpPooling else kind()


def pooled(layer, x, mask=None):
    if not layer.built:
        layer.build(x.shape)
    return numpy(compiled(lambda x, mask: layer(x, mask=mask))(x, mask))


def column(*values):
    return np.array(values, "float32").reshape(1, -1, 1)


# Worked examples


def test_the_mean_does_not_count_padding():
    """avg([1, 0, 3, 4, 5]) = 2.6, and 1.625 with three zeros of padding counted in."""
    x = column(1, 0, 3, 4, 5, 0, 0, 0)
    mask = np.array([[True] * 5 + [False] * 3])
    assert pooled(MeanPooling(), x, mask).item() == pytest.approx(2.6, abs=1e-6)
    assert pooled(MeanPooling(), x).item() == pytest.approx(1.625, abs=1e-6)
    assert pooled(MeanPooling(), x[:, :5]).item() == pytest.approx(2.6, abs=1e-6)


def test_the_maximum_of_negative_numbers_is_negative():
    """max(-2, -3) = -2; after a product with the mask it would be 0."""
    mask = np.array([[True, True, False]])
    assert pooled(MaxPooling(), column(-2, -3, 0), mask).item() == -2
    assert pooled(MaxPooling(), column(-2, -3, 9), mask).item() == -2
    assert pooled(MaxPooling(), column(-1e30, -2e30, 9), mask).item() == np.float32(-1e30)


def test_first_and_last_are_those_of_the_text():
    mask = np.array([[False, True, False, True, False]])
    x = column(7, 1, 7, 2, 7)
    assert pooled(FirstPooling(), x, mask).item() == 1
    assert pooled(LastPooling(), x, mask).item() == 2


# Loops


@pytest.mark.parametrize("kind", TRUTH)
def test_pooling_is_that_of_each_row_by_itself(kind):
    layer, pairs = make(kind), zip(X, MASK, strict=True)
    found = pooled(layer, X, MASK)
    wanted = [TRUTH[kind](x[real]) if real.any() else np.zeros(3) for x, real in pairs]
    np.testing.assert_allclose(found, np.array(wanted), rtol=0, atol=1e-6)
    whole = pooled(layer, X)
    np.testing.assert_allclose(whole, [TRUTH[kind](x) for x in X], rtol=0, atol=1e-6)


def test_attention_pooling_is_that_of_a_loop():
    layer = AttentionPooling(hidden_width=4)
    layer.build(X.shape)
    first, second = (numpy(weight).astype("float64") for weight in layer.trainable_weights)
    found = pooled(layer, X, MASK)
    for row, real in enumerate(MASK):
        steps = X[row, real].astype("float64")
        p = np.exp(np.tanh(steps @ first) @ second)
        wanted = (p / p.sum() * steps).sum(axis=0) if real.any() else np.zeros(3)
        np.testing.assert_allclose(found[row], wanted, rtol=0, atol=1e-6)


@pytest.mark.parametrize("kind", [*TRUTH, AttentionPooling])
def test_what_is_not_text_has_no_say(kind):
    """The gradient with respect to padding is exactly 0, an empty row included."""
    layer = make(kind)
    layer.build(X.shape)
    weight = ops.convert_to_tensor(np.random.default_rng(1).normal(size=(4, 3)).astype("float32"))
    gradient = numpy(
        compiled(lambda x: grad(lambda x: ops.sum(layer(x, mask=MASK) * weight), x))(X)
    )
    assert not gradient[~MASK].any()
    assert gradient[:3].any(axis=(1, 2)).all()
    if kind is MeanPooling:
        np.testing.assert_allclose(gradient[1, 1], numpy(weight)[1] / 2, rtol=0, atol=1e-7)


@pytest.mark.parametrize("kind", [*TRUTH, AttentionPooling])
def test_rows_without_text_are_finite_in_half_precision(kind):
    for policy in ("float16", "bfloat16"):
        assert not pooled(kind(dtype=policy), X, np.zeros((4, 5), bool)).any()


def test_a_long_sum_is_taken_in_float32():
    x = ops.cast(np.full((1, 5000, 1), 0.1), "float16")
    assert pooled(MeanPooling(dtype="float16"), x).item() == pytest.approx(0.1, abs=1e-4)
    total = pooled(LogSumExpPooling(dtype="float16"), x).item()
    assert total == pytest.approx(0.1 + np.log(5000), abs=5e-3)


def test_log_sum_exp_lies_between_the_maximum_and_the_mean():
    cold = pooled(LogSumExpPooling(temperature=1e-3), X)
    np.testing.assert_allclose(cold, X.max(axis=1), rtol=0, atol=5e-3)
    warm = pooled(LogSumExpPooling(temperature=1e3), X) - 1e3 * np.log(5)
    np.testing.assert_allclose(warm, X.mean(axis=1), rtol=0, atol=5e-3)
    assert np.isfinite(pooled(LogSumExpPooling(), 1e30 * np.abs(X))).all()


def test_the_mask_of_an_embedding_reaches_the_pool():
    ids = np.array([[4, 1, 2, 0, 0]])  # 1 is an unknown word, which is text; 0 is padding
    embedding = keras.layers.Embedding(5, 3, mask_zero=True)
    model = keras.Sequential([keras.Input((None,), dtype="int32"), embedding, MeanPooling()])
    table = numpy(embedding.embeddings)
    np.testing.assert_allclose(numpy(model(ids))[0], table[[4, 1, 2]].mean(0), rtol=0, atol=1e-6)


# Doors


@pytest.mark.parametrize("kind", [*TRUTH, AttentionPooling])
def test_another_rank_is_refused(kind):
    with pytest.raises(ValueError, match=r"\(batch, time, width\)\. Received: \(4, 5\)"):
        make(kind)(X[..., 0])


@pytest.mark.parametrize("temperature", [0, -1.0, float("nan")])
def test_a_temperature_is_positive(temperature):
    with pytest.raises(ValueError, match=r"`temperature` must be positive\. Received: "):
        LogSumExpPooling(temperature=temperature)


def test_a_width_is_at_least_one():
    with pytest.raises(ValueError, match=r"`hidden_width` must be at least 1\. Received: .*=0"):
        AttentionPooling(hidden_width=0)
    with pytest.raises(ValueError, match="`mask` must be boolean"):
        MeanPooling()(X, mask=MASK.astype("float32"))
