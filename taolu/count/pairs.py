"""How often two words stand near each other: ordered pairs inside a window.

A pair (a, b) is counted at every distance from 1 to the window, never across the end of a sentence.
Sorting the pairs counts them exactly in time `n * window * log`, a stretch of the text at a time.
"""

from dataclasses import dataclass

import numpy as np

from taolu._kernel import kernel
from taolu.count.runs import runs

AT_ONCE = 1 << 23  # pairs sorted at a time; bounds the memory, 8 bytes each


@dataclass(frozen=True)
class PairCounts:
    """Ordered pairs of words, by first and then second word.

    Attributes:
        first: The word that comes first, int32 (pairs,).
        second: The word that follows, int32 (pairs,).
        count: How often, int64 (pairs,).
        total: Places where a pair could be, the sum over all pairs, those too rare to be kept too.
    """

    first: np.ndarray
    second: np.ndarray
    count: np.ndarray
    total: int


def count_pairs(ids, size: int, *, window: int = 5, min_count: int = 1) -> PairCounts:
    """Returns how often each word stands before each other, at most so far apart.

    Args:
        ids: Words, int32 (time,); a negative id ends a sentence.
        size: Number of words; every id lies below it.
        window: Largest distance; 1 counts neighbours only.
        min_count: Fewest occurrences of a pair that is kept.

    Raises:
        ValueError: An argument is out of range.

    Example:
        >>> found = count_pairs(np.array([0, 1, 2, -1, 0, 2], dtype=np.int32), 3, window=2)
        >>> found.first.tolist(), found.second.tolist(), found.count.tolist(), found.total
        ([0, 0, 1], [1, 2, 2], [1, 2, 1], 4)
    """
    ids = np.ascontiguousarray(ids, dtype=np.int32)
    if window < 1:
        raise ValueError(f"`window` must be at least 1. Received: window={window}.")
    if min_count < 1:
        raise ValueError(f"`min_count` must be at least 1. Received: min_count={min_count}.")
    if ids.size and ids.max() >= size:
        raise ValueError(f"`ids` must lie below size={size}. Received: {ids.max()}.")
    keys, counts, total = np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64), 0
    step = max(1, AT_ONCE // window)
    for start in range(0, ids.size, step):
        found = np.empty(window * min(step, ids.size - start), dtype=np.int64)
        found = found[: _pairs(ids, start, min(start + step, ids.size), window, size, found)]
        found.sort()
        total += found.size
        keys, counts = _merged((keys, counts), runs(found))
    some = counts >= min_count
    keys, counts = keys[some], counts[some]
    first, second = (part.astype(np.int32) for part in np.divmod(keys, max(1, size)))
    return PairCounts(first, second, counts, total)


def _merged(one, other) -> tuple[np.ndarray, np.ndarray]:
    """Two sorted tables of counts as one."""
    if not one[0].size:
        return other
    keys = np.concatenate([one[0], other[0]])
    order = np.argsort(keys, kind="stable")  # merges what is sorted already
    keys, counts = keys[order], np.concatenate([one[1], other[1]])[order]
    first = np.flatnonzero(np.append(True, keys[1:] != keys[:-1]))
    return keys[first], np.add.reduceat(counts, first)


@kernel
def _pairs(ids, start, stop, window, size, found):
    used = 0
    for t in range(start, stop):
        if ids[t] < 0:
            continue
        for far in range(t + 1, min(t + window + 1, ids.size)):
            if ids[far] < 0:
                break
            found[used] = np.int64(ids[t]) * size + ids[far]
            used += 1
    return used
