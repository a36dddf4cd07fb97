"""Segmentation with a dictionary: the words that describe a text in the fewest bits.

A word that makes up the share p of a text costs -log2(p) bits; of all ways to cut a sentence the
cheapest is taken (`chain.lattice`). What every segmenter shares is in `borders`.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from taolu.chain.lattice import exact_costs, fill_paths
from taolu.chain.trie import Trie, build_trie
from taolu.mine.borders import NEW, Cutter, no_collection, words_of
from taolu.text.alphabet import code_points
from taolu.text.normalize import character_class

if TYPE_CHECKING:
    from taolu.mine.codebook import Codebook


def cut(text: str, book: "Codebook") -> list[str]:
    """Returns the words of a text.

    Args:
        text: Any text; whitespace separates words and is dropped.
        book: The codebook whose words are used.

    Example:
        >>> import taolu
        >>> places = "北京", "天安门"
        >>> lines = [a + b + c for a in "我你他在去看" for b in places for c in "好大美吧吗了"]
        >>> book = taolu.learn(taolu.Corpus.from_lines(lines))
        >>> taolu.cut("他去 iPhone15，北京涨3.5%", book)
        ['他', '去', 'iPhone15', '，', '北京', '涨', '3.5%']
    """
    return book.segmenter.cut(text)


@dataclass(frozen=True)
class Segmenter(Cutter):
    """Cuts text into the words of a dictionary, the cheapest way.

    A word used c times among T units costs log2(T / c) bits; a character that is no unit of the
    dictionary costs log2(T), as if it had been seen once. Costs are multiples of 2**-32 bits, so
    sums are exact; of several cheapest cuts the one with the longest first word wins, and so on.

    Args:
        counts: Uses of each word; characters outside words may be left out.
        closings: Uses of symbols that close sentences, counted into T but never in a path.
        threads: Threads that share the lines of a large text; the words do not depend on it.

    Raises:
        ValueError: A count is below one, or a word is empty or holds whitespace.

    Example:
        >>> segmenter = Segmenter({"北京": 8, "北京大学": 3, "大学": 5, "生": 4})
        >>> segmenter.cut("北京大学生")
        ['北京大学', '生']
    """

    counts: Mapping[str, int]
    closings: int = 0
    threads: int = 1
    trie: Trie = field(init=False, repr=False)
    costs: np.ndarray = field(init=False, repr=False)
    classes: np.ndarray = field(init=False, repr=False)
    table: np.ndarray = field(init=False, repr=False)

    def __post_init__(self) -> None:
        for word, count in self.counts.items():
            if count < 1 or not word or word.split() != [word]:
                raise ValueError(
                    "`counts` must map words without whitespace to counts of at least 1. "
                    f"Received: {word!r}: {count}."
                )
        total = np.log2(sum(self.counts.values()) + self.closings)
        characters = sorted({character for word in self.counts for character in word})
        ids = {character: i for i, character in enumerate(characters)}
        words = [word for word in self.counts if len(word) > 1]
        # Three more characters stand for all unknown ones, one of each class.
        alphabet = len(characters) + 3
        letters = [ids[character] for word in words for character in word]
        offsets = np.cumsum([0, *map(len, words)])
        trie = build_trie(letters, offsets, alphabet)
        single = [total - np.log2(self.counts.get(character, 1)) for character in characters]
        several = [total - np.log2(self.counts[word]) for word in words]
        # Ties are frequent: two words in either order cost the same. See `exact_costs`.
        costs = exact_costs(trie.costs(several, [*single, total, total, total]))
        classes = [character_class(character) for character in characters]
        table = np.full(0x110000, NEW, dtype=np.int32)
        for character, i in ids.items():
            table[ord(character)] = i
        for name, value in [("trie", trie), ("costs", costs), ("table", table)]:
            object.__setattr__(self, name, value)
        object.__setattr__(self, "classes", np.array([*classes, 0, 1, 2], dtype=np.uint8))

    def on_threads(self, threads: int) -> "Segmenter":
        """Returns the same segmenter, its work on large texts shared by so many threads."""
        return replace(self, threads=threads)

    def cut_lines(self, lines: Iterable[str]) -> list[list[str]]:
        """Returns the words of each line; a line must hold no line feed."""
        text = "\n".join(lines)
        codes = code_points(text)
        path = np.full(codes.size, -1, dtype=np.int32)
        starts = self._starts(text, codes, path)
        units, begins, ends, breaks = words_of(codes, starts, path)
        # A word of the dictionary is one shared string; the others are cut out of the text.
        words = self.strings[units]
        unknown = np.flatnonzero(units >= self.classes.size - 3)
        unknown = unknown[units[unknown] < self.classes.size]
        words[unknown] = self.singles[codes[begins[unknown]]]
        for at in np.flatnonzero(units < 0).tolist():
            words[at] = text[begins[at] : ends[at]]
        found, stops = words.tolist(), breaks.tolist()
        with no_collection():
            return [found[i:j] for i, j in zip([0, *stops[:-1]], stops, strict=True)]

    @cached_property
    def singles(self) -> np.ndarray:
        """The character of each code point met so far, object (0x110000,)."""
        singles = np.full(0x110000, None, dtype=object)
        for code in np.flatnonzero(self.table >= self.classes.size - 3).tolist():
            singles[code] = chr(code)
        return singles

    @cached_property
    def strings(self) -> np.ndarray:
        """The word of each node, object (nodes + 1,); None where there is none."""
        strings = np.full(self.trie.size + 1, None, dtype=object)
        words = [word for word in self.counts if len(word) > 1]
        strings[self.trie.nodes] = words
        for character in {character for word in self.counts for character in word}:
            strings[self.table[ord(character)]] = character
        return strings

    def _fill(self, ids: np.ndarray, path: np.ndarray) -> None:
        fill_paths(ids, self.classes, self.trie, self.costs, path, threads=self.threads)

    def _add(self, codes: np.ndarray) -> None:
        self.__dict__.pop("singles", None)
        super()._add(codes)
