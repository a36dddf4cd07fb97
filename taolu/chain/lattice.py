"""Paths through the words of a sentence.

Every way to cut a sentence into words is a path through a lattice whose edges are the words found
in it. With a cost on each word, the cheapest path is found in one sweep from right to left:

    best[end] = 0,   best[i] = min over words w = text[i:j] of cost[w] + best[j]

Words are looked up in a trie (`chain.trie`). A single character is always a possible edge, so a
path always exists.
"""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from taolu._kernel import kernel
from taolu.chain.trie import Trie
from taolu.text.encode import sentence_bounds
from taolu.text.normalize import ALNUM, OTHER


@dataclass(frozen=True)
class Paths:
    """The cheapest path through each sentence of a text.

    Attributes:
        path: int32 (time,), parallel to the ids: the node of a unit where it ends, -1 inside a
            unit and at what is no character.
        counts: Uses of each node, int64 (nodes,).
    """

    path: np.ndarray
    counts: np.ndarray


def best_paths(ids, classes, trie: Trie, costs, *, threads: int = 1) -> Paths:
    """Returns the cheapest path through every sentence.

    A unit is a word of the trie or a single character. Words hold no character of class OTHER and
    never begin or end strictly inside a run of letters and digits. Of several cheapest paths the
    one with the longest first word wins, and so on. Linear in the text times the longest word.

    Args:
        ids: Character ids, int32 (time,); negative ids separate.
        classes: OTHER, WORD or ALNUM for each character, uint8 (alphabet,).
        trie: The words.
        costs: Cost of each node, float64 (size,); `NEVER` where no word ends. A character must
            have a finite cost. With `exact_costs` the tie rule is exact too.
        threads: Sentences are shared out over so many threads; the result does not depend on it.

    Example:
        >>> from taolu.chain.trie import build_trie
        >>> trie = build_trie([0, 1], [0, 2], alphabet=3)
        >>> classes = np.ones(3, dtype=np.uint8)
        >>> best_paths([0, 1, 2, -1], classes, trie, trie.costs([1.5], [1.0, 1.0, 1.0])).path
        array([-1,  3,  2, -1], dtype=int32)
    """
    ids = np.ascontiguousarray(ids, dtype=np.int32)
    path = np.empty(ids.size, dtype=np.int32)
    costs = np.ascontiguousarray(costs, dtype=np.float64)
    return Paths(path, fill_paths(ids, classes, trie, costs, path, threads=threads))


def fill_paths(ids, classes, trie: Trie, costs, path, *, threads: int = 1) -> np.ndarray:
    """Fills `path` as `best_paths` would and returns the counts; for loops over large texts."""
    bounds = sentence_bounds(ids, threads)
    if len(bounds) == 2:
        counts = np.zeros(trie.size, dtype=np.int64)
        _best_paths(ids, classes, trie.table, costs, path, counts)
        return counts

    def work(start: int, stop: int) -> np.ndarray:
        counts = np.zeros(trie.size, dtype=np.int64)
        _best_paths(ids[start:stop], classes, trie.table, costs, path[start:stop], counts)
        return counts

    with ThreadPoolExecutor(len(bounds) - 1) as pool:
        shares = list(pool.map(work, bounds[:-1], bounds[1:]))
    return np.add.reduce(shares, axis=0)


def exact_costs(costs) -> np.ndarray:
    """Returns costs rounded to multiples of 2**-32.

    Sums of such numbers are exact, in any order. So paths that cost the same tie, instead of being
    told apart by rounding, and every machine and every program finds the same path.

    Args:
        costs: Costs, float64, below 2**20.
    """
    return np.round(np.asarray(costs, dtype=np.float64) * 2.0**32) / 2.0**32


