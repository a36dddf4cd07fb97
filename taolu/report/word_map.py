"""Where words stand on a map, so that words of similar vectors stand together (t-SNE).

Each word chooses among its neighbours with p(j|i) ~ exp(-beta_i d_ij^2), beta_i such that every
word has about equally many, and p_ij = (p(j|i) + p(i|j)) / 2n. On the map pairs are as likely as
under a distribution with long tails, and places are moved down the slope of their divergence,

    q_ij ~ 1 / (1 + |y_i - y_j|^2),    dKL/dy_i = 4 sum over j (p_ij - q_ij) (y_i - y_j) / (1 + ...)

Only neighbours pull, so that is quick; all pairs push, `words**2` for each step.
"""

import numpy as np
from scipy import sparse

from taolu._kernel import kernel

NEIGHBOURS = 36
PERPLEXITY = 12.0  # about how many neighbours a word has
STEPS = 200
EARLY = 60  # steps in which neighbours pull harder, so that groups form before they part
HARDER = 12.0
HALVINGS = 40


def place_words(vectors) -> np.ndarray:
    """Returns a place for each vector, float64 (words, 2), each column from 0 to 1.

    The wider side of the map is the first column. The same vectors give the same map.

    Args:
        vectors: Float (words, width); only their directions count.

    Example:
        >>> angles = np.array([0.0, 0.1, 0.2, 2.0, 2.1, 2.2])
        >>> places = place_words(np.stack([np.cos(angles), np.sin(angles)], axis=1))
        >>> bool(np.ptp(places[:3, 0]) < abs(places[0, 0] - places[3, 0]))
        True

    References:
        van der Maaten and Hinton, Visualizing data using t-SNE, 2008.
    """
    vectors = np.asarray(vectors, dtype=np.float64)
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit = vectors / np.where(lengths > 0, lengths, 1.0)
    words = len(unit)
    if words < 4:
        return np.stack([np.linspace(0, 1, words), np.full(words, 0.5)], axis=1)
    x, y = np.ascontiguousarray(0.01 * _two_largest(unit).T)
    near = _affinities(unit)
    links = near.indptr.astype(np.int64), near.indices.astype(np.int64), near.data
    _settle(x, y, links, STEPS, EARLY, max(words / HARDER, 12.0))
    places = _two_largest(np.stack([x, y], axis=1))
    places -= places.min(axis=0)
    return places / np.maximum(places.max(axis=0), 1e-12)


def _two_largest(rows) -> np.ndarray:
    """Principal components: the two directions in which rows differ most, of spread one."""
    centred = rows - rows.mean(axis=0)
    axes = np.linalg.eigh(centred.T @ centred)[1][:, :-3:-1]
    # An eigenvector has no sign of its own: it points to where its largest number is positive.
    axes = axes * np.sign(axes[np.abs(axes).argmax(axis=0), np.arange(axes.shape[1])])
    found = np.zeros((len(rows), 2))
    found[:, : axes.shape[1]] = centred @ axes
    return found / max(float(found[:, 0].std()), 1e-12)


def _affinities(unit) -> sparse.csr_array:
    """p_ij of neighbours, sparse (words, words); they add up to one."""
    words = len(unit)
    count = min(NEIGHBOURS, words - 1)
    cosines = unit @ unit.T
    np.fill_diagonal(cosines, -np.inf)
    ends = np.argpartition(-cosines, count - 1, axis=1)[:, :count]
    squares = 2 - 2 * np.take_along_axis(cosines, ends, axis=1)
    squares -= squares.min(axis=1, keepdims=True)
    aim = np.log(min(PERPLEXITY, max(1.0, count / 3)))
    # log(beta) by halving: the entropy of p(j|i) falls with it.
    low, high = np.full((words, 1), -20.0), np.full((words, 1), 20.0)
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        shares = np.exp(-np.exp(middle) * squares)
        shares /= shares.sum(axis=1, keepdims=True)
        entropy = -(shares * np.log(np.maximum(shares, 1e-300))).sum(axis=1, keepdims=True)
        low, high = np.where(entropy > aim, middle, low), np.where(entropy > aim, high, middle)
    starts = np.repeat(np.arange(words), count)
    given = sparse.csr_array((shares.ravel(), (starts, ends.ravel())), shape=(words, words))
    return ((given + given.T) / (2 * words)).tocsr()


@kernel
def _settle(x, y, links, steps, early, rate):
    """Moves the places; `rate` times a gain that grows while a place keeps its direction."""
    starts, ends, pulls = links
    count = x.size
    across, up, mass = np.zeros(count), np.zeros(count), np.zeros(count)
    speed, gain = np.zeros((2, count)), np.ones((2, count))
    for step in range(steps):
        harder = HARDER if step < early else 1.0
        keep = 0.5 if step < early else 0.8
        across[:], up[:], mass[:] = 0.0, 0.0, 0.0
        for i in range(count):
            # No sum over j: each j has its own, so that several go at once.
            for j in range(count):
                dx, dy = x[j] - x[i], y[j] - y[i]
                near = 1.0 / (1.0 + dx * dx + dy * dy)
                mass[j] += near
                across[j] -= near * near * dx
                up[j] -= near * near * dy
        total = mass.sum() - count  # each is near to itself
        for i in range(count):
            slope_x, slope_y = across[i] / total, up[i] / total
            for e in range(starts[i], starts[i + 1]):
                dx, dy = x[i] - x[ends[e]], y[i] - y[ends[e]]
                pull = harder * pulls[e] / (1.0 + dx * dx + dy * dy)
                slope_x += pull * dx
                slope_y += pull * dy
            for side in range(2):
                slope = slope_x if side == 0 else slope_y
                same = (slope > 0) == (speed[side, i] > 0)
                gain[side, i] = max(0.01, 0.8 * gain[side, i] if same else gain[side, i] + 0.2)
                speed[side, i] = keep * speed[side, i] - 4 * rate * gain[side, i] * slope
        x += speed[0]
        y += speed[1]
