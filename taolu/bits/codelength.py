"""Two-part code lengths and the ledger of what each learning step saved.

A text costs the bits of its best description under a model plus the bits of the model itself:
`total = text + codebook`. A step that only memorises lowers the first and raises the second, so a
total that falls is a step that learned something.
"""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

CODE_POINT_BITS = 21.0  # names any Unicode code point

COLUMNS = ("step", "learned", "text", "codebook", "total")


def unigram_bits(counts) -> float:
    """Returns the bits that describe a sequence under the frequencies counted on it.

    `-sum(c * log2(c / n))`, `n` the sum of the counts.

    Args:
        counts: Occurrences of each symbol, (symbols,); zeros cost nothing.

    Example:
        >>> unigram_bits([2, 2])
        4.0
    """
    counts = np.asarray(counts, dtype=np.float64)
    counts = counts[counts > 0]
    # fsum: the result does not depend on the order of the symbols, so a recount can be exact.
    return math.fsum(counts * (math.log2(counts.sum()) - np.log2(counts))) if counts.size else 0.0


def parameter_bits(parameters: int, observations: float) -> float:
    """Returns the bits to send parameters fitted to that many observations.

    Each costs `log2(observations) / 2`: the precision its estimate deserves (Rissanen, 1978).

    Example:
        >>> parameter_bits(3, 1024)
        15.0
    """
    return 0.5 * parameters * math.log2(observations) if observations > 1 else 0.0


def subset_bits(size: int, chosen: int) -> float:
    """Returns the bits that say which of so many things are chosen, their number being known.

    `log2 C(size, chosen)`.

    Example:
        >>> round(subset_bits(8, 1), 12), subset_bits(5, 5)
        (3.0, 0.0)
    """
    if chosen in (0, size):
        return 0.0
    terms = math.lgamma(size + 1), -math.lgamma(chosen + 1), -math.lgamma(size - chosen + 1)
    return math.fsum(terms) / math.log(2)


@dataclass(frozen=True)
class Step:
    """One line of the ledger, in bits per character of the original text.

    Attributes:
        step: What was learned: characters, words, lexicon, ...
        learned: How many entries the step's codebook holds.
        text: Bits of the text under the codebook, per character.
        codebook: Bits of the codebook, per character of the text.
    """

    step: str
    learned: int
    text: float
    codebook: float

    @property
    def total(self) -> float:
        """Bits per character, codebook charged."""
        return self.text + self.codebook


@dataclass(frozen=True)
class Ledger:
    """What each step of the climb saved.

    Attributes:
        steps: Steps taken; each total is below the one before.
        tried: Steps that did not pay.

    Example:
        >>> ledger = Ledger().add(Step("characters", 9, 8.0, 0.5))
        >>> ledger = ledger.add(Step("words", 4, 7.0, 2.0))
        >>> [s.step for s in ledger], [s.step for s in ledger.tried]
        (['characters'], ['words'])
    """

    steps: tuple[Step, ...] = ()
    tried: tuple[Step, ...] = ()

    def __iter__(self) -> Iterator[Step]:
        return iter(self.steps)

    def __len__(self) -> int:
        return len(self.steps)

    def pays(self, step: Step) -> bool:
        """Says whether the step's total is below that of the last step taken."""
        return not self.steps or step.total < self.steps[-1].total

    def add(self, step: Step) -> "Ledger":
        """Returns a ledger with the step taken if it pays, else put down as tried."""
        if self.pays(step):
            return Ledger((*self.steps, step), self.tried)
        return Ledger(self.steps, (*self.tried, step))

    def add_best(self, steps: Iterable[Step]) -> "Ledger":
        """Returns a ledger with the best of several steps taken if it pays; the rest were tried.

        Example:
            >>> ledger = Ledger((Step("lexicon", 4, 7.0, 0.5),))
            >>> ledger = ledger.add_best([Step("groups", 1, 7.4, 0.0), Step("groups", 9, 6.0, 0.5)])
            >>> [s.learned for s in ledger], [s.learned for s in ledger.tried]
            ([4, 9], [1])
        """
        order = sorted(steps, key=lambda step: step.total)
        added = self.add(order[0]) if order else self
        return Ledger(added.steps, (*added.tried, *order[1:]))
