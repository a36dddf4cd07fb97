"""Finding the true one among others: ranking NCE, and InfoNCE, which takes others of the batch.

Of n + 1 candidates one was seen with the query and n were drawn from a noise U. Which one? With
scores s, Bayes' rule gives the share

    e^{s+ - log U+} / ( e^{s+ - log U+} + sum_j e^{s_j - log U_j} )

to the true one if s is log p(x|query), up to any function of the query alone: where the question
is which of them, the partition function cancels. Left out, log U goes into the scores, which then
become log p(x|query) / U(x): how much more often than by chance.
"""

import math

from keras import ops

from taolu.nn.losses.scores import (
    as_float,
    fits,
    hide,
    rank_loss,
    read_mask,
    read_negative_mask,
    read_part,
    read_scores,
)


def ranking_nce(
    positive,
    negative,
    positive_log_noise=0.0,
    negative_log_noise=0.0,
    *,
    mask=None,
    negative_mask=None,
):
    """The surprise, in nats, that the positive and none of its negatives is the true one.

    `-log( e^{d+} / (e^{d+} + sum_j e^{d_j}) )` with `d = s - log U`. With the noise the scores
    become log p(x|query) plus a function of the query; without it, log(p(x|query) / U(x)).

    Args:
        positive: Scores of what was seen, float (...).
        negative: Scores of what was drawn, float (..., negatives); where positives share their
            negatives an axis in front of the last may be 1.
        positive_log_noise: log U of what was seen, in nats, up to a constant; broadcasts to
            `positive`.
        negative_log_noise: log U of what was drawn, up to the same constant; broadcasts to
            `negative`.
        mask: Bool (...), True where a positive is real; hidden ones give 0.
        negative_mask: Bool, broadcasts to `negative`, False where a negative does not count.

    Returns:
        Float32 (...), at least 0; 0 where no negative counts. `ops.sum(loss) / ops.sum(mask)` is
        the mean.

    Raises:
        ValueError: Shapes do not belong together, or a mask is not bool.

    Example:
        >>> round(float(ranking_nce([1.0], [[1.0, 1.0, 1.0]])[0] / math.log(2)), 4)
        2.0

    References:
        Ma, Collins, Noise contrastive estimation and negative sampling for conditional models:
        consistency and statistical efficiency, 2018.
    """
    positive, negative = read_scores(positive, negative)
    noise = read_part(positive_log_noise, positive, "positive_log_noise", "positive")
    noises = read_part(negative_log_noise, negative, "negative_log_noise", "negative")
    mask = read_mask(mask, positive.shape)
    shown = read_negative_mask(negative_mask, negative)
    positive, negative = positive - noise, negative - noises
    if mask is not None:
        positive, negative = hide(positive, mask), hide(negative, mask[..., None])
    excess = hide(negative, shown) - positive[..., None]
    return rank_loss(excess, shown, mask)


