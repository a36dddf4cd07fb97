"""HSIC where n^2 pairs are too many: random features, blocks, and quadruples drawn at random.

All three have the mean of the unbiased `hsic`, and pay for their speed with variance:

    random features   O(n D^2)   K replaced by F F', F random cosines and sines
    blocks            O(n B)     the mean over blocks of B samples; also gives a p-value
    quadruples        O(m)       the mean of m terms of the U-statistic

A median bandwidth is taken over at most 2048 samples, drawn at random.
"""

from dataclasses import dataclass, replace

import numpy as np

from taolu.bits.distances import FEW, median_distance, samples
from taolu.bits.gram import (
    MEDIAN,
    Gaussian,
    Kernel,
    gram_sums,
    prepared_pair,
    unbiased_from_sums,
)

CHUNK = 4096  # rows of features, or quadruples, held at a time


def feature_hsic(features_x, features_y) -> float:
    """Returns the unbiased HSIC of the kernels `f(x) . f(x')` that features define.

    The same number as `hsic` with linear kernels on the features, in O(n D^2) time instead of
    O(n^2 D): it reads `F_x' F_y`, the sums of features, and their norms.

    Args:
        features_x: Float (samples, features), or (samples,) for one, finite, at least 4 samples.
        features_y: As many samples.

    Raises:
        ValueError: They differ in length, have fewer than 4 samples, or are not finite.

    Example:
        >>> round(feature_hsic([0.0, 1.0, 3.0, 4.0], [1.0, 1.0, 2.0, 2.0]), 12)
        1.416666666667

    References:
        Song et al., Feature selection via dependence maximization, 2012.
    """
    if len(features_x) != len(features_y):
        raise ValueError(
            "`features_x` and `features_y` must have as many samples. "
            f"Received: {len(features_x)} samples of x, {len(features_y)} of y."
        )
    x = samples(features_x, "features_x", least=4)
    y = samples(features_y, "features_y", least=4)
    x, y = x - x.mean(axis=0), y - y.mean(axis=0)  # HSIC does not see it, but rounding does
    moments = _Moments(x.shape[1], y.shape[1])
    moments.add(x, y)
    return moments.hsic()


def random_feature_hsic(
    x,
    y,
    *,
    rng: np.random.Generator,
    frequencies: int = 128,
    kernel_x: Gaussian = MEDIAN,
    kernel_y: Gaussian = MEDIAN,
) -> float:
    """Returns the unbiased HSIC of random features that stand in for Gaussian kernels.

    `exp(-|x - x'|^2 / s^2)` is the mean of `cos(w . (x - x'))` over w drawn from N(0, 2 / s^2);
    each frequency w gives the features `cos(w . x)` and `sin(w . x)`. The mean over draws of w is
    `hsic` of the same samples. O(n frequencies^2) time; memory does not grow with n.

    Args:
        x: Samples of one variable, float (samples,) or (samples, width), finite, at least 4.
        y: Samples of the other, as many, of any width.
        rng: NumPy Generator that draws the frequencies.
        frequencies: Number of frequencies of each variable, at least 1; the standard error falls
            as the square root of it.
        kernel_x: A `Gaussian`.
        kernel_y: The same for y.

    Raises:
        ValueError: x and y differ in length, have fewer than 4 samples or are not finite, or
            `frequencies` is below 1.
        TypeError: A kernel is not `Gaussian`.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> x = rng.normal(size=20_000)
        >>> random_feature_hsic(x, x**2, rng=rng) > 0.01
        True

    References:
        Rahimi & Recht, Random features for large-scale kernel machines, 2007.
        Zhang et al., Large-scale kernel methods for independence testing, 2018.
    """
    for name, kernel in (("kernel_x", kernel_x), ("kernel_y", kernel_y)):
        if not isinstance(kernel, Gaussian):
            raise TypeError(f"`{name}` must be Gaussian. Received: {name}={kernel!r}.")
    if frequencies < 1:
        raise ValueError(f"`frequencies` must be at least 1. Received: frequencies={frequencies}.")
    x, kernel_x, y, kernel_y = _sampled_pair(x, y, kernel_x, kernel_y, rng)
    waves = [
        _waves(part, kernel, frequencies, rng) for part, kernel in ((x, kernel_x), (y, kernel_y))
    ]
    moments = _Moments(2 * frequencies, 2 * frequencies)
    for start in range(0, len(x), CHUNK):
        rows = slice(start, start + CHUNK)
        moments.add(_features(x[rows], waves[0]), _features(y[rows], waves[1]))
    return moments.hsic()


