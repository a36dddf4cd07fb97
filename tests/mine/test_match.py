"""What a dictionary says about each character, beside looking up every stretch of the text."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from naive import character_class

from taolu.chain.trie import build_trie, longest_around
from taolu.mine.cut import Segmenter
from taolu.mine.match import ALONE, COLUMNS, FIRST, INSIDE, LAST, LONGEST, OUTSIDE, match_words

LETTERS = "北京大学生aé3"
DICTIONARIES = st.dictionaries(
    st.text(LETTERS, min_size=1, max_size=8), st.integers(1, 50), min_size=1, max_size=12
)
# Known and unknown characters, whitespace, punctuation, digits, and what NFC changes.
TEXTS = st.text(LETTERS + "猫x0.%，。 \t\n\u3000e\u0301가ᄀ\u1161😀", max_size=40)


def around(text, words):
    """Longest word that begins at, ends at, lies around each place: every stretch is looked up."""
    longest = np.zeros((len(text), 3), dtype=int)
    for i in range(len(text)):
        for j in range(i + 2, len(text) + 1):
            if text[i:j] in words and all(character_class(c) for c in text[i:j]):
                longest[i, 0] = max(longest[i, 0], j - i)
                longest[j - 1, 1] = max(longest[j - 1, 1], j - i)
                longest[i + 1 : j - 1, 2] = np.maximum(longest[i + 1 : j - 1, 2], j - i)
    return longest


def places(text, spans):
    """The place of each character in its word."""
    found = [OUTSIDE] * len(text)
    for i, j in spans:
        word = [FIRST, *[INSIDE] * (j - i - 2), LAST]
        found[i:j] = [ALONE] if j - i == 1 else word
    return found


@given(DICTIONARIES, TEXTS)
def test_columns_are_those_of_looking_up_every_stretch(counts, text):
    segmenter = Segmenter(counts)
    columns = match_words(segmenter, text)
    assert columns.dtype == np.int32
    assert columns.shape == (len(text), len(COLUMNS))
    assert columns[:, :3].tolist() == np.minimum(around(text, counts), LONGEST).tolist()
    assert columns[:, 3].tolist() == places(text, segmenter.spans(text))
    assert (columns < COLUMNS).all()
    # What was seen before changes nothing.
    assert match_words(segmenter, text).tolist() == columns.tolist()
    assert match_words(Segmenter(counts), text).tolist() == columns.tolist()


def test_whitespace_lies_outside_and_ends_every_match():
    segmenter = Segmenter({"北京": 3})
    assert match_words(segmenter, "").shape == (0, 4)
    assert match_words(segmenter, " \n").tolist() == [[0, 0, 0, OUTSIDE]] * 2
    assert match_words(segmenter, "北 京").tolist() == [
        [0, 0, 0, ALONE],
        [0, 0, 0, OUTSIDE],
        [0, 0, 0, ALONE],
    ]


def test_lengths_above_five_count_as_five():
    columns = match_words(Segmenter({"北京大学学生会": 3}), "北京大学学生会")
    assert columns[:, :3].max(axis=0).tolist() == [5, 5, 5]
    assert columns[:, 3].tolist() == [FIRST, *[INSIDE] * 5, LAST]


WORDS = st.lists(st.lists(st.integers(0, 3), min_size=2, max_size=6), max_size=10)


@given(WORDS, st.lists(st.integers(-2, 4), max_size=40), st.data())
def test_longest_around_is_that_of_looking_up_every_stretch(words, ids, data):
    classes = np.array([1, 2, 1, 2, 0], dtype=np.uint8)  # the last one is punctuation
    offsets = np.cumsum([0, *map(len, words)])
    trie = build_trie([letter for word in words for letter in word], offsets, alphabet=5)
    marked = np.zeros(trie.size, dtype=bool)
    kept = [i for i in range(len(words)) if data.draw(st.booleans())]
    marked[trie.nodes[kept]] = True
    wanted = np.zeros((len(ids), 3), dtype=int)
    known = {tuple(words[i]) for i in kept}
    for i in range(len(ids)):
        for j in range(i + 2, len(ids) + 1):
            if tuple(ids[i:j]) in known:
                wanted[i, 0] = max(wanted[i, 0], j - i)
                wanted[j - 1, 1] = max(wanted[j - 1, 1], j - i)
                wanted[i + 1 : j - 1, 2] = np.maximum(wanted[i + 1 : j - 1, 2], j - i)
    found = longest_around(np.array(ids, dtype=np.int32), classes, trie, marked)
    assert found.dtype == np.uint8
    assert found.tolist() == wanted.tolist()


@pytest.mark.parametrize(("length", "told"), [(254, 254), (255, 255), (256, 255), (400, 255)])
def test_longest_around_tells_at_most_255(length, told):
    trie = build_trie([0] * length, [0, length], alphabet=1)
    marked = np.zeros(trie.size, dtype=bool)
    marked[trie.nodes] = True
    found = longest_around(np.zeros(length, np.int32), np.ones(1, np.uint8), trie, marked)
    assert found[:, 0].tolist() == [told, *[0] * (length - 1)]
    assert found[:, 1].tolist() == [*[0] * (length - 1), told]
    assert found[:, 2].tolist() == [0, *[told] * (length - 2), 0]
