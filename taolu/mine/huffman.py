"""The code of Huffman: the binary tree on which used words have short ways.

Hierarchical softmax makes the chance of a word a product of choices, one at each node on its way;
with this tree a text takes the fewest choices a word, its entropy plus less than one.
"""

import heapq

import numpy as np


def huffman_paths(counts: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns the way to each word, from the root.

    Args:
        counts: Uses of each word, int64 (words,).

    Returns:
        `starts`, int64 (words + 1,): the way of word w is what lies from `starts[w]` to
        `starts[w + 1]` of the two others; `nodes`, int32, inner nodes numbered from the root, 0;
        `ways`, int8, which child it goes to, 0 or 1.

    Raises:
        ValueError: There are fewer than two words.

    Example:
        >>> starts, nodes, ways = huffman_paths(np.array([4, 2, 1, 1]))
        >>> starts.tolist(), nodes.tolist(), ways.tolist()
        ([0, 1, 3, 6, 9], [0, 0, 1, 0, 1, 2, 0, 1, 2], [0, 1, 0, 1, 1, 0, 1, 1, 1])

    References:
        Huffman, A method for the construction of minimum-redundancy codes, 1952. Morin, Bengio,
        Hierarchical probabilistic neural network language model, 2005.
    """
    words = counts.size
    if words < 2:
        raise ValueError(f"`counts` must be of at least two words. Received: {words}.")
    parent = np.zeros(2 * words - 1, dtype=np.int64)
    way = np.zeros(2 * words - 1, dtype=np.int8)
    # Equal counts: the one made first is joined first, so the tree is the same everywhere.
    heap = [(int(uses), node) for node, uses in enumerate(counts)]
    heapq.heapify(heap)
    for node in range(words, 2 * words - 1):
        one, other = heapq.heappop(heap), heapq.heappop(heap)
        parent[one[1]] = parent[other[1]] = node
        way[other[1]] = 1
        heapq.heappush(heap, (one[0] + other[0], node))
    root = 2 * words - 2
    found: list[tuple[list[int], list[int]]] = []
    for word in range(words):
        nodes, ways, node = [], [], word
        while node != root:
            ways.append(int(way[node]))
            node = int(parent[node])
            nodes.append(root - node)
        found.append((nodes[::-1], ways[::-1]))
    starts = np.cumsum([0, *(len(nodes) for nodes, _ in found)], dtype=np.int64)
    flat = (np.array([v for path in found for v in path[i]]) for i in (0, 1))
    nodes_flat, ways_flat = flat
    return starts, nodes_flat.astype(np.int32), ways_flat.astype(np.int8)
