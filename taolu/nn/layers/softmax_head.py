"""The simplest head: each step picks its state by itself."""

import math

import keras
from keras import ops

from taolu.nn.layers.k_best import k_best
from taolu.nn.layers.linear_chain import first_best
from taolu.nn.layers.tag_head import TagHead
from taolu.nn.layers.tag_rules import as_legality, check_rules, legal_path, penalties, rules_config
from taolu.nn.masking import apply_mask
from taolu.text.schemes import Legality


@keras.saving.register_keras_serializable(package="taolu")
class SoftmaxHead(TagHead):
    """A softmax at each step, blind to its neighbours: what CRF and MEMM are compared with.

        p(y) = prod_t softmax(f_t)(y_t)

    The layer hands its inputs f on as float32 and has no weights; give its output to a `TagModel`,
    or call `loss` and `decode` yourself. With rules it is still trained step by step, and only
    decoding looks at neighbours: it takes the likeliest of the legal paths.

    Masking: steps that are not real count nothing; the mask is passed on. A row without real steps
    has the loss 0 and no gradient.

    Args:
        legal: Which tags may stand where, from `taolu.text.schemes.legality`, or None.

    Call arguments:
        inputs: f, float (batch, time, states).
        mask: Bool (batch, time) or (batch, time, 1), True where a step is real.

    Returns:
        f, float32 (batch, time, states).

    Raises:
        TypeError: `legal` is no Legality.
        ValueError: The inputs have another rank, or the rules are about another number of states.

    Example:
        >>> head = SoftmaxHead()
        >>> scores = head(ops.log(ops.array([[[3.0, 1.0], [1.0, 1.0]]])))
        >>> loss = head.loss(ops.array([[0, 1]]), scores)
        >>> ops.convert_to_numpy(ops.exp(-loss)).round(4).tolist()  # 3/4 * 1/2
        [0.375]
        >>> ops.convert_to_numpy(head.decode(scores)).tolist()
        [[0, 0]]
    """

    def __init__(self, legal: Legality | None = None, **kwargs):
        super().__init__(**kwargs)
        self.legal = as_legality(legal)

    def build(self, input_shape):
        super().build(input_shape)
        check_rules(self.legal, self.states)

    def loss(self, labels, scores, mask=None):
        """Minus the log of the probability of the labels, float32 (batch,), in nats per sequence.

        A sum over the steps of a row, not a mean; a step whose label is -1 counts nothing.

        Args:
            labels: Int (batch, time), in [0, states) at real steps, or -1 where not known.
            scores: f, float (batch, time, states).
            mask: Bool (batch, time) or (batch, time, 1).

        Raises:
            ValueError: The labels are not whole numbers of the shape of the steps.
        """
        scores, mask = self.read(scores, mask)
        labels = ops.where(mask, self.read_labels(labels, scores), -1)
        log_p = ops.log_softmax(apply_mask(scores, mask), axis=-1)
        own = ops.take_along_axis(log_p, ops.maximum(labels, 0)[..., None], axis=-1)[..., 0]
        return ops.sum(ops.where(labels >= 0, -own, 0.0), axis=1)

    def marginals(self, scores, mask=None):
        """The probability of each state at each step, float32 (batch, time, states); 0 at padding.

        Args:
            scores: f, float (batch, time, states).
            mask: Bool (batch, time) or (batch, time, 1).
        """
        scores, mask = self.read(scores, mask)
        return apply_mask(ops.softmax(apply_mask(scores, mask), axis=-1), mask)

    def decode(self, scores, mask=None):
        """The likeliest state of each step, int32 (batch, time), -1 at padding.

        With rules the likeliest legal path, or one of those that break the fewest if none is legal.
        Of equals the first is taken.

        Args:
            scores: f, float (batch, time, states).
            mask: Bool (batch, time) or (batch, time, 1).
        """
        scores, mask = self.read(scores, mask)
        if self.legal is None:
            return ops.where(mask, first_best(scores), -1)
        log_p = ops.log_softmax(apply_mask(scores, mask), axis=-1)
        nothing = [ops.zeros((self.states,) * rank) for rank in (2, 1, 1)]
        return legal_path(log_p, nothing, self.legal, mask)

    def k_best(self, scores, k, mask=None):
        """The k likeliest paths, best first; with rules the k likeliest legal ones.

        Args:
            scores: f, float (batch, time, states).
            k: How many, at least 1.
            mask: Bool (batch, time) or (batch, time, 1).

        Returns:
            Paths, int32 (batch, k, time), -1 at padding, and their log-probabilities, float32
            (batch, k), without a gradient. Where there are fewer paths the rest is -1, with scores
            of minus infinity.

        Raises:
            ValueError: `k` is below 1.
        """
        scores, mask = self.read(scores, mask)
        log_p = ops.log_softmax(apply_mask(scores, mask), axis=-1)
        tables = [ops.zeros((self.states,) * rank) for rank in (2, 1, 1)]
        if self.legal is not None:
            tables = penalties(self.legal, -math.inf)
        transitions, start, end = tables
        return k_best(log_p, transitions, start, end, mask, k)

    def get_config(self):
        return {**super().get_config(), "legal": rules_config(self.legal)}
