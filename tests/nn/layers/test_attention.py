"""Attention: equal to loops and to Keras' own layers; masks, gradients, files and errors."""

import keras
import numpy as np
import pytest
from attention_naive import (
    BATCH,
    TIME,
    WIDTH,
    array,
    distances,
    layer_by_hand,
    output_of,
    right_padded,
    run,
    sample,
)
from keras import ops

from taolu.nn.differentiate import grad
from taolu.nn.layers.attention import Attention
from taolu.nn.layers.attention_bias import ALiBi, Nezha, T5Bias
from taolu.nn.layers.attention_core import Scoring, attend
from taolu.nn.layers.attention_pattern import Local, Sparse
from taolu.nn.layers.position import SinusoidalPosition
from taolu.nn.layers.rotary import Rotary, YaRNScaling
from taolu.nn.masking import prefix_mask

pytestmark = pytest.mark.usefixtures("fast_compile")

MASK = right_padded(TIME, 4)
PAIRS = np.random.default_rng(1).random((BATCH, 2, TIME, TIME)) < 0.6


def random_biases(layer):
    """Gives biases, which start at zero, values that a test can see."""
    for number, variable in enumerate(layer.weights):
        if variable.path.endswith("/bias"):
            variable.assign(sample(*variable.shape, seed=100 + number))
    return layer


# The guide's worked example and the loops.


def test_three_keys_by_hand():
    query = ops.full((1, 1, 1, 4), 0.5)
    key = ops.array([[1.0] * 4, [0.0] * 4, [0.0] * 4])[None, :, None]  # products 2, 0, 0
    value = ops.array([10.0, 0.0, 5.0])[None, :, None, None]
    mask = ops.array([True, True, False])[None, None, None]
    given = query, key, value, Scoring(scale=key.shape[-1] ** -0.5), distances(1, 3)
    assert run(lambda: attend(*given)).item() == pytest.approx(6.82, abs=0.005)
    assert run(lambda: attend(*given, mask)).item() == pytest.approx(7.31, abs=0.005)


@pytest.mark.parametrize(
    ("form", "masked"),
    [
        ({}, True),
        ({"head_width": 3, "value_width": 5, "output_width": 6}, True),
        ({"key_value_heads": 1, "causal": True}, False),
        ({"key_value_heads": 1, "value_width": 3, "causal": True, "scale": 1.0}, True),
        ({"project_output": False, "use_bias": False}, True),
    ],
    ids=str,
)
def test_it_equals_loops(form, masked):
    x, mask = sample(BATCH, TIME, WIDTH), MASK if masked else None
    layer = Attention(2, **form)
    layer.build(x.shape)
    random_biases(layer)
    shown = np.ones((BATCH, 1, TIME, TIME), bool)
    if masked:
        shown = shown & MASK[:, None, None, :]
    if layer.causal:
        shown = shown & (distances(TIME) <= 0)
    expected = layer_by_hand(layer, x, mask=mask, shown=shown)
    np.testing.assert_allclose(output_of(layer, x, mask=mask), expected, atol=1e-5)


@pytest.mark.parametrize("value_width", [None, 3])
def test_masks_and_biases_of_pairs_equal_loops(value_width):
    x, bias = sample(BATCH, TIME, WIDTH), sample(1, 2, TIME, TIME, seed=3)
    layer = Attention(2, value_width=value_width)
    got = output_of(layer, x, mask=MASK, attention_mask=PAIRS, bias=bias)
    shown = PAIRS & MASK[:, None, None, :]
    expected = layer_by_hand(layer, x, mask=MASK, shown=shown, bias=bias)
    np.testing.assert_allclose(array(got), expected, atol=1e-5)


def test_a_mask_of_three_axes_stands_for_all_heads():
    x, layer = sample(BATCH, TIME, WIDTH), Attention(2)
    one, same = (output_of(layer, x, attention_mask=m) for m in (PAIRS[:, 0], PAIRS[:, :1]))
    np.testing.assert_array_equal(one, same)


