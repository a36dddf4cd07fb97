"""Sums over all ways to bracket a sentence by twos, and the brackets most of them agree on.

Every bracket of two words or more has a score, and a tree is as likely as exp(sum of its brackets'
scores). With I(i, i+1) = 1,

    inside   I(i, j) = exp(score(i, j)) * sum over k of I(i, k) I(k, j)
    outside  O(i, j) = sum over k < i of O(k, j) exp(score(k, j)) I(k, i)
                     + sum over k > j of O(i, k) exp(score(i, k)) I(j, k)
    share(i, j) = I(i, j) O(i, j) / I(0, n)

the share of trees, by weight, that have a bracket. All in logarithms; n words take n**3 steps.
"""

import numpy as np

from taolu._kernel import kernel


def bracket_shares(scores: np.ndarray) -> np.ndarray:
    """Returns the share of all trees of two, by weight, that have each bracket.

    Args:
        scores: Score of the bracket from the row's word up to, without, the column's, nats,
            float64 (words + 1, words + 1); only those of two words or more are read.

    Returns:
        float64 (words + 1, words + 1); 1 for single words and for the sentence.

    Example:
        Three words have two trees, and the first of the brackets is three times as likely:

        >>> scores = np.zeros((4, 4))
        >>> scores[0, 2] = np.log(3)
        >>> bracket_shares(scores)[[0, 1], [2, 3]].round(6).tolist()
        [0.75, 0.25]
    """
    shares = np.zeros(scores.shape)
    if len(scores) > 1:
        inside, outside = np.full(scores.shape, -np.inf), np.full(scores.shape, -np.inf)
        _bracket_shares(np.ascontiguousarray(scores, dtype=np.float64), inside, outside, shares)
    return shares


def agreed_brackets(shares: np.ndarray, least: float) -> list[tuple[int, int]]:
    """Returns the nested brackets with the largest sum of share - least, each above zero.

    This is the tree that is expected to have the most right brackets, less `least` for each one
    drawn. Where no bracket is sure enough, many items stand side by side in one.

    Args:
        shares: See `bracket_shares`.
        least: What a bracket has to be above.

    Returns:
        Starts and stops of brackets of two words or more, outer ones before inner ones.

    Example:
        >>> shares = np.zeros((4, 4))
        >>> shares[0, 2], shares[1, 3], shares[0, 3] = 0.75, 0.25, 1.0
        >>> agreed_brackets(shares, 0.5)
        [(0, 3), (0, 2)]
    """
    size = len(shares)
    middles = np.zeros((size, size), dtype=np.int64)
    _agree(np.ascontiguousarray(shares, dtype=np.float64), least, np.zeros((size, size)), middles)
    found, todo = [], [(0, size - 1)]
    while todo:
        start, stop = todo.pop()
        if stop - start > 1:
            if shares[start, stop] > least:
                found.append((start, stop))
            middle = int(middles[start, stop])
            todo += [(middle, stop), (start, middle)]
    return found


@kernel
def _bracket_shares(scores, inside, outside, shares):
    n = len(scores) - 1
    for i in range(n):
        inside[i, i + 1] = 0.0
    for length in range(2, n + 1):
        for i in range(n - length + 1):
            j = i + length
            most = -np.inf
            for k in range(i + 1, j):
                most = max(most, inside[i, k] + inside[k, j])
            total = 0.0
            for k in range(i + 1, j):
                total += np.exp(inside[i, k] + inside[k, j] - most)
            inside[i, j] = scores[i, j] + most + np.log(total)
    outside[0, n] = 0.0
    shares[0, n] = 1.0
    for length in range(n - 1, 0, -1):
        for i in range(n - length + 1):
            j = i + length
            most = -np.inf
            for k in range(i):
                most = max(most, outside[k, j] + scores[k, j] + inside[k, i])
            for k in range(j + 1, n + 1):
                most = max(most, outside[i, k] + scores[i, k] + inside[j, k])
            total = 0.0
            for k in range(i):
                total += np.exp(outside[k, j] + scores[k, j] + inside[k, i] - most)
            for k in range(j + 1, n + 1):
                total += np.exp(outside[i, k] + scores[i, k] + inside[j, k] - most)
            outside[i, j] = most + np.log(total)
            shares[i, j] = np.exp(inside[i, j] + outside[i, j] - inside[0, n])


@kernel
def _agree(shares, least, best, middles):
    n = len(shares) - 1
    for length in range(2, n + 1):
        for i in range(n - length + 1):
            j = i + length
            most = -np.inf
            for k in range(i + 1, j):
                if best[i, k] + best[k, j] > most:
                    most = best[i, k] + best[k, j]
                    middles[i, j] = k
            best[i, j] = most + max(shares[i, j] - least, 0.0)