@dataclass(frozen=True)
class BlockHsic:
    """HSIC as a mean over blocks, and what the spread of the blocks says about it.

    Attributes:
        statistic: Mean of the unbiased HSIC of the blocks.
        standard_error: Of that mean.
        p_value: Chance of so large a mean, were the variables independent.
    """

    statistic: float
    standard_error: float
    p_value: float


def block_hsic(
    x,
    y,
    *,
    rng: np.random.Generator,
    block: int = 64,
    kernel_x: Kernel = MEDIAN,
    kernel_y: Kernel = MEDIAN,
) -> BlockHsic:
    """Returns the mean of the unbiased HSIC over blocks of samples, with a p-value.

    Samples are shuffled and dealt into blocks; blocks are independent, so their mean is normal in
    the limit and Student's t gives the p-value, without permutations. O(n block) time. Samples
    that fill no block are left out.

    Args:
        x: Samples of one variable, float (samples,) or (samples, width), finite.
        y: Samples of the other, as many, of any width.
        rng: NumPy Generator that shuffles.
        block: Samples of a block, at least 4; at least two blocks must be full.
        kernel_x: A kernel, as in `taolu.bits.hsic`.
        kernel_y: The same for y.

    Raises:
        ValueError: x and y differ in length, do not fill two blocks or are not finite, or `block`
            is below 4.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> x = rng.normal(size=2000)
        >>> block_hsic(x, x**2, rng=rng).p_value < 1e-6
        True

    References:
        Zhang et al., Large-scale kernel methods for independence testing, 2018.
    """
    # Here and not above, so that users of the other measures do not load SciPy.
    from scipy.special import stdtr

    if block < 4 or len(x) < 2 * block:
        raise ValueError(
            "`block` must be at least 4 and at most half of the samples. "
            f"Received: block={block}, {len(x)} samples."
        )
    x, kernel_x, y, kernel_y = _sampled_pair(x, y, kernel_x, kernel_y, rng)
    blocks = rng.permutation(len(x))[: len(x) // block * block].reshape(-1, block)
    values = np.array([gram_sums(x[i], y[i], kernel_x, kernel_y).unbiased(0, 1) for i in blocks])
    mean, error = float(values.mean()), float(values.std(ddof=1) / np.sqrt(len(values)))
    p_value = float(stdtr(len(values) - 1, -mean / error)) if error > 0 else 1.0
    return BlockHsic(mean, error, p_value)


def incomplete_hsic(
    x,
    y,
    *,
    rng: np.random.Generator,
    quadruples: int = 100_000,
    kernel_x: Kernel = MEDIAN,
    kernel_y: Kernel = MEDIAN,
) -> float:
    """Returns the mean of `quadruples` terms of the U-statistic that `hsic` averages in full.

    HSIC is the mean of `h(K) h(L) / 4` over all ordered quadruples of different samples, with
    `h(K) = K_12 + K_34 - K_13 - K_24`. O(quadruples) time, whatever n is.

    Args:
        x: Samples of one variable, float (samples,) or (samples, width), finite, at least 4.
        y: Samples of the other, as many, of any width.
        rng: NumPy Generator that draws the quadruples.
        quadruples: Terms drawn, at least 1; the standard error falls as the square root of it.
        kernel_x: `Gaussian` or `Linear`.
        kernel_y: The same for y.

    Raises:
        ValueError: x and y differ in length, have fewer than 4 samples or are not finite, or
            `quadruples` is below 1.
        TypeError: A kernel cannot compare pairs one by one.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> x = rng.normal(size=100_000)
        >>> incomplete_hsic(x, x**2, rng=rng) > 0.01
        True

    References:
        Blom, Some properties of incomplete U-statistics, 1976.
        Schrab et al., Efficient aggregated kernel tests using incomplete U-statistics, 2022.
    """
    for name, kernel in (("kernel_x", kernel_x), ("kernel_y", kernel_y)):
        if not hasattr(kernel, "paired"):
            raise TypeError(f"`{name}` must be Gaussian or Linear. Received: {name}={kernel!r}.")
    if quadruples < 1:
        raise ValueError(f"`quadruples` must be at least 1. Received: quadruples={quadruples}.")
    x, kernel_x, y, kernel_y = _sampled_pair(x, y, kernel_x, kernel_y, rng)
    total = 0.0
    for start in range(0, quadruples, CHUNK):
        chosen = _quadruples(len(x), min(CHUNK, quadruples - start), rng)
        total += float(_contrast(x, kernel_x, chosen) @ _contrast(y, kernel_y, chosen))
    return total / (4 * quadruples)


class _Moments:
    """Sums over samples that give the unbiased HSIC of explicit features.

    Off the diagonal, with `a = |f|^2` and `b = |g|^2` of the features f of x and g of y:

        Tr(KL)  = |F'G|^2 - sum a b
        1'K1    = |sum f|^2 - sum a
        1'KL1   = sum (f . sum f - a) (g . sum g - b)
                = (sum f)' F'G (sum g) - (sum f) . (sum b f) - (sum g) . (sum a g) + sum a b
    """

    def __init__(self, width_x: int, width_y: int):
        self.n, self.product = 0, np.zeros((width_x, width_y))
        self.sums = np.zeros(width_x), np.zeros(width_y)
        self.crossed = np.zeros(width_x), np.zeros(width_y)
        self.norms, self.norm_product = np.zeros(2), 0.0

    def add(self, f: np.ndarray, g: np.ndarray) -> None:
        a, b = np.square(f).sum(axis=1), np.square(g).sum(axis=1)
        self.n += len(f)
        self.product += f.T @ g
        for features, own, other, at in ((f, a, b, 0), (g, b, a, 1)):
            self.sums[at][:] += features.sum(axis=0)
            self.crossed[at][:] += other @ features
            self.norms[at] += own.sum()
        self.norm_product += float(a @ b)

    def hsic(self) -> float:
        s, t = self.sums
        rows = s @ self.product @ t - s @ self.crossed[0] - t @ self.crossed[1]
        return float(
            unbiased_from_sums(
                self.n,
                np.square(self.product).sum() - self.norm_product,
                (s @ s - self.norms[0]) * (t @ t - self.norms[1]),
                rows + self.norm_product,
            )
        )


def _sampled_pair(x, y, kernel_x: Kernel, kernel_y: Kernel, rng: np.random.Generator):
    """As `prepared_pair`, with a median bandwidth from a random part of the samples."""
    if len(x) == len(y) > FEW:
        part = rng.choice(len(x), FEW, replace=False)
        kernel_x, kernel_y = (
            replace(kernel, bandwidth=median_distance(samples(values, name)[part]))
            if kernel == MEDIAN
            else kernel
            for values, kernel, name in ((x, kernel_x, "x"), (y, kernel_y, "y"))
        )
    return prepared_pair(x, y, kernel_x, kernel_y, threads=1, least=4)


def _waves(x, kernel: Gaussian, frequencies: int, rng: np.random.Generator) -> np.ndarray:
    directions = rng.normal(scale=np.sqrt(2), size=(x.shape[1], frequencies))
    return directions / kernel.known_bandwidth()


def _features(x, waves: np.ndarray) -> np.ndarray:
    angles = x @ waves
    return np.concatenate([np.cos(angles), np.sin(angles)], axis=1) / np.sqrt(waves.shape[1])


def _quadruples(n: int, count: int, rng: np.random.Generator) -> np.ndarray:
    """Rows of four different numbers below n, each row with the same chance, int64 (count, 4)."""
    chosen = np.stack([rng.integers(n - k, size=count) for k in range(4)], axis=1)
    for k in range(1, 4):
        # The k-th number counts those not yet taken: step over the taken ones in rising order.
        for taken in np.sort(chosen[:, :k], axis=1).T:
            chosen[:, k] += chosen[:, k] >= taken
    return chosen


def _contrast(x, kernel, chosen: np.ndarray) -> np.ndarray:
    a, b, c, d = (x[chosen[:, k]] for k in range(4))
    value = kernel.paired(a, b) + kernel.paired(c, d)
    return value - kernel.paired(a, c) - kernel.paired(b, d)
