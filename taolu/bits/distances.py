"""Distances between samples, and the middle one of all n (n - 1) / 2, without keeping them.

The bits of a float64 of at least 0, read as an integer, are in the order of the floats. So the
middle of any number of distances is found by counting: first by the highest 21 of 63 bits, then,
within the bucket that holds the middle, by the next 21, then by the last. Three passes over the
tiles, O(n^2) time, 16 MB of memory, and the result is exact.
"""

from concurrent.futures import ThreadPoolExecutor

import numpy as np

from taolu._kernel import kernel

FEW = 2048  # so many samples have 16 MB of distances, which are kept
TILE = 256  # a tile of such a side stays in the cache of a core
BITS = 21


def samples(x, name: str, *, least: int = 1) -> np.ndarray:
    """Returns samples as a C-contiguous float64 (samples, width), or says what is wrong."""
    x = np.ascontiguousarray(x, dtype=np.float64)
    if x.ndim == 1:
        x = x[:, None]
    if x.ndim != 2 or len(x) < least:
        raise ValueError(
            f"`{name}` must have the shape (samples,) or (samples, width) with at least {least} "
            f"samples. Received: {name} of shape {np.shape(x)}."
        )
    if not np.isfinite(x).all():
        wrong = x[~np.isfinite(x)][0]
        raise ValueError(f"`{name}` must be finite. Received: {name} with {wrong!s}.")
    return x


def squared_distances(rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Returns `|row - column|^2` of all pairs, float64 (rows, columns); the same give exactly 0."""
    squares = np.zeros((len(rows), len(columns)))
    _add_squares(rows, np.ascontiguousarray(columns.T), squares)
    return squares


def median_distance(x: np.ndarray, threads: int = 1) -> float:
    """Returns the middle distance of all pairs; of those above 0 where the middle is 0."""
    pairs = len(x) * (len(x) - 1) // 2
    if len(x) <= FEW:
        upper = np.triu_indices(len(x), 1)
        squares = squared_distances(x, x)[upper]
        zeros = pairs - int(np.count_nonzero(squares))
        rank = _middle(pairs, zeros)
        return float(np.sqrt(np.partition(squares, rank)[rank])) if zeros < pairs else 1.0
    square, equal = _selected(x, _middle(pairs, 0), threads)
    if square == 0 and equal < pairs:
        square, _ = _selected(x, _middle(pairs, equal), threads)
    return float(np.sqrt(square)) or 1.0


def _middle(pairs: int, zeros: int) -> int:
    """The rank of the lower middle: of all pairs, or of those above 0 if the middle is 0."""
    middle = (pairs - 1) // 2
    return middle if middle >= zeros else zeros + (pairs - zeros - 1) // 2


def _selected(x: np.ndarray, rank: int, threads: int) -> tuple[float, int]:
    """The squared distance of this rank, and how many are equal to it."""
    prefix, found = 0, 0
    for shift in (2 * BITS, BITS, 0):
        below = np.cumsum(_bucket_counts(x, shift, prefix, threads))
        bucket = int(np.searchsorted(below, rank, side="right"))
        before = int(below[bucket - 1]) if bucket else 0
        rank, found = rank - before, int(below[bucket]) - before
        prefix = prefix << BITS | bucket
    return float(np.int64(prefix).view(np.float64)), found


def _bucket_counts(x: np.ndarray, shift: int, prefix: int, threads: int) -> np.ndarray:
    """Counts distances by the 21 bits above `shift`, among those whose higher bits are prefix."""
    starts = range(0, len(x), TILE)

    def work(share: int) -> np.ndarray:
        counts = np.zeros(1 << BITS, dtype=np.int64)
        for start in starts[share::threads]:
            for other in range(start, len(x), TILE):
                squares = squared_distances(x[start : start + TILE], x[other : other + TILE])
                _count_buckets(squares.view(np.int64), start == other, shift, prefix, counts)
        return counts

    with ThreadPoolExecutor(threads) as pool:
        return np.add.reduce(list(pool.map(work, range(threads))), axis=0)


@kernel
def _add_squares(rows, columns, squares):
    # The samples of the inner loop lie side by side, so that it runs on vectors.
    for i in range(rows.shape[0]):
        line = squares[i]
        for d in range(rows.shape[1]):
            here, there = rows[i, d], columns[d]
            for j in range(line.size):
                difference = there[j] - here
                line[j] += difference * difference


@kernel
def _count_buckets(bits, on_diagonal, shift, prefix, counts):
    mask = (1 << 21) - 1
    for i in range(bits.shape[0]):
        for j in range(i + 1 if on_diagonal else 0, bits.shape[1]):
            value = bits[i, j] >> shift
            if value >> 21 == prefix:
                counts[value & mask] += 1
