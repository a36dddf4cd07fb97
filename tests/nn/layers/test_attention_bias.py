"""Terms of distance: T5's buckets, ALiBi's slopes, NEZHA's vectors, each against its definition."""

import math

import numpy as np
import pytest
from attention_naive import BATCH, TIME, WIDTH, array, distances, layer_by_hand, output_of, sample
from keras import ops

from taolu.nn.layers.attention import Attention
from taolu.nn.layers.attention_bias import ALiBi, Nezha, T5Bias, relative_bucket, slopes

pytestmark = pytest.mark.usefixtures("fast_compile")


def buckets_by_hand(distance, buckets, most, bidirectional):
    """The definition of T5, one distance at a time."""
    base = 0
    if bidirectional:
        buckets //= 2
        base = buckets if distance > 0 else 0
        away = abs(distance)
    else:
        away = max(-distance, 0)
    exact = buckets // 2
    if away < exact:
        return base + away
    step = math.log(away / exact) / math.log(most / exact) * (buckets - exact)
    return base + min(exact + int(step + 1e-12), buckets - 1)


@pytest.mark.parametrize("bidirectional", [True, False])
@pytest.mark.parametrize(("buckets", "most"), [(32, 128), (8, 20), (6, 9)])
def test_buckets_equal_their_definition(buckets, most, bidirectional):
    distance = np.arange(-2 * most, 2 * most + 1)
    got = array(relative_bucket(ops.convert_to_tensor(distance), buckets, most, bidirectional))
    expected = [buckets_by_hand(d, buckets, most, bidirectional) for d in distance]
    np.testing.assert_array_equal(got, expected)
    assert set(got) <= set(range(buckets))


def test_attention_adds_the_bias_of_t5():
    x, bias = sample(BATCH, TIME, WIDTH), T5Bias(2, buckets=8, max_distance=9)
    layer = Attention(2, position=bias, scale=1.0)
    layer.build(x.shape)
    table = sample(8, 2, seed=7)
    bias.embeddings.assign(table)
    pairs = [[table[buckets_by_hand(d, 8, 9, True)] for d in row] for row in distances(TIME)]
    expected = layer_by_hand(layer, x, bias=np.array(pairs).transpose(2, 0, 1))
    np.testing.assert_allclose(output_of(layer, x), expected, atol=1e-5)


def test_one_bias_computed_once_serves_many_layers():
    x, bias = sample(BATCH, TIME, WIDTH), T5Bias(2, buckets=8, max_distance=9)
    layer, plain = Attention(2, position=bias), Attention(2)
    layer.build(x.shape)
    plain.build(x.shape)
    values = {v.path.split("/", 1)[1]: v for v in layer.weights}
    for v in plain.weights:
        v.assign(values[v.path.split("/", 1)[1]])
    given = output_of(plain, x, bias=bias(ops.convert_to_tensor(x)))
    np.testing.assert_allclose(output_of(layer, x), given, atol=1e-6)


def test_a_bias_between_two_texts_has_their_lengths():
    queries, keys = ops.zeros((2, 3, 4)), ops.zeros((2, 5, 4))
    for layer in (T5Bias(2, 8, 9), ALiBi(2)):
        assert tuple(layer(queries, keys).shape) == (1, 2, 3, 5)
        assert layer.compute_output_shape((2, 3, 4), (2, 5, 4)) == (1, 2, 3, 5)
    assert tuple(Nezha(4)(queries, keys).shape) == (3, 5, 4)


@pytest.mark.parametrize("heads", [1, 2, 6, 8, 12])
def test_slopes_are_those_of_the_paper(heads):
    def by_hand(n):
        if math.log2(n).is_integer():
            start = 2 ** (-8 / n)
            return [start ** (i + 1) for i in range(n)]
        power = 2 ** math.floor(math.log2(n))
        return by_hand(power) + by_hand(2 * power)[0::2][: n - power]

    np.testing.assert_allclose(slopes(heads), by_hand(heads), rtol=1e-12)


def test_attention_subtracts_the_distance_of_alibi():
    x, layer = sample(BATCH, TIME, WIDTH), Attention(2, position=ALiBi(2), causal=True)
    bias = -np.array([2.0**-4, 2.0**-8])[:, None, None] * abs(distances(TIME))
    got = output_of(layer, x)
    expected = layer_by_hand(layer, x, bias=bias, shown=distances(TIME) <= 0)
    np.testing.assert_allclose(got, expected, atol=1e-5)


def test_attention_adds_the_vectors_of_nezha_to_keys_and_values():
    x, layer = sample(BATCH, TIME, WIDTH), Attention(2, position=Nezha(4, max_distance=3))
    place = np.clip(distances(TIME), -3, 3) + 3
    angle = place[..., None] / 10000.0 ** (np.arange(2) / 2)
    vectors = np.stack([np.sin(angle), np.cos(angle)], axis=-1).reshape(TIME, TIME, 4)
    got = output_of(layer, x)
    np.testing.assert_allclose(got, layer_by_hand(layer, x, vectors=vectors), atol=1e-5)
    table = array(layer.position(ops.convert_to_tensor(x)))
    np.testing.assert_allclose(table, vectors, atol=1e-6)


def test_distances_far_beyond_the_table_are_finite():
    far = ops.convert_to_tensor(np.array([[-(10**6), 10**6]]))
    table = T5Bias(2, buckets=8, max_distance=9)
    table.build()
    bias = array(table.bias(far))
    assert bias.shape == (2, 1, 2)
    np.testing.assert_array_equal(bias[:, 0, 0], array(table.embeddings)[3])
    np.testing.assert_array_equal(bias[:, 0, 1], array(table.embeddings)[7])
    assert np.isfinite(array(Nezha(4).vectors(far))).all()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: T5Bias(0), "`heads` must be at least 1. Received: heads=0"),
        (lambda: ALiBi(0), "`heads` must be at least 1. Received: heads=0"),
        (lambda: T5Bias(2, buckets=5), "`buckets` must be at least 4, and even.*Received"),
        (
            lambda: T5Bias(2, buckets=8, max_distance=2),
            "`max_distance` must exceed the 2.*Received",
        ),
        (lambda: Nezha(0), "`width` and `max_distance` must be at least 1. Received: width=0"),
    ],
)
def test_arguments_out_of_range_are_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()
