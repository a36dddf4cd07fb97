"""Brackets of sentences from raw words: scores by hand, sums by enumeration, a planted grammar."""

import sys
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from taolu.mine.groups import groups_from_vectors
from taolu.mine.piece_edges import PieceEdges
from taolu.mine.span_chart import agreed_brackets, bracket_shares
from taolu.mine.structure import learn_structure

BENCHMARKS = Path(__file__).parent.parent.parent / "benchmarks"

# --- Sums over trees, against all trees. ---


@cache
def trees(start, stop):
    """The brackets of every tree of two over a span."""
    if stop - start == 1:
        return (frozenset(),)
    return tuple(
        left | right | {(start, stop)}
        for middle in range(start + 1, stop)
        for left in trees(start, middle)
        for right in trees(middle, stop)
    )


@pytest.mark.parametrize("n", range(1, 9))
def test_shares_and_agreed_brackets_are_those_of_an_exhaustive_search(n):
    scores = np.random.default_rng(n).normal(0, 2, (n + 1, n + 1))
    weights = np.array([np.exp(sum(scores[span] for span in tree)) for tree in trees(0, n)])
    expected = np.zeros((n + 1, n + 1))
    for tree, weight in zip(trees(0, n), weights / weights.sum(), strict=True):
        for span in tree:
            expected[span] += weight
    shares = bracket_shares(scores)
    long = np.triu(np.ones((n + 1, n + 1), dtype=bool), 2)
    np.testing.assert_allclose(shares[long], expected[long], atol=1e-12)
    for least in (0.0, 0.3, 0.6):
        worth = max(sum(max(0, expected[s] - least) for s in tree) for tree in trees(0, n))
        found = agreed_brackets(shares, least)
        assert sum(expected[span] - least for span in found) == pytest.approx(worth)
        assert all(expected[span] > least for span in found)
        assert any(set(found) <= tree for tree in trees(0, n))


def test_scores_far_from_zero_keep_shares_finite():
    shares = bracket_shares(np.full((31, 31), -400.0))
    assert np.isfinite(shares).all()
    assert shares[0, 30] == 1.0
    # A tree of two over 30 words has 29 brackets.
    assert np.triu(shares, 2).sum() == pytest.approx(29)


# --- What opens and closes. ---


def test_edges_are_counted_by_group_then_word_then_with_the_next_group():
    # Pieces: a b / a c / b. Groups: a 0, b 1, c 1; a word never seen 0.
    ids, groups = np.array([0, 1, -1, 0, 2, -1, 1, -1]), np.array([0, 1, 1, 0])
    edges = PieceEdges.count(ids, groups)
    assert edges.rate == 3 / 5
    group = {0: (2 + 8 * 0.6) / 10, 1: (1 + 8 * 0.6) / 11}
    word = {0: (2 + 8 * group[0]) / 10, 1: (1 + 8 * group[1]) / 10, 2: (0 + 8 * group[1]) / 9}
    # b before c: group 1 before group 1 was never seen, and neither was b before that.
    # Never seen, before a: what its group has.
    found = edges.evidence(np.array([0, 1, 2, -1, 0]), np.array([0, 1, 1, 0, 0]))
    expected = np.array([1.0, word[1], word[2], group[0], word[0]]) / 0.6
    np.testing.assert_allclose(found, np.log(expected))
    # a before group 1: twice, and both begin.
    both = (2 + 8 * (2 + 8 * word[0]) / 10) / 10
    found = edges.evidence(np.array([1, 0, 1]), np.array([1, 0, 1]))
    np.testing.assert_allclose(found[1], np.log(both / 0.6))


def test_a_score_is_the_sum_of_what_opens_closes_and_joins():
    pieces = ["b c", "a b c", "a b", "d a", "c d"]
    structure = learn_structure(line.split() for line in pieces)
    ids = {word: i for i, word in enumerate(structure.words)}
    sentence = list("abcd")
    numbers = np.array([ids[word] for word in sentence])
    groups = structure.groups[numbers]
    opening = structure.opening.evidence(numbers, groups)
    closing = structure.closing.evidence(numbers[::-1], groups[::-1])[::-1]
    # Pairs in the window: bc 2, ab 2, ac, da, cd. First: b 2, a 3, d, c; second: c 3, b 2, a, d.
    join_ac = np.log((1 + 3) / (3 * 3 / 7 + 3))
    join_cd = np.log((1 + 3) / (1 * 1 / 7 + 3))
    expected = opening[0] / 2 + closing[2] + join_ac - join_cd - np.log(3)
    assert structure.scores(sentence)[0, 3] == pytest.approx(expected)


def test_a_text_read_backwards_closes_as_it_opened():
    rng = np.random.default_rng(0)
    lines = [[f"w{i}" for i in rng.zipf(1.5, rng.integers(1, 9)) if i < 50] for _ in range(300)]
    words = sorted({word for line in lines for word in line})
    groups = groups_from_vectors(words, rng.normal(size=(len(words), 4)), rng=0)
    one = learn_structure(lines, groups=groups)
    other = learn_structure([line[::-1] for line in lines], groups=groups)
    sentence = [*words[:6], "never seen"]

    def evidence(structure, edges):
        place = {word: i for i, word in enumerate(structure.words)}
        ids = np.array([place.get(word, -1) for word in sentence])
        return edges.evidence(ids, structure.groups[ids])

    np.testing.assert_allclose(evidence(one, one.opening), evidence(other, other.closing))
    np.testing.assert_allclose(evidence(one, one.closing), evidence(other, other.opening))


