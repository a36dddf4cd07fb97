"""Feed-forward: what a Transformer does at each step by itself, plain or gated.

    plain   y = W_o f(W_i x)                gated   y = W_o (f(W_g x) * W_i x)

Gated, the activation names the family: sigmoid is GLU, gelu GeGLU, silu SwiGLU, relu ReGLU, linear
the bilinear layer. Plain with squared_relu is that of Primer.
"""

import keras

from taolu.nn import activations


@keras.saving.register_keras_serializable(package="taolu")
class FeedForward(keras.layers.Layer):
    """Two projections with an activation between them, gated or not.

    Sublayers are Dense layers called `inner`, `gate` (if gated) and `output`. A gated layer has
    half as many weights again; give it 2/3 of the inner width for the same number.

    Masking: each step is computed by itself, so padding cannot leak; the mask is passed on.

    Args:
        inner_width: Width between the projections; four times the width is customary.
        activation: `f`, a name of `taolu.nn.activations` or Keras, or a function.
        gated: Whether a second projection of the input goes through `f` and multiplies the first.
        output_width: Width of the output. Default: that of the input.
        use_bias: Whether the projections have a bias.
        dropout: Rate at which inner units are dropped in training.
        kernel_initializer: Of all kernels, each drawn independently.
        seed: Seed of the dropout.

    Call arguments:
        inputs: Float (batch, ..., width).
        training: Whether units are dropped.

    Returns:
        Float (batch, ..., output width).

    Raises:
        ValueError: A width is below 1, or there is no such activation.

    Example:
        >>> layer = FeedForward(16, activation="silu", gated=True)     # SwiGLU
        >>> tuple(layer(keras.ops.ones((2, 5, 8))).shape), layer.count_params()
        ((2, 5, 8), 424)

    References:
        Vaswani et al., Attention Is All You Need, 2017.
        Noam Shazeer, GLU Variants Improve Transformer, 2020.
        David So et al., Primer: Searching for Efficient Transformers, 2021.
    """

    def __init__(
        self,
        inner_width: int,
        activation="gelu",
        gated: bool = False,
        *,
        output_width: int | None = None,
        use_bias: bool = True,
        dropout: float = 0.0,
        kernel_initializer="glorot_uniform",
        seed: int | None = None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        for name, value in (("inner_width", inner_width), ("output_width", output_width)):
            if value is not None and value < 1:
                raise ValueError(f"`{name}` must be at least 1. Received: {name}={value}.")
        self.inner_width = inner_width
        self.activation = activations.get(activation)
        self.gated = gated
        self.output_width = output_width
        self.use_bias = use_bias
        self.dropout = dropout
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.seed = seed
        self.supports_masking = True

    def build(self, input_shape):
        inner_shape = (*input_shape[:-1], self.inner_width)
        self.inner_projection = self._dense(0, "inner", input_shape, self.inner_width)
        self.gate_projection = None
        if self.gated:
            self.gate_projection = self._dense(1, "gate", input_shape, self.inner_width)
        width = self.output_width or input_shape[-1]
        self.output_projection = self._dense(2, "output", inner_shape, width)
        self.drop = keras.layers.Dropout(
            self.dropout, seed=self.seed, dtype=self.dtype_policy, name="dropout"
        )

    def _dense(self, number, name, input_shape, width):
        dense = keras.layers.Dense(
            width,
            use_bias=self.use_bias,
            kernel_initializer=independent(self.kernel_initializer, number),
            dtype=self.dtype_policy,
            name=name,
        )
        dense.build(input_shape)
        return dense

    def call(self, inputs, training=None):
        inner = self.inner_projection(inputs)
        if self.gate_projection is None:
            inner = self.activation(inner)
        else:
            inner = self.activation(self.gate_projection(inputs)) * inner
        return self.output_projection(self.drop(inner, training=training))

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], self.output_width or input_shape[-1])

    def get_config(self):
        names = ("inner_width", "gated", "output_width", "use_bias", "dropout", "seed")
        config = {name: getattr(self, name) for name in names}
        config["activation"] = keras.activations.serialize(self.activation)
        config["kernel_initializer"] = keras.initializers.serialize(self.kernel_initializer)
        return {**super().get_config(), **config}


def independent(initializer, number: int):
    """A copy of an initializer that draws numbers of its own.

    One initializer gives equal kernels to layers of equal shape; a gate must not begin as a copy
    of what it gates.

    Args:
        initializer: A Keras initializer, or a function, which is handed back as it is.
        number: Of the kernel, from 0: added to a seed that is a whole number.

    Example:
        >>> seeded = keras.initializers.GlorotUniform(seed=3)
        >>> [independent(seeded, number).seed for number in (0, 1)]
        [3, 4]
    """
    if not isinstance(initializer, keras.initializers.Initializer):
        return initializer
    config = initializer.get_config()
    if isinstance(config.get("seed"), int):
        config["seed"] += number
    return type(initializer).from_config(config)
