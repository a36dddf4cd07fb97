"""Sorted keys, and equal neighbours folded into one row with a count.

Keys of one word go to NumPy's vectorised sort. Keys of several words are dealt into buckets by
their first character, and each bucket, small enough for the cache, is sorted digit by digit from
the last (radix sort), which compares nothing and carries the whole key along.
"""

import numpy as np

from taolu._kernel import kernel
from taolu.count.packing import Packing

FOLD_ROWS = 1 << 15


def sort_keys(keys: np.ndarray, packing: Packing) -> np.ndarray:
    """Returns the keys in ascending order; the given array is used as working space.

    Args:
        keys: Keys, uint64 (rows, words), C-contiguous.
        packing: How they are written.

    Example:
        >>> sort_keys(np.array([[5], [2], [9]], dtype=np.uint64), Packing(8, 1, 1)).ravel()
        array([2, 5, 9], dtype=uint64)
    """
    if keys.shape[1] == 1:
        keys[:, 0].sort()
        return keys
    spare = np.empty_like(keys)
    _sort_rows(keys, spare, packing.bits, packing.width)
    return spare


def fold(keys: np.ndarray):
    """Yields the distinct keys with their counts, a piece at a time.

    A key on the border of two pieces comes twice; whoever reads rows adds equal neighbours.

    Args:
        keys: Sorted keys, uint64 (rows, words).

    Yields:
        Rows, uint64 (rows, words + 1), the last column the count.
    """
    for start in range(0, len(keys), FOLD_ROWS):
        piece = keys[start : start + FOLD_ROWS]
        begins = np.ones(len(piece), dtype=bool)
        begins[1:] = piece[1:, 0] != piece[:-1, 0]
        for word in range(1, piece.shape[1]):
            begins[1:] |= piece[1:, word] != piece[:-1, word]
        firsts = np.flatnonzero(begins)
        counts = np.diff(firsts, append=len(piece))
        yield np.column_stack([piece[firsts], counts.astype(np.uint64)])


@kernel
def _copy(source, row, target, place):
    # Copying word by word is several times faster than assigning the row as an array.
    for word in range(source.shape[1]):
        target[place, word] = source[row, word]


@kernel
def _sort_rows(keys, spare, bits, width):
    """Leaves the sorted keys in `spare`."""
    shift = np.uint64(bits * (width - 1))
    starts = np.zeros((1 << bits) + 1, dtype=np.int64)
    for t in range(keys.shape[0]):
        starts[np.int64(keys[t, 0] >> shift) + 1] += 1
    for bucket in range(1, starts.size):
        starts[bucket] += starts[bucket - 1]
    for t in range(keys.shape[0]):
        bucket = np.int64(keys[t, 0] >> shift)
        _copy(keys, t, spare, starts[bucket])
        starts[bucket] += 1
    # Each start has moved to the end of its bucket.
    first, places = 0, np.empty(1 << 11, dtype=np.int64)
    for last in starts[:-1]:
        if last - first < 48:
            _insert(spare[first:last])
        else:
            digit_bits = 8 if last - first < 8192 else 11
            part, free = spare[first:last], keys[first:last]
            if _sort_digits(part, free, bits * width, digit_bits, places):
                part[:] = free
        first = last


@kernel
def _insert(keys):
    for t in range(1, keys.shape[0]):
        at = t
        while at > 0 and _below(keys, at):
            for word in range(keys.shape[1]):
                held = keys[at, word]
                keys[at, word] = keys[at - 1, word]
                keys[at - 1, word] = held
            at -= 1


@kernel
def _below(keys, row):
    for word in range(keys.shape[1]):
        if keys[row, word] != keys[row - 1, word]:
            return keys[row, word] < keys[row - 1, word]
    return False


@kernel
def _sort_digits(keys, spare, word_bits, digit_bits, places):
    """Sorts from the last digit to the first; says whether the result lies in `spare`."""
    size, mask = 1 << digit_bits, np.uint64((1 << digit_bits) - 1)
    moved = False
    for word in range(keys.shape[1] - 1, -1, -1):
        for bit in range(0, word_bits, digit_bits):
            shift = np.uint64(bit)
            places[:size] = 0
            for t in range(keys.shape[0]):
                places[np.int64((keys[t, word] >> shift) & mask)] += 1
            if places[np.int64((keys[0, word] >> shift) & mask)] == keys.shape[0]:
                continue
            start = 0
            for digit in range(size):
                count = places[digit]
                places[digit] = start
                start += count
            for t in range(keys.shape[0]):
                digit = np.int64((keys[t, word] >> shift) & mask)
                _copy(keys, t, spare, places[digit])
                places[digit] += 1
            keys, spare = spare, keys
            moved = not moved
    return moved
