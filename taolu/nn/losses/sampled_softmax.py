"""The cross entropy of a softmax over very many ids, estimated from a few that are drawn.

The sum `Z = sum_v e^{s_v}` is the cost. With t the target and candidates S of which v is expected
E[count_v] times,

    Z^ = e^{s_t} + sum_{v in S, v != t} e^{s_v - log E[count_v]},    loss = log Z^ - s_t

and the mean of Z^ is Z, whatever the candidates are drawn by: each term is weighed by how seldom it
comes. The target comes always, so its logarithm is 0 and nothing is taken off its score, and where
it is drawn besides (an accidental hit) it is hidden, or it would be counted twice.

The logarithm of an unbiased number is not quite unbiased: loss and gradient come near those of the
full softmax as 1 / count. Without the correction they do not come near at all.
"""

from keras import ops

from taolu.nn.losses.scores import as_float, hide, rank_loss, read_mask


def sampled_softmax(
    inputs, targets, table, candidates, log_expected_count, *, bias=None, mask=None
):
    """An estimate of `-log softmax(inputs table^T + bias)` at the targets, in nats.

    For training; to measure, compute all scores. O(targets count width) instead of
    O(targets ids width). Candidates of frequency 0 but for their own targets are never pushed down.

    Args:
        inputs: Float (..., width).
        targets: Int (...), in [0, ids).
        table: Float (ids, width), a tensor or Variable: one row for each id.
        candidates: Int (count,), shared by all targets, or (..., count), what was drawn for each;
            see `CandidateSampler.draw`, which gives these two.
        log_expected_count: Float of the shape of `candidates`: logarithm of how often each was
            expected among the count.
        bias: Float (ids,), a tensor or Variable, or None.
        mask: Bool (...), True where a target is real; hidden ones give 0.

    Returns:
        Float32 (...), at least 0. `ops.sum(loss) / ops.sum(mask)` is the mean.

    Raises:
        ValueError: Shapes do not belong together, or the mask is not bool.

    Example:
        >>> import numpy as np
        >>> from taolu.nn.losses import CandidateSampler
        >>> table = np.zeros((1000, 8), "float32")
        >>> drawn = CandidateSampler(np.ones(1000), count=999, replacement=False, seed=0).draw()
        >>> loss = sampled_softmax(np.ones((2, 8)), np.array([3, 4]), table, *drawn)
        >>> bool(ops.all(ops.abs(loss - np.log(1000)) < 0.01))
        True

    References:
        Bengio, Senécal, Adaptive importance sampling to accelerate training of a neural
        probabilistic language model, 2008.
        Jean et al., On using very large target vocabulary for neural machine translation, 2015.
    """
    inputs, targets = as_float(inputs), ops.convert_to_tensor(targets)
    candidates = ops.convert_to_tensor(candidates)
    log_expected_count = as_float(log_expected_count)
    _check_shapes(inputs, targets, table, candidates, log_expected_count)
    mask = read_mask(mask, targets.shape, of="targets")
    if mask is not None:
        inputs, targets = hide(inputs, mask[..., None]), ops.where(mask, targets, 0)
    score = ops.sum(inputs * _rows(table, targets), axis=-1)
    scores = _products(inputs, _rows(table, candidates)) - log_expected_count
    if bias is not None:
        score, scores = score + _rows(bias, targets), scores + _rows(bias, candidates)
    hit = candidates == ops.cast(targets, candidates.dtype)[..., None]
    return rank_loss(scores - score[..., None], ops.logical_not(hit), mask)


def _rows(table, ids):
    """Rows as float32; cast after they are taken, as a table is large."""
    return as_float(ops.take(table, ids, axis=0))


def _products(inputs, rows):
    """Scores (..., count) with rows (count, width) for all, or (..., count, width)."""
    if len(rows.shape) == 2:
        return ops.matmul(inputs, ops.transpose(rows))
    return ops.sum(inputs[..., None, :] * rows, axis=-1)


def _check_shapes(inputs, targets, table, candidates, log_expected_count):
    shapes = [tuple(x.shape) for x in (inputs, targets, table, candidates, log_expected_count)]
    one, target, rows, drawn, expected = shapes
    if len(rows) != 2 or not one or one[-1] != rows[-1] or len(one) != len(target) + 1:
        raise ValueError(
            "`inputs` must be (..., width), `targets` (...) and `table` (ids, width). "
            f"Received: shapes {one}, {target} and {rows}."
        )
    if len(drawn) not in (1, len(target) + 1) or drawn != expected or drawn[-1] == 0:
        raise ValueError(
            "`candidates` must be (count,) or (..., count), and `log_expected_count` of the same "
            f"shape. Received: shapes {drawn} and {expected}, for targets of shape {target}."
        )
