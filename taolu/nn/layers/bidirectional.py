"""A causal layer run in both directions over the real steps of each row.

    y_t = merge(forward(x)_t, backward(reversed x)_{len - 1 - t})

Only what is real is reversed: a layer that runs backwards over the whole row reads padding before
text, and multiplying by the mask afterwards cannot take back what it has then seen.
"""

import inspect

import keras
from keras import ops

from taolu.nn.masking import apply_mask, as_mask, compact, reverse_sequence, spread

MERGES = ("concat", "sum", "mul", "ave", None)


@keras.saving.register_keras_serializable(package="taolu")
class Bidirectional(keras.layers.Layer):
    """A layer reading forwards, another reading backwards, and their answers merged.

    The layer may be an RNN of Keras (LSTM, GRU, ...), a recurrent cell, or any layer of sequences
    in which a step sees only itself and the past: a scan, a causal convolution. It need not know
    masks: real steps are moved to the front before it runs, and back afterwards. For RNNs with a
    mask `keras.layers.Bidirectional` gives the same numbers.

    Masking: padding changes no real step, wherever it stands; padded steps give zeros. The mask is
    passed on, or consumed where the layer gives one vector for a row.

    Args:
        layer: The layer or cell that reads forwards.
        backward: The layer or cell that reads backwards. Default: one like `layer`, with weights
            of its own.
        merge: "concat", "sum", "mul", "ave", or None for both answers as a pair.

    Call arguments:
        inputs: Float (batch, time, width).
        mask: Bool (batch, time) or (batch, time, 1), True where a step is real.
        training: Handed to the layers that take it.

    Returns:
        Float (batch, time, width of the layer), twice as wide when concatenated; without the axis
        of time where the layer is an RNN with `return_sequences=False`.

    Raises:
        ValueError: `merge` is unknown, `layer` is no layer, or it gives one vector for a row and
            takes no mask.

    Example:
        >>> layer = Bidirectional(keras.layers.GRUCell(4))
        >>> tuple(layer(ops.ones((2, 5, 3))).shape)
        (2, 5, 8)

    References:
        Mike Schuster, Kuldip Paliwal, Bidirectional Recurrent Neural Networks, 1997.
        Su Jianlin, “让Keras更酷一些!”:层中层与mask, 2019 (archives/6810).
    """

    def __init__(self, layer, backward=None, merge: str | None = "concat", **kwargs):
        super().__init__(**kwargs)
        if merge not in MERGES:
            raise ValueError(f"`merge` must be one of {MERGES}. Received: merge={merge!r}.")
        self.layer = _sequence_layer("layer", layer)
        if backward is None:
            config = self.layer.get_config()
            backward = type(self.layer).from_config({**config, "name": f"{config['name']}_back"})
        self.backward = _sequence_layer("backward", backward)
        self.merge = merge
        self.supports_masking = True

    def build(self, input_shape):
        for layer in (self.layer, self.backward):
            if not layer.built:
                layer.build(input_shape)
            if len(self._shape(layer, input_shape)) != 3 and not _takes(layer, "mask"):
                raise ValueError(
                    "`layer` must give a vector for each step unless it takes a mask. "
                    f"Received: {type(layer).__name__}."
                )

    def call(self, inputs, mask=None, training=None):
        mask = as_mask(mask)
        x = apply_mask(inputs, mask)
        there = _run(self.layer, x, mask, training)
        back = _run(self.backward, reverse_sequence(x, mask), mask, training)
        if len(back.shape) == 3:
            there, back = apply_mask(there, mask), reverse_sequence(apply_mask(back, mask), mask)
        return self._merge(there, back)

    def _merge(self, there, back):
        if self.merge == "concat":
            return ops.concatenate([there, back], axis=-1)
        if self.merge == "sum":
            return there + back
        if self.merge == "mul":
            return there * back
        return (there + back) / 2 if self.merge == "ave" else (there, back)

    def compute_mask(self, inputs, previous_mask=None):
        sequences = len(self._shape(self.layer, inputs.shape)) == 3
        mask = previous_mask if sequences else None
        return (mask, mask) if self.merge is None else mask

    def compute_output_shape(self, input_shape):
        shape = self._shape(self.layer, input_shape)
        if self.merge is None:
            return shape, shape
        return (*shape[:-1], 2 * shape[-1]) if self.merge == "concat" else shape

    def _shape(self, layer, input_shape):
        return tuple(layer.compute_output_shape(tuple(input_shape)))

    def get_config(self):
        config = {"layer": self.layer, "backward": self.backward}
        config = {name: keras.saving.serialize_keras_object(x) for name, x in config.items()}
        return {**super().get_config(), **config, "merge": self.merge}

    @classmethod
    def from_config(cls, config):
        names = ("layer", "backward")
        layers = {name: keras.saving.deserialize_keras_object(config[name]) for name in names}
        return super().from_config({**config, **layers})


def _sequence_layer(name, layer):
    """The layer, or a cell as a layer that gives every step."""
    if not isinstance(layer, keras.layers.Layer):
        raise ValueError(f"`{name}` must be a Keras layer or cell. Received: {layer!r}.")
    if hasattr(layer, "state_size") and not isinstance(layer, keras.layers.RNN):
        return keras.layers.RNN(layer, return_sequences=True, dtype=layer.dtype_policy)
    for flag in ("return_state", "stateful", "go_backwards"):
        if getattr(layer, flag, False):
            raise ValueError(
                f"`{name}` must read forwards and neither return nor keep its state. "
                f"Received: {type(layer).__name__}({flag}=True)."
            )
    return layer


def _takes(layer, argument):
    return argument in inspect.signature(layer.call).parameters


def _run(layer, x, mask, training):
    options = {"training": training} if _takes(layer, "training") else {}
    if _takes(layer, "mask"):
        return layer(x, mask=mask, **options)
    if mask is None:
        return layer(x, **options)
    return spread(layer(compact(x, mask), **options), mask)
