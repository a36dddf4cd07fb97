"""A whole text as one array of character ids, with its sentence ends marked.

Reading is the first cost of every step, so it is done once: UTF-8 bytes become ids in one pass of
compiled code, which also checks the bytes, finds sentence ends and counts characters. Above a
size the ids lie in a temporary file that the operating system maps into memory.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from taolu._kernel import kernel
from taolu.text.alphabet import Alphabet
from taolu.text.corpus import Block, Corpus
from taolu.text.id_parts import IdParts
from taolu.text.normalize import (
    LINE_END,
    ORDINARY,
    OTHER,
    SENTENCE_END,
    SPACE,
    UNSAFE,
    sentence_kinds,
    to_nfc,
)

END = -1  # id that closes a sentence
GAP = -2  # id of whitespace inside a sentence: a word boundary that is not a character

IN_MEMORY_IDS = 1 << 26
REACH_BYTES = 1 << 8  # text normalised at a time, at least

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class EncodedText:
    """A text as character ids.

    Attributes:
        ids: Character ids, int32 (time,); `END` after each sentence, `GAP` for whitespace inside.
        alphabet: The distinct characters, in order of first appearance.
        counts: Occurrences of each character, int64 (size,).
        sentences: Number of sentences, each with at least one character.
    """

    ids: np.ndarray
    alphabet: Alphabet
    counts: np.ndarray
    sentences: int

    @cached_property
    def characters(self) -> int:
        """Number of characters, whitespace left out."""
        return int(self.counts.sum())

    @cached_property
    def words_only(self) -> np.ndarray:
        """True for characters that words are made of (no punctuation), bool (size,)."""
        return self.alphabet.classes != OTHER


def encode(corpus: Corpus, progress: Progress | None = None) -> EncodedText:
    """Returns the text of a corpus as ids.

    Args:
        corpus: The text. It is normalised to NFC; whitespace is not kept but as `GAP`.
        progress: Called as `progress(done, size)`, in bytes of the stored corpus.

    Returns:
        The ids; an empty corpus gives empty arrays.

    Raises:
        CorpusError: The corpus cannot be read.

    Example:
        >>> text = encode(Corpus.from_lines(["好 好。", "不好"]))
        >>> text.alphabet.characters, text.ids
        ('好。不', array([ 0, -2,  0,  1, -1,  2,  0, -1], dtype=int32))
    """
    reader, parts = _Reader(), IdParts(IN_MEMORY_IDS)
    for block in corpus.blocks():
        parts.append(reader.read(block))
        if progress is not None:
            progress(block.position, corpus.size)
    alphabet = Alphabet(reader.characters())
    return EncodedText(parts.whole(), alphabet, reader.counts[: len(alphabet)].copy(), reader.ends)


def sentence_bounds(ids: np.ndarray, shares: int) -> list[int]:
    """Returns bounds that cut ids at sentence ends into at most so many shares of like size.

    Example:
        >>> sentence_bounds(np.array([0, -1, 1, -1, 2, -1], dtype=np.int32), 2)
        [0, 4, 6]
    """
    bounds = [0]
    for share in range(1, shares):
        at = ids.size * share // shares
        found = np.flatnonzero(ids[at : at + (1 << 16)] == END)
        if found.size and bounds[-1] < at + int(found[0]) + 1 < ids.size:
            bounds.append(at + int(found[0]) + 1)
    return [*bounds, ids.size]


class _Reader:
    """Turns blocks into ids; its alphabet grows as it reads."""

    def __init__(self) -> None:
        self.kinds = sentence_kinds()
        # For text known to be NFC: nothing in it needs a second look.
        self.trusting = np.where(self.kinds == UNSAFE, np.uint8(ORDINARY), self.kinds)
        self.room = np.empty(0, dtype=np.int32)
        self.table = np.full(0x110000, -1, dtype=np.int32)
        self.codes = np.empty(0x110000, dtype=np.uint32)
        self.counts = np.zeros(0x110000, dtype=np.int64)
        self.size = self.ends = 0

    def characters(self) -> str:
        return self.codes[: self.size].tobytes().decode("utf-32-le")

    def read(self, block: Block) -> np.ndarray:
        source = np.frombuffer(block.data, dtype=np.uint8)
        parts, index, line, reach = [], 0, block.line, 0
        while index < source.size:
            ids, found = self._read(source, index, self.kinds)
            parts.append(ids)
            if found < source.size:
                # A line that is not NFC, or not UTF-8: the slow way tells. Where such lines crowd
                # it takes twice as many at a time, so no text is read more than a few times.
                reach = max(REACH_BYTES, 2 * reach if found - index <= reach else 0)
                stop = block.data.find(b"\n", found + reach) + 1 or source.size
                line += block.data.count(b"\n", index, found)
                text = Block(block.data[found:stop], block.path, line, 0).decode()
                normal = np.frombuffer(to_nfc(text).encode(), dtype=np.uint8)
                parts.append(self._read(normal, 0, self.trusting)[0])
                line, found = line + text.count("\n"), stop
            index = found
        return np.concatenate(parts) if len(parts) != 1 else parts[0]

    def _read(self, source: np.ndarray, index: int, kinds: np.ndarray) -> tuple[np.ndarray, int]:
        """Returns the ids of whole lines, and where the first line not understood starts."""
        # Room for `GAP` before and `END` after a character, and an `END` at the end of the block.
        if self.room.size < 2 * source.size + 2:
            self.room = np.empty(2 * source.size + 2, dtype=np.int32)
        state = np.array([self.size, self.ends, index], dtype=np.int64)
        used = _encode(source, kinds, self.table, self.codes, self.counts, self.room, state)
        self.size, self.ends, index = state.tolist()
        return self.room[:used].copy(), index


@kernel
def _encode(source, kinds, table, codes, counts, ids, state):
    """Fills `ids` and returns how many; stops at the start of a line with an unclear byte."""
    size, ends, index = state
    used = 0
    stop = source.size
    opened = False
    gap = False
    line = index
    line_size, line_ends, line_used = size, ends, used
    while index < stop:
        byte, code, width = np.int64(source[index]), np.int64(-1), 1
        if byte < 0x80:
            code = byte
        elif 0xC2 <= byte < 0xE0 and index + 1 < stop:
            second = np.int64(source[index + 1])
            if second & 0xC0 == 0x80:
                code, width = ((byte & 0x1F) << 6) | (second & 0x3F), 2
        elif 0xE0 <= byte < 0xF0 and index + 2 < stop:
            second, third = np.int64(source[index + 1]), np.int64(source[index + 2])
            if second & 0xC0 == 0x80 and third & 0xC0 == 0x80:
                code, width = ((byte & 0xF) << 12) | ((second & 0x3F) << 6) | (third & 0x3F), 3
            if code < 0x800 or 0xD800 <= code < 0xE000:
                code = np.int64(-1)
        elif 0xF0 <= byte < 0xF5 and index + 3 < stop:
            second, third = np.int64(source[index + 1]), np.int64(source[index + 2])
            fourth = np.int64(source[index + 3])
            if second & 0xC0 == 0x80 and third & 0xC0 == 0x80 and fourth & 0xC0 == 0x80:
                code = ((byte & 7) << 18) | ((second & 0x3F) << 12)
                code, width = code | ((third & 0x3F) << 6) | (fourth & 0x3F), 4
            if code < 0x10000 or code >= 0x110000:
                code = np.int64(-1)
        if code < 0 or kinds[code] == UNSAFE:
            # Give back what this line added.
            for t in range(line_used, used):
                if ids[t] >= 0:
                    counts[ids[t]] -= 1
            for name in range(line_size, size):
                table[codes[name]] = -1
            state[0], state[1], state[2] = line_size, line_ends, line
            return line_used
        index += width
        kind = kinds[code]
        if kind == SPACE:
            gap = opened
            continue
        if kind == LINE_END:
            if opened:
                ids[used] = END
                used += 1
                ends += 1
            opened = gap = False
            line = index
            line_size, line_ends, line_used = size, ends, used
            continue
        if gap:
            ids[used] = GAP
            used += 1
            gap = False
        name = table[code]
        if name < 0:
            name = size
            table[code] = name
            codes[name] = code
            size += 1
        counts[name] += 1
        ids[used] = name
        used += 1
        opened = True
        if kind == SENTENCE_END:
            ids[used] = END
            used += 1
            ends += 1
            opened = False
    if opened:
        ids[used] = END
        used += 1
        ends += 1
    state[0], state[1], state[2] = size, ends, index
    return used
