"""Telling data from noise instead of summing over everything: NCE and negative sampling.

A model gives a score G(x), but its density `p(x) = e^{G(x) - gamma}` needs `gamma = log Z`, a sum
over all x. So draw k samples from a noise U that can be computed, put them beside each datum, and
ask which is which. Of all that look like x the share of data is

    p(1|x) = p(x) / (p(x) + k U(x)) = sigma( G(x) - gamma - log(k U(x)) )

so whoever classifies well knows the density, and gamma is a parameter like any other: no sum is
left. Two terms are easy to forget: without `log U` the scores are those of the ratio p / U, and
without `log k` they are too low by log k. Negative sampling drops both on purpose: its scores
become `log(p / U) - log k`, for words and contexts and U the frequency of words PMI - log k.
"""

import math

import keras
from keras import ops

from taolu.nn.losses.scores import (
    as_float,
    hide,
    read_mask,
    read_negative_mask,
    read_part,
    read_scores,
)


def noise_contrastive(
    positive,
    negative,
    positive_log_noise,
    negative_log_noise,
    *,
    mask=None,
    negative_mask=None,
    negative_weight=1.0,
):
    """What it costs to take data for noise or noise for data, for each datum and its noise.

    With `d(x) = log p(x) - log(k U(x))`, in nats,

        loss = -log sigma(d(x)) - sum_j w_j log sigma(-d(x_j)),    k = sum_j w_j

    for noise x_j from U, all w_j = 1 unless given: a sum over the k negatives, not a mean. Its
    least expectation over all functions is at the density itself, normalised without any sum.
    The noise must reach wherever there are data, and should be like them: the further, the fewer
    samples teach anything and the more the estimate varies.

    Args:
        positive: log p at the data, float (...): scores less the log-partition, see
            `LogPartition`. Plain scores G(x) set gamma to 0 and leave it to the model to be
            normalised, which holds only as far as it can be.
        negative: log p at the noise, float (..., negatives). Where data share their noise an axis
            in front of the last may be 1.
        positive_log_noise: log U at the data, in nats; broadcasts to `positive`.
        negative_log_noise: log U at the noise; broadcasts to `negative`.
        mask: Bool (...), True where a datum is real. Hidden ones, with their noise, give 0.
        negative_mask: Bool, broadcasts to `negative`; False hides a negative, say one that is the
            positive. It still counts as drawn, so k stays. Where x has a large share, hiding it
            changes the answer: the scores become log(p / (1 - p)) instead of log p.
        negative_weight: Float of at least 0, broadcasts to `negative`: how often each counts. All
            of a small vocabulary with the weights k U(x) is noise without chance; 1 / batch for
            noise of shape (1, negatives) that a batch shares gives k = negatives / batch.

    Returns:
        Float32 (...), one for each datum; `ops.sum(loss) / ops.sum(mask)` is the mean.

    Raises:
        ValueError: Shapes do not belong together, or a mask is not bool.

    Example:
        >>> loss = noise_contrastive([0.0], [[0.0, 0.0]], math.log(0.5), math.log(0.5))
        >>> round(float(loss[0]), 4), round(math.log(2) + 2 * math.log(2), 4)
        (2.0794, 2.0794)

    References:
        Gutmann, Hyvärinen, Noise-contrastive estimation, 2010.
        Su Jianlin, “噪声对比估计”杂谈:曲径通幽之妙 (spaces.ac.cn/archives/5617), 2018.
    """
    positive, negative = read_scores(positive, negative)
    noise = read_part(positive_log_noise, positive, "positive_log_noise", "positive")
    noises = read_part(negative_log_noise, negative, "negative_log_noise", "negative")
    weight = _weight(negative_weight, negative)
    # A row without any noise has nothing to be told from, and costs nothing.
    log_k = ops.log(ops.maximum(ops.sum(weight * ops.ones_like(negative), axis=-1), TINY))
    positive, negative = positive - noise - log_k, negative - noises - log_k[..., None]
    return _binary(positive, negative, weight, mask, negative_mask)


