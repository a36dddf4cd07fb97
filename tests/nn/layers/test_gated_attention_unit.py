"""Gated attention unit: its formula in NumPy, weights that do not know the length of a batch."""

import numpy as np
import pytest
from samples import compiled, numpy, prefixes

from taolu.nn.layers.attention_bias import ALiBi, Nezha, T5Bias
from taolu.nn.layers.gated_attention_unit import GatedAttentionUnit
from taolu.nn.layers.rotary import Rotary
from taolu.nn.masking import segment_mask

pytestmark = pytest.mark.usefixtures("fast_compile")

X = np.random.default_rng(0).normal(size=(2, 5, 4)).astype("float32")
MASK = prefixes((5, 3))


def shaken(layer):
    layer.build(X.shape)
    rng = np.random.default_rng(1)
    weights = {}
    for weight in layer.trainable_weights:
        weight.assign(rng.normal(size=weight.shape).astype("float32"))
        name = "/".join(weight.path.split("/")[-2:])
        weights[name] = numpy(weight).astype("float64")
    return weights


def turn(x, base=10000.0):
    """Rotary positions: the first half of the channels and the second turn like hands."""
    half = x.shape[-1] // 2
    angle = np.arange(len(x))[:, None] * base ** (-np.arange(half) / half)
    a, b = x[:, :half], x[:, half:]
    cos, sin = np.cos(angle), np.sin(angle)
    return np.concatenate([a * cos - b * sin, b * cos + a * sin], axis=-1)


def by_hand(x, w, softmax, causal, rotary=False, bias=None):
    """One text by itself, in float64."""

    def silu(x):
        return x / (1 + np.exp(-x))

    x = x.astype("float64")
    gate, value, shared = (silu(x @ w[f"{name}/kernel"]) for name in ("gate", "value", "shared"))
    query, key = (shared * w[f"{name}/gamma"] + w[f"{name}/beta"] for name in ("query", "key"))
    if rotary:
        query, key = turn(query), turn(key)
    scores = query @ key.T / np.sqrt(query.shape[-1])
    if bias is not None:
        scores = scores + bias
    seen = np.tril(np.ones(scores.shape)) if causal else np.ones(scores.shape)
    if softmax:
        weights = np.exp(scores - scores.max()) * seen
        weights /= weights.sum(axis=1, keepdims=True)
    else:
        weights = np.maximum(scores, 0) ** 2 * seen / seen.sum(axis=1, keepdims=True)
    return (gate * (weights @ value)) @ w["output/kernel"]


@pytest.mark.parametrize(
    ("softmax", "causal", "rotary"),
    [(False, False, False), (False, True, True), (True, True, False), (True, False, True)],
    ids=["squared relu", "squared relu, causal, rotary", "softmax, causal", "softmax, rotary"],
)
def test_each_text_gives_what_the_formula_gives(softmax, causal, rotary):
    position = Rotary() if rotary else None
    layer = GatedAttentionUnit(6, 4, softmax=softmax, causal=causal, position=position)
    weights = shaken(layer)
    found = numpy(compiled(lambda x, mask: layer(x, mask=mask))(X, MASK))
    for row, real in enumerate(MASK):
        wanted = by_hand(X[row, real], weights, softmax, causal, rotary)
        room = 1e-5 * max(1, np.abs(wanted).max())
        np.testing.assert_allclose(found[row, real], wanted, rtol=0, atol=room)
        assert not found[row, ~real].any()


def test_a_bias_of_distance_is_added_to_the_scores():
    layer = GatedAttentionUnit(6, 4, softmax=True, position=ALiBi(heads=1))
    weights = shaken(layer)
    place = np.arange(5)
    bias = -(2.0**-8) * np.abs(place[:, None] - place)
    found = numpy(compiled(layer)(X))
    wanted = by_hand(X[0], weights, True, False, bias=bias)
    np.testing.assert_allclose(found[0], wanted, rtol=0, atol=1e-4)
    assert np.abs(wanted - by_hand(X[0], weights, True, False)).max() > 1e-4


def test_a_learned_bias_is_saved_with_the_layer():
    layer = GatedAttentionUnit(6, 4, position=T5Bias(heads=1))
    layer.build(X.shape)
    assert any("t5_bias" in w.path for w in layer.trainable_weights)
    twin = GatedAttentionUnit.from_config(layer.get_config())
    assert isinstance(twin.position, T5Bias)


def test_squared_relu_divides_by_the_keys_that_are_seen():
    """Twice the text gives the same mean; dividing by the time of the batch would not."""
    layer = GatedAttentionUnit(6, 4)
    shaken(layer)
    run = compiled(lambda x, mask: layer(x, mask=mask))
    once = numpy(run(X, np.ones((2, 5), bool)))
    twice = numpy(run(np.concatenate([X, X], axis=1), np.ones((2, 10), bool)))
    np.testing.assert_allclose(twice[:, :5], once, rtol=0, atol=1e-5 * np.abs(once).max())


def test_documents_of_a_packed_row_do_not_see_each_other():
    layer = GatedAttentionUnit(6, 4, softmax=True)
    weights = shaken(layer)
    segments = np.array([[1, 1, 2, 2, 2], [1, 1, 1, 1, 0]], "int32")
    run = compiled(lambda x, segments: layer(x, attention_mask=segment_mask(segments)))
    found = numpy(run(X, segments))
    for row, number in ((0, 1), (0, 2), (1, 1)):
        real = segments[row] == number
        wanted = by_hand(X[row, real], weights, True, False)
        room = 1e-5 * max(1, np.abs(wanted).max())
        np.testing.assert_allclose(found[row, real], wanted, rtol=0, atol=room)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: GatedAttentionUnit(0), r"`inner_width` must be at least 1\. Received: .*=0"),
        (lambda: GatedAttentionUnit(4, 0), r"`head_width` must be at least 1\. Received: .*=0"),
        (
            lambda: GatedAttentionUnit(4, 4, position=Nezha(4)),
            "`position` must turn or add numbers.* Received: Nezha",
        ),
        (
            lambda: GatedAttentionUnit(4, 4, position=T5Bias(heads=2)).build(X.shape),
            "`heads`.* Received: 2 and 1",
        ),
        (
            lambda: GatedAttentionUnit(4).build((2, 4)),
            r"\(batch, time, width\)\. Received: \(2, 4\)",
        ),
        (
            lambda: GatedAttentionUnit(4)(X, attention_mask=np.ones((2, 5, 5), "float32")),
            "`attention_mask` must be boolean",
        ),
        (
            lambda: GatedAttentionUnit(4)(X, attention_mask=MASK),
            r"`attention_mask` must have the shape .* Received: \(2, 5\)",
        ),
    ],
)
def test_wrong_arguments_are_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()