# --- Trees. ---


def test_a_parse_is_made_of_nested_templates():
    lines = ["the cat", "the dog", "on the mat", "on the cat", "the cat sat on the mat"] * 5
    structure = learn_structure(line.split() for line in lines)
    words = ["the", "dog", "sat", "on", "the", "mat"]
    parse = structure.parse(words)
    assert parse.words == tuple(words)
    spans = list(parse.spans())
    assert {(0, 2), (3, 6), (4, 6), (0, 6)} <= set(spans)
    assert len(spans) == len(set(spans))
    assert all(not (a < c < b < d) for a, b in spans for c, d in spans)


def test_words_never_seen_and_single_words_have_trees():
    structure = learn_structure([["来"], ["你", "来"]])
    assert str(structure.parse(["没", "见", "过"])).count("没") == 1
    assert list(structure.parse(["来"]).spans()) == [(0, 1)]
    assert learn_structure([["一"]]).parse(["一", "二"]).words == ("一", "二")


def test_the_same_seed_gives_the_same_trees():
    lines = [sentence for sentence, _ in planted(400, 1)]
    one, other = learn_structure(lines, rng=3), learn_structure(iter(lines), rng=3)
    assert all(one.parse(line) == other.parse(line) for line in lines[:50])


# --- A planted grammar: objects and places before the verb, an article before each noun. ---

ARTICLES, PLACES = ("那", "这", "每"), ("上", "里", "旁")
NOUNS, VERBS = [f"名{i}" for i in range(40)], [f"动{i}" for i in range(20)]


def planted(sentences, seed, kinds=("sentence", "sentence", "noun", "verb", "place")):
    """Words and brackets drawn from six templates: two of nouns, one of places, three of verbs."""
    rng = np.random.default_rng(seed)

    def one(words):
        return str(words[rng.integers(len(words))])

    def grow(kind, deep):
        chance = rng.random()
        if kind == "noun":
            simple = (one(ARTICLES), one(NOUNS))
            some = chance < 0.6 or deep > 2
            return simple if some else (grow("place", deep + 1), simple)
        if kind == "place":
            return grow("noun", deep + 1), one(PLACES)
        if kind == "verb":
            if chance < 0.3 or deep > 2:
                return grow("noun", deep + 1), one(VERBS)
            first = grow("place", deep + 1) if chance < 0.6 else "不"
            return first, grow("verb", deep + 1)
        return grow("noun", 0), grow("verb", 0)

    def read(tree, start, brackets):
        words = []
        for part in tree:
            at = start + len(words)
            words += [part] if isinstance(part, str) else read(part, at, brackets)
        brackets.add((start, start + len(words)))
        return words

    found = []
    for _ in range(sentences):
        brackets = set()
        words = read(grow(one(kinds), 0), 0, brackets)
        found.append((words, brackets - {(0, len(words))}))
    return found


def bracket_f1(pairs):
    hits = sum(len(gold & guess) for gold, guess in pairs)
    return 2 * hits / sum(len(gold) + len(guess) for gold, guess in pairs)


def test_the_brackets_of_a_planted_grammar_are_found():
    structure = learn_structure(words for words, _ in planted(3000, 0))
    test = planted(1000, 1, kinds=("sentence",))
    found, right = [], []
    for words, gold in test:
        whole = {(0, len(words))}
        spans = {span for span in structure.parse(words).spans() if span[1] - span[0] > 1}
        found.append((gold, spans - whole))
        right.append((gold, {(i, len(words)) for i in range(1, len(words) - 1)}))
    assert bracket_f1(right) <= 0.5
    assert bracket_f1(found) >= 0.8


@pytest.mark.data
@pytest.mark.slow
@pytest.mark.parametrize("treebank", ["Sinica", "PTB"])
def test_treebanks_are_bracketed_better_than_to_the_right_left_or_at_random(
    data_folder, treebank, monkeypatch
):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    monkeypatch.delitem(sys.modules, "structure", raising=False)
    import structure as benchmark

    test, others = benchmark.parts(benchmark.treebanks(False)[treebank], benchmark.SENTENCES)
    structure = learn_structure(piece for tree in others for piece in tree.pieces)
    rng = benchmark.random.Random(0)
    f1 = {}
    for name, method in {
        "ours": lambda words: benchmark.multiword(structure.parse(words)),
        "right": lambda words: benchmark.right(len(words)),
        "left": lambda words: benchmark.left(len(words)),
        "random": lambda words: benchmark.random_tree(len(words), rng),
    }.items():
        f1[name] = benchmark.score(test, [method(tree.words) for tree in test], False)[2]
    assert f1["ours"] > max(f1["right"], f1["left"], f1["random"])


# --- Errors. ---


def test_errors_say_what_came():
    with pytest.raises(ValueError, match=r"`pieces` must hold at least one word\. Received: none"):
        learn_structure([[], []])
    with pytest.raises(ValueError, match=r"`window` must be at least 1\. Received: window=0"):
        learn_structure([["一", "二"]], window=0)
    structure = learn_structure([["一", "二"]])
    with pytest.raises(ValueError, match=r"`words` must hold at least one word\. Received: none"):
        structure.parse([])
    with pytest.raises(ValueError, match=r"`least` must lie in 0 to 1\. Received: least=1"):
        structure.parse(["一"], least=1)
