"""Entropy, cross entropy and divergences of discrete distributions, in bits.

    entropy        H(p)     = -sum p log2 p
    cross entropy  H(p, q)  = -sum p log2 q            bits paid when q is believed
    divergence     KL(p, q) =  sum p log2(p / q)       of which these are too many
    JS(p, q) = KL(p, m) / 2 + KL(q, m) / 2,  m = (p + q) / 2

Outcomes lie along the last axis. What never happens costs nothing: `0 log 0 = 0`.
"""

import math

import numpy as np

LN2 = math.log(2)
SUM_TOLERANCE = 1e-5  # float32 probabilities of a large vocabulary add up this well


def entropy(weights):
    """Returns the plug-in entropy of counts or probabilities, in bits.

    `-sum p log2 p` with `p = weights / sum(weights)`: the mean length of the best code. Of counts
    it is the estimate of greatest likelihood, too low on average; see `miller_madow_entropy`.

    Args:
        weights: Counts or probabilities, at least 0, (outcomes,) or (..., outcomes). Each row is
            divided by its sum.

    Returns:
        Bits from 0 to log2(outcomes): a float, or float64 (...) for rows.

    Raises:
        ValueError: A weight is negative or not finite, or a row holds only zeros.

    Example:
        >>> entropy([2, 1, 1])
        1.5
        >>> entropy([[1, 1], [3, 0]])
        array([1., 0.])

    References:
        Shannon, A mathematical theory of communication, 1948.
    """
    p = _normalized(weights, "weights")
    return _bits(-_sum_p_log(p, p))


def miller_madow_entropy(counts):
    """Returns the entropy of the source behind counts, in bits, without the first-order bias.

    The plug-in estimate of n draws is too low by about `(K - 1) / (2 n)` nats, K the number of
    outcomes that are possible; those seen stand in for them.

    Args:
        counts: Whole numbers of at least 0, (outcomes,) or (..., outcomes).

    Returns:
        Bits, at least 0: a float, or float64 (...) for rows. May exceed log2(outcomes).

    Raises:
        ValueError: A count is negative or no whole number, or a row holds only zeros.

    Example:
        >>> round(miller_madow_entropy([2, 1, 1]), 4)  # 1.5 + (3 - 1) / (2 * 4 * ln 2)
        1.8607

    References:
        Miller, Note on the bias of information estimates, 1955.
    """
    counts = whole_counts(counts, "counts")
    seen = (counts > 0).sum(axis=-1)
    return entropy(counts) + _bits((seen - 1) / (2 * counts.sum(axis=-1)))


def cross_entropy(p, q):
    """Returns the bits per symbol of a source p when coded for q.

    `-sum p log2 q`, infinite where q rules out what p does; equal to `entropy(p)` for q = p.

    Args:
        p: Probabilities of the source, (outcomes,) or (..., outcomes); rows add up to one.
        q: Probabilities believed, of a shape that broadcasts with p.

    Returns:
        Bits, at least `entropy(p)`: a float, or float64 (...) for rows.

    Raises:
        ValueError: A probability is negative or not finite, a row does not add up to one, or the
            outcomes differ in number.

    Example:
        >>> cross_entropy([0.5, 0.5], [0.25, 0.75]) > cross_entropy([0.5, 0.5], [0.5, 0.5]) == 1.0
        True
        >>> cross_entropy([0.5, 0.5], [1.0, 0.0])
        inf
    """
    p, q = _pair(p, q)
    return _bits(-_sum_p_log(p, q))


def kl_divergence(p, q):
    """Returns the bits per symbol lost by coding a source p for q: `sum p log2(p / q)`.

    At least 0, and 0 only for q = p; not symmetric; infinite where q rules out what p does.

    Args:
        p: Probabilities of the source, (outcomes,) or (..., outcomes); rows add up to one.
        q: Probabilities believed, of a shape that broadcasts with p.

    Returns:
        Bits: a float, or float64 (...) for rows.

    Raises:
        ValueError: A probability is negative or not finite, a row does not add up to one, or the
            outcomes differ in number.

    Example:
        >>> kl_divergence([1.0, 0.0], [0.25, 0.75])
        2.0

    References:
        Kullback & Leibler, On information and sufficiency, 1951.
    """
    p, q = _pair(p, q)
    return _bits(_kl_nats(p, q))