def path_sums(ids, trie: Trie, logs) -> float:
    """Returns the natural log of the summed probability of all ways to cut a sentence.

    Any character may start and end a unit; only negative ids separate.

    Args:
        ids: Character ids, int32 (time,).
        trie: The words.
        logs: Natural log of the probability of each node, float64 (size,); -inf where no word
            ends.

    Example:
        >>> from taolu.chain.trie import build_trie
        >>> trie = build_trie([0, 1], [0, 2], alphabet=2)
        >>> round(float(np.exp(path_sums([0, 1], trie, np.log([0.5, 0.25, 0.25])))), 6)
        0.375
    """
    ids = np.ascontiguousarray(ids, dtype=np.int32)
    return float(_path_sums(ids, trie.table, np.ascontiguousarray(logs, dtype=np.float64)))


@kernel
def _path_sums(ids, table, logs):
    sums = np.zeros(ids.size + 1, dtype=np.float64)
    for i in range(ids.size - 1, -1, -1):
        if ids[i] < 0:
            sums[i] = sums[i + 1]
            continue
        node = np.int64(ids[i])
        total = logs[node] + sums[i + 1]
        for j in range(i + 1, ids.size):
            if ids[j] < 0:
                break
            node = _child(table, node, np.int64(ids[j]))
            if node < 0:
                break
            more = logs[node] + sums[j + 1]
            if more > -np.inf:
                high, low = max(total, more), min(total, more)
                total = high + np.log1p(np.exp(low - high))
        sums[i] = total
    return sums[0]


@kernel
def _best_paths(ids, classes, table, costs, path, counts):
    room = 1 << 10
    best = np.empty(room + 1, dtype=np.float64)
    first = np.empty(room + 1, dtype=np.int32)
    after = np.empty(room + 1, dtype=np.int64)
    start = 0
    while start < ids.size:
        letter = ids[start]
        if letter < 0 or classes[letter] == OTHER:
            path[start] = letter if letter >= 0 else -1
            if letter >= 0:
                counts[letter] += 1
            start += 1
            continue
        stop = start + 1
        while stop < ids.size and ids[stop] >= 0 and classes[ids[stop]] != OTHER:
            stop += 1
        if stop - start > room:
            room = 2 * (stop - start)
            best = np.empty(room + 1, dtype=np.float64)
            first = np.empty(room + 1, dtype=np.int32)
            after = np.empty(room + 1, dtype=np.int64)
        # best[i - start] is the cost of the rest of the run from i on.
        best[stop - start] = 0.0
        for i in range(stop - 1, start - 1, -1):
            path[i] = -1
            letter = ids[i]
            cheapest = costs[letter] + best[i + 1 - start]
            edge = np.int64(letter)
            end = i + 1
            inside = classes[letter] == ALNUM and i > start and classes[ids[i - 1]] == ALNUM
            node = np.int64(letter)
            for j in range(i + 1, stop):
                if inside:
                    break
                letter = ids[j]
                node = _child(table, node, np.int64(letter))
                if node < 0:
                    break
                total = costs[node] + best[j + 1 - start]
                if total <= cheapest and total < np.inf:
                    if j + 1 < stop and classes[letter] == ALNUM and classes[ids[j + 1]] == ALNUM:
                        continue
                    cheapest = total
                    edge = node
                    end = j + 1
            best[i - start] = cheapest
            first[i - start] = edge
            after[i - start] = end
        i = start
        while i < stop:
            unit = first[i - start]
            i = after[i - start]
            path[i - 1] = unit
            counts[unit] += 1
        start = stop


@kernel
def _child(table, node, letter):
    """The node one letter further, -1 where there is none."""
    key = (node << 21) | letter
    # Products of two such factors stay below 2**63, so nothing overflows even uncompiled.
    slot = node * 40503 + letter * 2654435761
    slot = (slot ^ (slot >> 17)) & (table.shape[0] - 1)
    while table[slot, 0] != key:
        if table[slot, 0] == -1:
            return np.int64(-1)
        slot = (slot + 1) & (table.shape[0] - 1)
    return table[slot, 1]
