"""What every head that tags sequences promises: scores in, a loss and a decoder beside them."""

import keras
from keras import ops

from taolu.nn.masking import as_mask


class TagHead(keras.layers.Layer):
    """A layer that hands on scores of states, and knows what paths through them are worth.

    Called, it gives its inputs as float32, with their mask: the model stays a graph of plain
    tensors. `loss` and `decode` read these scores; `TagModel` calls them when it trains and
    predicts. Subclasses write both. Those that score something else, as `GlobalPointer` does, also
    write `agreement`; their scores have the steps on the last axis but one, too.
    """

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.supports_masking = True

    def build(self, input_shape):
        if len(input_shape) != 3 or input_shape[-1] is None:
            raise ValueError(
                "`inputs` must be scores of known states, (batch, time, states). "
                f"Received: shape {tuple(input_shape)}."
            )
        self.states = int(input_shape[-1])

    def call(self, inputs, mask=None):
        return ops.cast(inputs, "float32")

    def compute_output_shape(self, input_shape):
        return input_shape

    def compute_output_spec(self, inputs, mask=None):
        return keras.KerasTensor(inputs.shape, "float32")

    def loss(self, labels, scores, mask=None):
        """What is to be minimised, float32 (batch,)."""
        raise NotImplementedError

    def decode(self, scores, mask=None):
        """The states that are taken, int32 (batch, time), -1 where a step is not real."""
        raise NotImplementedError

    def agreement(self, labels, scores, mask=None):
        """Where the answer is right, and where that is known: float32, of one shape, 0 or 1.

        What an accuracy divides: here the real steps with a known label whose label is decoded, and
        all such steps, both (batch, time).

        Args:
            labels: As in `loss`.
            scores: What the layer returned.
            mask: Bool (batch, time) or (batch, time, 1).
        """
        path = self.decode(scores, mask)
        labels = ops.cast(labels, "int32")
        known = ops.logical_and(path >= 0, labels >= 0)
        right = ops.logical_and(known, path == labels)
        return ops.cast(right, "float32"), ops.cast(known, "float32")

    def weight(self, shape, name, initializer, multiplier):
        """A weight of float32 that is stored divided by its learning-rate multiplier."""
        return self.add_weight(
            shape=shape,
            name=name,
            initializer=lambda shape, dtype: initializer(shape, dtype) / multiplier,
            dtype="float32",
            autocast=False,
        )

    def read(self, scores, mask):
        """Scores as float32 and the mask, all True by default; builds the layer if need be.

        Raises:
            ValueError: The scores are not (batch, time, states), or the mask is not one of steps.
        """
        scores = ops.cast(ops.convert_to_tensor(scores), "float32")
        if not self.built:
            self.build(tuple(scores.shape))
        if len(scores.shape) != 3 or scores.shape[-1] != self.states:
            raise ValueError(
                f"`scores` must have the shape (batch, time, {self.states}). "
                f"Received: shape {tuple(scores.shape)}."
            )
        if mask is None:
            return scores, ops.ones(ops.shape(scores)[:2], "bool")
        return scores, as_mask(mask)

    def read_labels(self, labels, scores):
        """Labels as int32.

        Raises:
            ValueError: They are not whole numbers, one for each step.
        """
        labels = ops.convert_to_tensor(labels)
        dtype = keras.backend.standardize_dtype(labels.dtype)
        sizes = zip(labels.shape, scores.shape, strict=False)
        fits = len(labels.shape) == 2 and all(a == b or None in (a, b) for a, b in sizes)
        if "int" not in dtype or not fits:
            raise ValueError(
                f"`labels` must be whole numbers, one for each step of the scores "
                f"{tuple(scores.shape)}. Received: {dtype}, shape {tuple(labels.shape)}."
            )
        return ops.cast(labels, "int32")


def check_multiplier(multiplier):
    """Raises a ValueError unless a learning-rate multiplier is above zero."""
    if not multiplier > 0:
        raise ValueError(
            "`learning_rate_multiplier` must be positive. "
            f"Received: learning_rate_multiplier={multiplier}."
        )
