"""How much more often than by chance two things come together, in bits.

From a table of joint counts c(x, y), with p(x, y) = c(x, y) / n:

    pointwise  PMI(x, y) = log2( p(x, y) / (p(x) p(y)) )
    average    I(X; Y)   = sum p(x, y) PMI(x, y)

PMI says what one pair saves when the two are written as one; its average is what knowing X saves
on Y. Both are plug-in estimates: of few counts the average is too high.
"""

from typing import Any

import numpy as np

from taolu.bits.entropy import LN2, entropy, whole_counts


def pointwise_mutual_information(joint_counts):
    """Returns the pointwise mutual information of each cell, in bits.

    `log2( n c(x, y) / (c(x) c(y)) )`: 0 for a pair that meets as chance has it, above 0 for one
    that attracts, `-inf` for one never seen. A sparse table stays sparse.

    Args:
        joint_counts: Counts or probabilities of pairs, at least 0, (rows, columns): an array or
            a SciPy sparse array.

    Returns:
        Bits, float64 (rows, columns): an array, or a CSR array that stores the pairs seen and no
        others. There a cell that is not stored means `-inf`, and a stored 0 means chance.

    Raises:
        ValueError: A count is negative or not finite, all are 0, or the table is not a matrix.

    Example:
        >>> pointwise_mutual_information([[2, 0], [1, 1]])
        array([[ 0.4150375, -inf], [-0.5849625,  1. ]])

    References:
        Church & Hanks, Word association norms, mutual information, and lexicography, 1990.
    """
    return _from_cells(joint_counts, _pmi, never=-np.inf)


def normalized_pointwise_mutual_information(joint_counts):
    """Returns the pointwise mutual information as a share of the greatest possible: -1 to 1.

    `PMI(x, y) / -log2 p(x, y)`: 1 where x and y only come together, 0 by chance, -1 where they
    were never seen together. Rare pairs, whose PMI runs high, are put in their place.

    Args:
        joint_counts: Counts or probabilities of pairs, at least 0, (rows, columns): an array or
            a SciPy sparse array.

    Returns:
        Float64 (rows, columns): an array, or a CSR array that stores the pairs seen; there a cell
        that is not stored means -1.

    Raises:
        ValueError: A count is negative or not finite, all are 0, or the table is not a matrix.

    Example:
        >>> normalized_pointwise_mutual_information([[2, 0], [0, 2]])
        array([[ 1., -1.], [-1.,  1.]])

    References:
        Bouma, Normalized (pointwise) mutual information in collocation extraction, 2009.
    """
    return _from_cells(joint_counts, _npmi, never=-1.0)


def mutual_information(joint_counts) -> float:
    """Returns the bits that each of two variables tells about the other.

    `sum p(x, y) log2( p(x, y) / (p(x) p(y)) )`, at least 0; 0 only if the table is independent.

    Args:
        joint_counts: Counts or probabilities of pairs, at least 0, (rows, columns): an array or
            a SciPy sparse array.

    Returns:
        Bits, at most the smaller of the two entropies.

    Raises:
        ValueError: A count is negative or not finite, all are 0, or the table is not a matrix.

    Example:
        >>> mutual_information([[5, 0], [0, 5]])
        1.0
        >>> abs(mutual_information([[1, 2], [2, 4]])) < 1e-12
        True

    References:
        Shannon, A mathematical theory of communication, 1948.
    """
    cells, x, y, c = _cells(_table(joint_counts))
    n = c.sum()
    bits = max(0.0, float((c / n * _pmi(c, cells[0], cells[1], n)).sum()))
    return min(bits, entropy(x), entropy(y))


