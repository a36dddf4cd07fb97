"""Segments that overlapping cohesive n-grams glue together, counted.

Every n-gram of the set G glues its characters; a text is cut where nothing glues. A segment stands
when it is no longer than the order and itself in G, or longer and all its n-grams are in G. Whether
it stands depends on its letters alone, since no n-gram of G reaches beyond a segment's end.
"""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from taolu._kernel import kernel
from taolu.chain.trie import Trie, longest_marked
from taolu.count.runs import runs
from taolu.text.encode import EncodedText, sentence_bounds

LONG = 1 << 62  # marks the number of a segment too long to hold its letters
LONGEST = 64  # characters of the longest segment that is taken for a word
KEYS_AT_ONCE = 1 << 26  # bounds the memory, at most 8 bytes each


@dataclass(frozen=True)
class Glue:
    """The set G: frequent, cohesive n-grams.

    Attributes:
        trie: The n-grams.
        marked: True for the nodes where one ends, bool (nodes,).
        order: Longest n-gram.
    """

    trie: Trie
    marked: np.ndarray
    order: int


def join(
    text: EncodedText, glue: Glue, min_count: int, *, threads: int = 1
) -> tuple[list[str], np.ndarray]:
    """Returns the words that joining and backtracking leave, with the number of their segments.

    Args:
        text: The text.
        glue: The cohesive n-grams.
        min_count: Fewest segments that make a word.
        threads: Threads that share the text.
    """
    longest = longest_marked(
        text.ids, text.alphabet.classes, glue.trie, glue.marked, threads=threads
    )
    shape = _Shape(max(1, len(text.alphabet).bit_length()), glue.order)
    letters, sizes, uses = _frequent_segments(text.ids, longest, shape, min_count, threads=threads)
    codes = text.alphabet.codes[letters].tobytes().decode("utf-32-le")
    ends = np.cumsum(sizes).tolist()
    return [codes[i:j] for i, j in pairwise([0, *ends])], uses


@dataclass(frozen=True)
class _Shape:
    """How segments become numbers: short ones hold their letters, long ones only a hash.

    Attributes:
        bits: Bits of a letter.
        order: Longest n-gram of G.
        mask: Bits of the hash that are used.
        longest: Longest segment that can be a word; a repeated line is no word.
    """

    bits: int
    order: int
    mask: int = LONG - 1
    longest: int = LONGEST

    @property
    def width(self) -> int:
        """Letters of the longest short segment."""
        return 61 // self.bits

    def numbers(self) -> np.ndarray:
        numbers = [self.bits, self.width, self.order, self.mask, self.longest]
        return np.array(numbers, dtype=np.int64)


def _frequent_segments(ids, longest, shape: _Shape, least: int, *, threads: int = 1):
    """Letters end to end, sizes and uses of the segments that are frequent and stand.

    Equal segments are found by sorting their numbers, a share at a time. The letters of long ones
    are then compared; were two different ones to share a hash, no hash is trusted.
    """
    shares = 1 + ids.size // KEYS_AT_ONCE
    places = list(pairwise(sentence_bounds(ids, threads)))
    parts = []
    with ThreadPoolExecutor(len(places)) as pool:
        for share in range(shares):

            def collect(place, share=share):
                return _collect(ids, longest, shape, place, (share, shares))

            keys, spans = zip(*pool.map(collect, places), strict=True)
            merged = np.concatenate(keys)
            merged.sort()
            values, uses = runs(merged, least)
            first = np.full((values.size, 2), -1, dtype=np.int64)
            rows = np.concatenate(spans)
            rows = rows[np.argsort(rows[:, 0], kind="stable")]
            if _place_long(ids, rows, values, first):
                return _frequent_slowly(ids, longest, shape, least)
            parts.append((*_spell(ids, shape.numbers(), values, first), uses))
    sizes, letters, uses = (np.concatenate(column) for column in zip(*parts, strict=True))
    return letters, sizes, uses


