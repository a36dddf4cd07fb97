"""Neighbouring units on the best path, counted: what could become one word."""

from collections.abc import Iterator

import numpy as np

from taolu._kernel import kernel
from taolu.count.runs import runs
from taolu.text.normalize import ALNUM, OTHER

PAIRS_AT_ONCE = 1 << 25  # bounds the memory, 8 bytes each


def neighbours(
    ids: np.ndarray, classes: np.ndarray, path: np.ndarray, least: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yields pairs of units that follow each other, and how often, a share of the pairs at a time.

    Of overlapping equal pairs (aaa) every second counts. A join that would begin or end strictly
    inside a run of letters and digits can never be cut, so it is left out.

    Args:
        ids: Character ids, int32 (time,).
        classes: OTHER, WORD or ALNUM for each character, uint8 (alphabet,).
        path: Node of a unit where it ends, else -1, int32 (time,).
        least: Fewest joins.

    Yields:
        Pairs, left node * 2**32 + right node, int64 (pairs,), ascending; and joins, int64 (pairs,).
    """
    parts = 1 + ids.size // PAIRS_AT_ONCE
    sizes = np.zeros(parts, dtype=np.int64)
    _pairs(path, ids, classes, -1, parts, sizes)
    for part in range(parts):
        keys = np.empty(sizes[part], dtype=np.int64)
        _pairs(path, ids, classes, part, parts, keys)
        keys.sort()
        yield runs(keys, least)


@kernel
def _pairs(path, ids, classes, part, parts, keys):
    """Collects the pairs of one part, or, with part -1, only counts them in `keys`, by part."""
    used = 0
    left = np.int64(-1)
    left_free = False
    last = np.int64(-1)
    begin = 0
    for t in range(path.size):
        if ids[t] < 0 or classes[ids[t]] == OTHER:
            left = last = np.int64(-1)
            begin = t + 1
            continue
        if path[t] < 0:
            continue
        right = np.int64(path[t])
        free = not (
            begin > 0
            and ids[begin - 1] >= 0
            and classes[ids[begin - 1]] == ALNUM
            and classes[ids[begin]] == ALNUM
        )
        ends = not (
            t + 1 < path.size
            and ids[t + 1] >= 0
            and classes[ids[t + 1]] == ALNUM
            and classes[ids[t]] == ALNUM
        )
        begin = t + 1
        key = (left << 32) | right
        if left < 0 or not left_free or not ends or (left == right and key == last):
            last = np.int64(-1)
        else:
            last = key
            place = (left * 40503 + right * 9973) % parts
            if part < 0:
                keys[place] += 1
            elif place == part:
                keys[used] = key
                used += 1
        left = right
        left_free = free