def test_attention_to_a_memory_equals_loops():
    x, memory = sample(BATCH, TIME, WIDTH), sample(BATCH, 5, 6, seed=1)
    seen = right_padded(5, 2, time=5)
    layer = Attention(2)
    got = output_of(layer, x, memory, mask=MASK, memory_mask=seen)
    expected = layer_by_hand(layer, x, memory, mask=MASK, shown=seen[:, None, None, :])
    np.testing.assert_allclose(array(got), expected, atol=1e-5)
    cache = layer.project_memory(memory)
    again, same = output_of(layer, x, cache=cache, mask=MASK, memory_mask=seen)
    np.testing.assert_allclose(again, expected, atol=1e-5)
    np.testing.assert_array_equal(same[0], array(cache[0]))


def test_no_head_is_computed_alone():
    """One product for all heads: the scores of a call are one tensor with an axis of heads."""
    x, layer = sample(BATCH, TIME, WIDTH), Attention(4)
    layer.build(x.shape)
    assert [tuple(v.shape) for v in layer.weights[::2]] == [(WIDTH, WIDTH)] * 4


# Keras' own layers.


def copy_weights(layer, other):
    """Copies our Dense weights into Keras' EinsumDense weights, in the order of creation."""
    other.set_weights(
        [
            array(mine).reshape(theirs.shape)
            for mine, theirs in zip(layer.weights, other.weights, strict=True)
        ]
    )


def test_it_equals_multi_head_attention_of_keras():
    x, memory = sample(BATCH, TIME, WIDTH), sample(BATCH, 5, 6, seed=1)
    seen = right_padded(5, 3, time=5)
    layer = Attention(2, head_width=3)
    layer.build(x.shape, memory.shape)
    random_biases(layer)
    # With another `value_dim` Keras' own layer fails on JAX: its kernel wants equal widths.
    peer = keras.layers.MultiHeadAttention(2, 3, kernel_initializer="zeros")
    peer.build(x.shape, memory.shape)
    copy_weights(layer, peer)
    expected = run(lambda: peer(x, memory, value_mask=seen))
    got = output_of(layer, x, memory, memory_mask=seen)
    np.testing.assert_allclose(got, expected, atol=1e-5)


