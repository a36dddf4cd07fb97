"""An optimizer around another one: what every wrapper of this room shares.

Learning rate, schedule and step count stay with the inner optimizer, so a wrapped optimizer is
used, logged, saved and resumed like a plain one.
"""

from collections.abc import Iterator

import keras


class OptimizerWrapper(keras.optimizers.Optimizer):
    """An optimizer that keeps its learning rate and its clock in an inner optimizer.

    Args:
        inner: The Keras optimizer to wrap.
        name: Name of the wrapper.
        **settings: Arguments of every Keras optimizer, for a wrapper that uses them.

    Raises:
        TypeError: `inner` is not a Keras optimizer.
    """

    def __init__(self, inner, name=None, **settings):
        if not isinstance(inner, keras.optimizers.Optimizer):
            raise TypeError(f"`inner` must be a Keras optimizer. Received: inner={inner!r}.")
        # The rate of the wrapper itself is never read; `inner` has the real one.
        super().__init__(learning_rate=0.0, name=name, **settings)
        self.inner = inner

    @property
    def variables(self):
        """Every variable to be saved: those of the wrapper, then those of `inner`."""
        return self._variables + self.inner.variables

    @property
    def learning_rate(self):
        """The learning rate of `inner`."""
        return self._get_current_learning_rate()

    @learning_rate.setter
    def learning_rate(self, learning_rate):
        self.inner.learning_rate = learning_rate

    def _get_current_learning_rate(self):
        return self.inner.learning_rate

    def _variables_of_step(self, grads, trainable_variables):
        """The variables that a step is for; the first step builds the optimizer for them."""
        if trainable_variables is None:
            if not self.built:
                raise ValueError(
                    "`trainable_variables` must be given at the first step. Received: None."
                )
            trainable_variables = self._trainable_variables
        variables = list(trainable_variables)
        if len(grads) != len(variables):
            raise ValueError(
                "`grads` must have one entry for each variable. "
                f"Received: {len(grads)} gradients and {len(variables)} variables."
            )
        self.build(variables)
        return variables

    def exclude_from_weight_decay(self, var_list=None, var_names=None):
        """Passes the exclusion on to `inner`, which does the decaying."""
        self.inner.exclude_from_weight_decay(var_list, var_names)

    def get_config(self):
        return {"name": self.name, "inner": keras.saving.serialize_keras_object(self.inner)}

    @classmethod
    def from_config(cls, config, custom_objects=None):
        inner = keras.saving.deserialize_keras_object(
            config["inner"], custom_objects=custom_objects
        )
        return cls(**{**config, "inner": inner})


def members(optimizer: keras.optimizers.Optimizer) -> Iterator[keras.optimizers.Optimizer]:
    """Yields an optimizer and, outermost first, every optimizer inside it.

    Args:
        optimizer: A plain optimizer or nested wrappers, those of Keras included.

    Example:
        >>> nested = keras.optimizers.LossScaleOptimizer(keras.optimizers.Adam())
        >>> [type(member).__name__ for member in members(nested)]
        ['LossScaleOptimizer', 'Adam']
    """
    yield optimizer
    inner = getattr(optimizer, "inner_optimizer", None) or getattr(optimizer, "inner", None)
    for member in [inner] if inner else getattr(optimizer, "optimizers", ()):
        yield from members(member)
