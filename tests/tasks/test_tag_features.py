"""Ids of characters, pairs and words, beside plain dictionaries."""

from collections import Counter

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from taolu.mine.cut import Segmenter
from taolu.mine.match import COLUMNS, match_words
from taolu.nn.models.tag_network import TagInputs
from taolu.tasks.tag_features import FIRST_ID, LEAST_USES, PADDING, UNKNOWN, TagFeatures

TEXTS = st.lists(st.text("北京大学在a1，", max_size=12), min_size=1, max_size=6)
OTHERS = st.text("北京大学在a1，西x😀\u0301 \ud800", max_size=12)
BOOK = Segmenter({"北京": 8, "北京大学": 3, "大学": 5, "在": 4})


def pairs_of(text):
    """Every character with the one before it; nothing stands before the first."""
    return list(zip(["", *text], text, strict=False))


@given(TEXTS, OTHERS)
def test_characters_are_those_of_a_dictionary(texts, other):
    features = TagFeatures.of(texts)
    uses = Counter("".join(texts))
    assert sorted(features.characters) == sorted(uses)
    counts = [uses[character] for character in features.characters]
    assert counts == sorted(counts, reverse=True)
    ids = {character: i for i, character in enumerate(features.characters, FIRST_ID)}
    found = features.encode(other)["characters"]
    assert found.dtype == np.int32
    assert found.tolist() == [ids.get(character, UNKNOWN) for character in other]
    assert features.uses.tolist() == [0, 0, *counts]


@given(TEXTS, OTHERS)
def test_pairs_are_those_of_a_dictionary(texts, other):
    features = TagFeatures.of(texts)
    counts = Counter(pair for text in texts for pair in pairs_of(text))
    frequent = {pair for pair, count in counts.items() if count >= LEAST_USES}
    ids = {}  # of each pair, as met: one id for one pair
    for text in [*texts, other]:
        encoded = features.encode(text)
        assert encoded["pairs"].dtype == np.int32
        assert encoded.keys() == {"characters", "pairs"}
        for pair, found in zip(pairs_of(text), encoded["pairs"].tolist(), strict=True):
            assert found == (ids.setdefault(pair, found) if pair in frequent else UNKNOWN)
    assert sorted(ids.values()) == list(range(FIRST_ID, FIRST_ID + len(frequent)))
    assert features.inputs == TagInputs(2 + len(set().union(*texts)), 2 + len(frequent))


def test_no_more_pairs_than_wanted_the_frequent_ones_first(monkeypatch):
    monkeypatch.setattr("taolu.tasks.tag_features.MOST_PAIRS", 2)
    features = TagFeatures.of(["ababab", "cdcd"])
    known = {"ab": features.encode("ab")["pairs"][1], "ba": features.encode("ba")["pairs"][1]}
    assert sorted(known.values()) == [FIRST_ID, FIRST_ID + 1]
    assert features.encode("cd")["pairs"].tolist() == [UNKNOWN, UNKNOWN]


def test_no_ids_are_padding():
    features = TagFeatures.of(["北京北京"], segmenter=BOOK, words=["北京"])
    for column in ("characters", "pairs", "words"):
        assert (features.encode("北京西 ")[column] != PADDING).all()


def test_characters_with_vectors_get_ids_but_no_uses():
    features = TagFeatures.of(["北京北"], more=["西", "京", "东"])
    assert features.characters == "北京东西"
    assert features.uses.tolist() == [0, 0, 2, 1, 0, 0]
    assert features.encode("东西南")["characters"].tolist() == [4, 5, UNKNOWN]


def test_matches_are_those_of_the_codebook():
    features = TagFeatures.of(["北京"], segmenter=BOOK)
    assert features.inputs.matches == COLUMNS
    encoded = features.encode("在北京大学")
    assert encoded.keys() == {"characters", "pairs", "matches"}
    assert encoded["matches"].tolist() == match_words(BOOK, "在北京大学").tolist()


def test_words_are_those_of_the_cheapest_cut():
    features = TagFeatures.of(["北京"], segmenter=BOOK, words=["北京", "大学"])
    assert features.inputs.words == FIRST_ID + 2
    # 北京大学 is a word of the codebook, but none that has an id.
    found = {
        text: features.encode(text)["words"].tolist() for text in ("在 北京大", "北京大学", "")
    }
    assert found == {"在 北京大": [1, 1, 2, 2, 1], "北京大学": [1, 1, 1, 1], "": []}
    assert features.encode("北京")["words"].dtype == np.int32


def test_words_without_a_codebook_have_no_column():
    features = TagFeatures.of(["北京"], words=["北京"])
    assert features.encode("北京").keys() == {"characters", "pairs"}
    assert features.inputs.words == 0


def test_empty_texts():
    features = TagFeatures.of(["", "北"], segmenter=BOOK, words=["北京"])
    shapes = {name: column.shape for name, column in features.encode("").items()}
    assert shapes == {"characters": (0,), "pairs": (0,), "matches": (0, 4), "words": (0,)}
    nothing = TagFeatures.of([])
    assert nothing.inputs == TagInputs(FIRST_ID, FIRST_ID)
    assert nothing.encode("北")["characters"].tolist() == [UNKNOWN]


@given(TEXTS, OTHERS, st.randoms(use_true_random=False))
def test_the_order_of_the_texts_changes_nothing(texts, other, draw):
    shuffled = texts[:]
    draw.shuffle(shuffled)
    first, second = TagFeatures.of(texts), TagFeatures.of(shuffled)
    assert first.characters == second.characters
    assert first.pairs.tolist() == second.pairs.tolist()
    for name, column in first.encode(other).items():
        assert column.tolist() == second.encode(other)[name].tolist()


def test_texts_at_once_are_texts_one_by_one():
    segmenter = Segmenter({"北京": 5, "京大": 2, "大学": 3})
    texts = ["北京大学", "", "学北", "大\n学", "京"]
    features = TagFeatures.of(texts * 2, segmenter=segmenter, words=["北京"])
    together = features.encode_all(texts)
    for text, found in zip(texts, together, strict=True):
        for name, column in features.encode(text).items():
            np.testing.assert_array_equal(found[name], column)
            assert len(column) == len(text)
    assert features.encode_all([]) == []
