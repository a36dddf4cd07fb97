"""Equal neighbours of a sorted array, folded into one key and a count."""

import numpy as np

from taolu._kernel import kernel


def runs(keys: np.ndarray, least: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Returns the distinct keys that occur at least so often, and how often they do.

    Args:
        keys: Sorted keys, (rows,).
        least: Fewest occurrences.

    Returns:
        Keys of the same type (distinct,), and counts, int64 (distinct,).

    Example:
        >>> runs(np.array([3, 3, 5, 7, 7, 7]), 2)
        (array([3, 7]), array([2, 3]))
    """
    # Counting first costs one more pass, but then memory is asked for only what is kept.
    found = _runs(keys, least, keys[:0], np.empty(0, dtype=np.int64))
    values, counts = np.empty(found, dtype=keys.dtype), np.empty(found, dtype=np.int64)
    _runs(keys, least, values, counts)
    return values, counts


@kernel
def _runs(keys, least, values, counts):
    found = start = 0
    for t in range(1, keys.size + 1):
        if t < keys.size and keys[t] == keys[start]:
            continue
        if t - start >= least and keys.size:
            if counts.size:
                values[found] = keys[start]
                counts[found] = t - start
            found += 1
        start = t
    return found
