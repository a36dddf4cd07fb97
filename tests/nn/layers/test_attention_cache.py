"""Writing step by step with a cache gives what reading the whole text at once gives."""

import keras
import numpy as np
import pytest
from attention_naive import BATCH, TIME, WIDTH, array, output_of, run, sample
from keras import ops

from taolu.nn.layers import kv_cache
from taolu.nn.layers.attention import Attention
from taolu.nn.layers.attention_bias import ALiBi, Nezha, T5Bias
from taolu.nn.layers.attention_pattern import Local
from taolu.nn.layers.rotary import Rotary

pytestmark = pytest.mark.usefixtures("fast_compile")

FORMS = {
    "plain": {},
    "rotary, grouped": {"position": Rotary(), "key_value_heads": 1},
    "t5, local": {"position": T5Bias(2, 8, 9, bidirectional=False), "pattern": Local(2)},
    "nezha": {"position": Nezha(4, 3)},
    "alibi, normalised": {"position": ALiBi(2), "normalize": True, "log_length": 4},
}


def written(layer, x, first, length, **arguments):
    """Outputs of a prompt of `first` steps and then one step at a time, in one array."""

    def steps(x):
        cache, outputs = layer.make_cache(len(x), length), []
        for start, end in [(0, first), *((t, t + 1) for t in range(first, x.shape[1]))]:
            given = {k: v(start, end) for k, v in arguments.items()}
            output, cache = layer(x[:, start:end], cache=cache, cache_index=start, **given)
            outputs.append(output)
        return ops.concatenate(outputs, axis=1)

    return run(steps, ops.convert_to_tensor(x))


@pytest.mark.parametrize("name", FORMS)
def test_step_by_step_equals_the_whole_text(name):
    x, layer = sample(BATCH, 5, WIDTH), Attention(2, causal=True, **FORMS[name])
    expected = output_of(layer, x)
    np.testing.assert_allclose(written(layer, x, 2, length=7), expected, atol=1e-5)


def test_an_index_may_be_a_tensor_so_that_one_step_is_compiled_for_all():
    x, layer = sample(BATCH, TIME, WIDTH), Attention(2, causal=True, position=Rotary())
    expected = output_of(layer, x)
    step = layer
    if keras.backend.backend() == "jax":
        import jax

        step = jax.jit(lambda x, cache, i: layer(x, cache=cache, cache_index=i))
    cache, outputs = layer.make_cache(BATCH, TIME), []
    for i in range(TIME):
        given = (x[:, i : i + 1], cache, ops.convert_to_tensor(i))
        if keras.backend.backend() != "jax":
            output, cache = layer(given[0], cache=cache, cache_index=given[2])
        else:
            output, cache = step(*given)
        outputs.append(array(output))
    np.testing.assert_allclose(np.concatenate(outputs, axis=1), expected, atol=1e-5)


@pytest.mark.parametrize("position", [Rotary(), T5Bias(2, 8, 9)], ids=lambda p: p.name)
def test_prompts_of_different_lengths_padded_on_the_left(position):
    """Each row as if alone: rotary and distances see the same steps apart, wherever they stand."""
    x, pads = sample(BATCH, 5, WIDTH), [0, 2]
    layer = Attention(2, causal=True, position=position)
    mask = np.arange(5)[None, :] >= np.array(pads)[:, None]
    slots = np.concatenate([mask, np.ones((BATCH, 2), bool)], axis=1)
    layer.build(x.shape)
    got = written(
        layer, x, 3, length=7, mask=lambda a, b: mask[:, a:b], memory_mask=lambda a, b: slots
    )
    for row, pad in enumerate(pads):
        alone = output_of(layer, x[row : row + 1, pad:])
        np.testing.assert_allclose(got[row, pad:], alone[0], atol=1e-5)
        assert not got[row, :pad].any()


def test_prompts_of_different_lengths_with_an_index_for_each_row():
    """Padding on the right, then each row goes on where it stopped: nothing is ever left empty."""
    x, lengths = sample(BATCH, 5, WIDTH), np.array([3, 1])
    layer = Attention(2, causal=True, position=Rotary())
    layer.build(x.shape)

    def steps(x):
        cache = layer.make_cache(BATCH, 5)
        prompt = np.arange(3)[None, :] < lengths[:, None]
        _, cache = layer(x[:, :3], mask=prompt, cache=cache, cache_index=0)
        outputs = []
        for t in range(2):
            place = ops.convert_to_tensor(lengths + t)
            now = ops.take_along_axis(x, place[:, None, None], axis=1)
            output, cache = layer(now, cache=cache, cache_index=place)
            outputs.append(output)
        return ops.concatenate(outputs, axis=1)

    got = run(steps, ops.convert_to_tensor(x))
    expected = output_of(layer, x)
    for row, length in enumerate(lengths):
        np.testing.assert_allclose(got[row], expected[row, length : length + 2], atol=1e-5)


