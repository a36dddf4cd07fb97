"""A folded text that remembers where each of its characters came from.

Models read better when ＡＢＣ and ABC, ㎏ and kg, are the same characters (NFKC); users want
offsets into the text they wrote. NFKC may join characters (か and a voiced mark), split them (㎏)
and reorder marks, so the two texts are aligned piece by piece: a piece begins at each character
that never joins the one before it, and

    NFKC(text) = NFKC(piece 1) NFKC(piece 2) ...

Every folded character belongs to one piece, and every piece to one stretch of the original. A span
is mapped to the smallest stretch of whole pieces that covers it.
"""

import unicodedata
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from taolu.text.spans import Span

# Vowels and finals of Hangul: the only characters but marks that join what stands before them.
_JAMO = frozenset(map(chr, (*range(0x1161, 0x1176), *range(0x11A8, 0x11C3))))


@dataclass(frozen=True)
class Folded:
    """A folded text beside its original.

    Attributes:
        text: The folded text.
        original: The text it came from.
        starts: Where the piece of each folded character begins in the original, int64
            (characters,).
        stops: Where that piece ends in the original, int64 (characters,).

    Example:
        >>> folded = fold("重５㎏。")
        >>> folded.text, folded.starts.tolist(), folded.stops.tolist()
        ('重5kg。', [0, 1, 2, 2, 3], [1, 2, 3, 3, 4])
    """

    text: str
    original: str
    starts: np.ndarray
    stops: np.ndarray

    def to_original(self, span: Span) -> Span:
        """Returns the span in the original that a span in the folded text covers.

        Raises:
            ValueError: The span ends behind the text.

        Example:
            >>> fold("重５㎏。").to_original(Span(1, 3, "WEIGHT"))  # half of ㎏ takes all of it
            Span(start=1, stop=3, label='WEIGHT')
        """
        _check(span, self.text)
        start, stop = int(self.starts[span.start]), int(self.stops[span.stop - 1])
        return replace(span, start=start, stop=stop)

    def to_folded(self, span: Span) -> Span:
        """Returns the span in the folded text that covers a span in the original.

        Raises:
            ValueError: The span ends behind the text.

        Example:
            >>> fold("重５㎏。").to_folded(Span(1, 3, "WEIGHT"))
            Span(start=1, stop=4, label='WEIGHT')
        """
        _check(span, self.original)
        start = int(np.searchsorted(self.stops, span.start, side="right"))
        stop = int(np.searchsorted(self.starts, span.stop, side="left"))
        return replace(span, start=start, stop=stop)


def fold(text: str, *, lower: bool = False) -> Folded:
    """Returns the text in Unicode normal form KC, aligned with the original.

    Full-width letters and digits become half-width, half-width kana full-width; ligatures, units
    and circled numbers are spelled out. Nothing disappears: every original character lies in the
    piece of some folded one.

    Args:
        text: Any text.
        lower: Also make every letter lower-case, each piece by itself.

    Example:
        >>> fold("ｶﾞＡ①㌔").text, fold("ＢＥＲＴ模型", lower=True).text
        ('ガA1キロ', 'bert模型')
        >>> fold("e\\u0301a").stops.tolist()
        [2, 3]
    """
    pieces: list[str] = []
    begins: list[int] = []
    start = 0
    for stop in range(1, len(text) + 1):
        if stop == len(text) or not _joins(text[stop]):
            pieces.append(_fold_piece(text[start:stop], lower))
            begins.append(start)
            start = stop
    sizes = [len(piece) for piece in pieces]
    bounds = np.array([*begins, len(text)], dtype=np.int64)
    starts, stops = np.repeat(bounds[:-1], sizes), np.repeat(bounds[1:], sizes)
    return Folded("".join(pieces), text, starts, stops)


@lru_cache(maxsize=1 << 16)
def _joins(character: str) -> bool:
    """True for what NFKC may join to the character before it, or move in front of it."""
    first = unicodedata.normalize("NFKD", character)[0]
    return first in _JAMO or unicodedata.category(first)[0] == "M"


@lru_cache(maxsize=1 << 16)
def _fold_piece(piece: str, lower: bool) -> str:
    folded = unicodedata.normalize("NFKC", piece)
    return unicodedata.normalize("NFKC", folded.lower()) if lower else folded


def _check(span: Span, text: str) -> None:
    if span.stop > len(text):
        raise ValueError(
            f"`span` must end within the {len(text)} characters there are. Received: {span}."
        )