def _collect(ids, longest, shape: _Shape, place, share) -> tuple[np.ndarray, np.ndarray]:
    """Numbers of one share of the segments in one part of a text; number and span of long ones."""
    start, stop = place
    part = ids[start:stop], longest[start:stop], shape.numbers(), np.array(share, dtype=np.int64)
    # Room for every segment of two; untouched pages cost nothing.
    keys = np.empty((stop - start) // 2 + 1, dtype=np.int64)
    spans = np.empty(((stop - start) // (shape.width + 1) + 1, 3), dtype=np.int64)
    used, long = _segment_keys(*part, keys, spans)
    spans = spans[:long].copy()
    spans[:, 1:] += start
    return keys[:used], spans


def _frequent_slowly(ids, longest, shape: _Shape, least: int):
    """The same without hashes, for the day two different segments share one."""
    spans = _standing_segments(ids, longest, shape.numbers())
    seen: dict[bytes, int] = {}
    for start, stop in spans.tolist():
        name = ids[start:stop].tobytes()
        seen[name] = seen.get(name, 0) + 1
    kept = [(np.frombuffer(name, np.int32), n) for name, n in seen.items() if n >= least]
    letters = np.concatenate([np.empty(0, np.int32), *(name for name, _ in kept)])
    sizes = np.array([name.size for name, _ in kept], dtype=np.int64)
    return letters, sizes, np.array([n for _, n in kept], dtype=np.int64)


@kernel
def _next_segment(ids, longest, shape, start):
    """Returns end and number of the segment of two characters or more that starts here.

    The number is -1 where it is no word.
    """
    bits, width, order, mask, most = shape
    stop = start + np.int64(longest[start])
    t = start + 1
    while t < stop:
        stop = max(stop, t + np.int64(longest[t]))
        t += 1
    size = stop - start
    if size > most:
        return stop, np.int64(-1)
    if size >= 3:
        # Backtrack: every n-gram of the highest order, or the whole, must stand in G.
        least = min(order, size)
        for t in range(start, stop - least + 1):
            if longest[t] < least:
                return stop, np.int64(-1)
    value = np.int64(0)
    if size <= width:
        for t in range(start, stop):
            value = (value << bits) | (np.int64(ids[t]) + 1)
        return stop, value
    for t in range(start, stop):
        # 31 bits times 31 bits: no product overflows.
        value = ((value & 0x7FFFFFFF) * 1640531527) ^ (value >> 31) ^ (np.int64(ids[t]) + 1)
    return stop, ((value ^ (value >> 29)) & mask) | LONG


@kernel
def _standing_segments(ids, longest, shape):
    spans = np.empty((ids.size // 2 + 1, 2), dtype=np.int64)
    used = 0
    t = 0
    while t < ids.size:
        if longest[t] < 2:
            t += 1
            continue
        start = t
        t, key = _next_segment(ids, longest, shape, start)
        if key >= 0:
            spans[used, 0] = start
            spans[used, 1] = t
            used += 1
    return spans[:used]


@kernel
def _segment_keys(ids, longest, shape, share, keys, spans):
    """Collects the numbers of one share of the segments, and number, start, end of long ones."""
    used = long = 0
    t = 0
    while t < ids.size:
        if longest[t] < 2:
            # A separator, or a character that nothing glues to the next.
            t += 1
            continue
        start = t
        t, key = _next_segment(ids, longest, shape, start)
        if key < 0 or (share[1] > 1 and key % share[1] != share[0]):
            continue
        keys[used] = key
        used += 1
        if key >= LONG:
            spans[long, 0] = key
            spans[long, 1] = start
            spans[long, 2] = t
            long += 1
    return used, long


@kernel
def _place_long(ids, rows, values, first):
    """Fills where each long segment first stands, from rows sorted by number; counts clashes."""
    clashes = 0
    row = 0
    for at in range(rows.shape[0]):
        while row < values.size and values[row] < rows[at, 0]:
            row += 1
        if row == values.size or values[row] != rows[at, 0]:
            continue
        start, size = rows[at, 1], rows[at, 2] - rows[at, 1]
        if first[row, 0] < 0:
            first[row, 0] = start
            first[row, 1] = start + size
        same = first[row, 1] - first[row, 0] == size
        for k in range(size):
            if not same:
                break
            same = ids[start + k] == ids[first[row, 0] + k]
        clashes += not same
    return clashes


@kernel
def _spell(ids, shape, keys, spans):
    """Returns sizes and letters of the segments, short ones unpacked, long ones looked up."""
    bits = shape[0]
    sizes = np.empty(keys.size, dtype=np.int64)
    for row in range(keys.size):
        sizes[row] = spans[row, 1] - spans[row, 0]
        if keys[row] < LONG:
            sizes[row] = 0
            key = keys[row]
            while key > 0:
                sizes[row] += 1
                key >>= bits
    letters = np.empty(sizes.sum(), dtype=np.int32)
    end = 0
    for row in range(keys.size):
        start, end = end, end + sizes[row]
        key = keys[row]
        for at in range(end - 1, start - 1, -1):
            if keys[row] < LONG:
                letters[at] = (key & ((1 << bits) - 1)) - 1
                key >>= bits
            else:
                letters[at] = ids[spans[row, 0] + at - start]
    return sizes, letters
