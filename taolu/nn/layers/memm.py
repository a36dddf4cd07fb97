"""Maximum entropy Markov model: each tag is a softmax that has seen the tag before it."""

import keras
from keras import ops

from taolu.nn.layers import linear_chain
from taolu.nn.layers.k_best import k_best
from taolu.nn.layers.tag_head import TagHead, check_multiplier
from taolu.nn.masking import apply_mask

DECODINGS = ("local", "raw")


@keras.saving.register_keras_serializable(package="taolu")
class MEMM(TagHead):
    """MEMM, in one direction or in both: the probability of every path, without a sum over paths.

        p(y_1) = softmax f_1,    p(y_t | y_t-1) = softmax(f_t + g(y_t-1, .))

    Trained on known tags, all steps are computed at once: one row of g is gathered for each, and
    no loop runs over time, however many states there are. The price is paid when tags are not
    known: a state with few ways out hands on its probability whatever comes (label bias). The
    bidirectional model lets both directions vote, the other one with g turned, so without further
    weights:  p(y_t | y_t+1) = softmax(f_t + g(., y_t+1)).

    The layer hands its inputs f on as float32 and keeps g; give its output to a `TagModel`, or call
    `loss` and `decode` yourself. Everything is computed in float32 whatever the policy.

    Masking: the neighbours of a step are the real ones, wherever padding stands; the mask is passed
    on. A row without real steps has the loss 0 and no gradient.

    Args:
        rank: d of `g = U V^T`, which then has `2 d states` weights; None for `states**2`.
        bidirectional: Whether to average the losses of both directions.
        decoding: "local": the best path under the model, in both directions under the product of
            the two. "raw": the best path under the sum of f and g as they are, as in a CRF; this is
            not the model that was trained, and escapes label bias. None: local for one direction;
            raw for two, whose product is no model of its own either.
        learning_rate_multiplier: Weights are stored divided by it and multiplied when used, as in
            `CRF`.
        initializer: Of g, or of U and V, before they are divided.

    Call arguments:
        inputs: f, float (batch, time, states).
        mask: Bool (batch, time) or (batch, time, 1), True where a step is real.

    Returns:
        f, float32 (batch, time, states).

    Raises:
        ValueError: `rank` is below 1, the multiplier is not positive, `decoding` is unknown, or the
            inputs have another rank.

    Example:
        >>> memm = MEMM(initializer="zeros")
        >>> scores = memm(ops.log(ops.array([[[3.0, 1.0], [1.0, 1.0]]])))
        >>> loss = memm.loss(ops.array([[0, 1]]), scores)
        >>> ops.convert_to_numpy(ops.exp(-loss)).round(4).tolist()  # 3/4 * 1/2
        [0.375]

    References:
        McCallum, Freitag, Pereira, Maximum entropy Markov models, 2000.
        Su Jianlin, CRF用过了,不妨再了解下更快的MEMM?, 2020 (archives/7213).
    """

    def __init__(
        self,
        rank: int | None = None,
        bidirectional: bool = False,
        decoding: str | None = None,
        learning_rate_multiplier: float = 1.0,
        initializer="glorot_uniform",
        **kwargs,
    ):
        super().__init__(**kwargs)
        if rank is not None and rank < 1:
            raise ValueError(f"`rank` must be at least 1, or None. Received: rank={rank}.")
        if decoding not in (None, *DECODINGS):
            raise ValueError(
                f'`decoding` must be "local", "raw" or None. Received: decoding={decoding!r}.'
            )
        check_multiplier(learning_rate_multiplier)
        self.rank = rank
        self.bidirectional = bidirectional
        self.decoding = decoding
        self.learning_rate_multiplier = learning_rate_multiplier
        self.initializer = keras.initializers.get(initializer)

    def build(self, input_shape):
        super().build(input_shape)
        rest = self.initializer, self.learning_rate_multiplier
        if self.rank is None:
            self._transitions = self.weight((self.states, self.states), "transitions", *rest)
        else:
            self._left = self.weight((self.states, self.rank), "left", *rest)
            self._right = self.weight((self.states, self.rank), "right", *rest)

    def transitions(self):
        """g as used, float32 (states, states), from row to column."""
        left, right = self._factors()
        return left if right is None else ops.matmul(left, ops.transpose(right))

    def loss(self, labels, scores, mask=None):
        """Minus the log of the probability of the labels, float32 (batch,), in nats per sequence.

        A sum over the steps of a row, not a mean; with two directions the mean of theirs. A step
        whose own label is -1 says nothing, nor does one whose neighbour's is: what this model
        gives up is the sum over paths that would fill them in. Where many are unknown take `CRF`.

        Args:
            labels: Int (batch, time), in [0, states) at real steps, or -1 where not known.
            scores: f, float (batch, time, states).
            mask: Bool (batch, time) or (batch, time, 1).

        Raises:
            ValueError: The labels are not whole numbers of the shape of the steps.
        """
        scores, mask = self.read(scores, mask)
        labels = ops.where(mask, self.read_labels(labels, scores), -1)
        scores = apply_mask(scores, mask)
        left, right = self._factors()
        found = _step_losses(labels, scores, linear_chain.before(mask), left, right)
        if self.bidirectional:
            turned = (ops.transpose(left), None) if right is None else (right, left)
            found = (found + _step_losses(labels, scores, linear_chain.after(mask), *turned)) / 2
        return ops.sum(found, axis=1)

    def decode(self, scores, mask=None):
        """The path that `decoding` asks for, int32 (batch, time), -1 at padding.

        Takes states**2 steps and memory for g; of equals the first path is taken.

        Args:
            scores: f, float (batch, time, states).
            mask: Bool (batch, time) or (batch, time, 1).
        """
        scores, mask = self.read(scores, mask)
        scores, transitions, _ = self._chain(scores, mask)
        ends = ops.zeros(self.states)
        return linear_chain.viterbi(scores, transitions, ends, ends, mask)

    def k_best(self, scores, k, mask=None):
        """The k best paths in the order that `decoding` asks for, best first.

        Takes about k log k times what `decode` does, which gives the first of them. Equals are
        ordered by their last states, then by those before.

        Args:
            scores: f, float (batch, time, states).
            k: How many, at least 1.
            mask: Bool (batch, time) or (batch, time, 1).

        Returns:
            Paths, int32 (batch, k, time), -1 at padding, and their scores, float32 (batch, k),
            without a gradient: local ones are log-probabilities, in both directions their sum; raw
            ones are sums of f and g. Where there are fewer paths the rest is -1, with scores of
            minus infinity.

        Raises:
            ValueError: `k` is below 1.
        """
        scores, mask = self.read(scores, mask)
        scores, transitions, owed = self._chain(scores, mask)
        ends = ops.zeros(self.states)
        paths, found = k_best(scores, transitions, ends, ends, mask, k)
        return paths, found - owed[:, None]

    def _chain(self, scores, mask):
        """Scores and transitions that add up to what decoding compares, but for a constant a row.

        The constant, (batch,), is what the first step of a direction divides by.
        """
        scores, transitions = apply_mask(scores, mask), self.transitions()
        local = (self.decoding or ("raw" if self.bidirectional else "local")) == "local"
        if not local:
            return scores, transitions, ops.zeros_like(scores[:, 0, 0])
        last, first = linear_chain.after(mask), linear_chain.before(mask)
        normalised = scores - _normalisers(scores, ops.transpose(transitions), last)
        begins = ops.cast(ops.logical_and(mask, first < 0), "float32")
        if self.bidirectional:
            normalised = normalised + scores - _normalisers(scores, transitions, first)
            transitions = 2.0 * transitions
            begins = begins + ops.cast(ops.logical_and(mask, last < 0), "float32")
        owed = ops.sum(begins * ops.logsumexp(scores, axis=-1), axis=1)
        return normalised, transitions, owed

    def _factors(self):
        """U and V as used, or g and None."""
        if self.rank is None:
            return self._transitions * self.learning_rate_multiplier, None
        factors = (self._left, self._right)
        return [x * self.learning_rate_multiplier for x in factors]

    def get_config(self):
        config = {
            "rank": self.rank,
            "bidirectional": self.bidirectional,
            "decoding": self.decoding,
            "learning_rate_multiplier": self.learning_rate_multiplier,
            "initializer": keras.initializers.serialize(self.initializer),
        }
        return {**super().get_config(), **config}