def negative_sampling(positive, negative, *, mask=None, negative_mask=None, negative_weight=1.0):
    """The loss of word2vec: noise-contrastive estimation that leaves out the noise.

    `-log sigma(u.v+) - sum_j w_j log sigma(-u.v_j)`, in nats, of scores u.v of a word with the
    context it was seen in and with k contexts that were drawn. Unrestricted scores become
    `log(p(v|u) / U(v)) - log k`, with U the frequency of contexts PMI - log k, and with U raised
    to the power 0.75 and normalised log(p(v|u) / U_0.75(v)) - log k. They are no log-probabilities.

    Args:
        positive: Scores of what was seen, float (...).
        negative: Scores of what was drawn, float (..., negatives), as in `noise_contrastive`.
        mask: As in `noise_contrastive`.
        negative_mask: As in `noise_contrastive`.
        negative_weight: As in `noise_contrastive`; its sum is k.

    Returns:
        Float32 (...), one for each positive.

    Raises:
        ValueError: As in `noise_contrastive`.

    Example:
        >>> round(float(negative_sampling([0.0], [[0.0] * 5])[0] / math.log(2)), 4)
        6.0

    References:
        Mikolov et al., Distributed representations of words and phrases and their
        compositionality, 2013.
        Levy, Goldberg, Neural word embedding as implicit matrix factorization, 2014.
    """
    positive, negative = read_scores(positive, negative)
    return _binary(positive, negative, _weight(negative_weight, negative), mask, negative_mask)


@keras.saving.register_keras_serializable(package="taolu")
class LogPartition(keras.layers.Layer):
    """Log-densities from scores: `G(x) - gamma`, where gamma is one weight that is trained.

    Use the same layer for data and noise. Trained with `noise_contrastive`, gamma becomes the
    logarithm of the sum of e^{G(x)} over all x; a constant added to G comes back in gamma and
    changes nothing else. Without the layer gamma is 0, and the model has to normalise itself.

    Masking: each score is shifted by itself; the mask is passed on.

    Args:
        initial: What gamma is at first, in nats. Near log Z learning is fastest: for a vocabulary
            and small scores its logarithm.

    Call arguments:
        inputs: Scores, float (...).

    Returns:
        Float32 of the same shape, whatever the policy. The attribute `gamma` is the weight.

    Raises:
        ValueError: `initial` is not finite.

    Example:
        >>> layer = LogPartition(initial=2.0)
        >>> ops.convert_to_numpy(layer(ops.array([3.0, 5.0]))).tolist()
        [1.0, 3.0]

    References:
        Gutmann, Hyvärinen, Noise-contrastive estimation, 2010.
    """

    def __init__(self, initial=0.0, **kwargs):
        # A large score in half precision has no digits left for a small gamma.
        super().__init__(autocast=False, **kwargs)
        if not math.isfinite(initial):
            raise ValueError(f"`initial` must be finite. Received: initial={initial}.")
        self.initial = initial
        self.supports_masking = True

    def build(self, input_shape):
        start = keras.initializers.Constant(self.initial)
        self.gamma = self.add_weight((), start, dtype="float32", autocast=False, name="gamma")

    def call(self, inputs):
        return as_float(inputs) - self.gamma

    def compute_output_spec(self, inputs):
        return keras.KerasTensor(inputs.shape, "float32")

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return {**super().get_config(), "initial": self.initial}


TINY = 1e-30  # its logarithm, -69, leaves no doubt in any sigmoid


def _weight(weight, negative):
    return read_part(weight, negative, "negative_weight", "negative")


def _binary(positive, negative, weight, mask, negative_mask):
    """`-log sigma(d) - sum_j w_j log sigma(-d_j)`; -log sigma(d) is softplus(-d), at any size."""
    mask = read_mask(mask, positive.shape)
    shown = read_negative_mask(negative_mask, negative)
    if mask is not None:  # before the softplus, whose gradient at NaN would be NaN times 0
        positive, negative = hide(positive, mask), hide(negative, mask[..., None])
    costs = weight * hide(ops.softplus(hide(negative, shown)), shown)
    return hide(ops.softplus(-positive) + ops.sum(costs, axis=-1), mask)
