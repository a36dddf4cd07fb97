"""Which word follows which: the counts behind every model of neighbouring words.

A sentence of words w_1 ... w_n is read as a closed walk, end -> w_1 -> ... -> w_n -> end. The most
used words are told apart; all others are one word, the rest, so that memory stays bounded
whatever the text.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
from scipy import sparse

from taolu.count.runs import runs
from taolu.mine.lexicon import Lexicon
from taolu.mine.units import Units, cut_units
from taolu.text.encode import EncodedText

MOST_WORDS = 30_000


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
    return transitions_of(cut_units(text, lexicon, threads=threads), most_words=most_words)


def transitions_of(units: Units, *, most_words: int = MOST_WORDS) -> Transitions:
    """Returns how often each word of a text follows each other.

    Args:
        units: The text.
        most_words: Words told apart, the most used ones.

    Raises:
        ValueError: `most_words` is below one.
    """
    _check_most(most_words)
    end = min(most_words, len(units.words)) + 1
    # The most used words come first; all others are one, the rest.
    parts = (np.where(ids < 0, end, np.minimum(ids, end - 1)) for ids in units.parts())
    return _collect(parts, units.words[: end - 1], units.uses, end)


def _check_most(most_words: int) -> None:
    if most_words < 1:
        raise ValueError(f"`most_words` must be at least 1. Received: most_words={most_words}.")


def _most_used(uses: np.ndarray, most: int) -> tuple[np.ndarray, np.ndarray]:
    """Words by falling use, and the row of each word; all but the first `most` share one."""
    order = np.argsort(-uses, kind="stable")
    labels = np.empty(uses.size, dtype=np.int64)
    labels[order] = np.minimum(np.arange(uses.size), most)
    return order, labels


def _collect(parts, words, uses, end) -> Transitions:
    size = end + 1
    counts = sparse.csr_array((size, size), dtype=np.int64)
    last = np.array([end])
    for steps in parts:
        walk = np.concatenate([last, steps]).astype(np.int64)
        keys = walk[:-1] * size + walk[1:]
        keys.sort()
        keys, found = runs(keys)
        rows = np.searchsorted(keys, np.arange(size + 1) * size)
        counts = counts + sparse.csr_array((found, keys % size, rows), shape=(size, size))
        last = walk[-1:]
    return Transitions(words, uses[: end - 1], uses[end - 1 :], counts)
