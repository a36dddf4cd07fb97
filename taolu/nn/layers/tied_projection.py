"""An output projection tied to an embedding: what reads a word also writes it.

    y = f(x E^T + b)

The matrix E belongs to the embedding; the projection owns only b. Both ends train the one matrix,
and its gradient is the sum of what each would have got by itself.
"""

import keras
from keras import ops

from taolu.nn import activations


@keras.saving.register_keras_serializable(package="taolu")
class TiedProjection(keras.layers.Layer):
    """Scores of all ids: the input against every row of an embedding, plus a bias.

    The matrix is read inside the call, so it is always the present one. In a model file it stands
    once, and after loading the two layers share it again.

    Masking: each step is computed by itself, so padding cannot leak; the mask is passed on.

    Args:
        embedding: The owner of the matrix: `keras.layers.Embedding` or `ReversibleEmbedding`.
            It must be built, or called, before this layer is.
        activation: `f`, a name or a function.
        use_bias: Whether there is a bias, one number for each id.

    Call arguments:
        inputs: Float (batch, ..., width), of the width of the embedding.

    Returns:
        Float (batch, ..., ids): one score for each row of the embedding.

    Raises:
        ValueError: `embedding` is no embedding, is not built yet, has a matrix of its own for the
            way back, or has another width than the inputs.

    Example:
        >>> embedding = keras.layers.Embedding(9, 4)
        >>> x = embedding(ops.array([[1, 2]]))
        >>> layer = TiedProjection(embedding)
        >>> tuple(layer(x).shape), tuple(layer.bias.shape)
        ((1, 2, 9), (9,))

    References:
        Ofir Press, Lior Wolf, Using the Output Embedding to Improve Language Models, 2017.
        Su Jianlin, “让Keras更酷一些!”:层与模型的重用技巧, 2019 (archives/6985).
    """

    def __init__(self, embedding, activation="linear", use_bias: bool = True, **kwargs):
        super().__init__(**kwargs)
        if not isinstance(embedding, keras.layers.Embedding):
            raise ValueError(
                f"`embedding` must be an Embedding of Keras. Received: {type(embedding).__name__}."
            )
        if not getattr(embedding, "tie_weights", True):
            raise ValueError(
                "`embedding` must not have a matrix of its own for the way back; call it with "
                "`reverse=True` instead. Received: tie_weights=False."
            )
        self.embedding = embedding
        self.activation = activations.get(activation)
        self.use_bias = use_bias
        self.supports_masking = True

    def build(self, input_shape):
        if not self.embedding.built:
            raise ValueError(
                "`embedding` must be built before what is tied to it: call it first, or "
                f"`embedding.build()`. Received: {self.embedding.name}, not built."
            )
        if input_shape[-1] != self.embedding.output_dim:
            raise ValueError(
                "`inputs` must have the width of the embedding. Received: inputs of shape "
                f"{tuple(input_shape)}, embedding of width {self.embedding.output_dim}."
            )
        self.bias = None
        if self.use_bias:
            self.bias = self.add_weight((self.embedding.input_dim,), "zeros", name="bias")

    def call(self, inputs):
        table = ops.cast(self.embedding.embeddings, inputs.dtype)
        y = ops.matmul(inputs, ops.transpose(table))
        return self.activation(y if self.bias is None else y + self.bias)

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], self.embedding.input_dim)

    def get_config(self):
        config = {
            "embedding": keras.saving.serialize_keras_object(self.embedding),
            "activation": keras.activations.serialize(self.activation),
            "use_bias": self.use_bias,
        }
        return {**super().get_config(), **config}

    @classmethod
    def from_config(cls, config):
        embedding = keras.saving.deserialize_keras_object(config["embedding"])
        return super().from_config({**config, "embedding": embedding})