def info_nce(
    queries,
    keys,
    *,
    temperature=1.0,
    symmetric=False,
    mask=None,
    pair_mask=None,
    key_log_noise=None,
    query_log_noise=None,
):
    """The surprise, in nats, that query i belongs to key i and to no other key of the batch.

    `-log softmax_j(q_i.k_j / T)` at j = i, the cross entropy over the matrix of similarities. With
    B keys that count it is log B where nothing is known, and log B less its mean is at most the
    mutual information of the two: a batch can show no more than log B nats. For cosines make all
    vectors of length 1 first (`keras.layers.UnitNormalization`). O(batch keys width).

    Args:
        queries: Float (..., batch, width).
        keys: Float (..., keys, width). The first `batch` belong to the queries; further ones are
            negatives only.
        temperature: T, a number above 0, or a float tensor of one number, which may be trained.
        symmetric: Whether to ask also which query belongs to key i, and take the mean of both.
        mask: Bool (..., keys), True where a key, and the query in the same place, is real.
            Padding gives 0 and is no one's negative.
        pair_mask: Bool (..., batch, keys), False where a key must not count as a negative of a
            query, say because it has the same label. The key of the same place always counts.
        key_log_noise: Float (..., keys): logarithm of how often each key comes into a batch, up to
            a constant. Taken off all scores of the question which key, so that popular keys are
            not pushed down for being popular.
        query_log_noise: Float (..., batch): the same of queries, for the question which query.

    Returns:
        Float32 (..., batch), at least 0. `ops.sum(loss) / ops.sum(mask)` is the mean.

    Raises:
        ValueError: Shapes do not belong together, there are fewer keys than queries, the
            temperature is not above 0, a mask is not bool, or `query_log_noise` comes without
            `symmetric`.

    Example:
        >>> one_hot = ops.eye(4)
        >>> unknown, known = info_nce(one_hot * 0, one_hot), info_nce(one_hot * 100, one_hot)
        >>> round(float(unknown[0] / math.log(2)), 4), round(float(known[0]), 4)
        (2.0, 0.0)

    References:
        van den Oord et al., Representation learning with contrastive predictive coding, 2018.
        Radford et al., Learning transferable visual models from natural language supervision, 2021.
        Yi et al., Sampling-bias-corrected neural modeling for large corpus item recommendations,
        2019.
    """
    queries, keys = _vectors(queries, keys)
    _check_options(temperature, symmetric, query_log_noise)
    batch = ops.shape(queries)[-2]
    mask = read_mask(mask, keys.shape[:-1], of="keys without their width")
    if mask is not None:  # what is hidden may be NaN, which no product forgets
        queries = hide(queries, mask[..., :batch, None])
        keys = hide(keys, mask[..., None])
    scores = ops.matmul(queries, ops.swapaxes(keys, -1, -2)) / as_float(temperature)
    others = _others(scores, mask, pair_mask)
    loss = _cross_entropy(scores, others, key_log_noise, "key_log_noise")
    if symmetric:
        scores, others = (ops.swapaxes(x[..., :batch], -1, -2) for x in (scores, others))
        loss = (loss + _cross_entropy(scores, others, query_log_noise, "query_log_noise")) / 2
    return hide(loss, None if mask is None else mask[..., :batch])


def _vectors(queries, keys):
    """Both as float32, of shapes that belong together."""
    queries, keys = as_float(queries), as_float(keys)
    shapes = tuple(queries.shape), tuple(keys.shape)
    enough = len(shapes[0]) == len(shapes[1]) >= 2 and shapes[0][:-2] == shapes[1][:-2]
    if enough:
        batch, total = shapes[0][-2], shapes[1][-2]
        enough = None in (batch, total) or batch <= total
    if not enough or shapes[0][-1] != shapes[1][-1]:
        raise ValueError(
            "`queries` and `keys` must be (..., batch, width) and (..., keys, width), with at "
            f"least as many keys as queries. Received: shapes {shapes[0]} and {shapes[1]}."
        )
    return queries, keys


def _check_options(temperature, symmetric, query_log_noise):
    if isinstance(temperature, int | float) and not 0 < temperature < math.inf:
        raise ValueError(
            f"`temperature` must be above 0 and finite. Received: temperature={temperature}."
        )
    if query_log_noise is not None and not symmetric:
        raise ValueError(
            "`query_log_noise` is for the question which query, which only `symmetric=True` asks. "
            "Received: symmetric=False."
        )


def _others(scores, mask, pair_mask):
    """Where a key is a negative of a query, bool (..., batch, keys)."""
    batch, total = ops.shape(scores)[-2:]
    others = ops.arange(batch)[:, None] != ops.arange(total)[None, :]
    if mask is not None:
        others = ops.logical_and(others, mask[..., None, :])
        # As seen from a key, padded queries are no negatives either.
        others = ops.logical_and(others, mask[..., :batch, None])
    if pair_mask is not None:
        pair_mask = read_mask(pair_mask, scores.shape, "pair_mask", "the pairs")
        others = ops.logical_and(others, pair_mask)
    return ops.broadcast_to(others, ops.shape(scores))


def _cross_entropy(scores, others, log_noise, name):
    """How surprising the diagonal is among the others of its row, float32 (..., batch)."""
    if log_noise is not None:
        log_noise = as_float(log_noise)
        columns = (*scores.shape[:-2], scores.shape[-1])
        if not log_noise.shape or not fits(log_noise.shape, columns):
            raise ValueError(
                f"`{name}` must have one number for each column. Received: shape "
                f"{tuple(log_noise.shape)}, for columns of shape {columns}."
            )
        scores = scores - log_noise[..., None, :]
    positive = ops.diagonal(scores, axis1=-2, axis2=-1)
    return rank_loss(scores - positive[..., None], others, None)
