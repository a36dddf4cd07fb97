"""Synthetic Chinese whose true words are known: i.i.d. draws from the frequencies of a dictionary.

The words and frequencies are those that the jieba package ships.
"""

from functools import cache
from pathlib import Path

import numba
import numpy as np
import pytest

needs_jit = pytest.mark.skipif(
    bool(numba.config.DISABLE_JIT), reason="takes minutes as plain Python; a smaller text is tested"
)

WORDS = 20_000
SENTENCES = 30_000


@cache
def gold_sentences():
    """30 000 sentences of 6 to 15 words, each drawn by frequency, as tuples of words."""
    import jieba

    rows = []
    path = Path(jieba.__file__).parent / "dict.txt"
    for line in path.read_text(encoding="utf-8").splitlines():
        word, count, *_ = line.split(" ")
        if len(word) <= 5 and all("一" <= character <= "\u9fff" for character in word):
            rows.append((word, int(count)))
    rows.sort(key=lambda row: -row[1])
    words = [word for word, _ in rows[:WORDS]]
    weights = np.array([count for _, count in rows[:WORDS]], dtype=np.float64)
    rng = np.random.default_rng(0)
    sizes = rng.integers(6, 16, SENTENCES)
    draws = rng.choice(WORDS, sizes.sum(), p=weights / weights.sum())
    stops = np.cumsum(sizes).tolist()
    return tuple(
        tuple(words[i] for i in draws[stop - size : stop])
        for stop, size in zip(stops, sizes.tolist(), strict=True)
    )
