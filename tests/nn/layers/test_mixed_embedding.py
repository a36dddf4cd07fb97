"""Mixed embedding: characters plus the projected vector of their word; what is unknown is text."""

import keras
import numpy as np
import pytest
from samples import numpy

from taolu.nn.layers.mixed_embedding import MixedEmbedding
from taolu.nn.layers.pooling import MeanPooling

pytestmark = pytest.mark.usefixtures("fast_compile")

# 知识 就 是 力量 and padding; the third word is unknown.
CHARACTERS = np.array([[2, 3, 4, 5, 6, 7, 0, 0]], "int32")
WORDS = np.array([[2, 2, 3, 1, 4, 4, 0, 0]], "int32")


def built(**options):
    layer = MixedEmbedding(characters=8, words=5, width=4, word_width=3, **options)
    layer.build(CHARACTERS.shape, WORDS.shape)
    return layer


def test_it_is_its_formula():
    layer = built()
    characters, words, projection = (numpy(weight) for weight in layer.weights)
    found = numpy(layer(CHARACTERS, words=WORDS))
    np.testing.assert_allclose(
        found, characters[CHARACTERS] + words[WORDS] @ projection, rtol=0, atol=1e-6
    )
    # A word stands at each of its characters: without the characters these are equal.
    rest = found - characters[CHARACTERS]
    np.testing.assert_allclose(rest[0, 0], rest[0, 1], rtol=0, atol=1e-6)
    assert not np.allclose(rest[0, 1], rest[0, 2])


def test_what_is_unknown_is_text_and_only_padding_is_masked():
    characters = np.array([[2, 1, 3, 0]], "int32")
    assert numpy(built().compute_mask(characters)).tolist() == [[True, True, True, False]]
    assert built(mask_zero=False).compute_mask(characters) is None
    given = np.array([[True, True, False, False]])
    np.testing.assert_array_equal(built().compute_mask(characters, given), given)


def test_the_mask_reaches_the_next_layer():
    inputs = [keras.Input((None,), dtype="int32", name=name) for name in ("characters", "words")]
    layer = built()
    model = keras.Model(inputs, MeanPooling()(layer(inputs[0], words=inputs[1])))
    found = numpy(model([CHARACTERS, WORDS]))
    wanted = numpy(layer(CHARACTERS, words=WORDS))[:, :6].mean(axis=1)
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-6)


def test_words_learned_elsewhere_may_stay_as_they_are():
    layer = built(train_words=False)
    vectors = np.arange(15, dtype="float32").reshape(5, 3)
    layer.word.embeddings.assign(vectors)
    assert [w.path.split("/")[-2] for w in layer.trainable_weights] == ["character", "projection"]
    np.testing.assert_array_equal(numpy(layer.non_trainable_weights[0]), vectors)


def test_wrong_arguments_are_named():
    for name in ("characters", "words", "width", "word_width"):
        numbers = {"characters": 8, "words": 5, "width": 4, name: 0}
        with pytest.raises(ValueError, match=rf"`{name}` must be at least 1\. Received: {name}=0"):
            MixedEmbedding(**numbers)
    layer = MixedEmbedding(8, 5, 4)
    with pytest.raises(ValueError, match=r"`words` must have the shape .* Received: \(1, 8, 1\)"):
        layer(CHARACTERS, words=WORDS[..., None])
