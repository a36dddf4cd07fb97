"""Word vectors: neighbours and analogies against plain cosines, and what is refused."""

import math

import numpy as np
import pytest

from taolu.mine.word_vectors import WordVectors

NAMES = tuple(f"词{i}" for i in range(40))


def random_vectors(seed=0, words=NAMES):
    rng = np.random.default_rng(seed)
    return WordVectors(words, rng.standard_normal((len(words), 6)), np.arange(len(words))[::-1])


def cosine(one, other):
    one, other = one.astype(float), other.astype(float)
    return sum(one * other) / math.sqrt(sum(one * one) * sum(other * other))


def test_similarity_and_neighbours_are_those_of_plain_cosines():
    found = random_vectors()
    assert len(found) == 40
    assert "词3" in found
    assert "词40" not in found
    for word in NAMES[:5]:
        truth = {other: cosine(found[word], found[other]) for other in NAMES if other != word}
        best = sorted(truth, key=truth.get, reverse=True)
        near = found.most_similar(word, top=7)
        assert [name for name, _ in near] == best[:7]
        assert [value for _, value in near] == pytest.approx([truth[n] for n in best[:7]], abs=1e-6)
        assert found.similarity(word, best[0]) == pytest.approx(truth[best[0]], abs=1e-6)
    assert len(found.most_similar("词0", top=100)) == 39


def test_several_words_add_up_at_length_one():
    vectors = np.array([[3, 0], [0, 0.1], [5, 5], [-1, 1], [0, 0]])
    found = WordVectors(("东", "北", "东北", "西北", "无"), vectors)
    assert found.most_similar(["东", "北"])[0] == ("东北", pytest.approx(1.0))
    assert found.most_similar("北", "东")[0] == ("西北", pytest.approx(1.0))
    assert found.similarity("无", "东") == 0
    assert found.analogy("东", "东北", "北") == found.most_similar(["东北", "北"], ["东"])


def test_lengths_of_any_size_count_for_nothing():
    vectors = np.array([[1e-30, 1e-30], [1e30, 1e30], [1, -1]], dtype=np.float32)
    found = WordVectors(("小", "大", "斜"), vectors)
    assert found.similarity("小", "大") == pytest.approx(1, abs=1e-6)
    assert found.most_similar("小", top=1)[0][0] == "大"


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("老太", "No vector for '老太'. Like it: '老太太', '太太', '老'."),
        ("x", "No vector for 'x'. No word shares a character with it."),
    ],
)
def test_an_unknown_word_suggests_others(word, message):
    found = WordVectors(("的", "老太太", "太太", "老"), np.eye(4))
    for ask in (found.__getitem__, found.most_similar, lambda w: found.similarity("的", w)):
        with pytest.raises(KeyError) as caught:
            ask(word)
        assert str(caught.value) == message


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((("a", "b"), [[1.0, 2.0]]), r"a row for each word. Received: shape \(1, 2\), 2 words"),
        ((("a",), [1.0]), r"Received: shape \(1,\), 1 words"),
        ((("a",), [[]]), r"Received: shape \(1, 0\)"),
        ((("a", "b"), [[1.0], [math.nan]]), "must be finite. Received: .* in the vector of 'b'"),
        ((("a", "b"), [[math.inf], [1.0]]), "in the vector of 'a'"),
        ((("a", "b", "a"), [[1.0]] * 3), "Received: 'a' twice"),
        ((("a", "b"), [[1.0]] * 2, [1]), r"`counts` must be \(words,\).*Received: shape \(1,\)"),
    ],
)
def test_wrong_vectors_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        WordVectors(*arguments)


def test_wrong_questions_are_named():
    found = random_vectors()
    with pytest.raises(ValueError, match=r"`positive` must hold a word. Received: none"):
        found.most_similar([])
    with pytest.raises(ValueError, match=r"`top` must be at least 1. Received: top=0"):
        found.most_similar("词0", top=0)