def test_causal_self_attention_equals_that_of_keras():
    x = sample(BATCH, TIME, WIDTH)
    layer = Attention(2, causal=True)
    layer.build(x.shape)
    peer = keras.layers.MultiHeadAttention(2, WIDTH // 2, kernel_initializer="zeros")
    peer.build(x.shape, x.shape)
    copy_weights(layer, peer)
    expected = run(lambda: peer(x, x, use_causal_mask=True, attention_mask=MASK[:, None]))
    got = output_of(layer, x, mask=MASK)
    np.testing.assert_allclose(got[MASK], expected[MASK], atol=1e-5)


def test_it_equals_grouped_query_attention_of_keras():
    x = sample(BATCH, TIME, WIDTH)
    layer = Attention(4, head_width=2, key_value_heads=2, causal=True)
    layer.build(x.shape)
    peer = keras.layers.GroupQueryAttention(2, 4, 2, kernel_initializer="zeros")
    peer.build(x.shape, x.shape)
    copy_weights(layer, peer)
    expected = run(lambda: peer(x, x, use_causal_mask=True))
    np.testing.assert_allclose(output_of(layer, x), expected, atol=1e-5)


# What attention is.


def test_without_positions_order_does_not_matter():
    x, order = sample(BATCH, TIME, WIDTH), [3, 1, 6, 0, 5, 2, 4]
    layer = Attention(2)
    layer.build(x.shape)
    straight, shuffled = run(lambda: (layer(x), layer(x[:, order])))
    np.testing.assert_allclose(shuffled, straight[:, order], atol=1e-6)
    place = SinusoidalPosition()
    straight, shuffled = run(lambda: (layer(place(x)), layer(place(x[:, order]))))
    assert abs(shuffled - straight[:, order]).max() > 0.01


def test_padding_changes_no_real_step():
    x = sample(BATCH, 5, WIDTH)
    layer = Attention(2, causal=False, normalize=True, log_length=4)
    alone = output_of(layer, x)
    for end, content in ((2, 0.0), (2, 1e4), (4, -3.0)):  # amount and content
        padded = np.concatenate([x, np.full((BATCH, end, WIDTH), content, "float32")], axis=1)
        got = output_of(layer, padded, mask=right_padded(5, 5, time=5 + end))
        np.testing.assert_allclose(got[:, :5], alone, atol=1e-5)
        assert not got[:, 5:].any()


@pytest.mark.parametrize("pattern", [None, Sparse(1, 2)], ids=lambda p: type(p).__name__)
def test_a_causal_step_has_no_gradient_from_later_ones(pattern):
    x, step = ops.convert_to_tensor(sample(1, TIME, WIDTH)), 3
    layer = Attention(2, causal=True, pattern=pattern, position=Rotary())
    layer.build(x.shape)
    slope = run(lambda x: grad(lambda t: ops.sum(layer(t)[:, step] ** 2), x), x)
    assert not slope[:, step + 1 :].any()
    assert abs(slope[:, step]).max() > 0


@pytest.mark.parametrize(
    ("dtype", "form"),
    [
        ("float32", {}),
        ("float32", {"value_width": 3}),
        ("mixed_float16", {"position": ALiBi(2)}),
        ("mixed_bfloat16", {"position": ALiBi(2)}),
    ],
    ids=["fused", "written out", "written out, half", "fused with a bias, bfloat16"],
)
def test_a_row_without_keys_gives_zeros_and_no_gradient(dtype, form):
    layer = Attention(2, dtype=dtype, **form)
    x = ops.cast(sample(BATCH, TIME, WIDTH), layer.compute_dtype)
    layer.build(x.shape)
    random_biases(layer)
    shown = np.ones((BATCH, TIME, TIME), bool)
    shown[0, 2] = False  # one query of one row sees nothing
    shown[1] = False  # the other row sees nothing at all
    output = output_of(layer, x, attention_mask=shown).astype("float32")
    assert np.isfinite(output).all()
    assert not output[0, 2].any()
    assert not output[1].any()
    assert output[0, 1].any()

    def slopes(x):
        """Gradients of the whole output, and of the row that sees nothing."""
        see = lambda t: ops.cast(layer(t, attention_mask=shown), "float32")  # noqa: E731
        whole = grad(lambda t: ops.sum(see(t) ** 2), x)
        return whole, grad(lambda t: ops.sum(see(t)[0, 2]), x)

    whole, blind = (slope.astype("float32") for slope in run(slopes, x))
    assert np.isfinite(whole).all()
    assert whole[0].any()
    assert not whole[1].any()
    assert not blind.any()


def test_the_prefix_is_read_both_ways_and_the_rest_written():
    x, layer = sample(BATCH, TIME, WIDTH), Attention(2)
    prefix = right_padded(3, 1)
    got = output_of(layer, x, attention_mask=prefix_mask(prefix))
    shown = (distances(TIME) <= 0) | prefix[:, None, :]
    expected = layer_by_hand(layer, x, shown=shown[:, None])
    np.testing.assert_allclose(got, expected, atol=1e-5)


def test_dropout_drops_probabilities_in_training_only():
    x = np.ones((1, 400, 4), "float32")
    layer = Attention(1, dropout=0.5, seed=1, project_output=False)
    plain = output_of(layer, x)
    np.testing.assert_array_equal(plain, output_of(layer, x, training=False))
    dropped = array(layer(x, training=True))
    # All keys are alike here, so a row is the value times the share of 400 kept, doubled.
    ratio = dropped[0, :, 0] / plain[0, 0, 0]
    assert abs(ratio.mean() - 1) < 4 * 0.05 / 20
    assert abs(ratio.std() - 0.05) < 0.01
    again = Attention.from_config(layer.get_config())
    again.build(x.shape)
    for mine, theirs in zip(again.trainable_weights, layer.trainable_weights, strict=True):
        mine.assign(theirs)
    np.testing.assert_allclose(array(again(x, training=True)), dropped, atol=1e-6)
    assert abs(array(layer(x, training=True)) - dropped).max() > 0.01


def test_queries_are_scaled_by_the_logarithm_of_what_they_see():
    x, layer = sample(BATCH, TIME, WIDTH), Attention(2, log_length=4, causal=True)
    got = output_of(layer, x, mask=MASK)
    for step in (1, 3, 6):
        plain = Attention(2, causal=True, scale=0.5 * np.log(step + 1) / np.log(4))
        plain.build(x.shape)
        plain.set_weights(layer.get_weights())
        np.testing.assert_allclose(got[0, step], output_of(plain, x)[0, step], atol=1e-5)
    layer = Attention(2, log_length=4)
    plain = Attention(2, scale=0.5 * np.log(7) / np.log(4))
    plain.build(x.shape)
    got = output_of(layer, x, mask=MASK)
    plain.set_weights(layer.get_weights())
    np.testing.assert_allclose(got[0], output_of(plain, x, mask=MASK)[0], atol=1e-5)
    plain.scale = 0.5  # four real steps: log(4) / log(4)
    np.testing.assert_allclose(got[1], output_of(plain, x, mask=MASK)[1], atol=1e-5)


def test_normalised_queries_forget_their_length():
    x, layer = sample(BATCH, TIME, WIDTH), Attention(2, normalize=True, use_bias=False)
    before = output_of(layer, x)
    layer.query_projection.kernel.assign(layer.query_projection.kernel * 100.0)
    np.testing.assert_allclose(output_of(layer, x), before, atol=1e-4)
    assert [v.path.split("/", 1)[1] for v in layer.weights][-2:] == [
        "query_norm/scale",
        "key_norm/scale",
    ]


def test_second_derivatives_pass_through_the_fused_kernel():
    x, fused = ops.convert_to_tensor(sample(1, 4, WIDTH)), Attention(2, causal=True)
    plain = Attention(2, causal=True, position=Nezha(4))  # vectors need the written out form
    plain.position.vectors = lambda d: ops.zeros((*d.shape, 4))
    fused.build(x.shape)
    plain.build(x.shape)
    plain.set_weights(fused.get_weights())

    def bend(layer):
        slope = lambda t: grad(lambda u: ops.sum(layer(u) ** 3), t)  # noqa: E731
        return run(lambda x: grad(lambda t: ops.sum(slope(t) ** 2), x), x)

    np.testing.assert_allclose(bend(fused), bend(plain), rtol=1e-3, atol=1e-4)


# Keras: masks, names, files, precision.


def test_masks_of_keras_arrive_and_are_passed_on():
    ids = np.array([[3, 1, 2, 4, 1, 2, 3], [1, 2, 3, 4, 0, 0, 0]])
    embedding = keras.layers.Embedding(5, WIDTH, mask_zero=True)
    inputs = keras.Input((None,), dtype="int32")
    outputs = Attention(2)(embedding(inputs))
    pooled = keras.layers.GlobalAveragePooling1D()(outputs)
    model = keras.Model(inputs, [outputs, pooled])
    got, mean = model(ids)
    x = array(embedding(ids))
    mask = ids > 0
    expected = layer_by_hand(model.layers[-2], x, mask=mask, shown=mask[:, None, None, :])
    np.testing.assert_allclose(array(got), expected, atol=1e-5)
    np.testing.assert_allclose(array(mean)[1], expected[1, :4].mean(0), atol=1e-5)


def test_masks_of_keras_arrive_when_there_is_a_memory():
    embedding = keras.layers.Embedding(5, WIDTH, mask_zero=True)
    ids, words = np.array([[1, 2, 0]]), np.array([[3, 0, 0, 0]])
    layer = Attention(2)
    got = array(layer(embedding(ids), embedding(words)))
    expected = layer_by_hand(
        layer,
        array(embedding(ids)),
        array(embedding(words)),
        mask=ids > 0,
        shown=(words > 0)[:, None, None, :],
    )
    np.testing.assert_allclose(got, expected, atol=1e-5)


def test_a_mask_may_have_a_last_axis_of_one():
    x, layer = sample(BATCH, TIME, WIDTH), Attention(2)
    one, same = (output_of(layer, x, mask=m) for m in (MASK[..., None], MASK))
    np.testing.assert_array_equal(one, same)


def test_variables_are_called_as_checkpoints_expect():
    layer = Attention(2, position=T5Bias(2, buckets=8, max_distance=9), name="block_0_attention")
    layer.build((None, None, WIDTH))
    assert {v.path for v in layer.weights} == {
        f"block_0_attention/{name}/{kind}"
        for name in ("query", "key", "value", "output")
        for kind in ("kernel", "bias")
    } | {f"block_0_attention/{layer.position.name}/embeddings"}


def test_one_seed_makes_four_different_kernels():
    layer = Attention(2, kernel_initializer=keras.initializers.GlorotUniform(seed=1))
    layer.build((None, None, WIDTH))
    kernels = [array(v) for v in layer.weights if v.path.endswith("kernel")]
    assert len({kernel.tobytes() for kernel in kernels}) == 4


FORMS = {
    "plain": {},
    "rotary": {
        "position": Rotary(2, interleaved=True, scaling=YaRNScaling(2.0, 8)),
        "causal": True,
    },
    "t5": {"position": T5Bias(2, 8, 16), "scale": 1.0, "pattern": Local(2)},
    "nezha": {"position": Nezha(4, 3), "pattern": Sparse(1, 3), "dropout": 0.1, "seed": 3},
    "alibi": {"position": ALiBi(2), "normalize": True, "log_length": 9, "key_value_heads": 1},
}


@pytest.mark.parametrize("name", FORMS)
def test_saving_and_loading_changes_nothing(name, tmp_path):
    x = sample(BATCH, TIME, WIDTH)
    inputs = keras.Input((TIME, WIDTH))
    model = keras.Model(inputs, Attention(2, **FORMS[name])(inputs))
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(*run(lambda: (loaded(x), model(x))))
    layer, again = model.layers[-1], loaded.layers[-1]
    assert again.get_config() == layer.get_config()
    assert layer.compute_output_shape(x.shape) == x.shape


def test_a_shared_table_of_biases_stays_shared_in_a_file(tmp_path):
    shared = T5Bias(2, buckets=8, max_distance=16)
    inputs = keras.Input((TIME, WIDTH))
    x = Attention(2, position=shared)(inputs)
    model = keras.Model(inputs, Attention(2, position=shared)(x))
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert len(loaded.weights) == len(model.weights) == 17
    first, second = loaded.layers[1:]
    assert first.position is second.position
    data = sample(BATCH, TIME, WIDTH)
    np.testing.assert_array_equal(*run(lambda: (loaded(data), model(data))))


@pytest.mark.parametrize(
    ("dtype", "name"),
    [("mixed_float16", "plain"), ("mixed_float16", "nezha"), ("mixed_bfloat16", "rotary")],
)
def test_half_precision_is_close_to_single(dtype, name):
    x = sample(BATCH, TIME, WIDTH)
    whole, half = Attention(2, **FORMS[name]), Attention(2, **FORMS[name], dtype=dtype)
    half.build(x.shape)
    whole.build(x.shape)
    for mine, theirs in zip(half.trainable_weights, whole.trainable_weights, strict=True):
        mine.assign(theirs)
    got = output_of(half, x, mask=MASK)
    assert str(got.dtype) == dtype.removeprefix("mixed_")
    error = abs(got.astype("float32") - output_of(whole, x, mask=MASK)).max()
    assert error < (0.01 if dtype == "mixed_float16" else 0.08)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"heads": 0}, "`heads` must be at least 1. Received: heads=0"),
        ({"heads": 2, "value_width": 0}, "`value_width` must be at least 1. Received"),
        ({"heads": 4, "key_value_heads": 3}, "`key_value_heads` must divide `heads`. Received"),
        ({"heads": 2, "dropout": 1.0}, r"`dropout` must lie in \[0, 1\). Received: dropout=1.0"),
        ({"heads": 2, "log_length": 1}, "`log_length` must be at least 2. Received"),
        ({"heads": 2, "dropout": 0.1, "flash_attention": True}, "cannot drop.*Received"),
    ],
)
def test_arguments_that_do_not_fit_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        Attention(**arguments)


