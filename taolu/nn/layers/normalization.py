"""Scale, offset and norms that can be told by a condition what to scale by.

    LayerNorm  y = gamma (x - mean x) / sqrt(var x + eps) + beta
    RMSNorm    y = gamma x / sqrt(mean x^2 + eps)

Conditional, `gamma` and `beta` are themselves functions of a vector c: `gamma = g + W c`,
`beta = b + V c`, with W and V zero at first, so that a trained model is not disturbed.
"""

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="taolu")
class ScaleOffset(keras.layers.Layer):
    """Each channel scaled and shifted by numbers of its own: `y = gamma x + beta`.

    What is left of a norm without its statistics; the gated attention unit makes queries and keys
    from one projection with two of these.

    Masking: each step is computed by itself; the mask is passed on.

    Args:
        scale: Whether there is a gamma, ones at first.
        offset: Whether there is a beta, zeros at first.
        scale_initializer: First values of gamma.

    Call arguments:
        inputs: Float (batch, ..., width).

    Returns:
        Float like the inputs.

    Raises:
        ValueError: Neither `scale` nor `offset` is asked for.

    Example:
        >>> layer = ScaleOffset()
        >>> tuple(layer(ops.ones((2, 3))).shape), layer.count_params()
        ((2, 3), 6)
    """

    def __init__(self, scale: bool = True, offset: bool = True, scale_initializer="ones", **kwargs):
        super().__init__(**kwargs)
        if not (scale or offset):
            raise ValueError(
                "`scale` or `offset` must be True. Received: scale=False, offset=False."
            )
        self.scale = scale
        self.offset = offset
        self.scale_initializer = keras.initializers.get(scale_initializer)
        self.supports_masking = True

    def build(self, input_shape):
        width = input_shape[-1]
        self.gamma = self.beta = None
        if self.scale:
            self.gamma = self.add_weight((width,), self.scale_initializer, name="gamma")
        if self.offset:
            self.beta = self.add_weight((width,), "zeros", name="beta")

    def call(self, inputs):
        x = inputs
        if self.gamma is not None:
            x = x * self.gamma
        return x if self.beta is None else x + self.beta

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        config = {"scale": self.scale, "offset": self.offset}
        config["scale_initializer"] = keras.initializers.serialize(self.scale_initializer)
        return {**super().get_config(), **config}


@keras.saving.register_keras_serializable(package="taolu")
class ConditionalLayerNormalization(keras.layers.Layer):
    """A layer norm whose scale and offset depend on a condition: class, style, speaker, subject.

    See the equations of this module. Statistics are taken in float32 over the last axis, so every
    step is normalised by itself. Before training it is a plain norm.

    Masking: each step is computed by itself, so padding cannot leak; the mask of the inputs is
    passed on.

    Args:
        center: Whether the mean is taken away and a beta added: LayerNorm; without, RMSNorm.
        hidden_width: Width of a Dense layer, with `hidden_activation`, that the condition passes
            first. Default: none.
        hidden_activation: Of that layer.
        epsilon: Added to the variance.

    Call arguments:
        inputs: Float (batch, ..., width).
        condition: Float (batch, condition width), or with the axes of the inputs before their
            width, (batch, time, condition width).

    Returns:
        Float like the inputs.

    Raises:
        ValueError: `epsilon` is not positive, a width is below 1, or the condition does not fit.

    Example:
        >>> layer = ConditionalLayerNormalization()
        >>> y = layer(ops.array([[[1.0, 3.0]]]), condition=ops.ones((1, 5)))
        >>> ops.convert_to_numpy(y).round(3)
        array([[[-1.,  1.]]], dtype=float32)

    References:
        Jimmy Ba et al., Layer Normalization, 2016. Biao Zhang, Rico Sennrich, Root Mean Square
        Layer Normalization, 2019.
        Su Jianlin, 基于Conditional Layer Normalization的条件文本生成, 2019 (archives/7124).
    """

    def __init__(
        self,
        center: bool = True,
        hidden_width: int | None = None,
        hidden_activation="linear",
        epsilon: float = 1e-6,
        **kwargs,
    ):
        super().__init__(**kwargs)
        if hidden_width is not None and hidden_width < 1:
            raise ValueError(
                f"`hidden_width` must be at least 1. Received: hidden_width={hidden_width}."
            )
        if not epsilon > 0:
            raise ValueError(f"`epsilon` must be positive. Received: epsilon={epsilon}.")
        self.center = center
        self.hidden_width = hidden_width
        self.hidden_activation = keras.activations.get(hidden_activation)
        self.epsilon = epsilon
        self.supports_masking = True

    def build(self, inputs_shape, condition_shape):
        if len(condition_shape) not in (2, len(inputs_shape)):
            raise ValueError(
                "`condition` must have the shape (batch, condition width) or the axes of the "
                f"inputs. Received: inputs {tuple(inputs_shape)}, condition "
                f"{tuple(condition_shape)}."
            )
        width = inputs_shape[-1]
        self.gamma = self.add_weight((width,), "ones", name="gamma")
        self.beta = self.add_weight((width,), "zeros", name="beta") if self.center else None
        self.hidden = None
        if self.hidden_width is not None:
            self.hidden = keras.layers.Dense(
                self.hidden_width,
                activation=self.hidden_activation,
                use_bias=False,
                dtype=self.dtype_policy,
                name="hidden",
            )
            self.hidden.build(condition_shape)
            condition_shape = (*condition_shape[:-1], self.hidden_width)
        self.condition_gamma = self._dense("condition_gamma", width, condition_shape)
        if self.center:
            self.condition_beta = self._dense("condition_beta", width, condition_shape)

    def _dense(self, name, width, shape):
        dense = keras.layers.Dense(
            width,
            use_bias=False,
            kernel_initializer="zeros",
            dtype=self.dtype_policy,
            name=name,
        )
        dense.build(shape)
        return dense

    def call(self, inputs, condition):
        if self.hidden is not None:
            condition = self.hidden(condition)
        x = ops.cast(inputs, "float32")
        if self.center:
            x = x - ops.mean(x, axis=-1, keepdims=True)
        x = x * ops.rsqrt(ops.mean(ops.square(x), axis=-1, keepdims=True) + self.epsilon)
        x = x * self._told(self.gamma, self.condition_gamma, condition, x)
        if self.center:
            x = x + self._told(self.beta, self.condition_beta, condition, x)
        return ops.cast(x, self.compute_dtype)

    def _told(self, own, dense, condition, x):
        """A parameter plus what the condition adds, float32, with the axes of x."""
        added = ops.cast(dense(condition), "float32")
        for _ in range(len(x.shape) - len(added.shape)):
            added = added[:, None]
        return ops.cast(own, "float32") + added

    def compute_mask(self, inputs, previous_mask=None):
        return previous_mask

    def compute_output_shape(self, inputs_shape, condition_shape=None):
        return inputs_shape

    def get_config(self):
        names = ("center", "hidden_width", "epsilon")
        config = {name: getattr(self, name) for name in names}
        config["hidden_activation"] = keras.activations.serialize(self.hidden_activation)
        return {**super().get_config(), **config}
