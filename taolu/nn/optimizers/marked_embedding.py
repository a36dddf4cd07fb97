"""An embedding that tells the optimizer which rows a batch has used.

An optimizer sees gradients and nothing else, so the marks travel as one: the loss gets the term
`sum over ids of m[id] - stop_gradient(m[id])`, which is zero and whose gradient with respect to
m is the count of each id in the batch.
"""

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="taolu")
class MarkedEmbedding(keras.layers.Embedding):
    """A Keras embedding with a count of how often the last batch used each row.

    With `Lazy` it decides exactly which rows a batch touches: a gradient may be zero by
    underflow, and a regulariser gives every row one. Any other optimizer writes the counts and is
    not disturbed. A training step must add the `losses` of the model, as `fit` does.

    Masking: as `keras.layers.Embedding`; padding counts as a use of its row unless `Lazy` is told
    to keep that row fixed.

    Args:
        input_dim: Number of rows.
        output_dim: Width of a row.
        **kwargs: As for `keras.layers.Embedding`.

    Call arguments:
        inputs: Integer ids (batch, time).

    Example:
        >>> layer = MarkedEmbedding(5, 2)
        >>> layer(ops.convert_to_tensor([[0, 3, 3]])).shape[-1]
        2
        >>> [variable.name for variable in layer.trainable_variables]
        ['embeddings', 'marks']
    """

    def build(self, input_shape=None):
        super().build(input_shape)
        self.marks = self.add_weight(
            shape=(self.input_dim,),
            initializer="zeros",
            dtype="float32",
            autocast=False,
            name="marks",
        )
        # Keras stores the gradient of such a variable as its value, in every optimizer.
        self.marks.overwrite_with_gradient = True
        self.embeddings.marks = self.marks

    def call(self, inputs):
        used = ops.take(self.marks, ops.cast(inputs, "int32"), axis=0)
        self.add_loss(ops.sum(used - ops.stop_gradient(used)))
        return super().call(inputs)

    @property
    def variable_serialization_spec(self):
        """Names of the variables to save, in order, by mode of quantisation."""
        spec = super().variable_serialization_spec
        return {mode: [*names, "marks"] for mode, names in spec.items()}
