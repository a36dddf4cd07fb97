"""Sorted keys, and equal neighbours folded into one row with a count.

Keys of one word go to NumPy's vectorised sort. Keys of several words are dealt into buckets by
their first character, and each bucket, small enough for the cache, is sorted digit by digit from
the last (radix sort), which compares nothing and carries the whole key along.
"""

import numpy as np

from taolu._kernel import kernel
from taolu.count.packing import Packing

FOLD_ROWS = 1 << 15
INSERTION_ROWS = 48  # below this, exchanging neighbours is fastest
SMALL_ROWS, SMALL_DIGIT, LARGE_DIGIT = 1 << 13, 8, 11  # bits of a digit, by rows of a bucket


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
def _sort_rows(keys, spare, bits, width):
    """Leaves the sorted keys in `spare`."""
    # Rows are copied word by word, in place: a call or an array assignment takes twice the time.
    words, shift = keys.shape[1], np.uint64(bits * (width - 1))
    starts = np.zeros((1 << bits) + 1, dtype=np.int64)
    for t in range(keys.shape[0]):
        starts[np.int64(keys[t, 0] >> shift) + 1] += 1
    for bucket in range(1, starts.size):
        starts[bucket] += starts[bucket - 1]
    for t in range(keys.shape[0]):
        character = np.int64(keys[t, 0] >> shift)
        place = starts[character]
        starts[character] = place + 1
        for word in range(words):
            spare[place, word] = keys[t, word]
    # Each start has moved to the end of its bucket.
    places = np.empty(1 << LARGE_DIGIT, dtype=np.int64)
    for bucket in range(starts.size - 1):
        first, last = starts[bucket - 1] if bucket else np.int64(0), starts[bucket]
        if last - first < INSERTION_ROWS:
            _insert(spare[first:last])
            continue
        digit_bits = SMALL_DIGIT if last - first < SMALL_ROWS else LARGE_DIGIT
        part, free = spare[first:last], keys[first:last]
        if _sort_digits(part, free, bits * width, digit_bits, places):
            for t in range(first, last):
                for word in range(words):
                    spare[t, word] = keys[t, word]


@kernel
def _insert(keys):
    words = keys.shape[1]
    for t in range(1, keys.shape[0]):
        for at in range(t, 0, -1):
            word = 0
            while word < words - 1 and keys[at, word] == keys[at - 1, word]:
                word += 1
            if keys[at, word] >= keys[at - 1, word]:
                break
            for word in range(words):
                held = keys[at, word]
                keys[at, word] = keys[at - 1, word]
                keys[at - 1, word] = held


@kernel
def _sort_digits(keys, spare, word_bits, digit_bits, places):
    """Sorts from the last digit to the first; says whether the result lies in `spare`."""
    words, size = keys.shape[1], 1 << digit_bits
    mask, moved = np.uint64(size - 1), False
    for word in range(words - 1, -1, -1):
        for bit in range(0, word_bits, digit_bits):
            shift = np.uint64(bit)
            for digit in range(size):
                places[digit] = 0
            for t in range(keys.shape[0]):
                places[(keys[t, word] >> shift) & mask] += 1
            if places[(keys[0, word] >> shift) & mask] == keys.shape[0]:
                continue
            total = np.int64(0)
            for digit in range(size):
                count = places[digit]
                places[digit] = total
                total += count
            for t in range(keys.shape[0]):
                digit = (keys[t, word] >> shift) & mask
                place = places[digit]
                places[digit] = place + 1
                for copied in range(words):
                    spare[place, copied] = keys[t, copied]
            keys, spare = spare, keys
            moved = not moved
    return moved
