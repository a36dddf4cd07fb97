"""How tightly a string holds together, and how freely it stands in its text.

Cohesion is the natural log of how much more often the string occurs than its two halves would
meet by chance, at the cut where that is least:

    cohesion(w) = min over cuts of ln( N * c(w) / (c(left) * c(right)) )

Branching entropy is the entropy, in bits, of the character before or after it: low inside a word,
high at its border. All counts are exact occurrences in the raw text, whatever the segmentation.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from taolu._kernel import kernel
from taolu.chain.trie import Edges, Trie, build_trie, neighbour_keys, node_counts, word_edges
from taolu.text.encode import EncodedText, Progress

KEYS_AT_ONCE = 1 << 24  # occurrences whose neighbours are held at once, 16 bytes each


@dataclass(frozen=True)
class Measures:
    """Statistics of some strings, one row each.

    Attributes:
        count: Occurrences, int64 (strings,).
        cohesion: In nats, float64 (strings,); nan for a single character.
        left_entropy: In bits, float64 (strings,).
        right_entropy: In bits, float64 (strings,).
    """

    count: np.ndarray
    cohesion: np.ndarray
    left_entropy: np.ndarray
    right_entropy: np.ndarray


def measure_words(
    text: EncodedText,
    words: Iterable[str],
    *,
    entropy: bool = True,
    threads: int = 1,
    progress: Progress | None = None,
) -> Measures:
    """Returns count, cohesion and branching entropies of strings of a text.

    Sentence ends and whitespace are one neighbour of their own, punctuation marks each another.
    Linear in the text times the longest string; neighbours are counted a share of the words at a
    time, so memory stays bounded.

    Args:
        text: The text.
        words: Strings over its alphabet, without punctuation inside.
        entropy: Measure branching entropies; without, they are nan.
        threads: Threads that share the text.
        progress: Called as `progress(done, size)`, in passes over the text.

    References:
        Su Jianlin, 基于切分的新词发现, 2017 (cohesion).
        Jin Zhihui and Tanaka-Ishii Kumiko, Unsupervised Segmentation of Chinese Text by Use of
        Branching Entropy, 2006.

    Example:
        >>> from taolu.text.corpus import Corpus
        >>> from taolu.text.encode import encode
        >>> text = encode(Corpus.from_lines(["上海好", "在上海"]))
        >>> measures = measure_words(text, ["上海"])
        >>> measures.count, measures.cohesion.round(4), measures.right_entropy
        (array([2]), array([1.0986]), array([1.]))
    """
    words = list(words)
    suffixes = sorted({word[i:] for word in words for i in range(len(word))})
    place = {suffix: i for i, suffix in enumerate(suffixes)}
    rows = np.array([place[word] for word in words], dtype=np.int64)
    trie, letters, offsets = trie_of(suffixes, text)
    counts = node_counts(text.ids, text.alphabet.classes, trie, threads=threads)
    total = float(text.counts[text.words_only].sum())
    cohesion = cohesions(counts, total, word_edges(trie, letters, offsets))
    count = counts[trie.nodes[rows]]
    if not entropy:
        nothing = np.full(len(words), math.nan)
        return Measures(count, cohesion[rows], nothing, nothing.copy())
    left, right = _entropies(text, words, count, threads, progress)
    return Measures(count, cohesion[rows], left, right)


def trie_of(words: list[str], text: EncodedText) -> tuple[Trie, np.ndarray, np.ndarray]:
    """Returns the trie of some strings, their letters end to end, and where each starts."""
    letters = text.alphabet.encode("".join(words))
    offsets = np.cumsum([0, *map(len, words)], dtype=np.int64)
    return build_trie(letters, offsets, len(text.alphabet)), letters, offsets


def cohesions(counts: np.ndarray, total: float, edges: Edges) -> np.ndarray:
    """Returns the cohesion of each word, float64 (words,), in nats; nan for one character.

    Args:
        counts: Occurrences of each node, int64 (nodes,).
        total: Number of characters, N.
        edges: The nodes inside each word; all its prefixes and suffixes must have one.
    """
    cohesion = np.full(edges.bounds.size - 1, math.nan)
    _cohesion(counts, total, edges.begin, edges.end, edges.node, edges.bounds, cohesion)
    return cohesion


def _entropies(
    text: EncodedText,
    words: list[str],
    count: np.ndarray,
    threads: int,
    progress: Progress | None,
) -> tuple[np.ndarray, np.ndarray]:
    """Entropy in bits of the character before and after each word, float64 (words,) each."""
    trie, _, _ = trie_of(words, text)
    entropies = np.zeros((2, trie.size))
    # The words are taken in shares of so many occurrences.
    shares = np.cumsum(count) // KEYS_AT_ONCE
    names = np.unique(shares)
    for done, share in enumerate(names, start=1):
        if progress:
            progress(done, len(names) + 1)
        wanted = np.zeros(trie.size, dtype=np.bool_)
        wanted[trie.nodes[shares == share]] = True
        sides = neighbour_keys(text.ids, text.alphabet.classes, trie, wanted, threads=threads)
        for side, keys in enumerate(sides):
            keys.sort()
            _entropy(keys, entropies[side])
    return entropies[0, trie.nodes], entropies[1, trie.nodes]


@kernel
def _cohesion(counts, total, begin, end, node, bounds, cohesion):
    """Fills the cohesion of each word from the counts of its prefixes and suffixes."""
    for word in range(cohesion.size):
        size = end[bounds[word + 1] - 1]
        if size == 1:
            continue
        own = counts[node[bounds[word + 1] - 1]]
        least = np.inf
        for prefix in range(bounds[word], bounds[word + 1]):
            if begin[prefix] != 0 or end[prefix] == size:
                continue
            for suffix in range(bounds[word], bounds[word + 1]):
                if end[suffix] == size and begin[suffix] == end[prefix]:
                    chance = float(counts[node[prefix]]) * float(counts[node[suffix]])
                    if chance > 0.0:
                        least = min(least, np.log(total * own / chance))
        cohesion[word] = least


@kernel
def _entropy(keys, entropies):
    """Fills the entropy of each owner from sorted `owner << 22 | neighbour` keys."""
    start = 0
    while start < keys.size:
        owner = keys[start] >> 22
        total = 0.0
        t = run = start
        while t < keys.size and keys[t] >> 22 == owner:
            while t < keys.size and keys[t] == keys[run]:
                t += 1
            count = float(t - run)
            total -= count * np.log2(count)
            run = t
        shown = float(t - start)
        entropies[owner] = max(0.0, np.log2(shown) + total / shown)
        start = t
