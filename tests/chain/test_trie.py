"""The trie against a dict of prefixes, and what it counts against plain string search."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from taolu.chain.trie import (
    NEVER,
    build_trie,
    longest_marked,
    neighbour_keys,
    node_counts,
    over_shares,
    word_edges,
)

LETTERS = 5  # the last one is punctuation
CLASSES = np.array([1, 1, 1, 2, 0], dtype=np.uint8)
WORDS = st.lists(st.lists(st.integers(0, 3), min_size=1, max_size=5), max_size=12)
TEXTS = st.lists(st.integers(-2, LETTERS - 1), max_size=60)


def build(words, alphabet=LETTERS):
    letters = [letter for word in words for letter in word]
    return build_trie(letters, np.cumsum([0, *map(len, words)]), alphabet), letters


def prefixes(words, alphabet=LETTERS):
    """Node of every prefix, numbered as met, after the single characters."""
    nodes = {(letter,): letter for letter in range(alphabet)}
    for word in words:
        for stop in range(1, len(word) + 1):
            nodes.setdefault(tuple(word[:stop]), len(nodes))
    return nodes


def occurrences(ids, nodes):
    """Start, stop and node of every node's string that crosses no border, in a text."""
    for i in range(len(ids)):
        for j in range(i + 1, len(ids) + 1):
            part = tuple(ids[i:j])
            open_run = all(letter >= 0 and CLASSES[letter] for letter in part)
            if part in nodes and (open_run or len(part) == 1):
                yield i, j, nodes[part]


def test_worked_example():
    trie, _ = build([[0, 1], [0, 1, 2], [3]])
    assert trie.size == LETTERS + 2
    assert trie.nodes.tolist() == [5, 6, 3]
    assert trie.costs([1.0, 2.0, 3.0], 9.0).tolist() == [9.0, 9.0, 9.0, 3.0, 9.0, 1.0, 2.0]
    assert trie.costs([1.0, 2.0, 3.0], 9.0)[5] == 1.0
    only_long, _ = build([[0, 1, 2]])
    assert only_long.costs([1.0], 9.0)[5] == NEVER


@given(WORDS)
def test_nodes_are_the_prefixes(words):
    trie, _ = build(words)
    nodes = prefixes(words)
    assert trie.size == len(nodes)
    assert trie.nodes.tolist() == [nodes[tuple(word)] for word in words]


def test_many_words_of_a_large_alphabet():
    rng = np.random.default_rng(0)
    words = [rng.integers(0, 20_000, size).tolist() for size in rng.integers(1, 7, 3000)]
    trie, _ = build(words, 20_000)
    nodes = prefixes(words, 20_000)
    assert trie.size == len(nodes)
    assert trie.nodes.tolist() == [nodes[tuple(word)] for word in words]


@given(WORDS, WORDS)
def test_edges_of_a_word_are_the_nodes_inside_it(words, others):
    trie, _ = build(words)
    nodes = prefixes(words)
    _, letters = build(others)
    edges = word_edges(trie, letters, np.cumsum([0, *map(len, others)]))
    for word, start, stop in zip(others, edges.bounds[:-1], edges.bounds[1:], strict=True):
        spans = [(i, j) for i in range(len(word)) for j in range(i + 1, len(word) + 1)]
        wanted = [(i, j) for i, j in spans if tuple(word[i:j]) in nodes]
        rows = slice(start, stop)
        found = list(zip(edges.begin[rows].tolist(), edges.end[rows].tolist(), strict=True))
        assert found == sorted(wanted, key=lambda span: (-span[0], span[1]))
        assert edges.node[rows].tolist() == [nodes[tuple(word[i:j])] for i, j in found]


@given(WORDS, TEXTS, st.integers(1, 3))
def test_counts_are_those_of_string_search(words, ids, threads):
    trie, _ = build(words)
    wanted = np.zeros(trie.size, dtype=np.int64)
    for _, _, node in occurrences(ids, prefixes(words)):
        wanted[node] += 1
    ids = np.array(ids, dtype=np.int32)
    assert node_counts(ids, CLASSES, trie, threads=threads).tolist() == wanted.tolist()


@given(WORDS, TEXTS, st.integers(1, 3))
def test_longest_marked_string_at_each_place(words, ids, threads):
    words = [word for word in words if len(word) > 1]
    trie, _ = build(words)
    marked = np.zeros(trie.size, dtype=bool)
    marked[trie.nodes] = True
    wanted = [0] * len(ids)
    for i, j, node in occurrences(ids, prefixes(words)):
        if marked[node]:
            wanted[i] = max(wanted[i], j - i)
    ids = np.array(ids, dtype=np.int32)
    assert longest_marked(ids, CLASSES, trie, marked, threads=threads).tolist() == wanted


@given(WORDS, TEXTS, st.integers(1, 3))
def test_neighbours_of_each_occurrence(words, ids, threads):
    trie, _ = build(words)
    marked = np.zeros(trie.size, dtype=bool)
    marked[trie.nodes] = True
    padded = [-1, *ids, -1]
    left, right = [], []
    for i, j, node in occurrences(ids, prefixes(words)):
        if marked[node]:
            left.append((node << 22) | (max(padded[i], -1) + 1))
            right.append((node << 22) | (max(padded[j + 1], -1) + 1))
    sides = neighbour_keys(np.array(ids, dtype=np.int32), CLASSES, trie, marked, threads=threads)
    assert [sorted(side.tolist()) for side in sides] == [sorted(left), sorted(right)]


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_shares_are_whole_sentences_in_order(threads):
    ids = np.array([0, 1, -1] * 50, dtype=np.int32)
    shares = over_shares(lambda part: part.copy(), ids, threads)
    assert len(shares) == threads
    assert np.concatenate(shares).tolist() == ids.tolist()
    assert all(share[-1] == -1 for share in shares)
