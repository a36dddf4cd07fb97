"""Words and their vectors: which words are alike, and what is to one as that is to another."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from taolu.mine.subwords import PieceVectors

SUGGESTED = 3  # words named in place of an unknown one


class UnknownWordError(KeyError):
    """A word has no vector; the message names words that look like it."""

    def __str__(self) -> str:
        return str(self.args[0])  # a KeyError would show its message in quotes


@dataclass(frozen=True)
class WordVectors:
    """A vector for each of some words.

    Args:
        words: The words, each once; by custom the most used first.
        vectors: float32 (words, width), finite.
        counts: Uses of each word, int64 (words,), or None where they are not known.
        pieces: Vectors of pieces of words, from which an unseen word gets one; see `subwords`.

    Raises:
        ValueError: Shapes do not fit, a word comes twice, or a number is not finite.

    Example:
        >>> vectors = [[1, 1, 0], [1, 0, 1], [0, 5, 1], [0, 1, 5]]
        >>> found = WordVectors(("王", "后", "男", "女"), vectors)
        >>> [word for word, cosine in found.most_similar("王")]
        ['男', '后', '女']
        >>> round(found.similarity("王", "后"), 6)
        0.5
        >>> found["国王"]
        Traceback (most recent call last):
        taolu.mine.word_vectors.UnknownWordError: No vector for '国王'. Like it: '王'.
    """

    words: tuple[str, ...]
    vectors: np.ndarray
    counts: np.ndarray | None = None
    pieces: PieceVectors | None = None

    def __post_init__(self) -> None:
        words = tuple(self.words)
        vectors = np.ascontiguousarray(self.vectors, dtype=np.float32)
        if vectors.ndim != 2 or len(vectors) != len(words) or not vectors.shape[1]:
            raise ValueError(
                "`vectors` must be (words, width), a row for each word. "
                f"Received: shape {vectors.shape}, {len(words)} words."
            )
        bad = np.flatnonzero(~np.isfinite(vectors).all(axis=1))
        if bad.size:
            raise ValueError(
                "`vectors` must be finite. Received: a NaN or an infinity in the vector of "
                f"{words[bad[0]]!r}."
            )
        object.__setattr__(self, "words", words)
        object.__setattr__(self, "vectors", vectors)
        if len(self._places) < len(words):
            twice = next(w for i, w in enumerate(words) if self._places[w] != i)
            raise ValueError(f"`words` must each come once. Received: {twice!r} twice.")
        if self.counts is not None:
            counts = np.asarray(self.counts, dtype=np.int64)
            if counts.shape != (len(words),):
                raise ValueError(
                    "`counts` must be (words,), a number for each word. "
                    f"Received: shape {counts.shape}, {len(words)} words."
                )
            object.__setattr__(self, "counts", counts)

    def __len__(self) -> int:
        return len(self.words)

    def __contains__(self, word: object) -> bool:
        return word in self._places

    def __getitem__(self, word: str) -> np.ndarray:
        """Returns the vector of a word, float32 (width,).

        Raises:
            UnknownWordError: It has none, a kind of KeyError.
        """
        place = self._places.get(word)
        if place is not None:
            return self.vectors[place]
        found = self.pieces.vector(word) if self.pieces is not None else None
        if found is None:
            raise UnknownWordError(self._unknown(word))
        return found

    @property
    def width(self) -> int:
        """Numbers in a vector."""
        return self.vectors.shape[1]

    @cached_property
    def unit(self) -> np.ndarray:
        """The vectors brought to length one, float32 (words, width); zeros stay zeros."""
        return _unit(self.vectors)

    def similarity(self, one: str, other: str) -> float:
        """Returns the cosine of the vectors of two words.

        Raises:
            UnknownWordError: A word has no vector.
        """
        return float(_unit(self[one]).astype(np.float64) @ _unit(self[other]).astype(np.float64))

    def most_similar(
        self, positive: str | Sequence[str], negative: str | Sequence[str] = (), *, top: int = 10
    ) -> list[tuple[str, float]]:
        """Returns the words that point most nearly where some do, and others do not.

        The direction is the sum of the vectors of `positive` minus that of `negative`, each of
        length one. The words asked for are not among those returned.

        Args:
            positive: A word, or several.
            negative: Words to point away from.
            top: How many to return, at most.

        Returns:
            Words and cosines, the most similar first.

        Raises:
            UnknownWordError: A word has no vector.
            ValueError: No word is given, or `top` is below one.
        """
        add, take = ([w] if isinstance(w, str) else list(w) for w in (positive, negative))
        if not add and not take:
            raise ValueError("`positive` must hold a word. Received: none.")
        if top < 1:
            raise ValueError(f"`top` must be at least 1. Received: top={top}.")
        query = np.zeros(self.width, dtype=np.float32)
        for words, sign in ((add, 1), (take, -1)):
            for word in words:
                query += sign * _unit(self[word])
        cosines = self.unit @ _unit(query)
        cosines[[self._places[w] for w in (*add, *take) if w in self._places]] = -np.inf
        few = min(top, len(self))
        best = np.argpartition(-cosines, few - 1)[:few]
        best = best[np.lexsort((best, -cosines[best]))]
        return [(self.words[i], float(cosines[i])) for i in best if cosines[i] > -np.inf]

    def analogy(self, one: str, other: str, third: str, *, top: int = 10):
        """Returns what may be to `third` as `other` is to `one`, with cosines.

        Example:
            >>> vectors = [[1, 1, 0], [1, 0, 1], [0, 5, 1], [0, 1, 5]]
            >>> words = WordVectors(("王", "后", "男", "女"), vectors)
            >>> words.analogy("男", "女", "王", top=1)[0][0]
            '后'
        """
        return self.most_similar([other, third], [one], top=top)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes a file, whole or not at all: `.npz`, `.txt` or `.bin`; see `vector_files`."""
        from taolu.mine.vector_files import write_vectors

        write_vectors(self, path)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> "WordVectors":
        """Returns the vectors of a file, by its suffix; see `vector_files`.

        Raises:
            CodebookError: The file cannot be read, or breaks a rule of its format.
        """
        from taolu.mine.vector_files import read_vectors

        return read_vectors(path)

    @cached_property
    def _places(self) -> dict[str, int]:
        return {word: place for place, word in enumerate(self.words)}

    def _unknown(self, word: str) -> str:
        letters = set(word)

        def likeness(other: str) -> float:
            return len(letters & set(other)) / max(len(letters), len(other))

        # The first of equally like words: by custom that is the most used one.
        near = sorted((-likeness(w), i) for i, w in enumerate(self.words) if letters & set(w))
        names = ", ".join(repr(self.words[i]) for _, i in near[:SUGGESTED])
        return f"No vector for {word!r}. " + (
            f"Like it: {names}." if names else "No word shares a character with it."
        )


def _unit(vectors: np.ndarray) -> np.ndarray:
    """Vectors of length one; by their largest number first, so that no square overflows."""
    largest = np.abs(vectors).max(axis=-1, keepdims=True)
    scaled = vectors / np.where(largest > 0, largest, 1)
    lengths = np.linalg.norm(scaled, axis=-1, keepdims=True)
    return scaled / np.where(lengths > 0, lengths, 1)
