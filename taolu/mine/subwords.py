"""Vectors of words from the pieces they are made of, so that unseen words have vectors too.

A word is written between marks, `<北京>`, and its pieces are the n-grams of that: 北, 京, <北,
北京, 京>, <北京, 北京>. Pieces are hashed into buckets, each with a vector; the vector of a word is
the mean (or sum) of its own and those of its pieces, that of an unseen word of its pieces alone.
"""

import zlib
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Subwords:
    """Which pieces of words have vectors.

    Args:
        least: Characters of the shortest piece, marks included; a mark alone is none.
        most: Characters of the longest one.
        buckets: Different vectors at most; pieces that fall into one bucket share a vector.
        mean: Whether to take the mean of vectors, not their sum.

    Raises:
        ValueError: An argument is out of range.

    Example:
        >>> Subwords(most=2).pieces("北京")
        ['北', '京', '<北', '北京', '京>']

    References:
        Bojanowski, Grave, Joulin, Mikolov, Enriching word vectors with subword information, 2017.
    """

    least: int = 1
    most: int = 3
    buckets: int = 1 << 20
    mean: bool = True

    def __post_init__(self) -> None:
        if not 1 <= self.least <= self.most:
            raise ValueError(
                "`least` must be at least 1, and `most` at least `least`. "
                f"Received: least={self.least}, most={self.most}."
            )
        if not 1 <= self.buckets <= 1 << 31:
            raise ValueError(f"`buckets` must lie in 1 to 2**31. Received: buckets={self.buckets}.")

    def pieces(self, word: str) -> list[str]:
        """Returns the pieces of a word, short ones first, as often as they occur."""
        marked = f"<{word}>"
        return [
            marked[start : start + size]
            for size in range(self.least, self.most + 1)
            for start in range(size == 1, len(marked) - size + 1 - (size == 1))
        ]

    def hashes(self, word: str) -> list[int]:
        """Returns the buckets of a word's pieces; CRC-32 is the same on every machine."""
        return [zlib.crc32(piece.encode()) % self.buckets for piece in self.pieces(word)]


@dataclass(frozen=True)
class PieceVectors:
    """The vectors of pieces of words.

    Attributes:
        subwords: Which pieces there are.
        buckets: Buckets with a vector, those of words seen, int64 (rows,), rising.
        vectors: float32 (rows, width).
    """

    subwords: Subwords
    buckets: np.ndarray
    vectors: np.ndarray

    def vector(self, word: str) -> np.ndarray | None:
        """Returns the vector of an unseen word, or None where no piece of it was seen."""
        found = np.array(self.subwords.hashes(word), dtype=np.int64)
        rows = np.searchsorted(self.buckets, found)
        rows = np.minimum(rows, len(self.buckets) - 1)
        rows = rows[self.buckets[rows] == found] if len(self.buckets) else rows[:0]
        if not rows.size:
            return None
        total = self.vectors[rows].sum(axis=0)
        return total / np.float32(rows.size) if self.subwords.mean else total


def bags_of_pieces(words, subwords: Subwords | None):
    """Returns for each word the rows of a table that make up its vector.

    The table has a row for each word, then one for each bucket that is used.

    Returns:
        `starts`, int64 (words + 1,): the rows of word w are what lies from `starts[w]` to
        `starts[w + 1]` of `rows`, int32; `scale`, float32 (words,), one over how many they are
        where means are taken, else one; `buckets`, int64, those used.

    Example:
        >>> starts, rows, scale, buckets = bags_of_pieces(["北京", "京"], Subwords(most=1))
        >>> starts.tolist(), len(buckets), scale
        ([0, 3, 5], 2, array([0.33333334, 0.5       ], dtype=float32))
    """
    size = len(words)
    if subwords is None:
        starts, rows = np.arange(size + 1), np.arange(size, dtype=np.int32)
        return starts, rows, np.ones(size, np.float32), np.empty(0, np.int64)
    found = [subwords.hashes(word) for word in words]
    starts = np.cumsum([0, *(1 + len(hashes) for hashes in found)], dtype=np.int64)
    flat = np.array([h for hashes in found for h in hashes], dtype=np.int64)
    buckets, places = np.unique(flat, return_inverse=True)
    rows = np.empty(starts[-1], dtype=np.int32)
    own = starts[:-1]
    rows[own] = np.arange(size)
    others = np.ones(rows.size, dtype=bool)
    others[own] = False
    rows[others] = size + places.ravel()
    lengths = np.diff(starts)
    scale = 1 / lengths if subwords.mean else np.ones(size)
    return starts, rows, scale.astype(np.float32), buckets
