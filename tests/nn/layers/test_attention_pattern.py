"""Local, atrous and sparse attention: dense attention under a mask, for fewer scores."""

import keras
import numpy as np
import pytest
from attention_naive import distances, layer_by_hand, output_of, right_padded, run, sample
from keras import ops

from taolu.nn.layers import attention_pattern
from taolu.nn.layers.attention import Attention
from taolu.nn.layers.attention_bias import ALiBi, Nezha
from taolu.nn.layers.attention_core import Scoring
from taolu.nn.layers.attention_pattern import Atrous, Local, Sparse
from taolu.nn.layers.rotary import Rotary

pytestmark = pytest.mark.usefixtures("fast_compile")

ALLOWED = {
    Local: lambda d, p: abs(d) <= p.window,
    Atrous: lambda d, p: d % p.rate == 0,
    Sparse: lambda d, p: (abs(d) <= p.window) | (d % p.rate == 0),
}


def allowed(pattern, time, causal=False):
    """The definition, pair by pair."""
    d = distances(time)
    return ALLOWED[type(pattern)](d, pattern) & ((d <= 0) | (not causal))


@pytest.mark.parametrize("pattern", [Local(2), Atrous(3), Sparse(1, 3)], ids=str)
# A time that is a multiple of window and rate, and one that is not.
@pytest.mark.parametrize(("time", "causal"), [(6, False), (7, False), (7, True)])
def test_a_pattern_equals_loops_under_its_mask(pattern, time, causal):
    x, mask = sample(2, time, 8), right_padded(time, 4, time=time)
    layer = Attention(2, pattern=pattern, causal=causal)
    got = output_of(layer, x, mask=mask)
    shown = allowed(pattern, time, causal) & mask[:, None, None, :]
    expected = layer_by_hand(layer, x, mask=mask, shown=shown)
    np.testing.assert_allclose(got, expected, atol=1e-5)


@pytest.mark.parametrize(
    ("pattern", "time"),
    [
        (Local(9), 5),
        (Local(4), 5),
        (Local(1), 1),
        (Atrous(9), 5),
        (Atrous(1), 5),
        (Sparse(9, 2), 5),
    ],
    ids=str,
)
def test_a_pattern_wider_than_the_text_equals_loops(pattern, time):
    x, layer = sample(2, time, 8), Attention(2, pattern=pattern)
    got = output_of(layer, x)
    expected = layer_by_hand(layer, x, shown=allowed(pattern, time))
    np.testing.assert_allclose(got, expected, atol=1e-5)


@pytest.mark.parametrize("position", [Rotary(), ALiBi(2), Nezha(4, 2)], ids=lambda p: p.name)
def test_a_pattern_with_positions_equals_its_dense_form(position):
    x, everything = sample(2, 7, 8), np.ones((1, 7, 7), bool)
    layer = Attention(2, pattern=Sparse(1, 3), position=position, causal=True)
    layer.build(x.shape)
    sparse, dense = run(lambda: (layer(x), layer(x, attention_mask=everything)))
    np.testing.assert_allclose(sparse, dense, atol=1e-5)


def test_shared_heads_and_half_precision_fit_a_pattern():
    x, mask = sample(2, 7, 8), right_padded(7, 0)
    form = {"key_value_heads": 2, "pattern": Sparse(1, 2)}
    whole, half = Attention(4, **form), Attention(4, **form, dtype="mixed_bfloat16")
    whole.build(x.shape)
    half.build(x.shape)
    half.set_weights(whole.get_weights())
    got, expected = output_of(half, x, mask=mask), output_of(whole, x, mask=mask)
    assert abs(got.astype("float32") - expected).max() < 0.05
    assert not expected[1].any()


@pytest.mark.parametrize(
    ("pattern", "causal", "expected"),
    [
        (None, False, lambda t: t**2),
        (Local(4), False, lambda t: 3 * 4 * t),
        (Local(4), True, lambda t: 2 * 4 * t),
        (Atrous(8), False, lambda t: t**2 // 8),
        (Sparse(4, 8), False, lambda t: 3 * 4 * t + t**2 // 8),
    ],
    ids=lambda value: "" if callable(value) else str(value),
)
def test_scores_number_what_the_guide_says(pattern, causal, expected, monkeypatch):
    counted = []

    def counting(function):
        def counted_function(query, key, *rest):
            counted.append(query.shape[0] * query.shape[1] * key.shape[1])
            return function(query, key, *rest)

        return counted_function

    from taolu.nn.layers import attention

    monkeypatch.setattr(attention, "attend", counting(attention.attend))
    for name in ("attend", "weigh"):
        monkeypatch.setattr(attention_pattern, name, counting(getattr(attention_pattern, name)))
    for time in (32, 64):
        counted.clear()
        output_of(Attention(1, pattern=pattern, causal=causal), sample(1, time, 2))
        assert sum(counted) == expected(time)


@pytest.mark.skipif(keras.backend.backend() != "jax", reason="only XLA counts its operations")
def test_the_compiler_counts_linear_work_for_local_attention():
    import jax

    def work(pattern, time):
        x = sample(1, time, 1, 8)
        real = np.ones((1, time), bool)
        scoring = Scoring(scale=1.0)
        f = jax.jit(lambda x: pattern.attend(x, x, x, scoring, real, False))
        return f.lower(x).compile().cost_analysis()["flops"]

    assert work(Local(8), 512) / work(Local(8), 128) < 4.5
    assert work(Atrous(4), 512) / work(Atrous(4), 128) > 12  # quadratic, though a quarter of it


def test_a_text_of_unknown_length_fits_every_pattern():
    inputs = keras.Input((None, 8))
    outputs = [Attention(2, pattern=p)(inputs) for p in (Local(2), Atrous(3), Sparse(1, 3))]
    model = keras.Model(inputs, outputs)
    for time in (6, 7):
        x = sample(2, time, 8)
        found = model.predict(x, verbose=0)
        for layer, got in zip(model.layers[1:], found, strict=True):
            expected = layer_by_hand(layer, x, shown=allowed(layer.pattern, time))
            np.testing.assert_allclose(got, expected, atol=1e-5)


def test_the_union_has_one_softmax():
    """The sum of two softmaxes would count near multiples twice and weigh both parts alike."""
    time, pattern = 6, Sparse(1, 2)
    query = key = ops.zeros((1, time, 1, 2))
    value = ops.reshape(ops.eye(time), (1, time, 1, time))
    weights = run(lambda: pattern.attend(query, key, value, Scoring(1.0), None, False))[0, :, 0]
    seen = allowed(pattern, time)
    np.testing.assert_allclose(weights, seen / seen.sum(1, keepdims=True), atol=1e-6)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Local(0), "`window` must be at least 1. Received: window=0"),
        (lambda: Atrous(0), "`rate` must be at least 1. Received: rate=0"),
        (lambda: Sparse(1, -1), "`rate` must be at least 1. Received: rate=-1"),
    ],
)
def test_a_pattern_without_extent_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
