"""Words as a trie of character ids: one numbered node for every prefix.

A node that ends a word stands for that word, so costs, counts and flags of words are arrays over
nodes. Nodes 0 to alphabet - 1 are the single characters. Children lie in one open-addressing
table keyed by parent and character, so a step down the trie is about one memory access.
"""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from taolu._kernel import kernel
from taolu.text.encode import sentence_bounds
from taolu.text.normalize import OTHER

NEVER = np.inf  # cost of a node that ends no word


@dataclass(frozen=True)
class Trie:
    """Words as paths of characters from a root.

    Attributes:
        table: Open-addressing table int64 (capacity, 2): parent node and character packed in one
            number, and the child node; -1 where empty.
        alphabet: Number of characters; nodes 0 to alphabet - 1 are the single characters.
        size: Number of nodes.
        nodes: Node at which each word ends, int32 (words,).
    """

    table: np.ndarray
    alphabet: int
    size: int
    nodes: np.ndarray

    def costs(self, word_costs, character_costs) -> np.ndarray:
        """Returns a cost for every node, float64 (size,): `NEVER` where no word ends."""
        costs = np.full(self.size, NEVER)
        costs[: self.alphabet] = character_costs
        costs[self.nodes] = word_costs
        return costs


def build_trie(letters, offsets, alphabet: int) -> Trie:
    """Returns the trie of some words.

    Args:
        letters: Character ids of all words, one after the other, int32 (letters,).
        offsets: Where each word starts, int64 (words + 1,).
        alphabet: Number of characters; every id lies in [0, alphabet).

    Example:
        >>> trie = build_trie([0, 1, 0, 1, 2], [0, 2, 5], alphabet=3)
        >>> trie.size, trie.nodes
        (5, array([3, 4], dtype=int32))
    """
    letters = np.ascontiguousarray(letters, dtype=np.int32)
    offsets = np.ascontiguousarray(offsets, dtype=np.int64)
    table = _empty_table(letters.size)
    nodes = np.empty(offsets.size - 1, dtype=np.int32)
    size = int(_insert(letters, offsets, alphabet, table, nodes))
    # Shared prefixes leave the table emptier than need be; a small one stays in the cache.
    small = _empty_table(size - alphabet)
    if small.shape[0] < table.shape[0]:
        _move(table, small)
        table = small
    return Trie(table, alphabet, size, nodes)


def _empty_table(children: int) -> np.ndarray:
    return np.full((1 << max(4, (2 * children).bit_length()), 2), -1, dtype=np.int64)


@dataclass(frozen=True)
class Edges:
    """Every node met inside each word: the lattice of the word itself.

    Attributes:
        begin: Offset in the word at which the node's string starts, int32 (edges,); falling
            within a word, so one sweep finds the best path.
        end: Offset at which it ends, int32 (edges,); rising among edges of equal `begin`.
        node: The node, int32 (edges,).
        bounds: Where the edges of each word start, int64 (words + 1,).
    """

    begin: np.ndarray
    end: np.ndarray
    node: np.ndarray
    bounds: np.ndarray


def word_edges(trie: Trie, letters, offsets) -> Edges:
    """Returns the nodes inside each word, the word itself among them.

    Args:
        trie: Any trie over the same alphabet.
        letters: Character ids of all words, int32 (letters,).
        offsets: Where each word starts, int64 (words + 1,).
    """
    letters = np.ascontiguousarray(letters, dtype=np.int32)
    offsets = np.ascontiguousarray(offsets, dtype=np.int64)
    bounds = np.zeros(offsets.size, dtype=np.int64)
    nothing = np.empty((0, 3), dtype=np.int32)
    _edges(letters, offsets, trie.table, bounds, nothing)
    bounds = np.cumsum(bounds)
    edges = np.empty((bounds[-1], 3), dtype=np.int32)
    _edges(letters, offsets, trie.table, bounds, edges)
    begin, end, node = (np.ascontiguousarray(edges[:, i]) for i in range(3))
    return Edges(begin, end, node, bounds)


def node_counts(ids, classes, trie: Trie, *, threads: int = 1) -> np.ndarray:
    """Returns how often the string of each node occurs in a text, int64 (size,).

    Args:
        ids: Character ids, int32 (time,); negative ids separate.
        classes: OTHER, WORD or ALNUM for each character, uint8 (alphabet,); strings do not cross
            characters of class OTHER.
        trie: The strings.
        threads: Threads that share the text.
    """

    def share(part: np.ndarray) -> np.ndarray:
        counts = np.zeros(trie.size, dtype=np.int64)
        _node_counts(part, classes, trie.table, counts)
        return counts

    return np.add.reduce(over_shares(share, ids, threads), axis=0)