def js_divergence(p, q):
    """Returns the divergence of two distributions from their middle, in bits: 0 to 1.

    `KL(p, m) / 2 + KL(q, m) / 2` with `m = (p + q) / 2`: what one symbol tells about which of the
    two drew it. Symmetric, never infinite; 1 bit, which is log 2 in nats, where nothing is shared.

    Args:
        p, q: Probabilities, (outcomes,) or (..., outcomes); rows add up to one.

    Returns:
        Bits from 0 to 1: a float, or float64 (...) for rows.

    Raises:
        ValueError: A probability is negative or not finite, a row does not add up to one, or the
            outcomes differ in number.

    Example:
        >>> js_divergence([1.0, 0.0], [0.0, 1.0])
        1.0

    References:
        Lin, Divergence measures based on the Shannon entropy, 1991.
    """
    p, q = _pair(p, q)
    total = p + q  # not halved, because the half of the smallest number is 0
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = [np.where(part > 0, part * np.log(2 * (part / total)), 0.0) for part in (p, q)]
    nats = np.maximum((terms[0] + terms[1]) / 2, 0.0).sum(axis=-1)
    return _bits(np.minimum(nats, LN2))


def whole_counts(counts, name: str) -> np.ndarray:
    """Returns counts as float64 (..., outcomes), or says that they are not whole numbers."""
    counts = _nonnegative(counts, name)
    if not (counts == np.floor(counts)).all():
        wrong = counts[counts != np.floor(counts)][0]
        raise ValueError(f"`{name}` must be whole numbers. Received: {name} with {wrong!s}.")
    return counts


def _normalized(weights, name: str) -> np.ndarray:
    weights = _nonnegative(weights, name)
    totals = weights.sum(axis=-1, keepdims=True)
    if not (totals > 0).all():
        raise ValueError(
            f"`{name}` must hold something above 0 in each row. "
            f"Received: {name} of shape {weights.shape} with a row of zeros."
        )
    return weights / totals


def _pair(p, q) -> tuple[np.ndarray, np.ndarray]:
    p, q = _probabilities(p, "p"), _probabilities(q, "q")
    if p.shape[-1] != q.shape[-1]:
        raise ValueError(
            "`p` and `q` must have as many outcomes. "
            f"Received: p of shape {p.shape}, q of shape {q.shape}."
        )
    return p, q


def _probabilities(p, name: str) -> np.ndarray:
    p = _nonnegative(p, name)
    totals = p.sum(axis=-1, keepdims=True)
    far = np.abs(totals - 1) > SUM_TOLERANCE
    if far.any():
        raise ValueError(
            f"`{name}` must add up to one in each row; divide counts by their sum. "
            f"Received: {name} with a row that adds up to {totals[far][0]:.6g}."
        )
    return p / totals


def _nonnegative(values, name: str) -> np.ndarray:
    values = np.asarray(values, dtype=np.float64)
    if values.ndim == 0 or values.shape[-1] == 0:
        raise ValueError(
            f"`{name}` must have at least one outcome along its last axis. "
            f"Received: {name} of shape {values.shape}."
        )
    wrong = ~((values >= 0) & (values < np.inf))  # NaN is wrong too
    if wrong.any():
        raise ValueError(
            f"`{name}` must be finite and at least 0. Received: {name} with {values[wrong][0]!s}."
        )
    return values


def _sum_p_log(p, q):
    """`sum p ln q` over the last axis, 0 where p is 0."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(p > 0, p * np.log(q), 0.0).sum(axis=-1)


def _kl_nats(p, q):
    # With sums of one, sum p ln(p / q) = sum (p ln(p / q) - p + q), whose terms are all at least
    # 0; a difference of logarithms, since p / q may overflow.
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = np.where(p > 0, p * (np.log(p) - np.log(q)) - p + q, q)
    return np.maximum(terms, 0.0).sum(axis=-1)


def _bits(nats):
    # + 0.0 turns -0.0, the entropy of what is certain, into 0.0.
    bits = np.asarray(nats) / LN2 + 0.0
    return float(bits) if bits.ndim == 0 else bits
