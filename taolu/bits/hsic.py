"""Dependence measured without bins or densities: the Hilbert-Schmidt independence criterion.

If x tells about y, then samples alike in x tend to be alike in y. With the likeness of all pairs
in two Gram matrices K and L, HSIC is their covariance,

    biased     n^-2 Tr(K J L J),   J = I - 11'/n
    unbiased   [ Tr(KL) + 1'K1 1'L1 / ((n-1)(n-2)) - 2/(n-2) 1'KL1 ] / (n (n-3)),  diagonals zero

and with a Gaussian kernel it is 0 in the limit only if x and y are independent. It is no number of
bits, and its size depends on the kernels: compare values of one pair of kernels, or use `cka`.
"""

import math

from taolu.bits.gram import MEDIAN, GramSums, Kernel, gram_sums, prepared_pair


def hsic(x, y, *, kernel_x: Kernel = MEDIAN, kernel_y: Kernel = MEDIAN, threads: int = 1) -> float:
    """Returns the unbiased estimate of the HSIC of two variables.

    Its mean over draws is the truth at any n, so for independent variables it is as often below 0
    as a mean of 0 needs; do not clip before averaging. O(n^2) time, O(n) memory: Gram matrices
    are added up tile by tile.

    Args:
        x: Samples of one variable, float (samples,) or (samples, width), finite, at least 4.
        y: Samples of the other, as many, of any width.
        kernel_x: `Gaussian()` with the median bandwidth, `Gaussian(bandwidth)`, `Linear()`, or a
            function from slices of x, (rows, ...) and (columns, ...), to their Gram matrix
            (rows, columns), symmetric and positive definite; samples may then be anything an
            array holds.
        kernel_y: The same for y.
        threads: Tiles worked on at the same time; the result does not depend on it.

    Returns:
        HSIC, in units of the kernels; may be below 0.

    Raises:
        ValueError: x and y differ in length, have fewer than 4 samples, or are not finite.

    Example:
        >>> import numpy as np
        >>> x = np.linspace(-1, 1, 100)
        >>> bool(hsic(x, x**2) > 0.03), float(np.round(np.corrcoef(x, x**2)[0, 1], 12)) + 0
        (True, 0.0)

    References:
        Song et al., Feature selection via dependence maximization, 2012.
        Su Jianlin, 用 HSIC 衡量独立性 (spaces.ac.cn/archives/6910), 2019.
    """
    return _sums(x, y, kernel_x, kernel_y, threads, least=4).unbiased(0, 1)


def biased_hsic(
    x, y, *, kernel_x: Kernel = MEDIAN, kernel_y: Kernel = MEDIAN, threads: int = 1
) -> float:
    """Returns the biased estimate `Tr(K J L J) / n^2`, which is at least 0.

    Too high by about 1/n: for independent variables its mean is
    `(n-1)/n^2 (1 - E k(x, x')) (1 - E l(y, y'))` with Gaussian kernels. The article divides by
    `(n-1)^2`, that is, multiplies this by `n^2 / (n-1)^2`; this does not take the bias away.

    Args:
        x: Samples of one variable, float (samples,) or (samples, width), finite, at least 2.
        y: Samples of the other, as many, of any width.
        kernel_x: A kernel, as in `hsic`.
        kernel_y: The same for y.
        threads: Tiles worked on at the same time; the result does not depend on it.

    Raises:
        ValueError: x and y differ in length, have fewer than 2 samples, or are not finite.

    Example:
        >>> from taolu.bits.gram import Linear
        >>> biased_hsic([0.0, 2.0], [0.0, 4.0], kernel_x=Linear(), kernel_y=Linear())  # 2^2
        4.0

    References:
        Gretton et al., Measuring statistical dependence with Hilbert-Schmidt norms, 2005.
    """
    return _sums(x, y, kernel_x, kernel_y, threads, least=2).biased(0, 1)


def cka(x, y, *, kernel_x: Kernel = MEDIAN, kernel_y: Kernel = MEDIAN, threads: int = 1) -> float:
    """Returns the normalised HSIC, or centred kernel alignment, from unbiased estimates.

    `HSIC(x, y) / sqrt(HSIC(x, x) HSIC(y, y))`: 1 for the same Gram matrices up to scale, near 0,
    and as often below, for independent variables; 0 if x or y does not vary.

    Args:
        x: Samples of one variable, float (samples,) or (samples, width), finite, at least 4.
        y: Samples of the other, as many, of any width.
        kernel_x: A kernel, as in `hsic`; `Linear()` compares representations.
        kernel_y: The same for y.
        threads: Tiles worked on at the same time; the result does not depend on it.

    Raises:
        ValueError: x and y differ in length, have fewer than 4 samples, or are not finite.

    Example:
        >>> round(cka([1.0, 2.0, 3.0, 5.0, 9.0], [3.0, 5.0, 7.0, 11.0, 19.0]), 12)
        1.0

    References:
        Cortes et al., Algorithms for learning kernels based on centered alignment, 2012.
        Kornblith et al., Similarity of neural network representations revisited, 2019.
    """
    sums = _sums(x, y, kernel_x, kernel_y, threads, least=4)
    return _normalized(sums.unbiased(0, 1), sums.unbiased(0, 0), sums.unbiased(1, 1))


def biased_cka(
    x, y, *, kernel_x: Kernel = MEDIAN, kernel_y: Kernel = MEDIAN, threads: int = 1
) -> float:
    """Returns the normalised HSIC from biased estimates: 0 to 1, far above 0 where n is small.

    Args:
        x: Samples of one variable, float (samples,) or (samples, width), finite, at least 2.
        y: Samples of the other, as many, of any width.
        kernel_x: A kernel, as in `hsic`; `Linear()` compares representations.
        kernel_y: The same for y.
        threads: Tiles worked on at the same time; the result does not depend on it.

    Raises:
        ValueError: x and y differ in length, have fewer than 2 samples, or are not finite.

    Example:
        >>> round(biased_cka([1.0, 2.0, 3.0], [1.0, 2.0, 3.0]), 12)
        1.0

    References:
        Cortes et al., Algorithms for learning kernels based on centered alignment, 2012.
    """
    sums = _sums(x, y, kernel_x, kernel_y, threads, least=2)
    return _normalized(sums.biased(0, 1), sums.biased(0, 0), sums.biased(1, 1))


def _normalized(xy: float, xx: float, yy: float) -> float:
    return xy / math.sqrt(xx * yy) if xx > 0 and yy > 0 else 0.0


def _sums(x, y, kernel_x: Kernel, kernel_y: Kernel, threads: int, least: int) -> GramSums:
    x, kernel_x, y, kernel_y = prepared_pair(x, y, kernel_x, kernel_y, threads, least)
    return gram_sums(x, y, kernel_x, kernel_y, threads)
