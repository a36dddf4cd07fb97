"""Templates: planted ones found, counted as slow enumeration counts them, and what is refused."""

import random
from collections import Counter
from itertools import combinations, pairwise

import numpy as np
import pytest

from taolu.count.pairs import count_pairs
from taolu.mine.templates import (
    Templates,
    linked_pairs,
    mine_templates,
    number_words,
    read_template,
    templates_in,
    write_template,
)

NOUNS = [f"名{i}" for i in range(40)]
PLANTED = {
    "[X] 的 [X] 是 什么": (None, "的", None, "是", "什么"),
    "[X] 和 [X] 有 区别 吗": (None, "和", None, "有", "区别", "吗"),
    "怎么 [X] 才 好": ("怎么", None, "才", "好"),
    "[X] 比 [X] 更 贵": (None, "比", None, "更", "贵"),
    "为什么 [X] 会 [X]": ("为什么", None, "会", None),
    "请 把 [X] 给 我": ("请", "把", None, "给", "我"),
}


def questions(count=3000, seed=0):
    """Sentences of six planted templates, in which nouns fill the slots."""
    rng = random.Random(seed)
    shapes = list(PLANTED.values())
    return [
        [rng.choice(NOUNS) if part is None else part for part in rng.choice(shapes)]
        for _ in range(count)
    ]


def paths(sentence, linked, window):
    """Every template along links of a sentence, by listing all choices of words."""
    found = set()
    for size in range(1, len(sentence) + 1):
        for places in combinations(range(len(sentence)), size):
            steps = list(pairwise(places))
            # A row of one word is no template with that word in its slot.
            if any(b - a > 1 and len(set(sentence[a : b + 1])) == 1 for a, b in steps):
                continue
            if any(b - a > window or (sentence[a], sentence[b]) not in linked for a, b in steps):
                continue
            parts = [] if places[0] == 0 else [None]
            for at, (a, b) in enumerate([*steps, (places[-1], len(sentence))]):
                parts.append(sentence[a])
                parts += [None] if b - a > 1 else []
                assert at < size
            found.add(tuple(parts))
    return found


def test_pairs_are_those_of_a_plain_loop(monkeypatch):
    rng = np.random.default_rng(0)
    ids = rng.integers(-1, 6, 500).astype(np.int32)
    truth = Counter()
    for t, first in enumerate(ids.tolist()):
        for second in ids[t + 1 : t + 4].tolist():
            if first < 0 or second < 0:
                break
            truth[first, second] += 1
    for at_once in (1 << 23, 30):
        monkeypatch.setattr("taolu.count.pairs.AT_ONCE", at_once)
        found = count_pairs(ids, 6, window=3)
        cells = zip(found.first.tolist(), found.second.tolist(), strict=True)
        assert dict(zip(cells, found.count.tolist(), strict=True)) == truth
        assert found.total == truth.total()
        assert count_pairs(ids, 6, window=3, min_count=9).count.min() >= 9


@pytest.mark.parametrize("seed", range(4))
def test_templates_are_those_of_all_paths(seed):
    rng = random.Random(seed)
    sentences = [rng.choices("甲乙丙丁", k=rng.randint(1, 7)) for _ in range(60)]
    ids, words = number_words(sentences)
    pairs = linked_pairs(ids, len(words), window=3, min_probability=0.0, min_pmi=0.0)
    linked = {
        (words[a], words[b])
        for a, b in zip(pairs.first.tolist(), pairs.second.tolist(), strict=True)
    }
    truth = Counter(path for one in sentences for path in paths(one, linked, 3))
    found = templates_in(ids, words, pairs, window=3, min_count=3, longest=8, closed=2)
    counts = dict(zip(found.parts, found.count.tolist(), strict=True))
    assert counts == {parts: n for parts, n in truth.items() if n >= 3}
    assert found.count.tolist() == sorted(found.count.tolist(), reverse=True)


def test_a_planted_template_is_found_and_ranks_above_what_is_not_one():
    found = mine_templates(questions(), min_pmi=0.5, min_count=20)
    ranked = found.select(~found.trivial)
    assert set(ranked.text[:6]) == set(PLANTED)


def test_a_window_of_one_joins_neighbours_only():
    found = mine_templates(questions(), window=1, min_pmi=0.5, min_count=20)
    assert all(None not in parts[1:-1] for parts in found.parts)
    assert "[X] 是 什么" in found.text
    assert "请 把 [X]" in found.text


def test_a_template_that_a_longer_one_explains_is_dropped():
    every = mine_templates(questions(), min_pmi=0.5, min_count=20, closed=2)
    closed = mine_templates(questions(), min_pmi=0.5, min_count=20)
    assert set(closed.text) < set(every.text)
    assert "怎么 [X] 好" in every.text
    assert "怎么 [X] 好" not in closed.text


def test_a_sentence_counts_once_however_many_paths_go_through_it():
    ids, words = number_words([["一"] * 9] * 4)
    pairs = count_pairs(ids, 1)
    found = templates_in(ids, words, pairs, min_count=1, longest=3, closed=2)
    assert set(found.count.tolist()) == {4}


def test_no_template_starts_or_ends_inside_of_a_word_that_was_spelled():
    ids, words = number_words([[*"用t", *"ao", *"lu好"]] * 9)
    inside = np.array([*[False, True, True, True, True, False, False], False] * 9)
    pairs = count_pairs(ids, len(words))
    found = templates_in(ids, words, pairs, min_count=1, closed=2, splits=inside)
    linked = [parts for parts in found.parts if sum(p is not None for p in parts) > 1]
    assert {p for parts in linked for p in parts} == {None, "用", "t", "u", "好"}
    assert ("用", "t", None) in linked
    assert (None, "t", None, "u", None) not in linked


def test_a_slot_does_not_stand_inside_a_row_of_one_character():
    ids, words = number_words([[*"一──────二"]] * 9)
    found = templates_in(ids, words, count_pairs(ids, 3), min_count=1, closed=2)
    assert not any("─ [X] ─" in text for text in found.text)
    assert "[X] ─ ─ [X]" in found.text


def test_templates_are_written_and_read_back():
    for parts in ((None, "的", None), ("[X]", None, "\\[X]"), ("一", "二"), ("/", None, "a[X]")):
        assert read_template(write_template(parts)) == parts


def test_what_makes_no_template_is_refused():
    with pytest.raises(ValueError, match=r"a word between any two slots. Received: '\[X\] \[X\]'"):
        read_template("[X] [X]")
    with pytest.raises(ValueError, match="needs a word"):
        read_template("")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"window": 0}, "`window` must be at least 1. Received: window=0"),
        ({"min_count": 0}, "`min_count` must be at least 1. Received: min_count=0"),
        ({"longest": 0}, "`longest` must be at least 1. Received: longest=0"),
        ({"min_pmi": float("nan")}, "`min_pmi` must be finite. Received: min_pmi=nan"),
        ({"min_probability": 1.0}, "`min_probability` must lie in 0 to 1. Received"),
    ],
)
def test_arguments_out_of_range_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        mine_templates([["好"]], **options)


def test_sentences_without_words_are_refused():
    with pytest.raises(ValueError, match="`sentences` must hold at least one word"):
        mine_templates([[]])
    assert isinstance(mine_templates([["好"]]), Templates)
