"""Where a mixture starts: k-means++, and a few rounds of k-means.

EM climbs to the next local optimum, so the start decides. k-means++ spreads the centres: the next
one is drawn in proportion to its squared distance from the nearest centre so far, a few times, and
the best draw is taken. k-means is EM itself with hard guesses and round components of one size.
"""

import numpy as np


def spread_rows(x, k: int, rng: np.random.Generator, weights: np.ndarray) -> np.ndarray:
    """Numbers of k rows that lie far apart, int64 (k,), by k-means++.

    Args:
        x: Float (rows, features), dense or sparse in rows.
        k: How many rows.
        rng: The source of chance.
        weights: Weight of each row, float64 (rows,).

    Returns:
        Row numbers; they differ as long as there are k different rows of positive weight.

    Example:
        >>> x = np.array([[0.0], [0.1], [9.0]])
        >>> sorted(spread_rows(x, 2, np.random.default_rng(0), np.array([1.0, 0.0, 1.0])))
        [np.int64(0), np.int64(2)]

    References:
        Arthur, Vassilvitskii, k-means++: the advantages of careful seeding, 2007.
    """
    squares = _squares(x)
    chosen = [_draw(weights, rng)]
    nearest = _distances(x, squares, chosen)[:, 0]
    trials = 2 + int(np.log(k))
    while len(chosen) < k:
        pull = nearest * weights
        drawn = [_draw(pull if pull.any() else weights, rng) for _ in range(trials)]
        near = np.minimum(nearest[:, None], _distances(x, squares, drawn))
        best = np.argmin(weights @ near)
        chosen.append(drawn[best])
        nearest = near[:, best]
    return np.array(chosen)


def assign(x, centres: np.ndarray) -> np.ndarray:
    """Number of the nearest centre of each row, int64 (rows,).

    Example:
        >>> assign(np.array([[0.0], [8.0]]), np.array([[9.0], [1.0]]))
        array([1, 0])
    """
    # |x - c|^2 = |x|^2 - 2 x.c + |c|^2, and |x|^2 is the same for every centre.
    return np.argmin((centres**2).sum(axis=1) - 2 * (x @ centres.T), axis=1)


def k_means(
    x: np.ndarray, k: int, rng: np.random.Generator, weights: np.ndarray, rounds: int = 20
) -> np.ndarray:
    """Centres after k-means from a k-means++ start, float64 (k, features).

    A centre that no row is nearest to stays where it was.

    Args:
        x: Float (rows, features), dense.
        k: How many centres.
        rng: The source of chance.
        weights: Weight of each row, float64 (rows,).
        rounds: Most rounds; a start for EM needs no more.

    Example:
        >>> x = np.array([[0.0], [0.1], [9.0]])
        >>> sorted(k_means(x, 2, np.random.default_rng(0), np.ones(3)).ravel().tolist())
        [0.05, 9.0]
    """
    centres = x[spread_rows(x, k, rng, weights)]
    labels = assign(x, centres)
    for _ in range(rounds):
        shares = weights[:, None] * (labels[:, None] == np.arange(k))
        counts = shares.sum(axis=0)
        moved = (shares.T @ x) / np.where(counts > 0, counts, 1)[:, None]
        centres = np.where(counts[:, None] > 0, moved, centres)
        before, labels = labels, assign(x, centres)
        if np.array_equal(before, labels):
            break
    return centres


def _distances(x, squares, rows) -> np.ndarray:
    """Squared distance of every row to these, float64 (rows, len(rows))."""
    centres = x[rows].toarray() if hasattr(x, "toarray") else x[rows]
    sizes = (centres**2).sum(axis=1)
    found = squares[:, None] - 2 * (x @ centres.T) + sizes
    # Rounding leaves a copy of a centre a little off it: such rows are no new centres.
    found[found < 1e-12 * (squares[:, None] + sizes)] = 0
    return found


def _draw(pull, rng) -> int:
    ends = np.cumsum(pull)
    # Right of all equal ends: a row without pull is never drawn.
    return int(np.searchsorted(ends, rng.random() * ends[-1], side="right"))


def _squares(x) -> np.ndarray:
    if hasattr(x, "toarray"):
        return x.power(2).sum(axis=1)
    return np.einsum("ij,ij->i", x, x)
