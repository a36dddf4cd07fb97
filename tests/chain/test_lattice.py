"""The cheapest path and the sum over paths against every way to cut a sentence."""

import math

import naive
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from taolu.chain.lattice import best_paths, path_sums
from taolu.chain.trie import build_trie

# Han, letters, a digit and punctuation; ids are places in this string.
ALPHABET = "天地人ab1，"
CLASSES = np.array([naive.character_class(c) for c in ALPHABET], dtype=np.uint8)
# Few distinct costs, exact in binary, so that ties are common and sums have no rounding.
COSTS = st.integers(0, 6).map(float)
WORDS = st.dictionaries(st.text(ALPHABET[:-1], min_size=2, max_size=5), COSTS, max_size=10)
SINGLES = st.lists(COSTS, min_size=len(ALPHABET), max_size=len(ALPHABET))
TEXTS = st.text(ALPHABET + " ", max_size=9)


def encode(text):
    return np.array([ALPHABET.find(c) - (c == " ") for c in text], dtype=np.int32)


def trie_of(words):
    letters = encode("".join(words))
    return build_trie(letters, np.cumsum([0, *map(len, words)]), len(ALPHABET))


def cut(text, words, singles, threads=1):
    """The units of a text as strings, and the paths."""
    trie = trie_of(list(words))
    names = dict(enumerate(ALPHABET)) | dict(zip(trie.nodes.tolist(), words, strict=True))
    costs = trie.costs(list(words.values()), singles)
    paths = best_paths(encode(text), CLASSES, trie, costs, threads=threads)
    return [names[node] for node in paths.path.tolist() if node >= 0], paths, trie


def test_worked_example():
    words = {"天地": 3.0, "地人": 1.0}
    units, paths, trie = cut("天地人，天地", words, [2.0] * 7)
    assert units == ["天", "地人", "，", "天地"]
    assert paths.path.tolist() == [0, -1, trie.nodes[1], 6, -1, trie.nodes[0]]
    assert paths.counts.sum() == 4
    assert paths.path.dtype == np.int32
    assert paths.counts.dtype == np.int64


@given(TEXTS, WORDS, SINGLES)
def test_cheapest_of_all_cuts_with_the_longest_first_word(text, words, singles):
    units, paths, trie = cut(text, words, singles)
    costs = dict(zip(ALPHABET, singles, strict=True)) | words
    wanted = []
    for run in naive.runs(text):
        # Cuts come longest first word first, and `min` keeps the first of equals.
        cuts = [c for c in naive.all_cuts(run) if naive.allowed(run, c) and set(c) <= set(costs)]
        wanted += min(cuts, key=lambda words: sum(costs[word] for word in words))
    assert units == wanted
    counts = np.zeros(trie.size, dtype=np.int64)
    np.add.at(counts, paths.path[paths.path >= 0], 1)
    assert paths.counts.tolist() == counts.tolist()


@given(TEXTS, WORDS, SINGLES)
def test_the_plain_dynamic_programme_says_the_same(text, words, singles):
    costs = dict(zip(ALPHABET, singles, strict=True)) | words
    wanted = [word for run in naive.runs(text) for word in naive.cheapest(run, costs)]
    assert cut(text, words, singles)[0] == wanted


def test_of_equal_cuts_the_longest_first_word_wins():
    words = {"天地": 1.0, "地人": 1.0, "天地人": 2.0}
    assert cut("天地人", words, [1.0] * 7)[0] == ["天地人"]
    del words["天地人"]
    assert cut("天地人", words, [1.0] * 7)[0] == ["天地", "人"]


def test_no_word_crosses_punctuation_or_whitespace():
    words = {"天地": 0.0, "地，": 0.0, "天，地": 0.0}
    assert cut("天，地，天 地", words, [9.0] * 7)[0] == ["天", "，", "地", "，", "天", "地"]


@pytest.mark.parametrize("word", ["a1", "1天", "天a", "人a1"])
def test_no_word_begins_or_ends_inside_a_run_of_letters_and_digits(word):
    assert word not in cut(f"人b{word}b人", {word: 0.0}, [9.0] * 7)[0]
    assert word in cut(f"人{word}人", {word: 0.0}, [9.0] * 7)[0]


def test_never_costs_are_never_taken():
    trie = trie_of(["天地人"])
    costs = trie.costs([math.inf], [5.0] * 7)
    assert best_paths(encode("天地人"), CLASSES, trie, costs).path.tolist() == [0, 1, 2]


def test_a_run_longer_than_the_first_room():
    text = "天地人" * 2000
    units, paths, _ = cut(text, {"地人": 1.0}, [2.0] * 7)
    assert units == ["天", "地人"] * 2000
    assert paths.counts.sum() == 4000


def test_threads_give_equal_results():
    rng = np.random.default_rng(1)
    text = "".join(rng.choice(list(ALPHABET), 5000))
    sentences = np.concatenate([[*part, -1] for part in np.split(encode(text), 500)])
    trie = trie_of(["天地", "人a", "地人天"])
    costs = trie.costs([1.0, 1.5, 2.0], [1.5] * 7)
    one = best_paths(sentences, CLASSES, trie, costs)
    for threads in (2, 3, 8):
        many = best_paths(sentences, CLASSES, trie, costs, threads=threads)
        assert many.path.tolist() == one.path.tolist()
        assert many.counts.tolist() == one.counts.tolist()


def test_empty_text():
    trie = trie_of([])
    paths = best_paths(np.empty(0, np.int32), CLASSES, trie, trie.costs([], 1.0), threads=3)
    assert paths.path.size == 0
    assert paths.counts.sum() == 0


@given(TEXTS, st.sets(st.text(ALPHABET, min_size=2, max_size=4), max_size=8), st.integers(0, 99))
def test_sum_over_paths_is_the_sum_over_all_cuts(text, words, seed):
    rng = np.random.default_rng(seed)
    words = sorted(words)
    # Some characters are no units: their probability is zero.
    singles = rng.random(len(ALPHABET)) * (rng.random(len(ALPHABET)) < 0.8)
    chances = dict(zip(ALPHABET, singles.tolist(), strict=True))
    chances |= dict(zip(words, rng.random(len(words)).tolist(), strict=True))
    trie = trie_of(words)
    with np.errstate(divide="ignore"):
        logs = -trie.costs(-np.log([chances[word] for word in words]), -np.log(singles))
        wanted = math.fsum(
            math.log(total) if (total := _sum_of_cuts(run, chances)) else -math.inf
            for run in text.split()
        )
    assert path_sums(encode(text), trie, logs) == pytest.approx(wanted, rel=1e-12, abs=1e-12)


def _sum_of_cuts(run, chances):
    cuts = naive.all_cuts(run)
    return math.fsum(math.prod(chances.get(word, 0.0) for word in cut) for cut in cuts)