def miller_madow_mutual_information(joint_counts) -> float:
    """Returns the mutual information of the source behind counts, without the first-order bias.

    Each of the three entropies in `I = H(X) + H(Y) - H(X, Y)` is too low by about `(K - 1) / (2 n)`
    nats, so I is too high by about `(Kxy - Kx - Ky + 1) / (2 n)`, K counting what was seen.

    Args:
        joint_counts: Whole numbers of pairs, at least 0, (rows, columns): an array or a SciPy
            sparse array.

    Returns:
        Bits. May be below 0, as an estimate without bias of something near 0 must.

    Raises:
        ValueError: A count is negative or no whole number, all are 0, or the table is no matrix.

    Example:
        >>> round(miller_madow_mutual_information([[5, 0], [0, 5]]), 4)  # 1 + 1 / (20 ln 2)
        1.0721

    References:
        Miller, Note on the bias of information estimates, 1955.
    """
    _, x, y, c = _cells(_table(joint_counts))
    whole_counts(c, "joint_counts")
    excess = c.size - np.count_nonzero(x) - np.count_nonzero(y) + 1
    return mutual_information(joint_counts) - float(excess / (2 * c.sum()) / LN2)


def normalized_mutual_information(joint_counts) -> float:
    """Returns the mutual information as a share of the mean of the two entropies: 0 to 1.

    `2 I(X; Y) / (H(X) + H(Y))`, 1 if each tells the other exactly; 1 as well if both are certain.

    Args:
        joint_counts: Counts or probabilities of pairs, at least 0, (rows, columns): an array or
            a SciPy sparse array.

    Raises:
        ValueError: A count is negative or not finite, all are 0, or the table is not a matrix.

    Example:
        >>> normalized_mutual_information([[5, 0], [0, 5]])
        1.0

    References:
        Vinh, Epps & Bailey, Information theoretic measures for clusterings comparison, 2010.
    """
    _, x, y, _ = _cells(_table(joint_counts))
    mean = (entropy(x) + entropy(y)) / 2
    return mutual_information(joint_counts) / mean if mean else 1.0


def _pmi(c, x, y, n):
    return (np.log(c / x) - np.log(y / n)) / LN2


def _npmi(c, x, y, n):
    log_p = np.log(c / n)
    # Where all counts lie in one cell both are 0: the pair only comes together.
    with np.errstate(invalid="ignore"):
        return np.where(c == n, 1.0, (np.log(c / x) - np.log(y / n)) / -log_p)


def _from_cells(joint_counts, measure, never: float):
    """The table of a measure of each pair seen; in a dense table, `never` for the others."""
    table = _table(joint_counts)
    cells, _, _, c = _cells(table)
    values = measure(c, cells[0], cells[1], c.sum())
    if not isinstance(table, np.ndarray):
        table.data = values
        return table
    result = np.full(table.shape, never)
    result[table > 0] = values
    return result


def _cells(table):
    """The margins of each pair seen, all margins (rows,) (columns,), and counts of pairs seen."""
    rows, columns = (np.asarray(table.sum(axis=axis)).ravel() for axis in (1, 0))
    if isinstance(table, np.ndarray):
        row, column = np.nonzero(table)
        counts = table[row, column]
    else:
        row, column = table.nonzero()
        counts = table.data
    if not counts.size:
        raise ValueError(
            "`joint_counts` must hold something above 0. "
            f"Received: joint_counts of shape {table.shape} with zeros only."
        )
    return (rows[row], columns[column]), rows, columns, counts


def _table(joint_counts) -> Any:
    """The table as a float64 array, or as a CSR array without stored zeros."""
    # Here and not above, so that users of the other measures do not load SciPy.
    from scipy import sparse

    table: Any = joint_counts
    if sparse.issparse(joint_counts):
        table = sparse.csr_array(table, dtype=np.float64, copy=True)
        table.sum_duplicates()
        table.eliminate_zeros()
        values = table.data
    else:
        table = values = np.asarray(table, dtype=np.float64)
    if table.ndim != 2:
        raise ValueError(
            "`joint_counts` must have the shape (rows, columns). "
            f"Received: joint_counts of shape {table.shape}."
        )
    wrong = ~((values >= 0) & (values < np.inf))  # NaN is wrong too
    if wrong.any():
        raise ValueError(
            "`joint_counts` must be finite and at least 0. "
            f"Received: joint_counts with {values[wrong][0]!s}."
        )
    return table