def _step_losses(labels, scores, source, left, right):
    """-log p(y_t | y_source(t)) at every step, (batch, time); 0 where either is unknown."""
    given = ops.take_along_axis(labels, ops.maximum(source, 0), axis=1)
    rows = ops.take(left, ops.maximum(given, 0), axis=0)
    if right is not None:
        rows = ops.matmul(rows, ops.transpose(right))
    logits = scores + ops.where(source[..., None] < 0, 0.0, rows)
    log_p = ops.log_softmax(logits, axis=-1)
    own = ops.take_along_axis(log_p, ops.maximum(labels, 0)[..., None], axis=-1)[..., 0]
    known = ops.logical_and(labels >= 0, ops.logical_or(source < 0, given >= 0))
    return ops.where(known, -own, 0.0)


def _normalisers(scores, transitions, target):
    """What each state of a step owes to the step that it conditions, (batch, time, states).

    `log sum_j exp(g(i, j) + f_t(j))` depends on the state i that step t was told of, so it joins
    the scores of that step: the transitions then stay the same at every step.
    """
    sums = linear_chain.log_products(scores, transitions)
    there = ops.broadcast_to(ops.maximum(target, 0)[..., None], ops.shape(sums))
    return ops.where(target[..., None] < 0, 0.0, ops.take_along_axis(sums, there, axis=1))
