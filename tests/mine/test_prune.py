"""What words save against taking each out of a plain count of units."""

import math
from collections import Counter

import naive
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from taolu.chain.trie import build_trie, word_edges
from taolu.mine.prune import Rule, demands, prune

LETTERS = "天地人和"
WORDS = st.dictionaries(st.text(LETTERS, min_size=2, max_size=5), st.integers(0, 40), max_size=8)
SINGLES = st.lists(st.integers(0, 40), min_size=4, max_size=4)


def pruned(words, singles, sentences, need, **rule):
    """Bits saved by word, uses by unit afterwards, and units before."""
    letters = [LETTERS.index(c) for word in words for c in word]
    offsets = np.cumsum([0, *map(len, words)])
    trie = build_trie(letters, offsets, len(LETTERS))
    counts = np.zeros(trie.size, dtype=np.int64)
    counts[: len(LETTERS)] = singles
    counts[trie.nodes] = list(words.values())
    total = int(counts.sum()) + sentences
    edges = word_edges(trie, letters, offsets)
    need = np.full(len(words), float(need))
    gains, uses = prune(edges, trie.nodes, counts, need, Rule(total, **rule))
    assert counts[trie.nodes].tolist() == list(words.values())
    units = dict(zip(LETTERS, uses[: len(LETTERS)].tolist(), strict=True))
    units |= dict(zip(words, uses[trie.nodes].tolist(), strict=True))
    return dict(zip(words, gains.tolist(), strict=True)), units


def parts_of(word, counts, sentences):
    """The cheapest way to write a word with the other units."""
    costs, unknown = naive.unit_costs({u: c for u, c in counts.items() if c}, sentences)
    del costs[word]
    return naive.cheapest(word, costs, unknown)


def handed_on(word, counts, sentences):
    """The uses of all units once the cheapest parts of a word have taken over its own."""
    without = Counter(counts)
    uses = without.pop(word)
    for part in parts_of(word, counts, sentences):
        without[part] += uses
    return without


def borders(word, parts):
    """The demand of a margin of one bit: borders, dearer beside and between words."""
    among = sum(len(part) > 1 for part in parts)
    kind = 1.0 if among == 0 else 3.0 if among == len(parts) else 1.5
    return (len(parts) - 1) * (kind + 0.25 * (len(word) - 2))


@given(WORDS, SINGLES, st.integers(1, 9))
def test_a_word_saves_what_taking_it_out_would_cost(words, singles, sentences):
    counts = Counter(dict(zip(LETTERS, singles, strict=True)) | words)
    gains, units = pruned(words, singles, sentences, need=3)
    assert units == counts
    before = naive.self_information([*counts.values(), sentences])
    for word, count in words.items():
        wanted = 0.0
        if count:
            after = handed_on(word, counts, sentences)
            wanted = naive.self_information([*after.values(), sentences]) - before - 3
        assert gains[word] == pytest.approx(wanted, abs=1e-6)


@given(WORDS, SINGLES, st.integers(1, 9), st.sampled_from([0.0, 1.5]), st.integers(0, 5))
def test_words_go_longest_first_and_hand_on_their_uses(words, singles, sentences, margin, least):
    _, units = pruned(words, singles, sentences, 3, margin=margin, min_count=least, drop=True)
    counts = Counter(dict(zip(LETTERS, singles, strict=True)) | words)
    # Python sorts stably, and so are words of one length taken in their order.
    for word in sorted(words, key=len, reverse=True):
        if not counts[word]:
            continue
        before = naive.self_information([*counts.values(), sentences])
        after = handed_on(word, counts, sentences)
        saved = naive.self_information([*after.values(), sentences]) - before
        parts = parts_of(word, counts, sentences)
        needed = max(3, margin * borders(word, parts) * counts[word])
        if abs(saved - needed) < 1e-6:
            return  # too close to call: rounding may decide
        if counts[word] < least or saved < needed:
            counts = after
    assert units == {unit: counts[unit] for unit in units}


def test_a_join_must_earn_its_border():
    # Two characters; a word and a character; two words, four characters long.
    found = demands(2.0, np.array([0, 1, 2]), np.array([2, 3, 4]))
    assert found.tolist() == [2.0, 3.5, 7.0]


def test_worked_example():
    # 天天 is two parts that are the same unit: f(4) once more, not f(2) twice.
    gains, _ = pruned({"天天": 2}, [2, 0, 0, 0], sentences=1, need=0)
    assert gains["天天"] == pytest.approx(
        naive.self_information([6, 1]) - naive.self_information([2, 2, 1])
    )
    gains, units = pruned({"天地": 3}, [5, 5, 0, 0], 1, need=math.inf, drop=True)
    assert gains["天地"] == -math.inf
    assert units == {"天": 8, "地": 8, "人": 0, "和": 0, "天地": 0}


def test_no_words():
    assert pruned({}, [1, 2, 3, 4], 1, 0) == ({}, dict(zip(LETTERS, [1, 2, 3, 4], strict=True)))


def test_a_word_of_any_length():
    word = LETTERS * 50
    gains, units = pruned({word: 2, LETTERS: 0}, [1, 1, 1, 1], 1, need=math.inf, drop=True)
    assert gains == {word: -math.inf, LETTERS: 0}
    assert units == dict.fromkeys(LETTERS, 101) | {word: 0, LETTERS: 0}