def test_slots_that_are_not_written_are_hidden_without_a_causal_mask():
    x, layer = sample(BATCH, 4, WIDTH), Attention(2)
    layer.build(x.shape)
    cache = tuple(c + 5.0 for c in layer.make_cache(BATCH, 9))  # what an old text left behind
    got, _ = run(lambda: layer(x, cache=cache, cache_index=0))
    np.testing.assert_allclose(got, output_of(layer, x), atol=1e-5)


def test_padding_in_the_prompt_is_hidden_in_the_call_that_writes_it():
    x, mask = sample(BATCH, 4, WIDTH), np.array([[True] * 4, [True, True, False, False]])
    layer = Attention(2)
    layer.build(x.shape)
    got, _ = run(lambda: layer(x, mask=mask, cache=layer.make_cache(BATCH, 6), cache_index=0))
    np.testing.assert_allclose(got, output_of(layer, x, mask=mask), atol=1e-5)


def test_write_puts_steps_where_they_belong():
    cache = ops.zeros((2, 4, 1, 1))
    new = ops.reshape(ops.arange(1.0, 5.0), (2, 2, 1, 1))
    assert array(kv_cache.write(cache, new, 1))[..., 0, 0].tolist() == [[0, 1, 2, 0], [0, 3, 4, 0]]
    rows = array(kv_cache.write(cache, new, ops.convert_to_tensor([0, 3])))[..., 0, 0]
    assert rows.tolist() == [[1, 2, 0, 0], [0, 0, 0, 3]]  # the last step finds no room


def test_a_cache_is_in_the_compute_dtype_and_two_arrays():
    layer = Attention(4, head_width=2, value_width=3, key_value_heads=2, dtype="mixed_bfloat16")
    layer.build((None, None, WIDTH))
    key, value = layer.make_cache(3, 5)
    assert tuple(key.shape) == (3, 5, 2, 2)
    assert tuple(value.shape) == (3, 5, 2, 3)
    assert keras.backend.standardize_dtype(key.dtype) == "bfloat16"
    x = sample(3, 1, WIDTH)
    output, cache = output_of(layer, x, cache=(key, value), cache_index=0)
    assert layer.compute_output_shape(x.shape, cache_shape=(key.shape, value.shape)) == (
        output.shape,
        tuple(c.shape for c in cache),
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"cache_index": 5}, "`cache_index` must leave room for 2 steps in a cache of 6. Received"),
        ({"cache_index": -1}, "`cache_index` must leave room.*Received: cache_index=-1"),
        ({"cache": (np.zeros((2, 6, 2, 4), "float32"),)}, "`cache` must be keys.*Received"),
        ({"cache": [np.zeros((2, 6, 1, 4), "float32")] * 2}, "`cache` must be keys.*Received"),
        ({"memory": sample(2, 3, 8)}, "`memory` and `cache` exclude each other.*Received"),
        ({"memory_mask": np.ones((2, 5), bool)}, r"must fit the shape \(2, 6\). Received"),
    ],
)
def test_a_cache_that_does_not_fit_is_named(arguments, message):
    layer = Attention(2)
    layer.build((None, None, WIDTH))
    given = {"cache": layer.make_cache(BATCH, 6), "cache_index": 0, **arguments}
    with pytest.raises(ValueError, match=message):
        layer(sample(BATCH, 2, WIDTH), **given)


def test_a_cache_of_a_layer_that_is_not_built_is_refused():
    with pytest.raises(ValueError, match=r"must be built before its cache. Received"):
        Attention(2).make_cache(1, 5)


def test_a_cache_that_is_only_read_has_no_distances():
    layer = Attention(2, position=ALiBi(2))
    layer.build((None, None, WIDTH))
    with pytest.raises(ValueError, match=r"`position` needs self-attention.*Received"):
        layer(sample(BATCH, 2, WIDTH), cache=layer.make_cache(BATCH, 6))
