"""Pooling: one vector for a sequence, whatever its length and its padding.

    mean  sum_t m_t x_t / sum_t m_t          first, last  x at the first or last t with m_t
    sum   sum_t m_t x_t                      log-sum-exp  tau log sum_t m_t e^{x_t / tau}
    max   max of x_t over t with m_t         attention    sum_t p_t x_t, p = softmax over t with m_t

Each is a sum over the real steps only. A row without any gives zeros.
"""

import keras
from keras import ops

from taolu.nn import activations
from taolu.nn.masking import apply_mask, as_mask, masked_softmax


class _Pooling(keras.layers.Layer):
    """From (batch, time, width) to (batch, width); subclasses say how."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.supports_masking = True

    def build(self, input_shape):
        if len(input_shape) != 3:
            raise ValueError(
                "`inputs` must have the shape (batch, time, width). "
                f"Received: {tuple(input_shape)}."
            )

    def call(self, inputs, mask=None):
        if mask is None:
            mask = ops.ones(ops.shape(inputs)[:2], "bool")
        mask = as_mask(mask)
        return ops.cast(self.pool(inputs, mask), self.compute_dtype)

    def pool(self, x, mask):
        """The pooled steps, (batch, width)."""
        raise NotImplementedError

    def compute_mask(self, inputs, previous_mask=None):
        return None

    def compute_output_shape(self, input_shape):
        return (input_shape[0], input_shape[-1])


def _sum(x, mask):
    """Sum over real steps, in float32: half precision loses the small terms of a long sum."""
    return ops.sum(apply_mask(ops.cast(x, "float32"), mask), axis=1)


@keras.saving.register_keras_serializable(package="taolu")
class SumPooling(_Pooling):
    """The sum of the real steps: `sum_t m_t x_t`.

    Masking: consumes the mask; an empty row gives zeros.

    Call arguments:
        inputs: Float (batch, time, width).
        mask: Bool (batch, time) or (batch, time, 1), True where a step is real.

    Returns:
        Float (batch, width).

    Raises:
        ValueError: The inputs have another rank.

    Example:
        >>> x = ops.reshape(ops.array([1.0, 2.0, 7.0]), (1, 3, 1))
        >>> float(SumPooling()(x, mask=[[True, True, False]])[0, 0])
        3.0
    """

    def pool(self, x, mask):
        """Returns the sum of the real steps."""
        return _sum(x, mask)


@keras.saving.register_keras_serializable(package="taolu")
class MeanPooling(_Pooling):
    """The mean of the real steps: `sum_t m_t x_t / sum_t m_t`.

    Dividing by the time of the batch instead would make an answer depend on its neighbours.

    Masking: consumes the mask; an empty row gives zeros.

    Call arguments:
        inputs: Float (batch, time, width).
        mask: Bool (batch, time) or (batch, time, 1), True where a step is real.

    Returns:
        Float (batch, width).

    Raises:
        ValueError: The inputs have another rank.

    Example:
        >>> x = ops.reshape(ops.array([1.0, 0, 3, 4, 5, 0, 0, 0]), (1, 8, 1))
        >>> mask = [[True] * 5 + [False] * 3]
        >>> round(float(MeanPooling()(x, mask=mask)[0, 0]), 4), float(MeanPooling()(x)[0, 0])
        (2.6, 1.625)

    References:
        Su Jianlin, “让Keras更酷一些!”:层中层与mask, 2019 (archives/6810).
    """

    def pool(self, x, mask):
        """Returns the mean of the real steps."""
        count = ops.sum(ops.cast(mask, "float32"), axis=1, keepdims=True)
        return _sum(x, mask) / ops.maximum(count, 1.0)


@keras.saving.register_keras_serializable(package="taolu")
class MaxPooling(_Pooling):
    """The largest of the real steps, in each channel.

    Multiplying by the mask first would be wrong: a row of negative numbers would give 0.

    Masking: consumes the mask; an empty row gives zeros.

    Call arguments:
        inputs: Float (batch, time, width).
        mask: Bool (batch, time) or (batch, time, 1), True where a step is real.

    Returns:
        Float (batch, width).

    Raises:
        ValueError: The inputs have another rank.

    Example:
        >>> x = ops.reshape(ops.array([-2.0, -3.0, 0.0]), (1, 3, 1))
        >>> float(MaxPooling()(x, mask=[[True, True, False]])[0, 0])
        -2.0
    """

    def pool(self, x, mask):
        """Returns the maximum of the real steps."""
        x = ops.cast(x, "float32")  # exact, and its lowest number is below all of half precision
        top = ops.max(apply_mask(x, mask, _LOWEST), axis=1)
        return ops.where(ops.any(mask, axis=1, keepdims=True), top, 0.0)


_LOWEST = -3.4028235e38  # of float32


@keras.saving.register_keras_serializable(package="taolu")
class FirstPooling(_Pooling):
    """The first real step, wherever padding stands: the `[CLS]` of BERT.

    Masking: consumes the mask; an empty row gives zeros.

    Call arguments:
        inputs: Float (batch, time, width).
        mask: Bool (batch, time) or (batch, time, 1), True where a step is real.

    Returns:
        Float (batch, width).

    Raises:
        ValueError: The inputs have another rank.

    Example:
        >>> x = ops.reshape(ops.array([7.0, 2.0, 3.0]), (1, 3, 1))
        >>> float(FirstPooling()(x, mask=[[False, True, True]])[0, 0])
        2.0
    """

    def pool(self, x, mask):
        """Returns the first real step."""
        return _sum(x, ops.logical_and(mask, _rank(mask) == 1))


@keras.saving.register_keras_serializable(package="taolu")
class LastPooling(_Pooling):
    """The last real step: what a reader knows at the end of the text.

    Masking: consumes the mask; an empty row gives zeros.

    Call arguments:
        inputs: Float (batch, time, width).
        mask: Bool (batch, time) or (batch, time, 1), True where a step is real.

    Returns:
        Float (batch, width).

    Raises:
        ValueError: The inputs have another rank.

    Example:
        >>> x = ops.reshape(ops.array([1.0, 2.0, 7.0]), (1, 3, 1))
        >>> float(LastPooling()(x, mask=[[True, True, False]])[0, 0])
        2.0
    """

    def pool(self, x, mask):
        """Returns the last real step."""
        rank = _rank(mask)
        return _sum(x, ops.logical_and(mask, rank == rank[:, -1:]))


def _rank(mask):
    """How many real steps there are up to each, itself included; int32 (batch, time)."""
    return ops.cumsum(ops.cast(mask, "int32"), axis=1)


@keras.saving.register_keras_serializable(package="taolu")
class LogSumExpPooling(_Pooling):
    """A soft maximum of the real steps: `tau log sum_t m_t e^{x_t / tau}`.

    Between the maximum (tau towards 0) and the mean (a large tau, after `tau log` of the length is
    taken away); its gradient is the softmax over time. Computed in float32.

    Masking: consumes the mask; an empty row gives zeros.

    Args:
        temperature: tau, above 0, in the unit of the inputs.

    Call arguments:
        inputs: Float (batch, time, width).
        mask: Bool (batch, time) or (batch, time, 1), True where a step is real.

    Returns:
        Float (batch, width).

    Raises:
        ValueError: `temperature` is not positive, or the inputs have another rank.

    Example:
        >>> x = ops.zeros((1, 3, 1))
        >>> round(float(LogSumExpPooling()(x, mask=[[True, True, False]])[0, 0]), 4)  # log 2
        0.6931
    """

    def __init__(self, temperature: float = 1.0, **kwargs):
        super().__init__(**kwargs)
        if not temperature > 0:
            raise ValueError(
                f"`temperature` must be positive. Received: temperature={temperature}."
            )
        self.temperature = temperature

    def pool(self, x, mask):
        """Returns the log of the summed exponentials of the real steps."""
        scores = apply_mask(ops.cast(x, "float32") / self.temperature, mask, _LOWEST / 2)
        some = ops.any(mask, axis=1, keepdims=True)
        # An empty row enters as zeros, so that nothing huge stands where its gradient passes.
        total = ops.logsumexp(ops.where(some[..., None], scores, 0.0), axis=1)
        return self.temperature * ops.where(some, total, 0.0)

    def get_config(self):
        return {**super().get_config(), "temperature": self.temperature}


@keras.saving.register_keras_serializable(package="taolu")
class AttentionPooling(_Pooling):
    """The mean of the real steps under weights that the layer learns to give.

        p_t = softmax_t(w . f(W x_t)),   y = sum_t p_t x_t

    A query that is learned instead of asked: each step says how much it matters.

    Masking: consumes the mask; padded steps get weight 0; an empty row gives zeros.

    Args:
        hidden_width: Rows of `W`. Default: the width of the inputs.
        activation: `f`, a name or a function.

    Call arguments:
        inputs: Float (batch, time, width).
        mask: Bool (batch, time) or (batch, time, 1), True where a step is real.

    Returns:
        Float (batch, width).

    Raises:
        ValueError: `hidden_width` is below 1, or the inputs have another rank.

    Example:
        >>> tuple(AttentionPooling()(ops.ones((2, 5, 8))).shape)
        (2, 8)

    References:
        Su Jianlin, 基于CNN的阅读理解式问答模型:DGCNN, 2018 (archives/5409).
    """

    def __init__(self, hidden_width: int | None = None, activation="tanh", **kwargs):
        super().__init__(**kwargs)
        if hidden_width is not None and hidden_width < 1:
            raise ValueError(
                f"`hidden_width` must be at least 1. Received: hidden_width={hidden_width}."
            )
        self.hidden_width = hidden_width
        self.activation = activations.get(activation)

    def build(self, input_shape):
        super().build(input_shape)
        hidden = self.hidden_width or input_shape[-1]
        self.hidden = keras.layers.Dense(
            hidden,
            activation=self.activation,
            use_bias=False,
            dtype=self.dtype_policy,
            name="hidden",
        )
        self.hidden.build(input_shape)
        self.score = keras.layers.Dense(1, use_bias=False, dtype=self.dtype_policy, name="score")
        self.score.build((*input_shape[:-1], hidden))

    def pool(self, x, mask):
        """Returns the real steps, weighted by what they are worth."""
        x = apply_mask(x, mask)
        scores = ops.cast(self.score(self.hidden(x)), "float32")
        weights = masked_softmax(scores, mask[..., None], axis=1)
        return ops.sum(weights * ops.cast(x, "float32"), axis=1)

    def get_config(self):
        config = {"hidden_width": self.hidden_width}
        config["activation"] = keras.activations.serialize(self.activation)
        return {**super().get_config(), **config}
