"""Neighbouring units against a plain count."""

from collections import Counter

import naive
import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from taolu.chain.lattice import best_paths
from taolu.chain.trie import build_trie
from taolu.mine import neighbours as module
from taolu.mine.neighbours import neighbours
from taolu.text.corpus import Corpus
from taolu.text.encode import encode

LINES = st.lists(st.text("天地人和a1，。 ", min_size=1, max_size=25), min_size=1, max_size=12)


def character_pairs(lines, least=1):
    """Pairs of neighbouring characters and their joins, and how many shares they came in."""
    text = encode(Corpus.from_lines(lines))
    trie = build_trie([], [0], len(text.alphabet))
    path = best_paths(text.ids, text.alphabet.classes, trie, np.ones(trie.size)).path
    found, shares = Counter(), 0
    for keys, joins in neighbours(text.ids, text.alphabet.classes, path, least):
        shares += 1
        assert (np.diff(keys) > 0).all()
        for key, count in zip(keys.tolist(), joins.tolist(), strict=True):
            found[text.alphabet.decode([key >> 32, key & 0xFFFFFFFF])] += count
    return found, shares


def plain_pairs(lines):
    """The same, by definition: no join begins or ends inside a run of letters and digits."""
    pairs = Counter()
    for run in (run for line in lines for s in naive.sentences(line) for run in naive.runs(s)):
        last = None
        for i in range(len(run) - 1):
            pair = run[i : i + 2]
            overlaps = pair[0] == pair[1] and last == (pair, i - 1)
            last = None
            if naive.may_be_word(run, i, i + 2) and not overlaps:
                pairs[pair] += 1
                last = pair, i
    return pairs


def test_worked_example():
    assert character_pairs(["哈哈哈，哈哈", "a1天", "天 地"])[0] == {"哈哈": 2, "a1": 1}
    assert character_pairs(["哈哈哈哈", "好哈"])[0] == {"哈哈": 2, "好哈": 1}
    assert character_pairs(["哈哈哈哈", "好哈"], least=2)[0] == {"哈哈": 2}


@given(LINES)
def test_neighbours_are_counted_without_overlap(lines):
    assert character_pairs(lines)[0] == plain_pairs(lines)


def test_pairs_are_counted_a_share_at_a_time(monkeypatch):
    lines = ["天地人和人地天", "和天人地，人人人"] * 5
    whole, shares = character_pairs(lines)
    assert shares == 1
    monkeypatch.setattr(module, "PAIRS_AT_ONCE", 30)
    found, shares = character_pairs(lines)
    assert shares > 2
    assert found == whole == plain_pairs(lines)
