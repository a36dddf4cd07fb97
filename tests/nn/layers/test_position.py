"""Absolute positions: sines against float64, the rotation between places, tables that reach on."""

import keras
import numpy as np
import pytest
from attention_naive import array, run, sample
from keras import ops

from taolu.nn.layers.position import (
    PositionEmbedding,
    SinusoidalPosition,
    frequencies,
    rotation,
    sinusoids,
)

pytestmark = pytest.mark.usefixtures("fast_compile")


def by_hand(positions, width, interleaved=True):
    """The formula of the paper in float64, channel by channel."""
    rows = []
    for p in positions:
        pairs = [p / 10000 ** (2 * i / width) for i in range((width + 1) // 2)]
        sin, cos = np.sin(pairs), np.cos(pairs)[: width // 2]
        row = np.concatenate([sin, cos])
        if interleaved:
            row = np.empty(width)
            row[0::2], row[1::2] = sin, cos
        rows.append(row)
    return np.array(rows)


PLACES = np.array([0, 1, 2, 63, 64, 511, 4096, 100_000, 16_777_215])


@pytest.mark.parametrize("width", [1, 2, 7, 8])
@pytest.mark.parametrize("interleaved", [True, False])
def test_sines_equal_the_formula_at_every_place(width, interleaved):
    got = run(lambda: sinusoids(PLACES, width, interleaved=interleaved))
    assert got.shape == (len(PLACES), width)
    np.testing.assert_allclose(got, by_hand(PLACES, width, interleaved), atol=1e-6)


def test_a_step_of_k_is_a_rotation_that_knows_no_place():
    """R_k PE(p) = PE(p + k), with the same R_k for every p."""
    width, k = 8, 37
    angle = k * frequencies(width)
    step = np.zeros((width, width))
    for i, (c, s) in enumerate(zip(np.cos(angle), np.sin(angle), strict=True)):
        step[2 * i : 2 * i + 2, 2 * i : 2 * i + 2] = [[c, s], [-s, c]]
    here, there = run(lambda: (sinusoids(PLACES[:-1], width), sinusoids(PLACES[:-1] + k, width)))
    np.testing.assert_allclose(here @ step.T, there, atol=1e-6)


def test_angles_do_not_suffer_from_half_precision():
    x = np.zeros((1, 3, 4), "float32")
    layer = SinusoidalPosition(dtype="mixed_float16")
    places = ops.convert_to_tensor([[2047, 2048, 2049]])  # float16 cannot tell the last two apart
    got = run(lambda: layer(x, positions=places))
    assert str(got.dtype) == "float16"
    np.testing.assert_allclose(got[0], by_hand([2047, 2048, 2049], 4), atol=1e-3)


def test_places_to_the_left_of_the_first_turn_backwards():
    cos, sin = run(lambda: rotation(np.array([-3, 3]), frequencies(4)))
    np.testing.assert_allclose(cos[0], cos[1], atol=1e-7)
    np.testing.assert_allclose(sin[0], -sin[1], atol=1e-7)


def test_positions_are_added_or_set_beside():
    x = sample(2, 5, 4)
    added, beside = SinusoidalPosition(), SinusoidalPosition(width=3, concatenate=True)
    sums, pairs = run(lambda: (added(x), beside(x)))
    np.testing.assert_allclose(sums, x + by_hand(range(5), 4), atol=1e-6)
    np.testing.assert_array_equal(pairs[..., :4], x)
    np.testing.assert_allclose(pairs[1, :, 4:], by_hand(range(5), 3), atol=1e-6)
    assert beside.compute_output_shape((None, None, 4)) == (None, None, 7)


def test_rows_may_have_places_of_their_own():
    x, places = np.zeros((2, 3, 4), "float32"), np.array([[0, 1, 2], [5, 6, 7]])
    sines, table = SinusoidalPosition(), PositionEmbedding(8)
    table.build(x.shape)
    got, learned = run(lambda: (sines(x, positions=places), table(x, positions=places)))
    np.testing.assert_allclose(got[1], by_hand([5, 6, 7], 4), atol=1e-6)
    np.testing.assert_array_equal(learned[1], array(table.embeddings)[5:])


def test_a_learned_table_is_added():
    x, layer = sample(2, 3, 4), PositionEmbedding(5)
    layer.build(x.shape)
    np.testing.assert_allclose(run(lambda: layer(x)), x + array(layer.embeddings)[:3], atol=1e-7)
    assert [v.path for v in layer.weights] == [f"{layer.name}/embeddings"]


def test_a_table_reaches_the_square_of_its_length():
    """p_{(i-1)n+j} = a u_i + (1-a) u_j, and the trained places stay what they are."""
    length, alpha = 3, 0.4
    x = np.zeros((1, 9, 4), "float32")
    layer = PositionEmbedding(length, hierarchical=True, alpha=alpha)
    layer.build(x.shape)
    table = array(layer.embeddings)
    u = (table - alpha * table[0]) / (1 - alpha)
    got = run(lambda: layer(x))[0]
    np.testing.assert_allclose(got[:length], table, atol=1e-6)
    for i in range(length):
        for j in range(length):
            expected = alpha * u[i] + (1 - alpha) * u[j]
            np.testing.assert_allclose(got[i * length + j], expected, atol=1e-6)
    assert len({row.tobytes() for row in got.round(6)}) == 9


def test_a_functional_model_learns_its_positions():
    """A layer called on a constant inside a graph would freeze; these take the time from inputs."""
    inputs = keras.Input((None, 4))
    layer = PositionEmbedding(6)
    model = keras.Model(inputs, layer(SinusoidalPosition()(inputs)))
    model.compile("sgd", "mse")
    before = array(layer.embeddings)
    model.fit(sample(4, 5, 4), sample(4, 5, 4, seed=1), verbose=0)
    moved = abs(array(layer.embeddings) - before).max(axis=1)
    assert (moved[:5] > 0).all()
    assert moved[5] == 0


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: SinusoidalPosition(0), "`width` must be at least 1. Received: width=0"),
        (
            lambda: SinusoidalPosition(3)(np.zeros((1, 2, 4))),
            r"`width` must equal the width of the inputs.*Received: width=3, .*\(1, 2, 4\)",
        ),
        (
            lambda: SinusoidalPosition()(np.zeros((2, 4))),
            r"`inputs` must have the shape \(batch, time, width\). Received: \(2, 4\)",
        ),
        (lambda: PositionEmbedding(0), "`length` must be at least 1. Received: length=0"),
        (
            lambda: PositionEmbedding(4, alpha=0.5),
            r"`alpha` must lie in \(0, 1\), not at 0.5. Received: alpha=0.5",
        ),
        (
            lambda: PositionEmbedding(4)(np.zeros((1, 5, 2))),
            "must have at most 4 steps.*Received: 5 steps",
        ),
        (
            lambda: PositionEmbedding(2, hierarchical=True)(np.zeros((1, 5, 2))),
            "must have at most 4 steps.*Received: 5 steps",
        ),
    ],
)
def test_what_does_not_fit_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
