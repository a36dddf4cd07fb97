"""From where units end to words: what every segmenter of text shares.

A segmenter decides where units end; the rules of writing decide the rest. Punctuation stands alone;
a run of letters and digits is one word, with the point and the percent sign of a number; whitespace
separates and is dropped. The text itself is never changed: words are spans of it.
"""

import contextlib
import gc
from collections.abc import Iterable, Iterator
from itertools import pairwise
from unicodedata import combining, is_normalized

import numpy as np

from taolu._kernel import kernel
from taolu.text.alphabet import code_points
from taolu.text.normalize import ALNUM, UNSAFE, character_class, sentence_kinds, to_nfc

NEW = -3  # in the table of ids: a code point not looked at yet
LINE = -1
SPACE = -2


class Cutter:
    """Cuts text into words; a subclass says where units end.

    Attributes:
        table: Id of each code point, int32 (0x110000,); NEW before it is first met, LINE or SPACE
            for whitespace.
        classes: OTHER, WORD or ALNUM for each id, uint8 (alphabet,). The last three ids stand for
            all unknown characters, one of each class.
    """

    table: np.ndarray
    classes: np.ndarray

    def _fill(self, ids: np.ndarray, path: np.ndarray) -> None:
        """Fills `path`, int32 (time,): at least zero where a unit ends, negative elsewhere."""
        raise NotImplementedError

    def cut(self, text: str) -> list[str]:
        """Returns the words of a text."""
        return self.spaced(text).split()

    def cut_lines(self, lines: Iterable[str]) -> list[list[str]]:
        """Returns the words of each line; a line must hold no line feed."""
        spaced = self.spaced("\n".join(lines)).split("\n")
        with no_collection():
            # Spaces in, words out: to split at spaces is faster than to slice.
            return [line.split() for line in spaced]

    def spans(self, text: str) -> list[tuple[int, int]]:
        """Returns where each word starts and stops, as offsets into the text.

        Example:
            >>> from taolu.mine.cut import Segmenter
            >>> Segmenter({"苹果": 2}).spans("吃 苹果")
            [(0, 1), (2, 4)]
        """
        codes = code_points(text)
        starts = self._starts(text, codes)
        _, begins, ends, _ = words_of(codes, starts, np.full(codes.size, -1, np.int32))
        return list(zip(begins.tolist(), ends.tolist(), strict=True))

    def spaced(self, text: str) -> str:
        """Returns the text with its words one space apart, line by line; fast for large texts.

        Line feeds stay where they are; other whitespace only separates words.
        """
        codes = code_points(text)
        spaced = np.empty(2 * codes.size, dtype=np.uint32)
        used = _spaced(codes, self._starts(text, codes), _SPACES, spaced)
        return spaced[:used].tobytes().decode("utf-32-le", "surrogatepass")

    def _starts(self, text: str, codes: np.ndarray, path: np.ndarray | None = None) -> np.ndarray:
        """True where a word starts, bool (characters,); fills `path` if it can."""
        if _is_nfc(text, codes):
            return self._starts_of(codes, np.empty(codes.size, np.int32) if path is None else path)
        # Look words up in NFC, but cut the text as it came: a cut inside a cluster is dropped.
        normal, origins = _normal_form(text)
        found = self._starts_of(normal, np.empty(normal.size, np.int32))
        starts = np.zeros(codes.size, dtype=bool)
        starts[origins[found]] = True
        return starts

    def _starts_of(self, codes: np.ndarray, path: np.ndarray) -> np.ndarray:
        ids = self._ids(codes)
        self._fill(ids, path)
        starts = np.empty(ids.size, dtype=np.bool_)
        _word_starts(codes, ids, self.classes, path, starts)
        return starts

    def _ids(self, codes: np.ndarray) -> np.ndarray:
        ids = self.table[codes]
        if ids.size and ids.min() == NEW:
            self._add(codes[ids == NEW])
            ids = self.table[codes]
        return ids

    def _add(self, codes: np.ndarray) -> None:
        """Gives code points seen for the first time the id of their class, or a separator's."""
        unknown = self.classes.size - 3
        for code in np.unique(codes).tolist():
            character = chr(code)
            if character.isspace():
                self.table[code] = LINE if character == "\n" else SPACE
            else:
                self.table[code] = unknown + character_class(character)


@contextlib.contextmanager
def no_collection() -> Iterator[None]:
    """Many lists at once make Python look for garbage again and again; there is none."""
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collecting:
            gc.enable()


def words_of(codes, starts, path):
    """Returns unit (or -1), start and end of each word, and the words before each line's end."""
    return _words(codes, starts, path, _SPACES)


def _whitespace() -> np.ndarray:
    spaces = np.zeros(0x110000, dtype=np.bool_)
    spaces[(sentence_kinds() == 1) | (np.arange(0x110000) == 0x0A)] = True
    return spaces


_SPACES = _whitespace()
_UNSAFE = sentence_kinds() == UNSAFE


