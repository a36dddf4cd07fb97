"""Text that is already cut into words, as one array of word ids in bounded memory.

Words get provisional numbers as they come, in one pass; rare ones are then dropped and the others
numbered anew, the most used first. Past a size the ids lie in a temporary file that the operating
system maps into memory.
"""

import os
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import count

import numpy as np

from taolu.text.corpus import Corpus
from taolu.text.id_parts import IdParts

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
    ids = IdParts(IN_MEMORY_IDS)
    for part in _parts(source, names):
        ids.append(part)
    counts = np.zeros(len(names), dtype=np.int64)
    for part in ids.parts(AT_ONCE):
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
    return TokenStream(_renumbered(ids, place), tuple(words[i] for i in order), counts[order])


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


def _renumbered(ids: IdParts, place: np.ndarray) -> np.ndarray:
    """The ids under their new numbers, in the room of the old ones."""
    whole = ids.whole("r+")
    used = 0
    for start in range(0, whole.size, AT_ONCE):
        part = whole[start : start + AT_ONCE]
        found = place[part]
        found = found[found >= END]
        # Never ahead of the reading: ids only get fewer.
        whole[used : used + found.size] = found
        used += found.size
    return whole[:used]
