"""Evaluation on the slow weights of Lookahead, inside `fit` and outside."""

import keras

from taolu.nn.optimizers.lookahead import Lookahead
from taolu.nn.optimizers.wrapper import members


class SlowWeights(keras.callbacks.Callback):
    """Evaluates and predicts with the slow weights of the model's `Lookahead`.

    Validation inside `fit` then judges what `fit` will leave behind.

    Raises:
        ValueError: The model is not trained by a `Lookahead`.

    Example:
        >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
        >>> model.compile(Lookahead(keras.optimizers.SGD(0.1)), "mse")
        >>> x, y = keras.ops.ones((8, 2)), keras.ops.ones((8, 1))
        >>> history = model.fit(
        ...     x, y, validation_data=(x, y), callbacks=[SlowWeights()], verbose=0)
        >>> len(history.history["val_loss"])
        1
    """

    def _enter(self):
        optimizers = members(self.model.optimizer)
        lookahead = next((o for o in optimizers if isinstance(o, Lookahead)), None)
        if lookahead is None:
            raise ValueError(
                "SlowWeights needs a model trained by Lookahead. "
                f"Received: optimizer={self.model.optimizer.name!r}."
            )
        self._slow = lookahead.slow_weights()
        self._slow.__enter__()

    def _leave(self):
        self._slow.__exit__(None, None, None)

    def on_test_begin(self, logs=None):
        """Puts the slow weights in."""
        self._enter()

    def on_test_end(self, logs=None):
        """Puts the fast weights back."""
        self._leave()

    def on_predict_begin(self, logs=None):
        """Puts the slow weights in."""
        self._enter()

    def on_predict_end(self, logs=None):
        """Puts the fast weights back."""
        self._leave()
