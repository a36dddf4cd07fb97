"""How much a word looks like the first word of a piece of text.

A piece is what stands between two breaks, the ends of sentences and other marks: its edges are the
only edges of phrases that raw text shows. How often words stand there is counted along templates
that open a piece and leave the rest of it as a slot, each smoothed by the one before it,

    [piece begins] g [X],   [piece begins] a [X],   [piece begins] g h [X],   [piece begins] a h [X]

of a word a, its group g, and the group h of the word after it:

    share(t) = (begins(t) + 8 share(template before)) / (uses(t) + 8)

Read from right to left, the same counts say how much a word looks like the last one.
"""

from dataclasses import dataclass

import numpy as np

SMOOTHING = 8.0


def look_up(names: np.ndarray, counts: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Returns the count of each name wanted, 0 for one that is not among the names.

    Args:
        names: Ascending, int64 (names,).
        counts: Their counts, int64 (names,).
        wanted: Names, int64 (wanted,).

    Example:
        >>> look_up(np.array([2, 5]), np.array([7, 9]), np.array([5, 3, -1])).tolist()
        [9, 0, 0]
    """
    if not names.size:
        return np.zeros(wanted.shape, dtype=np.int64)
    at = np.searchsorted(names, wanted).clip(max=names.size - 1)
    return np.where(names[at] == wanted, counts[at], 0)


@dataclass(frozen=True)
class Shares:
    """How often things were seen, and how often in the place that matters.

    Attributes:
        names: The things, int64 (things,), ascending.
        uses: How often each was seen, int64 (things,).
        begins: How often where a piece begins, int64 (things,).
    """

    names: np.ndarray
    uses: np.ndarray
    begins: np.ndarray

    @classmethod
    def count(cls, names: np.ndarray, begins: np.ndarray) -> "Shares":
        """Returns the shares of things seen, int64 (seen,), with whether each begins a piece."""
        found, rows = np.unique(names, return_inverse=True)
        sums = (np.bincount(rows, weights, found.size) for weights in (None, begins))
        return cls(found, *(total.astype(np.int64) for total in sums))

    def smoothed(self, names: np.ndarray, prior: np.ndarray) -> np.ndarray:
        """Returns the share of each name, drawn towards what was thought before."""
        uses, begins = (look_up(self.names, counts, names) for counts in (self.uses, self.begins))
        return (begins + SMOOTHING * prior) / (uses + SMOOTHING)


@dataclass(frozen=True)
class PieceEdges:
    """How often words begin a piece.

    Attributes:
        rate: Share of all words that do.
        groups: Number of groups.
        single: By group, and by word.
        double: By group, and by word, each with the group of the next word.
    """

    rate: float
    groups: int
    single: tuple[Shares, Shares]
    double: tuple[Shares, Shares]

    @classmethod
    def count(cls, ids: np.ndarray, groups: np.ndarray) -> "PieceEdges":
        """Returns the edges of a text.

        Args:
            ids: Words, int64 (time,); -1 after each piece.
            groups: Group of each word, int64 (words,).
        """
        some = ids >= 0
        begins = np.append(True, ~some[:-1])
        pairs = np.append(some[:-1] & some[1:], False)
        group = groups[ids]
        size = int(groups.max()) + 1
        after = np.append(group[1:], 0)
        by_group, by_word = (Shares.count(name[some], begins[some]) for name in (group, ids))
        names = group * size + after, ids * size + after
        by_groups, by_both = (Shares.count(name[pairs], begins[pairs]) for name in names)
        rate = float(begins[some].mean())
        return cls(rate, size, (by_group, by_word), (by_groups, by_both))

    def evidence(self, ids: np.ndarray, groups: np.ndarray) -> np.ndarray:
        """Returns how much more often than any word each one begins a piece, nats.

        Args:
            ids: Words of one sentence, int64 (words,); -1 for one never seen.
            groups: Their groups, int64 (words,).

        Returns:
            float64 (words,); the first word is seen to begin: it has what certainty has.
        """
        share = np.full(ids.size, self.rate)
        for shares, names in zip(self.single, (groups, ids), strict=True):
            share = shares.smoothed(names, share)
        for shares, first in zip(self.double, (groups, ids), strict=True):
            # A word never seen has a name below zero, so it is never found.
            names = first[:-1] * self.groups + groups[1:]
            share[:-1] = shares.smoothed(names, share[:-1])
        share[:1] = 1.0
        return np.log(share) - np.log(self.rate)
