"""Networks that tag: every encoder with every input, and padding changes no real step."""

import numpy as np
import pytest
from keras import ops

from taolu.nn.layers import CRF, GlobalPointer
from taolu.nn.models import TagModel
from taolu.nn.models.tag_network import (
    TagInputs,
    assign_vectors,
    tag_network,
    take_weights,
    vectors_width,
)

pytestmark = pytest.mark.usefixtures("fast_compile")

INPUTS = TagInputs(characters=9, pairs=12, matches=(3, 2), words=7)
SMALL = {"width": 8, "depth": 1, "character_width": 6, "pair_width": 4}


def sample(length, width, seed=0):
    """Ids of one text, padded with zeros to a width."""
    rng = np.random.default_rng(seed)
    ids = {
        "characters": rng.integers(1, 9, (1, length)),
        "pairs": rng.integers(1, 12, (1, length)),
        "matches": rng.integers(0, 2, (1, length, 2)),
        "words": rng.integers(1, 7, (1, length)),
    }
    space = [(0, 0), (0, width - length), (0, 0)]
    return {name: np.pad(x, space[: x.ndim]).astype("int32") for name, x in ids.items()}


@pytest.mark.parametrize("encoder", ["convolution", "recurrent", "transformer"])
def test_padding_changes_no_score(encoder):
    model = tag_network(INPUTS, CRF(), 5, encoder=encoder, **SMALL)
    tight, wide = (ops.convert_to_numpy(model(sample(4, width))) for width in (4, 7))
    assert tight.shape == (1, 4, 5)
    np.testing.assert_allclose(wide[:, :4], tight, atol=1e-5)
    assert np.abs(tight).max() > 1e-4


def test_a_span_head_takes_the_steps_of_the_encoder(tmp_path):
    model = tag_network(INPUTS, GlobalPointer(2, head_width=4), 8, **SMALL)
    tight, wide = (ops.convert_to_numpy(model(sample(4, width))) for width in (4, 6))
    assert tight.shape == (1, 2, 4, 4)
    np.testing.assert_allclose(wide[:, :, :4, :4], tight, atol=1e-5)


def test_every_input_matters():
    model = tag_network(INPUTS, CRF(), 5, **SMALL)
    before = ops.convert_to_numpy(model(sample(4, 4)))
    for name in ("characters", "pairs", "matches", "words"):
        changed = sample(4, 4)
        changed[name] = sample(4, 4, seed=3)[name]
        assert np.abs(ops.convert_to_numpy(model(changed)) - before).max() > 1e-5, name


def test_a_saved_network_gives_the_same_scores(tmp_path):
    import keras

    model = tag_network(INPUTS, CRF(), 5, **SMALL)
    model.save(tmp_path / "m.keras")
    again = keras.saving.load_model(tmp_path / "m.keras")
    assert isinstance(again, TagModel)
    x = sample(5, 6)
    np.testing.assert_array_equal(*(ops.convert_to_numpy(m(x)) for m in (model, again)))


def test_seeds_decide_the_weights():
    one, same, other = (tag_network(INPUTS, CRF(), 5, seed=s, **SMALL) for s in (1, 1, 2))
    pairs = [one.get_layer("scores"), same.get_layer("scores"), other.get_layer("scores")]
    weights = [layer.get_weights()[0] for layer in pairs]
    np.testing.assert_array_equal(weights[0], weights[1])
    assert np.abs(weights[0] - weights[2]).max() > 1e-3


def test_vectors_come_scaled_and_centred_to_the_characters_they_belong_to():
    for inputs in (INPUTS, TagInputs(9)):
        model = tag_network(inputs, CRF(), 5, **SMALL)
        assert vectors_width(model) == 6
        rng = np.random.default_rng(0)
        given = {i: rng.normal(5, 3, 6) for i in (2, 4, 5)}
        layer = model.get_layer("characters_embedding")
        before = layer.get_weights()[0].copy()
        assign_vectors(model, given)
        after = layer.get_weights()[0]
        wanted = np.array(list(given.values()))
        wanted = wanted - wanted.mean(axis=0)
        np.testing.assert_allclose(
            after[[2, 4, 5]], wanted * 0.1 / np.sqrt((wanted**2).mean()), rtol=1e-5
        )
        np.testing.assert_array_equal(after[[0, 1, 3, 6]], before[[0, 1, 3, 6]])
    with pytest.raises(ValueError, match=r"must have 6 numbers.*Received: 3"):
        assign_vectors(model, {2: np.ones(3)})


def test_weights_are_taken_where_they_fit():
    one = tag_network(INPUTS, CRF(name="head"), 5, seed=1, **SMALL)
    same = tag_network(INPUTS, CRF(name="head"), 5, seed=2, **SMALL)
    assert take_weights(same, one) == []
    x = sample(4, 4)
    np.testing.assert_array_equal(*(ops.convert_to_numpy(m(x)) for m in (one, same)))
    other = tag_network(INPUTS, CRF(name="head"), 3, seed=2, **SMALL)
    assert take_weights(other, one) == ["scores", "head"]


def test_what_does_not_go_is_named():
    with pytest.raises(ValueError, match=r"`encoder` must be one of .*Received: 'lstm'"):
        tag_network(INPUTS, CRF(), 5, encoder="lstm")
    with pytest.raises(ValueError, match=r"`width` must be at least 1\. Received: width=0"):
        tag_network(INPUTS, CRF(), 5, width=0)
