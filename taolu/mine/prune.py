"""What each word of a dictionary saves, and the words it is better without.

Were a word dropped, the cheapest path through the other words would describe its uses. The text
then costs exactly

    T' log T' - T log T + f(c) - sum over parts p of (f(c_p + c) - f(c_p)),   f(x) = x log2 x

more, c the uses of the word and T' = T + (parts - 1) c. A word that saves less than its place in
the codebook costs, or less than its margin, is dropped, longest first, and its parts take over its
uses before shorter words are judged.
"""

from dataclasses import dataclass

import numpy as np

from taolu._kernel import kernel
from taolu.chain.trie import Edges

# Factors of the margin: all parts are characters, some are, none is; each character beyond two.
CHARACTERS, MIXED, WORDS, LONGER = 1.0, 1.5, 3.0, 0.25


@dataclass(frozen=True)
class Rule:
    """When a word goes.

    Attributes:
        total: Units in the text, sentence ends included.
        margin: Bits a word must save per use and border it removes; see `demands`.
        min_count: Fewest uses.
        drop: Really drop words; without, they are only judged.
    """

    total: int
    margin: float = 0.0
    min_count: int = 0
    drop: bool = False


def demands(margin: float, long_parts: np.ndarray, length: np.ndarray) -> np.ndarray:
    """Returns the bits a join of two parts must save per use, float64 (joins,).

    The plain code joins every phrase that is used often enough to pay for its spelling, because a
    unigram cannot see that neighbours go together. So each border must earn its removal: more
    where one part is a word already, most where both are, and a little more the longer the word.

    Args:
        margin: Bits for two characters; 0 asks for nothing.
        long_parts: How many of the two parts are words, 0 to 2 (joins,).
        length: Characters of the join, (joins,).
    """
    kind = np.array([CHARACTERS, MIXED, WORDS])[long_parts]
    return margin * (kind + LONGER * (length - 2))


def prune(
    edges: Edges, nodes: np.ndarray, counts: np.ndarray, need: np.ndarray, rule: Rule
) -> tuple[np.ndarray, np.ndarray]:
    """Returns what each word saves, and the uses of all nodes after the words that go have gone.

    Args:
        edges: The nodes inside each word.
        nodes: Node of each word, int32 (words,).
        counts: Uses of each node, int64 (nodes,).
        need: Bits the codebook pays for each word, float64 (words,).
        rule: When a word goes.

    Returns:
        Bits saved, `need` taken off, float64 (words,), 0 for a word out of use; and the uses,
        int64 (nodes,).
    """
    lengths = edges.end[edges.bounds[1:] - 1] if nodes.size else np.empty(0, np.int32)
    order = np.argsort(-lengths, kind="stable")
    gains = np.zeros(nodes.size)
    uses = counts.astype(np.float64)
    words = (order, nodes, edges.begin, edges.end, edges.node, edges.bounds)
    options = np.array([rule.total, rule.margin, rule.min_count, rule.drop], dtype=np.float64)
    _prune(words, uses, need, gains, options)
    return gains, uses.astype(np.int64)


@kernel
def _prune(words, counts, need, gains, options):
    """Fills `gains`; with the drop option, hands the uses of words that save too little on.

    The parts of a word are its cheapest path through the other words, under the counts as they
    stand after the words before it in `order`.
    """
    order, nodes, begin, end, node, bounds = words
    total, margin, least_count, drop = options
    if order.size == 0:
        return
    room = end[bounds[order[0] + 1] - 1]  # the longest word comes first
    best = np.empty(room + 1)
    first = np.empty(room + 1, dtype=np.int64)
    after = np.empty(room + 1, dtype=np.int64)
    for word in order:
        own = nodes[word]
        count = counts[own]
        if count == 0:
            continue
        size = end[bounds[word + 1] - 1]
        log_total = np.log2(total)
        best[:size] = np.inf
        best[size] = 0.0
        for edge in range(bounds[word], bounds[word + 1]):
            i, j, part = begin[edge], end[edge], node[edge]
            if part == own or (counts[part] == 0 and j > i + 1):
                continue
            cost = log_total - np.log2(max(counts[part], 1.0)) + best[j]
            if cost <= best[i]:
                best[i] = cost
                first[i] = part
                after[i] = j
        # Move the uses over part by part, so that a part that occurs twice counts twice.
        change = _x_log_x(count)
        parts = long_parts = 0
        i = 0
        while i < size:
            part = first[i]
            change += _x_log_x(counts[part]) - _x_log_x(counts[part] + count)
            counts[part] += count
            parts += 1
            long_parts += after[i] > i + 1
            i = after[i]
        new_total = total + (parts - 1) * count
        change += _x_log_x(new_total) - _x_log_x(total)
        gains[word] = change - need[word]
        kind = CHARACTERS if long_parts == 0 else WORDS if long_parts == parts else MIXED
        border = margin * (kind + LONGER * (size - 2))
        # A word that earns its borders has paid for its place too: the larger demand counts.
        least = max(need[word], (parts - 1) * border * count)
        if drop > 0 and (count < least_count or change < least):
            counts[own] = 0
            total = new_total
            continue
        i = 0
        while i < size:
            counts[first[i]] -= count
            i = after[i]


@kernel
def _x_log_x(x):
    return x * np.log2(x) if x > 0 else 0.0
