"""What a text costs when it is described as a walk over groups of words.

Each group is said given the group before, the end of a sentence being one more group, and then the
word given its group:

    bits(w_1 ... w_n) = sum over t of -log2 P(g_t | g_t-1) - log2 P(w_t | g_t),   g_0 = g_n+1 = end.

All frequencies are counted on the text itself and paid for: which group each word is in, which
cells of the table of groups are above zero, and every frequency sent. So many small groups do not
win by memorising pairs of words.
"""

import math
from dataclasses import dataclass

import numpy as np
from scipy import sparse

from taolu.bits.codelength import parameter_bits, subset_bits, unigram_bits
from taolu.mine.transitions import Transitions


@dataclass(frozen=True)
class GroupBits:
    """Bits of a whole text and of the codebook beyond its words.

    Attributes:
        groups: Groups, the one of the other words counted.
        text: Bits of the text.
        codebook: Bits of groups and frequencies; the spelling of words is not among them.
    """

    groups: int
    text: float
    codebook: float

    @property
    def total(self) -> float:
        """Bits of both."""
        return self.text + self.codebook


def class_bigram_bits(transitions: Transitions, groups) -> GroupBits:
    """Returns what the text costs when its words are in these groups.

    Args:
        transitions: The text.
        groups: Number of the group of each word told apart, (words,); the other words are in a
            group of their own.

    Raises:
        ValueError: There is not one number for each word.

    Example:
        Two words in turn: with a group each, what follows is certain, and only groups cost.

        >>> from taolu.mine.transitions import count_transitions
        >>> found = count_transitions([["天", "地"] * 8])
        >>> class_bigram_bits(found, [0, 0]).text > 2 * class_bigram_bits(found, [0, 1]).text
        True

    References:
        Brown et al., Class-based n-gram models of natural language, 1992.
    """
    groups = np.asarray(groups)
    words = len(transitions.words)
    if groups.shape != (words,):
        raise ValueError(
            f"`groups` must hold one number for each word, ({words},). "
            f"Received: shape {groups.shape}."
        )
    names, numbers = np.unique(groups, return_inverse=True)
    uses, rest = transitions.uses, transitions.rest
    size = names.size + (1 if rest.size else 0)
    members = np.concatenate([numbers, np.full(rest.size, names.size)])
    all_uses = np.concatenate([uses, rest])
    sums = np.bincount(members, all_uses, size)
    kept = np.bincount(members, minlength=size)
    # Words inside groups: f(sum of group) - sum of f(uses), as the difference of two unigrams.
    inside = unigram_bits(all_uses) - unigram_bits(sums)
    table = _table(transitions, np.concatenate([numbers, [names.size, size]]), size + 1)
    rows = np.repeat(np.arange(size + 1), np.diff(table.indptr))
    totals = np.bincount(rows, table.data, size + 1)
    between = math.fsum(table.data * (np.log2(totals[rows]) - np.log2(table.data)))
    sent = [parameter_bits(int(k) - 1, int(n)) for k, n in zip(kept, sums, strict=True)]
    steps = zip(np.diff(table.indptr), totals, strict=True)
    sent += [parameter_bits(int(k) - 1, int(n)) for k, n in steps]
    sent.append(members.size * math.log2(size))
    sent.append(subset_bits((size + 1) ** 2, table.nnz))
    return GroupBits(size, inside + between, math.fsum(sent))


def _table(transitions, labels, size) -> sparse.csr_array:
    cells = transitions.counts.tocoo()
    first, second = (labels[ids] for ids in cells.coords)
    # Floats: counts below 2**53 are exact, and adding up cells of one place is what tocsr does.
    table = sparse.coo_array((cells.data.astype(float), (first, second)), shape=(size, size))
    return table.tocsr()