def longest_marked(ids, classes, trie: Trie, marked, *, threads: int = 1) -> np.ndarray:
    """Returns the length of the longest marked string that starts at each place, uint8 (time,).

    Args:
        ids: Character ids, int32 (time,).
        classes: As in `node_counts`.
        trie: The strings, of at most 255 characters.
        marked: True for the nodes of marked strings, bool (size,).
        threads: Threads that share the text.
    """

    pairs = np.zeros(1 << 18, dtype=np.bool_)
    _first_pairs(trie.table, trie.alphabet, pairs)

    def share(part: np.ndarray) -> np.ndarray:
        longest = np.empty(part.size, dtype=np.uint8)
        _longest_marked(part, classes, trie.table, pairs, marked, longest)
        return longest

    return np.concatenate(over_shares(share, ids, threads))


def longest_around(ids, classes, trie: Trie, marked) -> np.ndarray:
    """Returns the lengths of the longest marked strings that begin at, end at and lie around each
    place, uint8 (time, 3); 0 where there is none.

    A string lies around a place that is neither its first nor its last. Single characters are no
    strings here, and 255 also stands for longer ones.

    Args:
        ids: Character ids, int32 (time,); negative ids separate.
        classes: As in `node_counts`.
        trie: The strings.
        marked: True for the nodes of marked strings, bool (size,).

    Example:
        >>> trie = build_trie([0, 1, 0, 1, 2], [0, 2, 5], alphabet=3)
        >>> longest_around(np.array([0, 1, 2], "i4"), np.ones(3, "u1"), trie, np.ones(5, bool))
        array([[3, 0, 0],
               [0, 2, 3],
               [0, 3, 0]], dtype=uint8)
    """
    longest = np.zeros((ids.size, 3), dtype=np.uint8)
    _longest_around(ids, classes, trie.table, marked, longest)
    return longest


def neighbour_keys(
    ids, classes, trie: Trie, wanted, *, threads: int = 1
) -> tuple[np.ndarray, np.ndarray]:
    """Returns `node << 22 | neighbour` for each occurrence of some words, int64 (occurrences,).

    The first array has the characters before the words, the second those after. A neighbour is
    the id of the character plus one; 0 is the end of the sentence or whitespace.

    Args:
        ids: Character ids, int32 (time,).
        classes: As in `node_counts`.
        trie: The words.
        wanted: True for the nodes of the words wanted, bool (size,).
        threads: Threads that share the text.
    """

    nothing = np.empty(0, dtype=np.int64)

    def size(part: np.ndarray) -> int:
        return _neighbours(part, classes, trie.table, wanted, nothing, nothing)

    # Sizes first: each thread then fills its own stretch, and nothing is copied together.
    ends = np.cumsum(over_shares(size, ids, threads)).tolist()
    stretches = [slice(i, j) for i, j in pairwise([0, *ends])]
    before, after = np.empty(ends[-1], dtype=np.int64), np.empty(ends[-1], dtype=np.int64)
    parts = list(zip(share_out(ids, threads), stretches, strict=True))

    def fill(share: tuple[np.ndarray, slice]) -> None:
        part, stretch = share
        _neighbours(part, classes, trie.table, wanted, before[stretch], after[stretch])

    with ThreadPoolExecutor(len(parts)) as pool:
        list(pool.map(fill, parts))
    return before, after


def share_out(ids, threads: int) -> list[np.ndarray]:
    """Returns shares of the ids, cut at sentence ends."""
    return [ids[i:j] for i, j in pairwise(sentence_bounds(ids, threads))]


def over_shares(work, ids, threads: int) -> list:
    """Results of `work` on shares of the ids, cut at sentence ends, a thread each."""
    parts = share_out(ids, threads)
    if len(parts) == 1:
        return [work(parts[0])]
    with ThreadPoolExecutor(len(parts)) as pool:
        return list(pool.map(work, parts))


@kernel
def _insert(letters, offsets, alphabet, table, nodes):
    size = alphabet
    for word in range(nodes.size):
        node = np.int64(letters[offsets[word]])
        for at in range(offsets[word] + 1, offsets[word + 1]):
            letter = np.int64(letters[at])
            slot = _slot(table, node, letter)
            if table[slot, 0] == -1:
                table[slot, 0] = (node << 21) | letter
                table[slot, 1] = size
                size += 1
            node = table[slot, 1]
        nodes[word] = node
    return size


@kernel
def _slot(table, node, letter):
    """The slot of a child, or the empty slot where it would go."""
    key = (node << 21) | letter
    # Products of two such factors stay below 2**63, so nothing overflows even uncompiled.
    slot = node * 40503 + letter * 2654435761
    slot = (slot ^ (slot >> 17)) & (table.shape[0] - 1)
    while table[slot, 0] != key and table[slot, 0] != -1:
        slot = (slot + 1) & (table.shape[0] - 1)
    return slot


