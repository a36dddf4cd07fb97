"""A model that tags sequences: it learns by the loss of its head and answers what that decodes."""

import keras
from keras import ops

from taolu.nn.differentiate import run_step
from taolu.nn.layers.tag_head import TagHead
from taolu.nn.step_model import StepModel


@keras.saving.register_keras_serializable(package="taolu")
class TagModel(StepModel):
    """A functional model that ends in a head such as `CRF`: `fit` on labels, `predict` labels.

        model = TagModel(inputs, CRF()(scores))

    What the graph computes are scores, which alone say nothing: only the head knows the rest. So
    the loss and the decoder of the head go with the model, on every backend and through a file.
    Calling the model gives the scores, `predict` and `predict_on_batch` what the head decodes: the
    best paths, or the spans of a `GlobalPointer`.

    The loss is the mean over the sequences of a batch of the loss of the head, which is a sum over
    the steps of a sequence; with weights, of its product with them. `evaluate` also gives
    `accuracy`, the share of the real steps with a known label whose label is predicted, or whatever
    the head calls right (`agreement`). No loss is given to `compile`.

    Masking: the mask that Keras carries along the graph up to the head tells which steps are real.

    Args:
        As `keras.Model(inputs, outputs)`; `outputs` is the output of a head.

    Raises:
        ValueError: The model does not end in exactly one head.

    Example:
        >>> from taolu.nn.layers import CRF
        >>> keras.utils.set_random_seed(0)
        >>> inputs = keras.Input((4,), dtype="int32")
        >>> scores = keras.layers.Embedding(3, 2, mask_zero=True)(inputs)
        >>> model = TagModel(inputs, CRF()(scores))
        >>> model.compile(keras.optimizers.Adam(0.3))
        >>> x = ops.convert_to_numpy([[1, 2, 2, 0], [2, 1, 0, 0]])
        >>> _ = model.fit(x, x - 1, epochs=10, verbose=0)  # the labels of padding are not read
        >>> model.predict_on_batch(x).tolist()
        [[0, 1, 1, -1], [1, 0, -1, -1]]

    References:
        Su Jianlin, 简明条件随机场CRF介绍, 2018 (archives/5542).
    """

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        heads = [layer for layer in self.layers if isinstance(layer, TagHead)]
        if len(heads) != 1 or self.outputs[0]._keras_history.operation is not heads[0]:
            raise ValueError(
                "`outputs` must be the output of a head such as CRF, the only one of the model. "
                f"Received: {len(heads)} heads among the layers."
            )
        self._accuracy = keras.metrics.Mean(name="accuracy")

    @property
    def head(self):
        """The last layer, which knows what paths are worth."""
        return self.outputs[0]._keras_history.operation

    def step(self, data):
        """Takes a step on the loss of the head."""
        x, labels, weight = keras.utils.unpack_x_y_sample_weight(data)
        variables = self.trainable_variables
        loss, gradients = self.value_and_grad(
            lambda: self._loss(x, labels, weight, training=True)[0], variables
        )
        self.update(gradients, variables)
        logs = self.record(loss, x)
        return {name: value for name, value in logs.items() if name != "accuracy"}

    def measure(self, data):
        """Gives the loss of the head, and the share of its answers that are right."""
        x, labels, weight = keras.utils.unpack_x_y_sample_weight(data)
        loss, scores = self._loss(x, labels, weight, training=False)
        self._accuracy.update_state(*self.head.agreement(labels, scores, _mask(scores)))
        return self.record(loss, x)

    def predict_step(self, *arguments):
        """Gives what the head decodes instead of scores."""

        def decode(data):
            x, _, _ = keras.utils.unpack_x_y_sample_weight(data)
            scores = self(x, training=False)
            return self.head.decode(scores, _mask(scores))

        found = run_step(decode, arguments, self._weights)
        # On JAX Keras wants the second part of the state, as only that may have changed.
        return (found[0], found[1][1]) if isinstance(found, tuple) else found

    def _loss(self, x, labels, weight, training):
        """The mean loss with what the layers add to it, and the scores."""
        scores = self(x, training=training)
        each = self.head.loss(labels, scores, _mask(scores))
        if weight is not None:
            each = each * ops.cast(weight, each.dtype)
        return ops.mean(each) + sum(self.losses), scores


def _mask(scores):
    """The mask that Keras hands on with a tensor, all True where there is none."""
    return _Reader(name="mask_reader", autocast=False)(scores)


class _Reader(keras.layers.Layer):
    """Gives the mask of its input; where Keras keeps it differs between backends."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.supports_masking = True

    def call(self, inputs, mask=None):
        if mask is None:
            size = ops.shape(inputs)  # the steps are the last axis but one, in every head
            return ops.ones((size[0], size[-2]), "bool")
        return ops.copy(mask)

    def compute_mask(self, inputs, previous_mask=None):
        return None
