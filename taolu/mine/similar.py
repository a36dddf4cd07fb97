"""Which vectors point nearly the same way: the nearest ones by cosine, found in blocks.

All pairs are compared, `rows**2 * width` multiplications, but only one block of similarities is in
memory at a time. So 100,000 vectors take minutes, not 40 GB.
"""

import numpy as np

from taolu._kernel import kernel

BLOCK = 1 << 24  # similarities in memory at a time, 4 bytes each


def nearest(
    vectors, *, neighbours: int = 50, least_similarity: float = 0.6
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns links from each vector to those most similar to it.

    Args:
        vectors: Any numbers, (rows, width). A vector of zeros is like no other.
        neighbours: Most links from a vector; of equally similar ones the first are taken.
        least_similarity: Smallest cosine of a link, above 0 and at most 1.

    Returns:
        Sources and targets, int32 (links,), and cosines, float64 (links,); by source.

    Raises:
        ValueError: An argument is out of range, or a number is not finite.

    Example:
        >>> sources, targets, cosines = nearest([[1.0, 0.0], [2.0, 0.0], [0.0, 1.0]])
        >>> sources.tolist(), targets.tolist(), cosines.tolist()
        ([0, 1], [1, 0], [1.0, 1.0])
    """
    unit = _unit(vectors)
    if neighbours < 1:
        raise ValueError(f"`neighbours` must be at least 1. Received: neighbours={neighbours}.")
    if not 0 < least_similarity <= 1:
        raise ValueError(
            "`least_similarity` must be above 0 and at most 1. "
            f"Received: least_similarity={least_similarity}."
        )
    rows = len(unit)
    height = max(1, BLOCK // max(1, rows))
    # Rounded products of equal vectors may fall a little short of one.
    least = np.float32(least_similarity - 1e-6)
    parts = []
    for start in range(0, rows, height):
        block = unit[start : start + height] @ unit.T
        targets = np.full((len(block), neighbours), -1, dtype=np.int32)
        found = np.zeros((len(block), neighbours), dtype=np.float32)
        _keep_best(block, start, least, targets, found)
        row, column = np.nonzero(targets >= 0)
        parts.append(((row + start).astype(np.int32), targets[row, column], found[row, column]))
    if not parts:
        return np.empty(0, np.int32), np.empty(0, np.int32), np.empty(0)
    sources, ends, cosines = (np.concatenate(part) for part in zip(*parts, strict=True))
    return sources, ends, np.minimum(cosines.astype(np.float64), 1.0)


def _unit(vectors) -> np.ndarray:
    given = np.asarray(vectors, dtype=np.float64)
    if given.ndim != 2:
        raise ValueError(f"`vectors` must be (rows, width). Received: shape {given.shape}.")
    if not np.isfinite(given).all():
        raise ValueError("`vectors` must be finite. Received: a NaN or an infinity.")
    # Divided by their largest first, so that squares of tiny or huge numbers stay numbers.
    largest = np.abs(given).max(axis=1, keepdims=True, initial=0.0)
    given = given / np.where(largest > 0, largest, 1.0)
    lengths = np.linalg.norm(given, axis=1, keepdims=True)
    return np.ascontiguousarray(given / np.where(lengths > 0, lengths, 1.0), dtype=np.float32)


@kernel
def _keep_best(block, start, least, targets, found):
    """Keeps the best of each row, itself left out, by falling similarity."""
    most = targets.shape[1]
    for i in range(block.shape[0]):
        used = 0
        for j in range(block.shape[1]):
            value = block[i, j]
            if value < least or j == start + i:
                continue
            if used == most and value <= found[i, most - 1]:
                continue
            place = used if used < most else most - 1
            while place > 0 and found[i, place - 1] < value:
                found[i, place] = found[i, place - 1]
                targets[i, place] = targets[i, place - 1]
                place -= 1
            found[i, place] = value
            targets[i, place] = j
            used = min(most, used + 1)
