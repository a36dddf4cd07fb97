"""A Markov model of maximum entropy whose tags have seen the two tags before them."""

import keras
from keras import ops

from taolu.nn.layers import linear_chain
from taolu.nn.layers.memm import DECODINGS
from taolu.nn.layers.tag_head import TagHead, check_multiplier
from taolu.nn.masking import apply_mask
from taolu.nn.scan import scan


@keras.saving.register_keras_serializable(package="taolu")
class SecondOrderMEMM(TagHead):
    """MEMM of second order: each tag is a softmax that has seen the two tags before it.

        p(y_1) = softmax f_1,    p(y_2 | y_1) = softmax(f_2 + g(y_1, .))
        p(y_t | y_t-2, y_t-1) = softmax(f_t + g(y_t-1, .) + h(y_t-2, y_t-1, .))

    With known tags the loss costs what that of a `MEMM` does: rows of g and h are gathered for all
    steps at once, and no loop runs over time. Only decoding walks over pairs of states, and takes
    time * states**3. With h = 0 it is a MEMM.

    The layer hands its inputs f on as float32 and keeps g and h; give its output to a `TagModel`,
    or call `loss` and `decode` yourself. Everything is computed in float32 whatever the policy.

    Masking: the two steps before a step are real ones, wherever padding stands; the mask is passed
    on. A row without real steps has the loss 0 and no gradient.

    Args:
        rank: r of `h(i, j, k) = sum_r A(i, r) B(j, r) C(k, r)`, which then has `3 r states`
            weights; None for `states**3`.
        decoding: "local": the best path under the model. "raw": the best path under the sum of f, g
            and h as they are, which is not the model that was trained, and escapes label bias.
        learning_rate_multiplier: Weights are stored divided by it and multiplied when used, as in
            `CRF`.
        initializer: Of g, and of h or A, B and C, before they are divided.

    Call arguments:
        inputs: f, float (batch, time, states).
        mask: Bool (batch, time) or (batch, time, 1), True where a step is real.

    Returns:
        f, float32 (batch, time, states).

    Raises:
        ValueError: `rank` is below 1, the multiplier is not positive, `decoding` is unknown, or the
            inputs have another rank.

    Example:
        >>> memm = SecondOrderMEMM(initializer="zeros")
        >>> scores = memm(ops.log(ops.array([[[3.0, 1.0], [1.0, 1.0], [1.0, 1.0]]])))
        >>> loss = memm.loss(ops.array([[0, 1, 1]]), scores)
        >>> ops.convert_to_numpy(ops.exp(-loss)).round(4).tolist()  # 3/4 * 1/2 * 1/2
        [0.1875]

    References:
        McCallum, Freitag, Pereira, Maximum entropy Markov models, 2000.
        Su Jianlin, CRF用过了,不妨再了解下更快的MEMM?, 2020 (archives/7213).
    """

    def __init__(
        self,
        rank: int | None = None,
        decoding: str = "local",
        learning_rate_multiplier: float = 1.0,
        initializer="glorot_uniform",
        **kwargs,
    ):
        super().__init__(**kwargs)
        if rank is not None and rank < 1:
            raise ValueError(f"`rank` must be at least 1, or None. Received: rank={rank}.")
        if decoding not in DECODINGS:
            raise ValueError(
                f'`decoding` must be "local" or "raw". Received: decoding={decoding!r}.'
            )
        check_multiplier(learning_rate_multiplier)
        self.rank = rank
        self.decoding = decoding
        self.learning_rate_multiplier = learning_rate_multiplier
        self.initializer = keras.initializers.get(initializer)

    def build(self, input_shape):
        super().build(input_shape)
        states, rest = self.states, (self.initializer, self.learning_rate_multiplier)
        self._pairs = self.weight((states, states), "pairs", *rest)
        if self.rank is None:
            self._triples = self.weight((states,) * 3, "triples", *rest)
        else:
            names = ("first", "second", "third")
            self._factors = [self.weight((states, self.rank), name, *rest) for name in names]

    def pairs(self):
        """g as used, float32 (states, states), from row to column."""
        return self._pairs * self.learning_rate_multiplier

    def triples(self):
        """h as used, float32 (states, states, states): two steps before, one before, the step."""
        if self.rank is None:
            return self._triples * self.learning_rate_multiplier
        return ops.einsum("ir,jr,kr->ijk", *self._parts())

    def loss(self, labels, scores, mask=None):
        """Minus the log of the probability of the labels, float32 (batch,), in nats per sequence.

        A sum over the steps of a row, not a mean. A step whose own label is -1 says nothing, nor
        does one that has seen such a label, of the step before it or of the one before that.

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
        once = linear_chain.before(mask)
        at = ops.maximum(once, 0)
        twice = ops.where(once < 0, -1, ops.take_along_axis(once, at, axis=1))
        near = ops.take_along_axis(labels, at, axis=1)
        far = ops.take_along_axis(labels, ops.maximum(twice, 0), axis=1)
        rows = ops.take(self.pairs(), ops.maximum(near, 0), axis=0)
        logits = scores + ops.where(once[..., None] < 0, 0.0, rows)
        rows = self._rows(ops.maximum(far, 0), ops.maximum(near, 0))
        logits = logits + ops.where(twice[..., None] < 0, 0.0, rows)
        log_p = ops.log_softmax(logits, axis=-1)
        own = ops.take_along_axis(log_p, ops.maximum(labels, 0)[..., None], axis=-1)[..., 0]
        known = ops.logical_and(labels >= 0, ops.logical_or(once < 0, near >= 0))
        known = ops.logical_and(known, ops.logical_or(twice < 0, far >= 0))
        return ops.sum(ops.where(known, -own, 0.0), axis=1)

    def decode(self, scores, mask=None):
        """The path that `decoding` asks for, int32 (batch, time), -1 at padding.

        Takes time * states**3 steps, and batch * states**3 memory at each.

        Args:
            scores: f, float (batch, time, states).
            mask: Bool (batch, time) or (batch, time, 1).
        """
        scores, mask = self.read(scores, mask)
        local = self.decoding == "local"
        return _viterbi(scores, self.pairs(), self.triples(), mask, local)

    def _parts(self):
        return [x * self.learning_rate_multiplier for x in self._factors]

    def _rows(self, far, near):
        """h(far, near, .) at every step, (batch, time, states)."""
        if self.rank is None:
            flat = ops.reshape(self.triples(), (-1, self.states))
            return ops.take(flat, far * self.states + near, axis=0)
        first, second, third = self._parts()
        both = ops.take(first, far, axis=0) * ops.take(second, near, axis=0)
        return ops.matmul(both, ops.transpose(third))

    def get_config(self):
        config = {
            "rank": self.rank,
            "decoding": self.decoding,
            "learning_rate_multiplier": self.learning_rate_multiplier,
            "initializer": keras.initializers.serialize(self.initializer),
        }
        return {**super().get_config(), **config}


def _viterbi(scores, pairs, triples, mask, local):
    """The best path, a chain whose states are pairs (of the step before, of this step).

        best_t(j, k) = max_i best_t-1(i, j) + log p(k | i, j)

    At its first step a pair has no first part: all of them score alike, and so the second step asks
    in vain which was best; it has no h either.
    """
    states = pairs.shape[0]
    normalise = ops.log_softmax if local else lambda x, axis: x
    place = ops.arange(states, dtype="int32")[:, None, None]

    def step(carry, now):
        (best, _), (f, real, first, second) = carry, now
        logits = f[..., None, None, :] + pairs + ops.where(second, 0.0, triples)
        totals = best[..., None] + normalise(logits, axis=-1)
        new = ops.max(totals, axis=1)
        came = ops.min(ops.where(totals >= new[:, None], place, states - 1), axis=1)
        new = ops.where(first, normalise(f, axis=-1)[:, None, :], new)
        # Only differences matter, and those of small numbers keep their digits.
        new = new - ops.max(new, axis=(1, 2), keepdims=True)
        carry = ops.where(real, new, best), came
        return carry, carry  # TensorFlow stacks only what has the dtypes of the carry

    def back(pair, now):
        came, real, first = now
        near = pair // states  # the states of the step before and of this one
        earlier = ops.take_along_axis(came, pair[:, None], axis=1)[:, 0]
        moves = ops.logical_and(real, ops.logical_not(first))
        return ops.where(moves, earlier * states + near, pair), pair % states

    real = ops.transpose(mask)
    count = ops.cumsum(ops.cast(real, "int32"), axis=0)
    first, second = (ops.logical_and(real, count == n) for n in (1, 2))
    steps = [x[:, :, None, None] for x in (real, first)] + [second[..., None, None, None]]
    f = ops.transpose(apply_mask(scores, mask), (1, 0, 2))
    nothing = ops.zeros_like(f[0])[:, :, None] + ops.zeros_like(pairs)
    nothing = nothing, ops.zeros_like(nothing, dtype="int32")
    (best, _), (_, came) = scan(step, nothing, (f, *steps))
    size = ops.shape(f)
    pair = linear_chain.first_best(ops.reshape(best, (size[1], states * states)))
    came = ops.reshape(came, (size[0], size[1], states * states))
    _, path = scan(back, pair, (came, real, first), reverse=True)
    return ops.where(mask, ops.transpose(path), -1)
