"""Bidirectional: each row by itself, without padding, is the truth."""

import keras
import numpy as np
import pytest
from keras import ops
from samples import compiled, numpy, prefixes

from taolu.nn.layers.bidirectional import Bidirectional
from taolu.nn.layers.gated_convolution import GatedConvolution

pytestmark = pytest.mark.usefixtures("fast_compile")

X = np.random.default_rng(0).normal(size=(3, 6, 4)).astype("float32")
RIGHT = prefixes((6, 3, 3))
HOLES = np.array([[1, 1, 0, 1, 0, 1], [0, 0, 1, 1, 1, 1], [0, 1, 0, 1, 1, 1]], bool)
RNNS = ("LSTM", "GRU", "SimpleRNN")
MERGES = {
    "concat": lambda a, b: np.concatenate([a, b], axis=-1),
    "sum": lambda a, b: a + b,
    "mul": lambda a, b: a * b,
    "ave": lambda a, b: (a + b) / 2,
}


def loop(layer, mask):
    """Each row without its padding through both layers; what came backwards is turned around."""
    run = compiled(lambda x: (layer.layer(x), layer.backward(ops.flip(x, axis=1))))
    for x, real in zip(X, mask, strict=True):
        there, back = (numpy(y)[0] for y in run(x[real][None]))
        yield there, back[::-1] if back.ndim == 2 else back


def outputs(layer, mask):
    """The answers of both directions, and of every way to merge them, from one program."""

    def run(x, mask):
        found = {}
        for layer.merge in (None, *MERGES):
            found[str(layer.merge)] = layer(x, mask=mask)
        return found

    found = compiled(run)(X, mask)
    there, back = found.pop("None")
    return numpy(there), numpy(back), {merge: numpy(x) for merge, x in found.items()}


def check(layer, mask, figure=lambda name, value: None):
    """Asserts that the layer gives for a padded batch what it gives for each text by itself."""
    there, back, rest = outputs(layer, mask)
    for row, (first, second) in enumerate(loop(layer, mask)):
        pick = (row, mask[row]) if first.ndim == 2 else row
        np.testing.assert_allclose(there[pick], first, rtol=0, atol=1e-6)
        np.testing.assert_allclose(back[pick], second, rtol=0, atol=1e-6)
        for one, other in ((there[pick], first), (back[pick], second)):
            figure("bidirectional, beside a loop over texts", np.abs(one - other).max())
        for merge, found in rest.items():
            np.testing.assert_allclose(found[pick], MERGES[merge](first, second), rtol=0, atol=1e-6)
        if first.ndim == 2:
            assert not any(found[row, ~mask[row]].any() for found in rest.values())


@pytest.mark.parametrize("name", RNNS)
@pytest.mark.parametrize("sequences", [True, False], ids=["every step", "last state"])
def test_a_padded_batch_is_a_loop_over_texts(name, sequences, figure):
    layer = Bidirectional(getattr(keras.layers, name)(3, return_sequences=sequences))
    layer.build(X.shape)
    check(layer, RIGHT, figure)


@pytest.mark.parametrize("mask", [RIGHT, HOLES, RIGHT[:, ::-1]], ids=["right", "holes", "left"])
def test_a_layer_that_knows_no_masks_never_meets_padding(mask):
    layer = Bidirectional(keras.layers.Conv1D(2, 3, padding="causal"))
    layer.build(X.shape)
    check(layer, mask)


def test_keras_gives_the_same_numbers_for_its_own_layers():
    """The layer of Keras, given the mask, is right too; without it the way back reads padding."""
    rnn = keras.layers.SimpleRNN(3, return_sequences=True, kernel_initializer="ones")
    ours, theirs = Bidirectional(rnn), keras.layers.Bidirectional(rnn)
    ours.build(X.shape)
    theirs.build(X.shape)
    theirs.set_weights(ours.get_weights())
    run = compiled(lambda x, mask: (ours(x, mask=mask), theirs(x, mask=mask), theirs(x)))
    found, wanted, unmasked = (numpy(x) for x in run(X, RIGHT))
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-6)
    assert np.abs(unmasked - wanted)[RIGHT].max() > 0.01


def test_a_cell_becomes_a_layer():
    cell = keras.layers.GRUCell(3)
    layer = Bidirectional(cell, keras.layers.LSTMCell(3), merge="sum")
    assert layer.layer.cell is cell
    assert layer.compute_output_shape((3, 6, 4)) == (3, 6, 3)
    twin = Bidirectional.from_config(layer.get_config())
    assert [type(x.cell).__name__ for x in (twin.layer, twin.backward)] == ["GRUCell", "LSTMCell"]


def test_the_two_directions_have_weights_of_their_own():
    layer = Bidirectional(GatedConvolution(2, causal=True))
    layer.build(X.shape)
    forward, backward = (numpy(x.weights[0]) for x in (layer.layer, layer.backward))
    assert layer.backward is not layer.layer
    assert not np.array_equal(forward, backward)
    assert len(layer.weights) == 4


def test_reversing_a_text_swaps_the_directions():
    layer = Bidirectional(keras.layers.SimpleRNN(2, return_sequences=True), merge=None)
    layer.build(X.shape)
    for weight, other in zip(layer.backward.weights, layer.layer.weights, strict=True):
        weight.assign(other)
    run = compiled(lambda x: layer(x))
    there, back = (numpy(x) for x in run(X))
    turned_there, turned_back = (numpy(x) for x in run(X[:, ::-1].copy()))
    np.testing.assert_allclose(turned_back[:, ::-1], there, rtol=0, atol=1e-6)
    np.testing.assert_allclose(turned_there[:, ::-1], back, rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Bidirectional(keras.layers.GRU(2), merge="avg"), "`merge` must be one of .*'avg'"),
        (lambda: Bidirectional("GRU"), "`layer` must be a Keras layer or cell. Received: 'GRU'"),
        (
            lambda: Bidirectional(keras.layers.GRU(2), ops.tanh),
            "`backward` must be a Keras layer or cell",
        ),
        (
            lambda: Bidirectional(keras.layers.GRU(2, return_state=True)),
            r"neither return nor keep its state. Received: GRU\(return_state=True\)",
        ),
        (
            lambda: Bidirectional(keras.layers.GRU(2, go_backwards=True)),
            r"must read forwards .* Received: GRU\(go_backwards=True\)",
        ),
    ],
)
def test_wrong_arguments_are_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_a_layer_without_mask_must_give_every_step():
    with pytest.raises(ValueError, match=r"unless it takes a mask\. Received: GlobalMaxPooling1D"):
        Bidirectional(keras.layers.GlobalMaxPooling1D()).build(X.shape)
