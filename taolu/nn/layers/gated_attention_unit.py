"""Gated attention unit: attention and feed-forward in one, with one cheap head.

    u = f(x W_u),  v = f(x W_v),  z = f(x W_z)
    a_ij = weight of (q_i . k_j / sqrt(s)),   q = gamma_q z + beta_q,  k = gamma_k z + beta_k
    y = (u * (A v)) W_o

The gate `u` makes a single head of small width `s` enough; two such units cost what one block of
attention and feed-forward costs. The weights of a row are a softmax, or `relu(.)^2 / n` over the n
keys that the row sees.
"""

import math

import keras
from keras import ops

from taolu.nn import activations
from taolu.nn.layers.attention_bias import RelativePosition, distances
from taolu.nn.layers.feed_forward import independent
from taolu.nn.layers.normalization import ScaleOffset
from taolu.nn.masking import apply_mask, as_mask, as_pair_mask, causal_mask, masked_softmax


@keras.saving.register_keras_serializable(package="taolu")
class GatedAttentionUnit(keras.layers.Layer):
    """Attention with one head, gated step by step.

    See the equations of this module; norm and residual connection stand outside. Cost: time^2 *
    inner width.

    Masking: padded keys get weight 0 and do not count in n; padded steps give zeros; the mask is
    passed on unchanged.

    Args:
        inner_width: Width of `u` and `v`; twice the width of the input is customary.
        head_width: Width `s` of queries and keys.
        softmax: Whether weights are a softmax; otherwise squared ReLU, divided by the number n of
            keys seen, so that the size of a sum does not grow with length or padding.
        causal: Whether a step is kept from seeing those after it.
        position: None, `Rotary`, `T5Bias(heads=1)` or `ALiBi(heads=1)`.
        activation: `f`, a name or a function.
        dropout: Rate at which weights are dropped in training.
        use_bias: Whether the projections have a bias.
        kernel_initializer: Of the projections, each drawn independently.
        seed: Seed of the dropout.

    Call arguments:
        inputs: Float (batch, time, width).
        mask: Bool (batch, time) or (batch, time, 1), True where a step is real.
        attention_mask: Bool (batch, time, time), True where a step (row) may see another.
        training: Whether weights are dropped.

    Returns:
        Float (batch, time, width).

    Raises:
        ValueError: A width is below 1, the inputs have another rank, or the position does not fit.

    Example:
        >>> layer = GatedAttentionUnit(inner_width=16, head_width=4)
        >>> tuple(layer(ops.ones((2, 5, 8))).shape)
        (2, 5, 8)

    References:
        Weizhe Hua et al., Transformer Quality in Linear Time, 2022.
        Su Jianlin, FLASH:可能是近来最有意思的高效Transformer设计, 2022 (archives/8934);
        门控注意力单元(GAU)还需要Warmup吗?, 2022 (archives/8990).
    """

    def __init__(
        self,
        inner_width: int,
        head_width: int = 128,
        *,
        softmax: bool = False,
        causal: bool = False,
        position: RelativePosition | None = None,
        activation="silu",
        dropout: float = 0.0,
        use_bias: bool = False,
        kernel_initializer="glorot_uniform",
        seed: int | None = None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        for name, value in (("inner_width", inner_width), ("head_width", head_width)):
            if value < 1:
                raise ValueError(f"`{name}` must be at least 1. Received: {name}={value}.")
        if position is not None and type(position).vectors is not RelativePosition.vectors:
            raise ValueError(
                "`position` must turn or add numbers, as Rotary, T5Bias and ALiBi do. "
                f"Received: {type(position).__name__}."
            )
        self.inner_width = inner_width
        self.head_width = head_width
        self.softmax = softmax
        self.causal = causal
        self.position = position
        self.activation = activations.get(activation)
        self.dropout = dropout
        self.use_bias = use_bias
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.seed = seed
        self.supports_masking = True

    def build(self, input_shape):
        if len(input_shape) != 3:
            raise ValueError(
                "`inputs` must have the shape (batch, time, width). "
                f"Received: {tuple(input_shape)}."
            )
        if self.position is not None:
            self.position.check(1, self.head_width, self.inner_width)
            if not self.position.built:
                self.position.build()
        inner, head, width = self.inner_width, self.head_width, input_shape[-1]
        self.gate = self._dense(0, "gate", input_shape, inner, self.activation)
        self.value = self._dense(1, "value", input_shape, inner, self.activation)
        self.shared = self._dense(2, "shared", input_shape, head, self.activation)
        self.output_projection = self._dense(3, "output", (*input_shape[:-1], inner), width)
        self.query = self._scale_offset("query", input_shape)
        self.key = self._scale_offset("key", input_shape)
        self.drop = keras.layers.Dropout(
            self.dropout, seed=self.seed, dtype=self.dtype_policy, name="dropout"
        )

    def _dense(self, number, name, shape, width, activation=None):
        dense = keras.layers.Dense(
            width,
            activation=activation,
            use_bias=self.use_bias,
            kernel_initializer=independent(self.kernel_initializer, number),
            dtype=self.dtype_policy,
            name=name,
        )
        dense.build(shape)
        return dense

    def _scale_offset(self, name, shape):
        layer = ScaleOffset(dtype=self.dtype_policy, name=name)
        layer.build((*shape[:-1], self.head_width))
        return layer

    def call(self, inputs, mask=None, attention_mask=None, training=None):
        mask, pairs = as_mask(mask), as_pair_mask(attention_mask)
        x = apply_mask(inputs, mask)
        gate, value, shared = self.gate(x), self.value(x), self.shared(x)
        scores = self._scores(self.query(shared), self.key(shared))
        seen = self._seen(scores, mask, pairs)
        weights = ops.cast(self._weigh(scores, seen), value.dtype)
        weights = self.drop(weights, training=training)
        output = self.output_projection(gate * ops.matmul(weights, value))
        return apply_mask(output, mask)

    def _scores(self, query, key):
        """Scaled products, float32 (batch, query, key)."""
        bias = None
        if self.position is not None:
            place = ops.arange(ops.shape(query)[1], dtype="int32")
            turned = self.position.rotate(query[:, :, None], key[:, :, None], place)
            query, key = (x[:, :, 0] for x in turned)
            bias = self.position.bias(distances(query))
        # Scaled first: in float16 the product of wide heads could overflow before it is scaled.
        query = query * ops.cast(1 / math.sqrt(self.head_width), query.dtype)
        scores = ops.cast(ops.einsum("bqs,bks->bqk", query, key), "float32")
        return scores if bias is None else scores + ops.cast(bias, "float32")

    def _seen(self, scores, mask, pairs):
        """Who sees whom, bool (1 or batch, query, key)."""
        time = ops.shape(scores)[1]
        seen = causal_mask(time) if self.causal else ops.ones((time, time), "bool")
        seen = seen[None]
        if mask is not None:
            seen = ops.logical_and(seen, mask[:, None, :])
        if pairs is not None:
            seen = ops.logical_and(seen, pairs)
        return seen

    def _weigh(self, scores, seen):
        if self.softmax:
            return masked_softmax(scores, seen)
        count = ops.sum(ops.cast(seen, "float32"), axis=-1, keepdims=True)
        return ops.where(seen, activations.squared_relu(scores), 0.0) / ops.maximum(count, 1.0)

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        names = ("inner_width", "head_width", "softmax", "causal", "dropout", "use_bias", "seed")
        config = {name: getattr(self, name) for name in names}
        config["position"] = keras.saving.serialize_keras_object(self.position)
        config["activation"] = keras.activations.serialize(self.activation)
        config["kernel_initializer"] = keras.initializers.serialize(self.kernel_initializer)
        return {**super().get_config(), **config}

    @classmethod
    def from_config(cls, config):
        position = keras.saving.deserialize_keras_object(config["position"])
        return super().from_config({**config, "position": position})
