"""Kernels, and the sums over their Gram matrices that HSIC is made of, tile by tile.

A kernel compares two samples; its Gram matrix K holds all pairs. HSIC needs of two such matrices
only the sum of their product entry by entry, the sums of their rows, and their diagonals. These
are gathered from tiles, so that time is O(n^2) but memory O(n): no n x n array is ever held.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from taolu.bits.distances import TILE, median_distance, samples, squared_distances

Kernel = Callable[[Any, Any], np.ndarray]


@dataclass(frozen=True)
class Gaussian:
    """Kernel `exp(-|x - x'|^2 / bandwidth^2)`: 1 for the same, near 0 for what is far apart.

    There is no 2 in the exponent: the bandwidth is sqrt(2) standard deviations. The kernel is
    characteristic, so HSIC sees every kind of dependence.

    Args:
        bandwidth: Above 0; None takes the median distance between two samples, for each variable
            its own. Where more than half of all distances are 0, it is that of the others.

    Example:
        >>> Gaussian(2.0)([[0.0]], [[0.0], [2.0]])
        array([[1.        , 0.36787944]])
    """

    bandwidth: float | None = None

    def __post_init__(self):
        if self.bandwidth is not None and not 0 < self.bandwidth < np.inf:
            raise ValueError(
                f"`bandwidth` must be above 0 and finite. Received: bandwidth={self.bandwidth}."
            )

    def __call__(self, rows, columns) -> np.ndarray:
        """Returns the tile of the Gram matrix, float64 (rows, columns)."""
        return self._of(squared_distances(samples(rows, "rows"), samples(columns, "columns")))

    def paired(self, x, y) -> np.ndarray:
        """Returns the kernel of each row of x with the row of y beside it, float64 (samples,)."""
        return self._of(np.square(x - y).sum(axis=1))

    def known_bandwidth(self) -> float:
        """Returns the bandwidth, or says that it is still to be found."""
        if self.bandwidth is None:
            raise ValueError(
                "`bandwidth` must be a number where the kernel is called by itself; "
                "`median_bandwidth(x)` finds one. Received: bandwidth=None."
            )
        return self.bandwidth

    def _of(self, squares: np.ndarray) -> np.ndarray:
        squares *= -1.0 / self.known_bandwidth() ** 2
        return np.exp(squares, out=squares)


@dataclass(frozen=True)
class Linear:
    """Kernel `x . x'`: HSIC becomes the squared Frobenius norm of the covariance.

    Sees linear dependence and no other.

    Example:
        >>> Linear()([[1.0, 2.0]], [[3.0, 4.0]])
        array([[11.]])
    """

    def __call__(self, rows, columns) -> np.ndarray:
        """Returns the tile of the Gram matrix, float64 (rows, columns)."""
        return samples(rows, "rows") @ samples(columns, "columns").T

    def paired(self, x, y) -> np.ndarray:
        """Returns the product of each row of x with the row of y beside it, float64 (samples,)."""
        return (x * y).sum(axis=1)


MEDIAN = Gaussian()


def median_bandwidth(x, *, threads: int = 1) -> float:
    """Returns the median distance between two samples, the usual bandwidth of a Gaussian kernel.

    Exact, in O(n^2) time and O(n) memory; of an even number of pairs the lower middle. Where more
    than half of the distances are 0, the median of the others; where all are, 1.

    Args:
        x: Samples, float (samples,) or (samples, width), at least 2, finite.
        threads: Shares of the pairs worked on at the same time; the result does not change.

    Raises:
        ValueError: x has fewer than 2 samples or is not finite.

    Example:
        >>> median_bandwidth([0.0, 1.0, 3.0])
        2.0

    References:
        Gretton et al., A kernel statistical test of independence, 2008.
    """
    return median_distance(samples(x, "x", least=2), threads)


@dataclass(frozen=True)
class GramSums:
    """What the estimators read of the Gram matrices of x (0) and y (1).

    Both matrices are shifted by a constant, which centring takes away again: sums of small numbers
    keep their digits.

    Attributes:
        products: Sums of `K[a] * K[b]` off the diagonal, float64 (2, 2).
        rows: Sums of the rows without the diagonal, float64 (2, samples).
        diagonals: Float64 (2, samples).
    """

    products: np.ndarray
    rows: np.ndarray
    diagonals: np.ndarray

    @property
    def n(self) -> int:
        """Number of samples."""
        return self.rows.shape[1]

    def unbiased(self, a: int, b: int) -> float:
        """Returns the unbiased HSIC of variables a and b."""
        totals = self.rows[a].sum() * self.rows[b].sum()
        rows = self.rows[a] @ self.rows[b]
        return float(unbiased_from_sums(self.n, self.products[a, b], totals, rows))

    def biased(self, a: int, b: int) -> float:
        """Returns `Tr(K[a] J K[b] J) / n^2`, J the centring matrix."""
        n = self.n
        rows = self.rows + self.diagonals
        products = self.products[a, b] + self.diagonals[a] @ self.diagonals[b]
        # Tr(KJLJ) = sum K*L - 2/n (K1).(L1) + (1'K1)(1'L1) / n^2
        trace = products - 2 / n * (rows[a] @ rows[b]) + rows[a].sum() * rows[b].sum() / n**2
        return float(trace / n**2)

    def centred_diagonal(self, a: int) -> np.ndarray:
        """Returns the diagonal of J K[a] J, float64 (samples,)."""
        rows = self.rows[a] + self.diagonals[a]
        return self.diagonals[a] - 2 / self.n * rows + rows.sum() / self.n**2


def unbiased_from_sums(n: int, products, totals, rows):
    """Returns the unbiased HSIC from sums over two Gram matrices with zeros on the diagonal.

    `(products + totals / ((n-1)(n-2)) - 2 rows / (n-2)) / (n (n-3))`, with `products = Tr(KL)`,
    `totals = 1'K1 1'L1` and `rows = 1'KL1`.

    References:
        Song et al., Feature selection via dependence maximization, 2012.
    """
    return (products + totals / ((n - 1) * (n - 2)) - 2 * rows / (n - 2)) / (n * (n - 3))


def prepared(x, kernel: Kernel, name: str, threads: int = 1) -> tuple[np.ndarray, Kernel]:
    """Returns samples, and the kernel with its bandwidth, ready for `gram_sums`."""
    if isinstance(kernel, Linear):
        x = samples(x, name)
        return x - x.mean(axis=0), kernel  # HSIC does not see where zero is, but rounding does
    if not isinstance(kernel, Gaussian):
        return np.asarray(x), kernel  # whatever it is, the kernel of the caller knows
    x = samples(x, name)
    if kernel.bandwidth is None:
        kernel = replace(kernel, bandwidth=median_distance(x, threads))
    return x, kernel


def prepared_pair(x, y, kernel_x: Kernel, kernel_y: Kernel, threads: int, least: int):
    """Returns x, its kernel, y and its kernel, ready for `gram_sums`, or says what is wrong."""
    if threads < 1:
        raise ValueError(f"`threads` must be at least 1. Received: threads={threads}.")
    if len(x) != len(y) or len(x) < least:
        raise ValueError(
            f"`x` and `y` must be pairs of samples, as many of each and at least {least}. "
            f"Received: {len(x)} samples of x, {len(y)} of y."
        )
    x, kernel_x = prepared(x, kernel_x, "x", threads)
    y, kernel_y = prepared(y, kernel_y, "y", threads)
    return x, kernel_x, y, kernel_y


def gram_sums(x, y, kernel_x: Kernel, kernel_y: Kernel, threads: int = 1) -> GramSums:
    """Gathers the sums over the Gram matrices of prepared samples.

    Each thread works on rows of tiles on and right of the diagonal; sums are added up in order,
    so that the result does not depend on the number of threads.
    """
    n = len(x)
    pairs = ((x, kernel_x), (y, kernel_y))
    shifts = [float(gram_tile(part, kernel, 0, 0).mean()) for part, kernel in pairs]
    products, rows, diagonals = np.zeros((2, 2)), np.zeros((2, n)), np.empty((2, n))

    def work(start: int):
        own_products, own_rows = np.zeros((2, 2)), np.zeros((2, n - start))
        for other in range(start, n, TILE):
            tiles = [
                gram_tile(part, kernel, start, other) - shift
                for (part, kernel), shift in zip(pairs, shifts, strict=True)
            ]
            _add_tile(tiles, other - start, own_products, own_rows, diagonals[:, start:])
        return start, own_products, own_rows

    with ThreadPoolExecutor(threads) as pool:
        apply = pool.map if threads > 1 and n > TILE else map
        for start, own_products, own_rows in apply(work, range(0, n, TILE)):
            products += own_products
            rows[:, start:] += own_rows
    return GramSums(products, rows, diagonals)


def gram_tile(x, kernel: Kernel, start: int, other: int) -> np.ndarray:
    """Returns one tile of the Gram matrix as float64, at most (TILE, TILE)."""
    rows, columns = x[start : start + TILE], x[other : other + TILE]
    tile = np.asarray(kernel(rows, columns), dtype=np.float64)
    if tile.shape != (len(rows), len(columns)):
        raise ValueError(
            "A kernel must return an array of shape (rows, columns). "
            f"Received: shape {tile.shape} for {len(rows)} rows and {len(columns)} columns."
        )
    return tile


def _add_tile(tiles, offset: int, products, rows, diagonals) -> None:
    """Adds one tile of each variable, `offset` columns right of the diagonal, to the sums."""
    height, width = tiles[0].shape
    if offset == 0:
        for tile, diagonal in zip(tiles, diagonals, strict=True):
            diagonal[:height] = tile.diagonal()
            np.fill_diagonal(tile, 0.0)
    times = 1 if offset == 0 else 2  # the tile mirrored below the diagonal has the same products
    for a, b in ((0, 0), (0, 1), (1, 1)):
        products[a, b] += times * np.einsum("ij,ij->", tiles[a], tiles[b])
        products[b, a] = products[a, b]
    for a, tile in enumerate(tiles):
        rows[a, :height] += tile.sum(axis=1)
        if offset:
            rows[a, offset : offset + width] += tile.sum(axis=0)
