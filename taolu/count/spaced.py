"""Counts of the words between whitespace, straight from UTF-8 bytes.

A word's first eight bytes are one number: it finds the word's row in a table and, with the
length, is nearly always the whole comparison. Longer words are compared to the last byte, so two
words are never taken for one. Whitespace is what `str.split` splits at.
"""

import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from taolu._kernel import kernel

_ONCE = np.empty(0, dtype=np.uint64)


def count_spaced(
    blocks: Iterable[bytes], workers: int = 1, errors: str = "strict"
) -> dict[str, int]:
    """Returns how often each word occurs, in no particular order.

    Args:
        blocks: UTF-8 text; no word crosses from one block to the next.
        workers: Threads. Each takes the next block when it is free.
        errors: How the words are decoded, as in `bytes.decode`.

    Raises:
        UnicodeDecodeError: The text is not valid UTF-8.

    Example:
        >>> sorted(count_spaced([b"to be or not\\n", b"to be"]).items())
        [('be', 2), ('not', 1), ('or', 1), ('to', 2)]
    """
    tables = sorted(_filled(iter(blocks), workers), key=lambda table: -table.state[0])
    merged, *others = tables
    for other in others:
        merged.add(other.words[: other.state[1]], other.weights())
    words = merged.words[: merged.state[1]].tobytes().decode("utf-8", errors).split(" ")
    return dict(zip(words, merged.weights().tolist(), strict=False))


def _filled(blocks: Iterator[bytes], workers: int) -> list["_Table"]:
    lock, stopped = threading.Lock(), threading.Event()

    def fill(_) -> _Table:
        table = _Table()
        while not stopped.is_set():
            with lock:
                block = next(blocks, None)
            if block is None:
                break
            table.add(np.frombuffer(block, dtype=np.uint8))
        return table

    if workers == 1:
        return [fill(0)]
    with ThreadPoolExecutor(workers, "taolu-count") as threads:
        try:
            return list(threads.map(fill, range(workers)))
        finally:
            stopped.set()


