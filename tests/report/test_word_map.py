"""The map of words: similar vectors near each other, always the same, whatever comes in."""

import numpy as np
import pytest

from taolu.report.word_map import place_words


def planted(groups=4, each=12, width=9):
    draw = np.random.default_rng(3)
    middles = np.linalg.qr(draw.normal(size=(width, width)))[0][:groups]
    return np.repeat(middles, each, axis=0) + 0.1 * draw.normal(size=(groups * each, width))


def test_words_of_one_kind_stand_together():
    vectors = planted()
    places = place_words(vectors)
    apart = np.hypot(*(places[:, None] - places[None]).T)
    np.fill_diagonal(apart, np.inf)
    kinds = np.repeat(np.arange(4), 12)
    nearest = np.argsort(apart, axis=1)[:, :8]
    assert (kinds[nearest] == kinds[:, None]).mean() > 0.99
    assert places.min() == 0
    assert places.max(axis=0) == pytest.approx([1, 1])


def test_the_same_vectors_give_the_same_map():
    assert np.array_equal(place_words(planted()), place_words(planted()))


@pytest.mark.parametrize(
    "vectors",
    [
        np.empty((0, 3)),
        np.ones((1, 3)),
        np.ones((3, 3)),
        np.ones((9, 1)),
        np.zeros((40, 3)),
        np.repeat(np.eye(3), 20, axis=0),
    ],
    ids=["none", "one", "three", "all the same", "all zero", "twenty on a place"],
)
def test_strange_vectors_have_places_too(vectors):
    places = place_words(vectors)
    assert places.shape == (len(vectors), 2)
    assert np.isfinite(places).all()
    assert ((places >= 0) & (places <= 1)).all()