def _is_nfc(text: str, codes: np.ndarray) -> bool:
    """Whether a text is in NFC; only lines with a doubtful character are really looked at."""
    doubtful = np.flatnonzero(_UNSAFE[codes])
    if not doubtful.size:
        return True
    ends = np.append(np.flatnonzero(codes == 0x0A), codes.size)
    for line in np.unique(np.searchsorted(ends, doubtful)).tolist():
        start = int(ends[line - 1]) + 1 if line else 0
        if not is_normalized("NFC", text[start : int(ends[line])]):
            return False
    return True


def _normal_form(text: str) -> tuple[np.ndarray, np.ndarray]:
    """The code points of a text in NFC, and where the cluster each comes from starts in it."""
    codes, origins, start = [], [], 0
    for line in text.splitlines(keepends=True):
        normal = to_nfc(line)
        codes.append(code_points(normal))
        found = np.arange(len(line)) if normal == line else _origins(line)
        origins.append(start + found)
        start += len(line)
    return np.concatenate(codes), np.concatenate(origins)


def _origins(text: str) -> np.ndarray:
    """Offset in `text` of the cluster each character of its NFC form comes from."""
    starts = [0]
    for at, character in enumerate(text):
        if at and _stands_apart(text[starts[-1] : at], character):
            starts.append(at)
    sizes = [len(to_nfc(text[i:j])) for i, j in pairwise([*starts, len(text)])]
    return np.repeat(starts, sizes)


def _stands_apart(cluster: str, character: str) -> bool:
    """Whether NFC leaves a character alone that comes after a cluster."""
    if not _UNSAFE[ord(character)]:
        return True
    alone = to_nfc(cluster) + to_nfc(character)
    return not combining(character) and to_nfc(cluster + character) == alone


@kernel
def _word_starts(codes, ids, classes, path, starts):
    """Marks word starts: where a unit starts, but for the inside of numbers and Latin words."""
    fresh = True
    for t in range(ids.size):
        if ids[t] < 0:
            starts[t] = False
            fresh = True
            continue
        starts[t] = fresh
        fresh = path[t] >= 0
        if not starts[t] or t == 0 or ids[t - 1] < 0:
            continue
        kind, before = classes[ids[t]], classes[ids[t - 1]]
        if _clings(codes[t]) or codes[t - 1] == 0x200D:
            # A mark or an emoji joiner belongs to what stands before it.
            starts[t] = False
        elif kind == ALNUM and before == ALNUM:
            starts[t] = False
        elif before == ALNUM and _is_digit(codes[t - 1]):
            # 3.5% and 3．5％ are one word each.
            percent = codes[t] == 0x25 or codes[t] == 0xFF05
            inside = _is_point(codes[t]) and t + 1 < ids.size and _is_digit(codes[t + 1])
            starts[t] = not (percent or inside)
        elif kind == ALNUM and t > 1 and _is_point(codes[t - 1]):
            starts[t] = not (_is_digit(codes[t]) and _is_digit(codes[t - 2]))


@kernel
def _clings(code):
    """Combining marks, variation selectors, joiners and skin tones."""
    return (
        0x0300 <= code < 0x0370
        or code == 0x200D
        or 0x20D0 <= code < 0x2100
        or 0xFE00 <= code < 0xFE10
        or 0x1F3FB <= code < 0x1F400
    )


@kernel
def _is_point(code):
    return code == 0x2E or code == 0xFF0E


@kernel
def _is_digit(code):
    return 0x30 <= code <= 0x39 or 0xFF10 <= code <= 0xFF19


@kernel
def _spaced(codes, starts, spaces, spaced):
    used = 0
    line_start = True
    for t in range(codes.size):
        code = codes[t]
        if code == 0x0A:
            spaced[used] = code
            used += 1
            line_start = True
        elif not spaces[code]:
            if starts[t] and not line_start:
                spaced[used] = 0x20
                used += 1
            spaced[used] = code
            used += 1
            line_start = False
    return used


@kernel
def _words(codes, starts, path, spaces):
    """Returns unit (or -1), start and end of each word, and the words before each line's end."""
    units = np.empty(codes.size, dtype=np.int32)
    begins = np.empty(codes.size, dtype=np.int64)
    ends = np.empty(codes.size, dtype=np.int64)
    breaks = np.empty(codes.size + 1, dtype=np.int64)
    used = lines = 0
    for t in range(codes.size):
        if spaces[codes[t]]:
            if codes[t] == 0x0A:
                breaks[lines] = used
                lines += 1
            continue
        if starts[t]:
            begins[used] = t
            units[used] = path[t]
            used += 1
        else:
            # -1: still inside its first unit; several units glued into one word, -2, have no
            # string of their own, even where the last of them is a word (1.2万 with 2万).
            units[used - 1] = path[t] if units[used - 1] == -1 else -2
        ends[used - 1] = t + 1
    breaks[lines] = used
    return units[:used], begins[:used], ends[:used], breaks[: lines + 1]
