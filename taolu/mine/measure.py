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
from taolu.chain.trie import Edges, build_trie, neighbour_keys, node_counts, word_edges
from taolu.text.encode import EncodedText

KEYS_AT_ONCE = 1 << 25  # bounds the memory of neighbours, 8 bytes each


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
    text: EncodedText, words: Iterable[str], *, entropy: bool = True
) -> Measures:
    """Returns count, cohesion and branching entropies of strings of a text.

    Sentence ends and whitespace are one neighbour of their own, punctuation marks each another.
    Linear in the text times the longest string; neighbours are counted a share of the words at a
    time, so memory stays bounded.

    Args:
        text: The text.
        words: Strings over its alphabet, without punctuation inside.
        entropy: Measure branching entropies; without, they are nan.

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
    letters = text.alphabet.encode("".join(suffixes))
    offsets = np.cumsum([0, *map(len, suffixes)], dtype=np.int64)
    trie = build_trie(letters, offsets, len(text.alphabet))
    place = {suffix: i for i, suffix in enumerate(suffixes)}
    rows = np.array([place[word] for word in words], dtype=np.int64)
    counts = node_counts(text.ids, text.alphabet.classes, trie)
    total = float(text.counts[text.words_only].sum())
    cohesion = cohesions(counts, total, word_edges(trie, letters, offsets))
    nodes = trie.nodes[rows]
    if not entropy:
        nothing = np.full(len(words), math.nan)
        return Measures(counts[nodes], cohesion[rows], nothing, nothing.copy())
    left, right = (_entropies(text, trie, nodes, counts, side) for side in (False, True))
    return Measures(counts[nodes], cohesion[rows], left[nodes], right[nodes])


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


def _entropies(text: EncodedText, trie, nodes, counts, right: bool) -> np.ndarray:
    """Entropy in bits of the neighbour of each node of `nodes`, float64 (size,)."""
    entropies = np.zeros(trie.size)
    nodes = np.unique(nodes)
    shares = np.cumsum(counts[nodes]) // KEYS_AT_ONCE
    for share in np.unique(shares):
        wanted = np.zeros(trie.size, dtype=np.bool_)
        wanted[nodes[shares == share]] = True
        keys = neighbour_keys(text.ids, text.alphabet.classes, trie, wanted, right=right)
        keys.sort()
        starts = np.flatnonzero(np.diff(keys, prepend=-1))
        joint = np.diff(starts, append=keys.size).astype(np.float64)
        owner = keys[starts] >> 22
        shown = counts[owner].astype(np.float64)
        np.add.at(entropies, owner, -joint / shown * np.log2(joint / shown))
    return np.maximum(entropies, 0.0)


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