@kernel
def _move(table, small):
    for row in range(table.shape[0]):
        key = table[row, 0]
        if key != -1:
            slot = _slot(small, key >> 21, key & 0x1FFFFF)
            small[slot, 0] = key
            small[slot, 1] = table[row, 1]


@kernel
def _edges(letters, offsets, table, bounds, edges):
    """Fills `edges`, or, where it is empty, writes the number of edges of each word."""
    used = 0
    for word in range(offsets.size - 1):
        before = used
        for i in range(offsets[word + 1] - 1, offsets[word] - 1, -1):
            node = np.int64(letters[i])
            for j in range(i, offsets[word + 1]):
                if j > i:
                    slot = _slot(table, node, np.int64(letters[j]))
                    node = table[slot, 1]
                    if table[slot, 0] == -1:
                        break
                if edges.shape[0]:
                    edges[used, 0] = i - offsets[word]
                    edges[used, 1] = j + 1 - offsets[word]
                    edges[used, 2] = node
                used += 1
        if not edges.shape[0]:
            bounds[word + 1] = used - before


@kernel
def _node_counts(ids, classes, table, counts):
    for i in range(ids.size):
        if ids[i] < 0:
            continue
        node = np.int64(ids[i])
        counts[node] += 1
        if classes[node] == OTHER:
            continue
        for j in range(i + 1, ids.size):
            if ids[j] < 0 or classes[ids[j]] == OTHER:
                break
            slot = _slot(table, node, np.int64(ids[j]))
            if table[slot, 0] == -1:
                break
            node = table[slot, 1]
            counts[node] += 1


@kernel
def _first_pairs(table, alphabet, pairs):
    """Marks a hash of the first two characters of every string of two or more."""
    for row in range(table.shape[0]):
        if 0 <= table[row, 0] >> 21 < alphabet:
            first, second = table[row, 0] >> 21, table[row, 0] & 0x1FFFFF
            pairs[(first * 40503 ^ second * 9973) & (pairs.size - 1)] = True


@kernel
def _longest_marked(ids, classes, table, pairs, marked, longest):
    for i in range(ids.size):
        longest[i] = 0
        if ids[i] < 0 or i + 1 == ids.size or ids[i + 1] < 0:
            continue
        # Most places start nothing; a small table that stays in the cache says so at once.
        first, second = np.int64(ids[i]), np.int64(ids[i + 1])
        if not pairs[(first * 40503 ^ second * 9973) & (pairs.size - 1)]:
            continue
        if classes[first] == OTHER:
            continue
        node = first
        for j in range(i + 1, ids.size):
            if ids[j] < 0 or classes[ids[j]] == OTHER:
                break
            slot = _slot(table, node, np.int64(ids[j]))
            if table[slot, 0] == -1:
                break
            node = table[slot, 1]
            if marked[node]:
                longest[i] = j + 1 - i


@kernel
def _neighbours(ids, classes, table, wanted, before, after):
    """Fills both sides and returns their size; with empty arrays only counts."""
    used = 0
    for i in range(ids.size):
        if ids[i] < 0 or classes[ids[i]] == OTHER:
            continue
        node = np.int64(ids[i])
        for j in range(i, ids.size):
            if j > i:
                if ids[j] < 0 or classes[ids[j]] == OTHER:
                    break
                slot = _slot(table, node, np.int64(ids[j]))
                if table[slot, 0] == -1:
                    break
                node = table[slot, 1]
            if wanted[node]:
                if before.size:
                    near = ids[i - 1] if i > 0 else -1
                    before[used] = (node << 22) | (max(near, -1) + 1)
                    near = ids[j + 1] if j + 1 < ids.size else -1
                    after[used] = (node << 22) | (max(near, -1) + 1)
                used += 1
    return used


@kernel
def _longest_around(ids, classes, table, marked, longest):
    for i in range(ids.size):
        if ids[i] < 0 or classes[ids[i]] == OTHER:
            continue
        node = np.int64(ids[i])
        for j in range(i + 1, ids.size):
            if ids[j] < 0 or classes[ids[j]] == OTHER:
                break
            slot = _slot(table, node, np.int64(ids[j]))
            if table[slot, 0] == -1:
                break
            node = table[slot, 1]
            if marked[node]:
                size = min(255, j + 1 - i)
                longest[i, 0] = size  # a longer one comes later
                longest[j, 1] = max(longest[j, 1], size)
                for t in range(i + 1, j):
                    longest[t, 2] = max(longest[t, 2], size)
