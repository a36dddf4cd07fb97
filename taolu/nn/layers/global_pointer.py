"""Spans instead of tags: every pair of steps is asked whether a span begins here and ends there."""

import math

import keras
from keras import ops

from taolu.nn.layers.linear_chain import EXCLUDED
from taolu.nn.layers.rotary import Rotary
from taolu.nn.layers.tag_head import TagHead
from taolu.nn.masking import apply_mask, as_mask, causal_mask


@keras.saving.register_keras_serializable(package="taolu")
class GlobalPointer(TagHead):
    """Scores of all spans, so that spans may overlap and lie inside each other.

        s_a(i, j) = q_i,a^T R(j - i) k_j,a / sqrt(d),    a span with label a from i to j if s > 0

    Each label has a query and a key, `2 d (width + 1)` weights. With `low_rank` all labels share
    one of each, which says what is a span at all, and a label adds what it thinks of the first and
    of the last step, `4 d` weights:

        s_a(i, j) = q_i^T R(j - i) k_j / sqrt(d) + w_a^T [q_i; k_i; q_j; k_j]

    R turns by the distance (rotary positions): without it the score knows two steps, but not which
    ends belong together. Spans are learned against all that are none, each label by itself, with
    zero as the threshold (`loss`). Scores take `labels * time**2` memory, float32 on any policy.

    The layer takes what an encoder knows of each step, not scores of states; give its output to a
    `TagModel`, whose labels are then those of `loss`, or call `loss` and `decode` yourself.

    Masking: distances are counted in real steps, wherever padding stands. The mask is passed on
    with the scores, which are 0 where no span can be: at padding, and where the end comes first.

    Args:
        labels: Number of labels.
        head_width: d, the width of a query; even with `rotary`.
        low_rank: Whether labels share their queries and keys (Efficient GlobalPointer).
        rotary: Whether scores see distances.
        initializer: Of the kernels.

    Call arguments:
        inputs: Float (batch, time, width).
        mask: Bool (batch, time) or (batch, time, 1), True where a step is real.

    Returns:
        s, float32 (batch, labels, time, time): row first step, column last step, both included.

    Raises:
        ValueError: `labels` or `head_width` is below 1, or the width is odd where it must be even.

    Example:
        >>> head = GlobalPointer(2, head_width=4)
        >>> scores = ops.convert_to_numpy(head(ops.ones((1, 3, 5))))
        >>> scores.shape, float(scores[0, 0, 2, 1])  # no span ends before it begins
        ((1, 2, 3, 3), 0.0)

    References:
        Su Jianlin, GlobalPointer:用统一的方式处理嵌套和非嵌套NER, 2021 (archives/8373);
        Efficient GlobalPointer:少点参数,多点效果, 2022 (archives/8877);
        将“softmax+交叉熵”推广到多标签分类问题, 2020 (archives/7359).
    """

    def __init__(
        self,
        labels: int,
        head_width: int = 64,
        low_rank: bool = False,
        rotary: bool = True,
        initializer="glorot_uniform",
        **kwargs,
    ):
        super().__init__(**kwargs)
        if labels < 1:
            raise ValueError(f"`labels` must be at least 1. Received: labels={labels}.")
        if head_width < 1 or (rotary and head_width % 2):
            raise ValueError(
                "`head_width` must be at least 1, and even with rotary=True. "
                f"Received: head_width={head_width}, rotary={rotary}."
            )
        self.labels = labels
        self.head_width = head_width
        self.low_rank = low_rank
        self.rotary = rotary
        self.initializer = keras.initializers.get(initializer)

    def build(self, input_shape):
        if len(input_shape) != 3 or input_shape[-1] is None:
            raise ValueError(
                "`inputs` must have the shape (batch, time, width), the width known. "
                f"Received: shape {tuple(input_shape)}."
            )
        self._project = self._dense(2 * self.head_width * (1 if self.low_rank else self.labels))
        self._project.build(input_shape)
        if self.low_rank:
            self._ends = self._dense(2 * self.labels, use_bias=False, name="ends")
            self._ends.build((*input_shape[:-1], 2 * self.head_width))
        self._turn = Rotary(dtype=self.dtype_policy, name="rotary") if self.rotary else None

    def _dense(self, width, use_bias=True, name="projection"):
        return keras.layers.Dense(
            width,
            use_bias=use_bias,
            kernel_initializer=self.initializer,
            dtype=self.dtype_policy,
            name=name,
        )

    def call(self, inputs, mask=None):
        mask = ops.ones(ops.shape(inputs)[:2], "bool") if mask is None else as_mask(mask)
        pairs = self._project(apply_mask(inputs, mask))
        heads = 1 if self.low_rank else self.labels
        batch, time = ops.shape(pairs)[:2]
        shape = batch, time, 2 * heads, self.head_width
        both = ops.reshape(ops.cast(pairs, "float32"), shape)
        query, key = both[..., :heads, :], both[..., heads:, :]
        if self._turn is not None:
            place = ops.maximum(ops.cumsum(ops.cast(mask, "int32"), axis=1) - 1, 0)
            query, key = self._turn.rotate(query, key, place)
        scores = ops.einsum("bihd,bjhd->bhij", query, key) / math.sqrt(self.head_width)
        if self.low_rank:
            # From before the turn: what a step is must not depend on where it stands.
            ends = ops.transpose(ops.cast(self._ends(pairs), "float32"), (0, 2, 1))
            first, last = ends[:, : self.labels], ends[:, self.labels :]
            scores = scores + first[:, :, :, None] + last[:, :, None, :]
        return ops.where(_cells(mask), scores, 0.0)

    def compute_output_shape(self, input_shape):
        batch, time = input_shape[:2]
        return (batch, self.labels, time, time)

    def compute_output_spec(self, inputs, mask=None):
        return keras.KerasTensor(self.compute_output_shape(inputs.shape), "float32")

    def read(self, scores, mask):
        """Scores as float32, and which cells may be spans, bool (batch, 1, time, time).

        Raises:
            ValueError: The scores are not (batch, labels, time, time), or the mask is not one of
                steps.
        """
        scores = ops.cast(ops.convert_to_tensor(scores), "float32")
        shape = tuple(scores.shape)
        if len(shape) != 4 or shape[1] != self.labels or shape[2] != shape[3]:
            raise ValueError(
                f"`scores` must have the shape (batch, {self.labels}, time, time). "
                f"Received: shape {shape}."
            )
        if mask is None:
            size = ops.shape(scores)
            mask = ops.ones((size[0], size[2]), "bool")
        return scores, _cells(as_mask(mask))

    def read_labels(self, labels, scores):
        """Labels as int32.

        Raises:
            ValueError: They are neither bool nor whole numbers, or not one for each score.
        """
        labels = ops.convert_to_tensor(labels)
        dtype = keras.backend.standardize_dtype(labels.dtype)
        sizes = zip(labels.shape, scores.shape, strict=False)
        fits = len(labels.shape) == 4 and all(a == b or None in (a, b) for a, b in sizes)
        if ("int" not in dtype and dtype != "bool") or not fits:
            raise ValueError(
                "`labels` must be bool or whole numbers, one for each of the scores "
                f"{tuple(scores.shape)}. Received: {dtype}, shape {tuple(labels.shape)}."
            )
        return ops.cast(labels, "int32")

    def loss(self, labels, scores, mask=None):
        """How far spans are from above zero and others from below, float32 (batch,).

            sum_a log(1 + sum_spans e^-s_a(i, j)) + log(1 + sum_others e^s_a(i, j))

        A softmax with many right answers: every span is pushed above every other cell, and 0
        between them. Few spans among many cells need no weights. Cells that no span can have, at
        padding or with the end first, count nothing, nor do those whose label is -1.

        Args:
            labels: Bool or int (batch, labels, time, time): 1 where a span is, 0 where none is,
                -1 where that is not known.
            scores: s, float (batch, labels, time, time).
            mask: Bool (batch, time) or (batch, time, 1).

        Raises:
            ValueError: The labels have another dtype, or are not of the shape of the scores.
        """
        scores, cells = self.read(scores, mask)
        labels = self.read_labels(labels, scores)
        spans, others = (ops.logical_and(cells, labels == x) for x in (1, 0))
        return ops.sum(_log_sum(-scores, spans) + _log_sum(scores, others), axis=-1)

    def decode(self, scores, mask=None):
        """The scores of the spans that are found, float32 (batch, labels, time, time), else 0.

        Found is what scores above 0; `np.argwhere(found)` lists rows, labels, first and last steps.

        Args:
            scores: s, float (batch, labels, time, time).
            mask: Bool (batch, time) or (batch, time, 1).
        """
        scores, cells = self.read(scores, mask)
        return ops.where(ops.logical_and(cells, scores > 0), scores, 0.0)

    def agreement(self, labels, scores, mask=None):
        """Spans that are both true and found, and those that are either: their ratio is Jaccard's.

        Args:
            labels: As in `loss`.
            scores: s, float (batch, labels, time, time).
            mask: Bool (batch, time) or (batch, time, 1).

        Returns:
            Both, and either, float32 (batch, labels, time, time), 0 or 1.
        """
        scores, cells = self.read(scores, mask)
        labels = self.read_labels(labels, scores)
        found, true = scores > 0, labels == 1
        known = ops.logical_and(cells, labels >= 0)
        both = ops.logical_and(known, ops.logical_and(found, true))
        either = ops.logical_and(known, ops.logical_or(found, true))
        return ops.cast(both, "float32"), ops.cast(either, "float32")

    def get_config(self):
        config = {
            "labels": self.labels,
            "head_width": self.head_width,
            "low_rank": self.low_rank,
            "rotary": self.rotary,
            "initializer": keras.initializers.serialize(self.initializer),
        }
        return {**super().get_config(), **config}


def _cells(mask):
    """Where spans may be: both ends real and in order, bool (batch, 1, time, time)."""
    ordered = ops.transpose(causal_mask(ops.shape(mask)[1]))
    real = ops.logical_and(mask[:, :, None], mask[:, None, :])
    return ops.logical_and(real, ordered)[:, None]


def _log_sum(scores, cells):
    """log(1 + sum of e^score over the cells), (batch, labels)."""
    scores = ops.where(cells, scores, EXCLUDED)
    top = ops.stop_gradient(ops.maximum(ops.max(scores, axis=(2, 3), keepdims=True), 0.0))
    sums = ops.sum(ops.exp(scores - top), axis=(2, 3))
    top = top[:, :, 0, 0]
    return top + ops.log(ops.exp(-top) + sums)
