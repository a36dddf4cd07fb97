"""Cohesion and branching entropy against their plain definitions."""

import math

import naive
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from synthetic import gold_sentences

from taolu.mine import measure as module
from taolu.mine.measure import measure_words
from taolu.text.corpus import Corpus
from taolu.text.encode import encode

LINES = st.lists(st.text("天地人和a，。 ", min_size=1, max_size=25), min_size=1, max_size=12)


def read(lines):
    return encode(Corpus.from_lines(lines))


def strings_of(lines, longest=4):
    """Sentences of some lines, and every string of word characters in them with its count."""
    texts = [sentence for line in lines for sentence in naive.sentences(line)]
    return texts, naive.ngrams(texts, longest)


def test_worked_example():
    measures = measure_words(read(["上海好", "在上海", "上海，海"]), ["上海", "海", "上"])
    assert measures.count.tolist() == [3, 4, 3]
    # N = 9 characters that make up words: ln(9 * 3 / (3 * 4)).
    assert measures.cohesion[0] == pytest.approx(math.log(9 / 4))
    assert np.isnan(measures.cohesion[1:]).all()
    # Before 上海: a border, 在, a border; after it: 好, a border, a comma.
    assert measures.left_entropy[0] == pytest.approx(math.log2(3) - 2 / 3)
    assert measures.right_entropy[0] == pytest.approx(math.log2(3))


@given(LINES, st.integers(1, 3))
def test_measures_are_their_plain_definitions(lines, threads):
    texts, counts = strings_of(lines)
    total = sum(count for string, count in counts.items() if len(string) == 1)
    words = sorted(counts)
    measures = measure_words(read(lines), words, threads=threads)
    assert measures.count.tolist() == [counts[word] for word in words]
    for row, word in enumerate(words):
        sides = measures.left_entropy[row], measures.right_entropy[row]
        assert sides == pytest.approx(naive.branching_entropies(texts, word), abs=1e-9)
        if len(word) == 1:
            assert math.isnan(measures.cohesion[row])
        else:
            wanted = naive.cohesion(word, counts, total)
            assert measures.cohesion[row] == pytest.approx(wanted, abs=1e-9)


def test_long_words_and_words_not_asked_for_change_nothing():
    lines = ["".join(words) for words in gold_sentences()[:100]]
    text = read(lines)
    words = sorted({line[i : i + 12] for line in lines[:20] for i in range(3)})
    whole = measure_words(text, words)
    for row in (0, len(words) // 2, len(words) - 1):
        one = measure_words(text, [words[row]])
        assert one.cohesion[0] == whole.cohesion[row]
        assert one.left_entropy[0] == whole.left_entropy[row]
        assert one.right_entropy[0] == whole.right_entropy[row]


def test_words_are_taken_a_share_at_a_time(monkeypatch):
    lines = ["".join(words) for words in gold_sentences()[:100]]
    text = read(lines)
    words = [gram for gram, count in strings_of(lines, 2)[1].items() if count > 2]
    whole = measure_words(text, words)
    monkeypatch.setattr(module, "KEYS_AT_ONCE", 50)
    parts = measure_words(text, words, threads=2)
    assert parts.left_entropy.tolist() == whole.left_entropy.tolist()
    assert parts.right_entropy.tolist() == whole.right_entropy.tolist()


def test_without_entropies():
    measures = measure_words(read(["上海好", "在上海"]), ["上海"], entropy=False)
    assert measures.count.tolist() == [2]
    assert not np.isnan(measures.cohesion).any()
    assert np.isnan([*measures.left_entropy, *measures.right_entropy]).all()


def test_no_words():
    measures = measure_words(read(["上海好"]), [])
    assert measures.count.size == measures.cohesion.size == measures.left_entropy.size == 0