@pytest.mark.parametrize(
    ("form", "message"),
    [
        ({"heads": 3}, "`heads` must divide the width.*Received: heads=3, width=8"),
        ({"heads": 4, "position": ALiBi(2)}, "as many `heads` as the attention. Received: 2 and 4"),
        ({"heads": 2, "position": Nezha(3)}, "`width` of Nezha must equal.*Received: 3, 4 and 4"),
        ({"heads": 2, "position": Rotary(6)}, "`width` of Rotary must be even.*Received: width=6"),
        ({"heads": 8, "position": Rotary()}, "`width` of Rotary must be even.*Received: width=1"),
    ],
)
def test_widths_that_do_not_fit_are_named(form, message):
    with pytest.raises(ValueError, match=message):
        Attention(**form).build((None, None, WIDTH))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"mask": MASK.astype("int32")}, "`mask` must be boolean.*Received: dtype int32"),
        ({"mask": MASK[0]}, r"`mask` must have the shape \(batch, time\).*Received: \(7,\)"),
        ({"mask": MASK[:, :5]}, r"`mask` must fit the shape \(2, 7\). Received: \(2, 5\)"),
        ({"attention_mask": PAIRS[0, 0]}, "`attention_mask` must be boolean.*Received"),
        ({"attention_mask": PAIRS[:, :, :3]}, r"must fit the shape \(2, 2, 7, 7\). Received"),
        ({"attention_mask": sample(2, 7, 7)}, "`attention_mask` must be boolean.*Received"),
        ({"bias": sample(7, 7)}, r"`bias` must be \(batch, heads, query, key\). Received"),
        ({"bias": sample(1, 3, 7, 7)}, "`bias` must fit the shape.*Received"),
        ({"positions": np.arange(5)}, r"`positions` must be \(time,\).*Received"),
        ({"memory_mask": MASK}, "`memory_mask` needs a `memory` or a `cache`.*Received"),
        ({"cache_index": 0}, "`cache_index` needs a `cache`. Received: cache_index=0"),
        (
            {"memory": sample(2, 7)},
            r"`memory` must have the shape \(batch, time, width\). Received",
        ),
    ],
)
def test_calls_that_do_not_fit_are_named(arguments, message):
    layer = Attention(2)
    layer.build((None, None, WIDTH))
    with pytest.raises(ValueError, match=message):
        layer(sample(BATCH, TIME, WIDTH), **arguments)


@pytest.mark.parametrize("form", [{"position": ALiBi(2)}, {"pattern": Local(2)}])
def test_distance_means_nothing_between_two_texts(form):
    layer = Attention(2, **form)
    with pytest.raises(ValueError, match=r"needs self-attention.*Received"):
        layer(sample(BATCH, TIME, WIDTH), sample(BATCH, 5, WIDTH))


def test_inputs_of_the_wrong_rank_are_named():
    with pytest.raises(ValueError, match=r"`inputs` must have the shape.*Received: \(7, 8\)"):
        Attention(2)(sample(TIME, WIDTH))
