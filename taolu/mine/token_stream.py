"""Text that is already cut into words, as one array of word ids in bounded memory.

Words get provisional numbers as they come, in one pass; rare ones are then dropped and the others
numbered anew, the most used first. Past a size the ids lie in a temporary file that the operating
system maps into memory.
"""

import os
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from typing import IO

import numpy as np

from taolu.text.corpus import Corpus

END = -1  # id that closes a sentence
IN_MEMORY_IDS = 1 << 26
AT_ONCE = 1 << 22  # ids renumbered at a time

Sentences = str | os.PathLike[str] | Corpus | Iterable[Sequence[str]]


@dataclass(frozen=True)
class TokenStream:
    """Sentences of words as ids.

    Attributes:
        ids: Word ids, int32 (time,); `END` after each sentence.
        words: The words, the most used first; equally used ones as they come.
        counts: Uses of each word, int64 (words,), falling.
    """

    ids: np.ndarray
    words: tuple[str, ...]
    counts: np.ndarray


def read_tokens(source: Sentences, *, min_count: int = 1) -> TokenStream:
    """Returns sentences of words as ids; words used too rarely are left out.

    Args:
        source: A file (or `Corpus`) with one sentence a line, words separated by whitespace; or
            the sentences themselves, each a list of words. They are read once.
        min_count: Least uses of a word.

    Raises:
        CorpusError: A file cannot be read.
        TypeError: A sentence is a string.
        ValueError: No word is used often enough.

    Example:
        >>> stream = read_tokens([["我", "来"], ["你", "来"]])
        >>> stream.words, stream.ids
        (('来', '我', '你'), array([ 1,  0, -1,  2,  0, -1], dtype=int32))
    """
    if min_count < 1:
        raise ValueError(f"`min_count` must be at least 1. Received: min_count={min_count}.")
    names: defaultdict[str, int] = defaultdict(count().__next__)
    ids = _Ids()
    for part in _parts(source, names):
        ids.append(part)
    counts = np.zeros(len(names), dtype=np.int64)
    for part in ids.parts():
        counts += np.bincount(part[part != END], minlength=len(names))
    order = np.argsort(-counts, kind="stable")
    order = order[counts[order] >= min_count]
    if not order.size:
        most = int(counts.max(initial=0))
        raise ValueError(
            "`source` must hold a word that is used at least `min_count` times. Received: "
            f"min_count={min_count}, {len(names)} different words, the most used {most} times."
        )
    place = np.full(len(names) + 1, END - 1, dtype=np.int32)  # the last stands for END
    place[order] = np.arange(order.size)
    place[END] = END
    words = list(names)
    return TokenStream(ids.renumbered(place), tuple(words[i] for i in order), counts[order])


def _parts(source: Sentences, names: defaultdict[str, int]) -> Iterator[np.ndarray]:
    """Provisional ids, some sentences at a time."""
    number = names.__getitem__
    if isinstance(source, str | os.PathLike | Corpus):
        for block in Corpus.of(source).blocks():
            found: list[int] = []
            for line in block.decode().split("\n"):
                words = line.split()
                if words:
                    found += map(number, words)
                    found.append(END)
            yield np.array(found, dtype=np.int32)
        return
    found = []
    for sentence in source:
        if isinstance(sentence, str):
            raise TypeError(
                "`source` must be a file, or sentences that are lists of words. "
                f"Received: the sentence {sentence[:20]!r}."
            )
        found += map(number, sentence)
        found.append(END)
        if len(found) >= AT_ONCE:
            yield np.array(found, dtype=np.int32)
            found = []
    yield np.array(found, dtype=np.int32)


class _Ids:
    """Arrays end to end; past `IN_MEMORY_IDS` they go to a temporary file."""

    def __init__(self) -> None:
        self.arrays: list[np.ndarray] = []
        self.size = 0
        self.file: IO[bytes] | None = None

    def append(self, ids: np.ndarray) -> None:
        self.size += ids.size
        self.arrays.append(ids)
        if self.file is None and self.size > IN_MEMORY_IDS:
            self.file = tempfile.TemporaryFile(prefix="taolu-tokens-")  # noqa: SIM115
        if self.file is not None:
            for array in self.arrays:
                self.file.write(array.data)
            self.arrays = []

    def parts(self) -> Iterator[np.ndarray]:
        if self.file is None:
            yield from self.arrays
            return
        self.file.flush()
        mapped = np.memmap(self.file, dtype=np.int32, mode="r+")
        for start in range(0, self.size, AT_ONCE):
            yield mapped[start : start + AT_ONCE]

    def renumbered(self, place: np.ndarray) -> np.ndarray:
        """The ids under their new numbers, in the room of the old ones."""
        if self.file is None:
            whole = np.empty(self.size, dtype=np.int32)
            return whole[: self._renumber(place, whole)]
        # The mapping outlives the file, and goes when the last array on it goes.
        with self.file:
            self.file.flush()
            whole = np.asarray(np.memmap(self.file, dtype=np.int32, mode="r+"))
            return whole[: self._renumber(place, whole)]

    def _renumber(self, place: np.ndarray, whole: np.ndarray) -> int:
        used = 0
        for part in self.parts():
            found = place[part]
            found = found[found >= END]
            # Never ahead of the reading: ids only get fewer.
            whole[used : used + found.size] = found
            used += found.size
        return used
