"""Which words word2vec drops, and which it draws as noise.

A word that makes up the share f of a text stays with the chance min(1, sqrt(t / f) + t / f): the
most used ones say little about their company. Noise is drawn by count ** 0.75, between how often
words are used and all alike.
"""

import numpy as np

DRAW = 1 << 32  # a draw is a whole number below this


def keep_thresholds(counts: np.ndarray, sample: float) -> np.ndarray:
    """Returns what a draw below 2**32 must be smaller than for a word to stay, int64 (words,).

    Args:
        counts: Uses of each word.
        sample: The share t from which words are dropped now and then; 0 keeps all.

    Example:
        >>> keep_thresholds(np.array([9900, 100]), 0.01) / 2**32
        array([0.11060479, 1.        ])
    """
    if not sample:
        return np.full(counts.size, DRAW, dtype=np.int64)
    ratio = sample * counts.sum() / counts
    return np.ceil(np.minimum(np.sqrt(ratio) + ratio, 1.0) * DRAW).astype(np.int64)


def alias_table(weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns a table that gives a draw by weight in constant time.

    Draw a place, then a number below 2**32: below `share[place]` the result is the place, else
    `alias[place]`.

    Args:
        weights: Relative chances, none negative, float64 (size,).

    Returns:
        `share`, int64 (size,), and `alias`, int32 (size,).

    Example:
        >>> share, alias = alias_table(np.array([3.0, 1.0]))
        >>> (share / 2**32).tolist(), alias.tolist()
        ([1.0, 0.5], [0, 0])

    References:
        Walker, An efficient method for generating discrete random variables with general
        distributions, 1977. Vose, A linear algorithm for generating random numbers with a given
        distribution, 1991.
    """
    level = weights * (weights.size / weights.sum())
    share = np.ones(weights.size)
    alias = np.arange(weights.size, dtype=np.int32)
    poor = np.flatnonzero(level < 1).tolist()
    rich = np.flatnonzero(level >= 1).tolist()
    while poor and rich:
        low, high = poor.pop(), rich[-1]
        share[low], alias[low] = level[low], high
        level[high] -= 1 - level[low]
        if level[high] < 1:
            poor.append(rich.pop())
    return np.rint(share * DRAW).astype(np.int64), alias
