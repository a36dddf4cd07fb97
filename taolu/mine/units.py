"""A text as the words it is made of: cut the cheapest way, each word by its number."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from taolu.chain.lattice import exact_costs, fill_paths
from taolu.chain.trie import build_trie
from taolu.mine.lexicon import Lexicon
from taolu.text.encode import END, EncodedText
from taolu.text.normalize import ALNUM

AT_ONCE = 1 << 23  # characters looked at at a time


@dataclass(frozen=True)
class Units:
    """A text of words.

    Attributes:
        words: The words used, the most used first.
        uses: Uses of each, int64 (words,).
        path: At each character that ends a word, its place in `words`; -1 at the end of a sentence,
            -2 elsewhere, int32 (time,).
        splits: True where what comes next goes on with a run of letters and digits, which is one
            word that was spelled, bool, as long as `ids`.
    """

    words: tuple[str, ...]
    uses: np.ndarray
    path: np.ndarray
    splits: np.ndarray

    @cached_property
    def ids(self) -> np.ndarray:
        """The words in the order of the text, -1 after each sentence, int32 (time,)."""
        return np.concatenate([np.empty(0, np.int32), *self.parts()])

    def parts(self) -> Iterator[np.ndarray]:
        """Yields `ids` a part at a time."""
        for start in range(0, self.path.size, AT_ONCE):
            some = self.path[start : start + AT_ONCE]
            yield some[some >= END]


def cut_units(text: EncodedText, lexicon: Lexicon, *, threads: int = 1) -> Units:
    """Returns a text as the words of its cheapest paths.

    Args:
        text: The text.
        lexicon: The words, with the counts on which cutting rests.
        threads: Threads that share the text.
    """
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
    used = np.flatnonzero(uses)
    order = used[np.argsort(-uses[used], kind="stable")]
    splits = _splits(text, path)
    # The last cell is for characters inside words, whose node is below zero.
    places = np.full(uses.size + 1, -2, dtype=np.int32)
    places[order] = np.arange(order.size)
    for start in range(0, path.size, AT_ONCE):
        some = slice(start, start + AT_ONCE)
        path[some] = np.where(text.ids[some] == END, END, places[np.maximum(path[some], -1)])
    return Units(tuple(names[order].tolist()), uses[order], path, splits)


def _splits(text: EncodedText, path: np.ndarray) -> np.ndarray:
    run = np.append(text.alphabet.classes == ALNUM, False)
    parts = [np.empty(0, dtype=np.bool_)]
    for start in range(0, path.size, AT_ONCE):
        ids = text.ids[start : start + AT_ONCE + 1]
        inside = run[np.maximum(ids, -1)] & (ids >= 0)
        inside[:-1] &= inside[1:]
        inside[-1] = False
        kept = (path[start : start + AT_ONCE] >= 0) | (ids[: path.size - start][:AT_ONCE] == END)
        parts.append(inside[: kept.size][kept])
    return np.concatenate(parts)