class _Table:
    """Words and their counts, by open addressing.

    Four numbers of `slots` are the row of a word: its first eight bytes, its length, its place in
    `words`, its count. `words` holds every distinct word once, in order of first sight, a space
    after each.
    """

    def __init__(self, rows: int = 1 << 15, room: int = 1 << 18):
        self.slots = np.zeros(4 * rows, dtype=np.uint64)
        self.words = np.empty(room, dtype=np.uint8)
        self.state = np.zeros(3, dtype=np.int64)  # distinct words, bytes of them, words read
        self.clean = np.empty(0, dtype=np.uint8)

    def add(self, source: np.ndarray, weights: np.ndarray = _ONCE) -> None:
        """Counts the words of UTF-8 bytes; `weights` holds the count of each, if not 1."""
        # Read-only like the bytes of a block: one type, compiled once.
        source = source.view()
        source.flags.writeable = False
        # Eight bytes are read at a time, so eight spaces stand behind the end.
        if self.clean.size < source.size + 8:
            self.clean = np.empty(source.size + 8, dtype=np.uint8)
        clean = self.clean[: source.size + 8]
        if _blank_ascii(source, clean):
            _blank_unicode(source, clean)
        at = self.state[2] = 0
        while (at := _count(clean, at, weights, self.slots, self.words, self.state)) < source.size:
            self._grow(clean.size)

    def _grow(self, room: int) -> None:
        if 8 * self.state[0] >= self.slots.size:
            larger = _Table(self.slots.size // 2, self.words.size + room)
            larger.add(self.words[: self.state[1]], self.weights())
            self.slots, self.words = larger.slots, larger.words
        else:
            self.words = np.concatenate([self.words, np.empty(self.words.size + room, np.uint8)])

    def weights(self) -> np.ndarray:
        """Returns the count of each distinct word, in order of first sight, uint64 (words,)."""
        rows = self.slots.reshape(-1, 4)
        used = rows[rows[:, 3] > 0]
        return used[np.argsort(used[:, 2]), 3]


@kernel
def _blank_ascii(source, clean):
    """Copies, ASCII whitespace made spaces; returns whether there may be whitespace beyond it."""
    size = source.size
    for i in range(size):
        byte = source[i]
        space = (byte >= 9) & (byte <= 13) | (byte >= 28) & (byte <= 31)
        clean[i] = np.uint8(32) if space else byte
    for i in range(size, clean.size):
        clean[i] = 32
    found = size > 1 and source[size - 2] == 0xC2
    for i in range(size - 2):
        a, b, c = source[i], source[i + 1], source[i + 2]
        found |= (a == 0xC2) & ((b == 0x85) | (b == 0xA0))
        found |= ((a == 0xE1) & (b == 0x9A) | (a == 0xE3) & (b == 0x80)) & (c == 0x80)
        low = (c <= 0x8A) | (c == 0xA8) | (c == 0xA9) | (c == 0xAF)
        found |= (a == 0xE2) & ((b == 0x80) & low | (b == 0x81) & (c == 0x9F))
    return found


@kernel
def _blank_unicode(source, clean):
    """Makes spaces of U+0085, U+00A0, U+1680, U+2000-200A, U+2028, 2029, 202F, 205F, U+3000."""
    for i in range(source.size - 1):
        a, b = source[i], source[i + 1]
        c = source[i + 2] if i + 2 < source.size else np.uint8(0)
        low = 0x80 <= c <= 0x8A or c == 0xA8 or c == 0xA9 or c == 0xAF
        if a == 0xC2 and (b == 0x85 or b == 0xA0):
            clean[i : i + 2] = 32
        elif (
            (a == 0xE1 and b == 0x9A and c == 0x80)
            or (a == 0xE2 and b == 0x80 and low)
            or (a == 0xE2 and b == 0x81 and c == 0x9F)
            or (a == 0xE3 and b == 0x80 and c == 0x80)
        ):
            clean[i : i + 3] = 32


@kernel
def _count(clean, start, weights, slots, words, state):
    """Counts words from `start` on; returns the end, or where a table was full."""
    used, room, read = state[0], state[1], state[2]
    # Unsigned throughout: an index that may be negative costs a comparison.
    one, two, three, eight = np.uint64(1), np.uint64(2), np.uint64(3), np.uint64(8)
    at, stop = np.uint64(start), np.uint64(clean.size - 8)
    last = np.uint64(slots.size // 4 - 1)
    while at < stop:
        if clean[at] == 32:
            at += one
            continue
        key, piece = _piece(clean, at)
        number, end = _mixed(key), at + piece
        while piece == eight:
            tail, piece = _piece(clean, end)
            number = _mixed(number ^ tail)
            end += piece
        length = end - at
        row = (number & last) << two
        while slots[row + three] != 0:
            if slots[row] == key and slots[row + one] == length:
                place, k = slots[row + two], eight
                while k < length and clean[at + k] == words[place + k]:
                    k += one
                if k >= length:
                    break
            row = (((row >> two) + one) & last) << two
        if slots[row + three] == 0:
            if 8 * used >= slots.size or room + np.int64(length) >= words.size:
                break
            slots[row], slots[row + one], slots[row + two] = key, length, np.uint64(room)
            # The byte after a word is the space that ends it.
            for step in range(np.int64(length) + 1):
                words[room + step] = clean[at + np.uint64(step)]
            used += 1
            room += np.int64(length) + 1
        slots[row + three] += weights[read] if weights.size else one
        read += 1
        at = end
    state[0], state[1], state[2] = used, room, read
    return np.int64(at)


@kernel
def _piece(clean, at):
    """Returns the next eight bytes up to a space, as a number, and how many they are."""
    piece = np.uint64(clean[at])
    for k in range(1, 8):
        piece |= np.uint64(clean[at + np.uint64(k)]) << np.uint64(8 * k)
    # The high bit of every byte that is a space; no carry leaves its byte.
    low = np.uint64(0x7F7F7F7F7F7F7F7F)
    other = piece ^ np.uint64(0x2020202020202020)
    spaces = ~(((other & low) + low) | other | low)
    if spaces == 0:
        return piece, np.uint64(8)
    # The lowest of these bits, moved to the low end of its byte, less one: ones below that byte.
    below = ((spaces & (~spaces + np.uint64(1))) >> np.uint64(7)) - np.uint64(1)
    ones = below & np.uint64(0x0101010101010101)
    ones += ones >> np.uint64(32)
    ones += ones >> np.uint64(16)
    ones += ones >> np.uint64(8)
    return piece & below, ones & np.uint64(15)


@kernel
def _mixed(number):
    """Returns a hash; products of 32-bit halves, which cannot overflow."""
    half, low = np.uint64(32), np.uint64(0xFFFFFFFF)
    mixed = (number & low) * np.uint64(0x9E3779B1)
    other = (number >> half) * np.uint64(0x85EBCA77)
    mixed ^= (other << half) | (other >> half)
    return mixed ^ (mixed >> half)
