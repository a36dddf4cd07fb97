"""Rotary positions: complex multiplication in float64, distances only, and slower rotation."""

import keras
import numpy as np
import pytest
from attention_naive import run, sample
from keras import ops

from taolu.nn.layers.position import frequencies
from taolu.nn.layers.rotary import LinearScaling, NTKScaling, Rotary, YaRNScaling

pytestmark = pytest.mark.usefixtures("fast_compile")


def by_hand(x, positions, width, interleaved, frequency=None, growth=1.0):
    """Pairs of channels as complex numbers, turned by the position times the frequency."""
    frequency = frequencies(width) if frequency is None else frequency
    y = x.astype("float64").copy()
    for t, p in enumerate(positions):
        for i in range(width // 2):
            a, b = (2 * i, 2 * i + 1) if interleaved else (i, i + width // 2)
            z = (x[:, t, :, a] + 1j * x[:, t, :, b]) * np.exp(1j * p * frequency[i]) * growth
            y[:, t, :, a], y[:, t, :, b] = z.real, z.imag
    return y


@pytest.mark.parametrize("interleaved", [True, False])
@pytest.mark.parametrize("width", [None, 4])
def test_pairs_turn_as_complex_numbers(interleaved, width):
    x, places = sample(2, 3, 2, 8), np.array([0, 7, 12345])
    layer = Rotary(width, interleaved=interleaved)
    got = run(lambda: layer(x, positions=places))
    expected = by_hand(x, places, width or 8, interleaved)
    np.testing.assert_allclose(got, expected, atol=1e-5)


def test_scores_depend_on_the_distance_alone():
    query, key = sample(1, 1, 1, 8), sample(1, 1, 1, 8, seed=1)
    layer = Rotary()

    def score(m, n):
        turned = [layer(x, positions=ops.array([p])) for x, p in ((query, m), (key, n))]
        return ops.sum(turned[0] * turned[1])

    near = [(3, 0), (103, 100), (100_003, 100_000)]
    scores = run(lambda: ops.stack([score(m, n) for m, n in [*near, (4, 0)]]))
    np.testing.assert_allclose(scores[:3], scores[0], atol=1e-5)
    assert abs(scores[3] - scores[0]) > 0.01


@pytest.mark.parametrize(
    "scaling", [LinearScaling(4.0), NTKScaling(4.0), YaRNScaling(4.0, 64)], ids=lambda s: str(s)
)
def test_a_scaling_slows_the_rotation(scaling):
    x, places = sample(1, 3, 1, 8), np.array([0, 5, 50])
    frequency, growth = scaling.apply(8, 10000.0)
    got = run(lambda: Rotary(scaling=scaling)(x, positions=places))
    expected = by_hand(x, places, 8, False, frequency, growth)
    np.testing.assert_allclose(got, expected, atol=1e-5)
    assert (frequency <= frequencies(8) * (1 + 1e-12)).all()
    assert frequency[-1] == pytest.approx(frequencies(8)[-1] / 4)


def test_what_each_scaling_does_to_the_fastest_pair():
    assert LinearScaling(4.0).apply(8, 1e4)[0][0] == 0.25
    assert NTKScaling(4.0).apply(8, 1e4)[0][0] == 1
    assert YaRNScaling(4.0, 4096).apply(8, 1e4)[0][0] == 1
    assert YaRNScaling(4.0, 4096).apply(8, 1e4)[1] == pytest.approx(0.1 * np.log(4) + 1)
    for scaling in (LinearScaling(1.0), NTKScaling(1.0), YaRNScaling(1.0, 64)):
        frequency, growth = scaling.apply(8, 1e4)
        np.testing.assert_allclose(frequency, frequencies(8))
        assert growth == 1


def test_a_rotation_keeps_lengths_and_half_precision_is_close():
    x = sample(1, 3, 1, 8)
    whole, half = Rotary(), Rotary(dtype="mixed_float16")
    got, close = run(lambda: (whole(x), half(x)))
    np.testing.assert_allclose((got**2).sum(-1), (x**2).sum(-1), rtol=1e-5)
    assert str(close.dtype) == "float16"
    np.testing.assert_allclose(close, got, atol=5e-3)


def test_a_configuration_makes_the_same_layer():
    layer = Rotary(4, base=500.0, interleaved=True, scaling=YaRNScaling(2.0, 64, fast=16.0))
    again = Rotary.from_config(layer.get_config())
    assert again.scaling == layer.scaling
    assert again.get_config() == layer.get_config()
    assert keras.saving.get_registered_name(Rotary) == "taolu>Rotary"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Rotary(3), "`width` must be even and at least 2. Received: width=3"),
        (lambda: Rotary(base=1.0), "`base` must exceed 1. Received: base=1.0"),
        (lambda: Rotary()(np.zeros((1, 2, 1, 5))), "must be even.*Received: width=5"),
        (lambda: Rotary(6)(np.zeros((1, 2, 1, 4))), "fit into a head.*head_width=4"),
        (lambda: LinearScaling(0.5), "`factor` must be at least 1. Received: factor=0.5"),
        (lambda: YaRNScaling(2.0, 0), "`length` must be at least 1. Received: length=0"),
    ],
)
def test_what_does_not_fit_is_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()
