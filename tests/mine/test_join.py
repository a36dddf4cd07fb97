"""Segments known by their letters, by a hash, or by a hash that clashes: all the same."""

import naive
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from taolu.chain.trie import build_trie
from taolu.mine.join import Glue, _frequent_segments, _Shape, join
from taolu.text.corpus import Corpus
from taolu.text.encode import encode

LETTERS = "天地人和a"
GRAMS = st.sets(st.text(LETTERS, min_size=2, max_size=3), max_size=8)
LINES = st.lists(st.text(LETTERS + "，。 ", min_size=1, max_size=30), min_size=1, max_size=10)


def glue_of(text, grams, order=3):
    trie = build_trie(
        text.alphabet.encode("".join(grams)), np.cumsum([0, *map(len, grams)]), len(text.alphabet)
    )
    marked = np.zeros(trie.size, dtype=bool)
    marked[trie.nodes] = True
    return Glue(trie, marked, order)


def segments_of(text, longest, order, min_count=1, *, bits=3, mask=(1 << 61) - 1, threads=1):
    """Segments that stand, with their uses; with 31 bits a letter all are known by a hash."""
    shape = _Shape(bits, order, mask)
    letters, sizes, uses = _frequent_segments(text.ids, longest, shape, min_count, threads=threads)
    names = text.alphabet.decode(letters)
    stops = np.cumsum(sizes).tolist()
    words = [names[i:j] for i, j in zip([0, *stops[:-1]], stops, strict=True)]
    assert len(set(words)) == len(words)
    return dict(zip(words, uses.tolist(), strict=True))


@given(LINES, GRAMS, st.integers(1, 3), st.integers(1, 3))
def test_segments_are_those_of_the_plain_definition(lines, grams, min_count, threads):
    text = encode(Corpus.from_lines([LETTERS, *lines]))
    words, uses = join(text, glue_of(text, sorted(grams)), min_count, threads=threads)
    segments = {}
    for line in [LETTERS, *lines]:
        for run in (run for s in naive.sentences(line) for run in naive.runs(s)):
            for word in naive.join(run, grams):
                segments[word] = segments.get(word, 0) + 1
    wanted = {
        word: count
        for word, count in segments.items()
        if len(word) > 1 and count >= min_count and naive.stands(word, grams, 3)
    }
    assert dict(zip(words, uses.tolist(), strict=True)) == wanted


def longest_of(text):
    """Length of the longest of some random bigrams and trigrams at each place."""
    rng = np.random.default_rng(9)
    longest = np.where(rng.random(text.ids.size) < 0.5, rng.integers(2, 4, text.ids.size), 0)
    room = np.zeros(text.ids.size, dtype=np.int64)
    for t in range(text.ids.size - 1, -1, -1):
        inside = text.ids[t] >= 0 and text.words_only[text.ids[t]]
        room[t] = inside and 1 + (room[t + 1] if t + 1 < text.ids.size else 0)
    return np.where(longest <= room, longest, 0).astype(np.uint8)


def glued_text():
    """A text of few letters with segments of many lengths, and where its n-grams start."""
    rng = np.random.default_rng(5)
    lines = ["".join(rng.choice(list("天地人和a，"), 30)) for _ in range(60)]
    text = encode(Corpus.from_lines(lines))
    return text, longest_of(text)


@pytest.mark.parametrize("mask", [0, 1, 7, (1 << 61) - 1])
@pytest.mark.parametrize("threads", [1, 3])
def test_colliding_hashes_change_nothing(mask, threads):
    text, longest = glued_text()
    exact = segments_of(text, longest, 3, 2)
    assert len(exact) > 8
    assert segments_of(text, longest, 3, 2, bits=31, mask=mask, threads=threads) == exact


def test_segments_are_counted_a_share_at_a_time(monkeypatch):
    text, longest = glued_text()
    whole = segments_of(text, longest, 3, 2)
    monkeypatch.setattr("taolu.mine.join.KEYS_AT_ONCE", 300)
    for threads in (1, 2):
        assert segments_of(text, longest, 3, 2, threads=threads) == whole
        assert segments_of(text, longest, 3, 2, bits=31, threads=threads) == whole
        assert segments_of(text, longest, 3, 2, bits=31, mask=7, threads=threads) == whole
