"""Gaussians of a mixture: log densities, and the moments of the data that each one answers for.

The data are read once an iteration, in blocks that stay in the cache; nothing of the size
(observations, components) is kept. With precision Σ⁻¹ = P Pᵀ, P triangular from Cholesky and never
an inverse, the density of one Gaussian is

    log N(x; μ, Σ) = log|P| - d/2 log 2π - |(x - μ) P|² / 2

Deviations are taken from the present means before they are squared, and the new covariance is
S/N - δδᵀ with δ = new mean - present mean, which is small near the end: E[x²] - E[x]² would lose
the digits of a narrow component that lies far from the origin.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

import numpy as np
from scipy.linalg import solve_triangular

from taolu._kernel import kernel
from taolu.count.parallel import available_cores

TYPES = ("full", "tied", "diag", "spherical")
BLOCK = 2**17  # numbers of one temporary: about a megabyte, half a level-two cache
TINY = 10 * np.finfo(np.float64).eps


@dataclass(frozen=True)
class Gaussians:
    """A mixture of Gaussians, ready to be evaluated.

    Args:
        weights: Share of each component, float64 (components,), sum 1.
        means: Float64 (components, features).
        covariances: Float64: full (components, features, features), tied (features, features),
            diag (components, features), spherical (components,).
        factors: P of each precision P Pᵀ; for diag and spherical 1 / deviation. Shaped alike.
        kind: One of `TYPES`.
    """

    weights: np.ndarray
    means: np.ndarray
    covariances: np.ndarray
    factors: np.ndarray
    kind: str


@dataclass(frozen=True)
class Moments:
    """What the components have seen of the data: sufficient statistics.

    Args:
        counts: Expected number of observations, float64 (components,).
        means: Their means, float64 (components, features).
        scatters: Sums of squared deviations from these means: float64 (components, features,
            features) for full and tied, (components, features) for diag and spherical.
    """

    counts: np.ndarray
    means: np.ndarray
    scatters: np.ndarray


def gaussians(weights, means, covariances, kind: str) -> Gaussians:
    """The mixture with its Cholesky factors.

    Raises:
        ValueError: A covariance is not positive definite.

    Example:
        >>> gaussians([1.0], [[0.0]], [[4.0]], "diag").factors
        array([[0.5]])
    """
    covariances = np.asarray(covariances, dtype=np.float64)
    factors = _factors(covariances, kind)
    return Gaussians(
        np.asarray(weights, dtype=np.float64),
        np.ascontiguousarray(means, dtype=np.float64),
        covariances,
        factors,
        kind,
    )


def log_joint(x: np.ndarray, mixture: Gaussians) -> np.ndarray:
    """log p(component) p(x | component) in nats, float64 (observations, components).

    Args:
        x: Float64 (observations, features).
        mixture: The Gaussians.

    Example:
        >>> standard = gaussians([1.0], [[0.0]], [[1.0]], "diag")
        >>> log_joint(np.array([[0.0]]), standard).round(4)
        array([[-0.9189]])
    """
    found = np.empty((len(x), len(mixture.weights)))
    constants = _constants(mixture)
    for rows in _blocks(len(x), mixture.means.size):
        deviations = x[rows] - mixture.means[:, None, :]
        found[rows] = (constants[:, None] - _squares(deviations, mixture) / 2).T
    return found


def expected_moments(
    x: np.ndarray, weights: np.ndarray, mixture: Gaussians, threads: int | None = 1
) -> tuple[float, Moments]:
    """The E-step: log-likelihood of all data in nats, and the moments each component answers for.

    Costs observations · components · features² for full and tied, · features for diag and
    spherical. Blocks are added in order, so every number of threads gives the same bits.

    Args:
        x: Float64 (observations, features).
        weights: Weight of each observation, float64 (observations,).
        mixture: The Gaussians.
        threads: How many blocks are worked on at once; None means one for each core.

    Example:
        >>> pair = gaussians([0.5, 0.5], [[0.0], [9.0]], [[1.0], [1.0]], "diag")
        >>> expected_moments(np.array([[0.0], [1.0], [9.0]]), np.ones(3), pair)[1].means.round(3)
        array([[0.5],
               [9. ]])
    """
    dense = mixture.kind in ("full", "tied")
    step = _dense_block if dense else _diagonal_block
    work = partial(step, x, weights, mixture, _constants(mixture))
    # The kernel for diagonal shapes keeps nothing of a row but the row itself.
    rows = list(_blocks(len(x), mixture.means.size if dense else x.shape[1]))
    blocks = _in_order(work, rows, threads)
    total, counts, sums, scatters = next(blocks)
    for found in blocks:
        total += found[0]
        counts += found[1]
        sums += found[2]
        scatters += found[3]
    shift = sums / np.maximum(counts, np.finfo(np.float64).tiny)[:, None]
    if scatters.ndim == 3:
        scatters = scatters - counts[:, None, None] * shift[:, :, None] * shift[:, None, :]
    else:
        scatters = np.maximum(scatters - counts[:, None] * shift**2, 0)
    return float(total), Moments(counts, mixture.means + shift, scatters)


def moments(x: np.ndarray, shares: np.ndarray, kind: str) -> Moments:
    """Moments of components whose shares of every row are given: a start, say.

    Args:
        x: Float64 (observations, features).
        shares: Float64 (observations, components), weights of the rows included.
        kind: One of `TYPES`.

    Example:
        >>> moments(np.array([[0.0], [2.0]]), np.ones((2, 1)), "diag").scatters
        array([[2.]])
    """
    counts = shares.sum(axis=0)
    means = (shares.T @ x) / np.maximum(counts, TINY)[:, None]
    scatters = []
    for share, mean in zip(shares.T, means, strict=True):
        deviations = x - mean
        weighted = deviations * share[:, None]
        dense = kind in ("full", "tied")
        scatters.append(weighted.T @ deviations if dense else (weighted * deviations).sum(axis=0))
    return Moments(counts, means, np.array(scatters))


def blend(old: Moments, new: Moments, keep: float, gain: float) -> Moments:
    """Moments of two data sets together, the old one with the weight `keep`, the new with `gain`.

    The means move and the scatters grow by what lies between them, as for variances computed in
    parallel; nothing large is subtracted.

    Example:
        >>> point = lambda at: Moments(np.ones(1), np.array([[at]]), np.zeros((1, 1)))
        >>> mixed = blend(point(0.0), point(2.0), 0.5, 0.5)
        >>> mixed.means, mixed.scatters
        (array([[1.]]), array([[1.]]))

    References:
        Chan, Golub, LeVeque, Updating formulae and a pairwise algorithm for computing sample
        variances, 1979.
    """
    first, second = keep * old.counts, gain * new.counts
    counts = first + second
    share = second / np.maximum(counts, np.finfo(np.float64).tiny)
    apart = new.means - old.means
    between = first * share
    if old.scatters.ndim == 3:
        gap = between[:, None, None] * apart[:, :, None] * apart[:, None, :]
    else:
        gap = between[:, None] * apart**2
    scatters = keep * old.scatters + gain * new.scatters + gap
    return Moments(counts, old.means + share[:, None] * apart, scatters)


def maximised(found: Moments, old: Gaussians | None, floor: float, kind: str) -> Gaussians:
    """The M-step: the Gaussians that fit the moments best, `floor` added to every variance.

    A component that answers for nothing keeps its old place and shape, with weight 0.

    Args:
        found: The moments.
        old: The Gaussians before; None at the start.
        floor: Added to the diagonal of covariances.
        kind: One of `TYPES`.

    Raises:
        ValueError: A covariance is not positive definite.

    Example:
        >>> seen = Moments(np.array([4.0]), np.array([[1.0]]), np.array([[8.0]]))
        >>> maximised(seen, None, 0.0, "diag").covariances
        array([[2.]])
    """
    counts = found.counts
    safe = np.where(counts > 0, counts, 1.0)
    if kind == "full":
        covariances = found.scatters / safe[:, None, None] + floor * np.eye(found.means.shape[1])
    elif kind == "tied":
        covariances = found.scatters.sum(axis=0) / counts.sum()
        covariances = covariances + floor * np.eye(found.means.shape[1])
    else:
        covariances = found.scatters / safe[:, None] + floor
        covariances = covariances.mean(axis=1) if kind == "spherical" else covariances
    means = found.means
    if old is not None and not counts.all():
        gone = counts == 0
        means = np.where(gone[:, None], old.means, means)
        if kind != "tied":
            covariances[gone] = old.covariances[gone]
    return gaussians(counts / counts.sum(), means, covariances, kind)


def _factors(covariances, kind):
    if kind in ("diag", "spherical"):
        if not (covariances > 0).all():
            raise ValueError(_singular(np.min(covariances)))
        return 1 / np.sqrt(covariances)
    single = covariances[None] if kind == "tied" else covariances
    factors = np.empty_like(single)
    for at, matrix in enumerate(single):
        try:
            lower = np.linalg.cholesky(matrix)
        except np.linalg.LinAlgError:
            raise ValueError(_singular(np.linalg.eigvalsh(matrix)[0])) from None
        factors[at] = solve_triangular(lower, np.eye(len(lower)), lower=True).T
    return factors[0] if kind == "tied" else factors


def _singular(value) -> str:
    return (
        "Every covariance must be positive definite: a component has shrunk to fewer points than "
        "its shape needs. Raise `reg_covar`, take fewer components, or scale the data. "
        f"Received: smallest variance {value:.3g}."
    )


def _constants(mixture: Gaussians) -> np.ndarray:
    """log weight + log|P| - d/2 log 2π, float64 (components,)."""
    components, features = mixture.means.shape
    factors = mixture.factors
    if mixture.kind in ("full", "tied"):
        logs = np.log(np.diagonal(factors, axis1=-2, axis2=-1)).sum(axis=-1)
    else:
        logs = np.log(factors).reshape(components, -1).sum(axis=1)
        logs = logs * (features if mixture.kind == "spherical" else 1)
    with np.errstate(divide="ignore"):  # an empty component has weight 0: log 0 = -inf is meant
        return np.log(mixture.weights) + logs - features / 2 * np.log(2 * np.pi)


def _squares(deviations, mixture: Gaussians) -> np.ndarray:
    """|(x - μ) P|², from (components, rows, features) to (components, rows)."""
    factors = mixture.factors
    if mixture.kind in ("full", "tied"):
        white = deviations @ factors
    else:
        white = deviations * factors.reshape(len(factors), 1, -1)
    return np.einsum("kri,kri->kr", white, white)


def _blocks(rows: int, numbers: int) -> Iterator[slice]:
    """Blocks of rows, each row of which needs so many numbers of memory."""
    size = max(64, BLOCK // numbers)
    return (slice(start, start + size) for start in range(0, rows, size))


def _in_order(work, blocks, threads):
    threads = min(len(blocks), available_cores() if threads is None else threads)
    if threads < 2:
        yield from map(work, blocks)
        return
    with ThreadPoolExecutor(threads, "taolu-fit") as pool:
        yield from pool.map(work, blocks)


def _dense_block(x, weights, mixture, constants, rows):
    """Log-likelihood, counts, sums and scatters about the present means, of one block of rows."""
    deviations = x[rows] - mixture.means[:, None, :]
    logs = constants[:, None] - _squares(deviations, mixture) / 2
    highest = logs.max(axis=0)
    shares = np.exp(logs - highest)
    evidence = shares.sum(axis=0)
    shares *= weights[rows] / evidence
    total = weights[rows] @ (highest + np.log(evidence))
    weighted = deviations * shares[:, :, None]
    sums = weighted.sum(axis=1)
    return total, shares.sum(axis=1), sums, weighted.transpose(0, 2, 1) @ deviations


def _diagonal_block(x, weights, mixture, constants, rows):
    components, features = mixture.means.shape
    factors = np.broadcast_to(mixture.factors.reshape(components, -1), (components, features))
    halves = np.ascontiguousarray(factors.T**2 / 2)
    means = np.ascontiguousarray(mixture.means.T)
    counts = np.zeros(components)
    sums, squares = np.zeros((2, features, components))
    total = _diagonal(x[rows], weights[rows], means, halves, constants, counts, sums, squares)
    return total, counts, sums.T, squares.T


@kernel
def _diagonal(x, weights, means, halves, constants, counts, sums, squares):
    # Components innermost: each runs over its own slots, so the compiler takes several at once.
    components = constants.size
    shares = np.empty(components)
    total = 0.0
    for t in range(x.shape[0]):
        shares[:] = constants
        for i in range(x.shape[1]):
            for k in range(components):
                deviation = x[t, i] - means[i, k]
                shares[k] -= deviation * deviation * halves[i, k]
        highest = shares.max()
        evidence = 0.0
        for k in range(components):
            shares[k] = np.exp(shares[k] - highest)
            evidence += shares[k]
        total += weights[t] * (highest + np.log(evidence))
        for k in range(components):
            shares[k] *= weights[t] / evidence
            counts[k] += shares[k]
        for i in range(x.shape[1]):
            for k in range(components):
                deviation = x[t, i] - means[i, k]
                moved = shares[k] * deviation
                sums[i, k] += moved
                squares[i, k] += moved * deviation
    return total
