"""Which word follows which: the counts behind every model of neighbouring words.

A sentence of words w_1 ... w_n is read as a closed walk, end -> w_1 -> ... -> w_n -> end. The most
used words are told apart; all others are one word, the rest, so that memory stays bounded
whatever the text.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
from scipy import sparse

from taolu.chain.lattice import exact_costs, fill_paths
from taolu.chain.trie import build_trie
from taolu.count.runs import runs
from taolu.mine.lexicon import Lexicon
from taolu.text.encode import END, EncodedText

MOST_WORDS = 30_000
AT_ONCE = 1 << 23  # steps of the walk counted at a time; bounds the memory, 8 bytes each


@dataclass(frozen=True)
class Transitions:
    """How often each word follows each other.

    Attributes:
        words: The words told apart, the most used first.
        uses: Uses of each of them, int64 (words,).
        rest: Uses of each of the other words, int64 (others,).
        counts: Uses of the row's word before the column's, int64 (words + 2, words + 2) in
            compressed rows; the last but one is the rest, the last the end of a sentence.
    """

    words: tuple[str, ...]
    uses: np.ndarray
    rest: np.ndarray
    counts: sparse.csr_array


def count_transitions(
    sentences: Iterable[Sequence[str]], *, most_words: int = MOST_WORDS
) -> Transitions:
    """Returns how often each word follows each other in sentences of words.

    Args:
        sentences: The words of each sentence; empty sentences are left out.
        most_words: Words told apart, the most used ones; equally used ones as they come.

    Raises:
        ValueError: There are no words, or `most_words` is below one.

    Example:
        >>> found = count_transitions([["我", "来"], ["你", "来"], ["来"]])
        >>> found.words, found.counts.toarray()[0].tolist()  # after 来: the end, three times
        (('来', '我', '你'), [0, 0, 0, 0, 3])
    """
    _check_most(most_words)
    lines = [sentence for sentence in sentences if sentence]
    counter = Counter(chain.from_iterable(lines))
    if not counter:
        raise ValueError("`sentences` must hold at least one word. Received: none.")
    place = {word: i for i, word in enumerate(counter)}
    uses = np.fromiter(counter.values(), dtype=np.int64, count=len(counter))
    order, labels = _most_used(uses, most_words)
    end = min(most_words, uses.size) + 1
    walk = (i for line in lines for i in (*(labels[place[word]] for word in line), end))
    steps = np.fromiter(walk, dtype=np.int64, count=int(uses.sum()) + len(lines))
    words = list(counter)
    return _collect([steps], tuple(words[i] for i in order[: end - 1]), uses[order], end)


def transitions_in(
    text: EncodedText, lexicon: Lexicon, *, most_words: int = MOST_WORDS, threads: int = 1
) -> Transitions:
    """Returns how often each unit of a text follows each other, cut the cheapest way.

    Args:
        text: The text.
        lexicon: The words, with the counts on which cutting rests.
        most_words: Units told apart, the most used ones.
        threads: Threads that share the text.

    Raises:
        ValueError: `most_words` is below one.
    """
    _check_most(most_words)
    path, uses, names = _cut(text, lexicon, threads)
    used = np.flatnonzero(uses)
    order, labels = _most_used(uses[used], most_words)
    end = min(most_words, used.size) + 1
    table = np.full(uses.size, -1, dtype=np.int64)
    table[used] = labels
    parts = _walks(text.ids, path, table, end)
    words = tuple(names[used[order[: end - 1]]].tolist())
    return _collect(parts, words, uses[used[order]], end)


def _check_most(most_words: int) -> None:
    if most_words < 1:
        raise ValueError(f"`most_words` must be at least 1. Received: most_words={most_words}.")


def _cut(text, lexicon, threads) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The node of each unit where it ends, the uses of all nodes, and their names."""
    alphabet = len(text.alphabet)
    letters = text.alphabet.encode("".join(lexicon.words))
    offsets = np.cumsum([0, *map(len, lexicon.words)], dtype=np.int64)
    trie = build_trie(letters, offsets, alphabet)
    counts = np.concatenate([lexicon.character_counts, lexicon.counts])
    total = np.log2(counts.sum() + text.sentences)
    bits = total - np.log2(np.maximum(counts, 1))
    costs = exact_costs(trie.costs(bits[alphabet:], bits[:alphabet]))
    path = np.empty(text.ids.size, dtype=np.int32)
    uses = fill_paths(text.ids, text.alphabet.classes, trie, costs, path, threads=threads)
    names = np.array([*text.alphabet.characters, *[""] * (trie.size - alphabet)], dtype=object)
    names[trie.nodes] = lexicon.words
    return path, uses, names


def _most_used(uses: np.ndarray, most: int) -> tuple[np.ndarray, np.ndarray]:
    """Words by falling use, and the row of each word; all but the first `most` share one."""
    order = np.argsort(-uses, kind="stable")
    labels = np.empty(uses.size, dtype=np.int64)
    labels[order] = np.minimum(np.arange(uses.size), most)
    return order, labels


def _walks(ids, path, table, end) -> Iterator[np.ndarray]:
    for start in range(0, ids.size, AT_ONCE):
        some = slice(start, start + AT_ONCE)
        closes = ids[some] == END
        steps = np.where(closes, end, table[np.maximum(path[some], 0)])
        yield steps[closes | (path[some] >= 0)]


def _collect(parts, words, uses, end) -> Transitions:
    size = end + 1
    counts = sparse.csr_array((size, size), dtype=np.int64)
    last = np.array([end])
    for steps in parts:
        walk = np.concatenate([last, steps])
        keys = walk[:-1] * size + walk[1:]
        keys.sort()
        keys, found = runs(keys)
        rows = np.searchsorted(keys, np.arange(size + 1) * size)
        counts = counts + sparse.csr_array((found, keys % size, rows), shape=(size, size))
        last = walk[-1:]
    return Transitions(words, uses[: end - 1], uses[end - 1 :], counts)
