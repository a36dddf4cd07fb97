"""Gated convolution: every step decides how much of itself to replace by what it sees around it.

    y = x (1 - g) + c g,   [c, g'] = conv(x),   g = sigmoid(g')

A residual connection whose two branches share one budget: where the gate is shut the input passes
unchanged, which is why stacks of growing dilation (1, 2, 5, 1, ...) train well.
"""

import keras
from keras import ops

from taolu.nn.masking import apply_mask


@keras.saving.register_keras_serializable(package="taolu")
class GatedConvolution(keras.layers.Layer):
    """Convolution whose gate decides how much of its input to replace.

    `y = x (1 - g) + c g`, where `c` and `g` are the two halves of `conv(x)`, `g` through a
    sigmoid. When the width changes, `x` in the sum is a linear map of the input. Cost: time *
    kernel size * width^2.

    Masking: padded steps enter the convolution as zeros, so they cannot leak into real steps, and
    leave as zeros; the mask is passed on unchanged. Mask before each convolution: one layer's
    convolution fills padding that the next one would read.

    Args:
        kernel_size: Width of the convolution, in steps.
        width: Width of the output. Default: that of the input.
        dilation: Distance between two taps, in steps.
        causal: Whether a step sees only itself and those before it.
        kernel_initializer: Of the convolution.

    Call arguments:
        inputs: Float (batch, time, width).
        mask: Bool (batch, time) or (batch, time, 1), True where a step is real.

    Returns:
        Float (batch, time, width).

    Raises:
        ValueError: `kernel_size`, `width` or `dilation` is below 1.

    Example:
        >>> layer = GatedConvolution(kernel_size=3, dilation=2)
        >>> tuple(layer(ops.ones((1, 7, 4))).shape)
        (1, 7, 4)

    References:
        Su Jianlin, 基于CNN的阅读理解式问答模型:DGCNN, 2018 (archives/5409).
        Jonas Gehring et al., Convolutional Sequence to Sequence Learning, 2017.
    """

    def __init__(
        self,
        kernel_size: int = 3,
        width: int | None = None,
        dilation: int = 1,
        causal: bool = False,
        kernel_initializer="glorot_uniform",
        **kwargs,
    ):
        super().__init__(**kwargs)
        for name, value in (("kernel_size", kernel_size), ("width", width), ("dilation", dilation)):
            if value is not None and value < 1:
                raise ValueError(f"`{name}` must be at least 1. Received: {name}={value}.")
        self.kernel_size = kernel_size
        self.width = width
        self.dilation = dilation
        self.causal = causal
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.supports_masking = True

    def build(self, input_shape):
        width = self.width or input_shape[-1]
        self.convolution = keras.layers.Conv1D(
            2 * width,
            self.kernel_size,
            dilation_rate=self.dilation,
            padding="causal" if self.causal else "same",
            kernel_initializer=self.kernel_initializer,
            dtype=self.dtype_policy,
            name="convolution",
        )
        self.convolution.build(input_shape)
        self.projection = None
        if width != input_shape[-1]:
            self.projection = keras.layers.Dense(
                width, use_bias=False, dtype=self.dtype_policy, name="projection"
            )
            self.projection.build(input_shape)

    def call(self, inputs, mask=None):
        x = apply_mask(inputs, mask)
        candidate, gate = ops.split(self.convolution(x), 2, axis=-1)
        gate = ops.sigmoid(gate)
        if self.projection is not None:
            x = self.projection(x)
        return apply_mask(x * (1 - gate) + candidate * gate, mask)

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], self.width or input_shape[-1])

    def get_config(self):
        names = ("kernel_size", "width", "dilation", "causal")
        config = {name: getattr(self, name) for name in names}
        config["kernel_initializer"] = keras.initializers.serialize(self.kernel_initializer)
        return {**super().get_config(), **config}
