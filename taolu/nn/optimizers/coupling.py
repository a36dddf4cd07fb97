"""A callback that moves the momentum along with the learning rate."""

import keras
from keras import ops

from taolu.nn.optimizers.dynamics import couple
from taolu.nn.optimizers.wrapper import members


class MomentumLRCoupler(keras.callbacks.Callback):
    """Keeps the friction of momentum when the learning rate changes.

    At the start of every epoch the momentum becomes `1 - (1 - momentum) sqrt(rate / reference)`,
    from a pair of values that belong together. Without it, a quarter of the rate alone doubles
    the friction of the ball. Put it after the callbacks that set the rate; a schedule is followed
    epoch by epoch.

    `HalfNesterov` takes the new momentum as it is. In `keras.optimizers.SGD` the momentum is a
    number that a compiled step has read, so each change compiles the step anew.

    Args:
        reference: Learning rate that belongs to `momentum`; by default the rate with which
            training begins. Needed where that rate is 0, as in a warm-up.
        momentum: Momentum at that rate; by default that of the optimizer when training begins.
            Give both where training is resumed.

    Raises:
        ValueError: The reference is not above 0, or the optimizer has no momentum.

    Example:
        >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
        >>> from taolu.nn.optimizers import HalfNesterov
        >>> model.compile(HalfNesterov(0.4, momentum=0.9), "mse")
        >>> slower = keras.callbacks.LearningRateScheduler(lambda epoch: 0.4 / 4**epoch)
        >>> history = model.fit(ops.ones((4, 2)), ops.ones((4, 1)), epochs=2, verbose=0,
        ...     callbacks=[slower, MomentumLRCoupler(reference=0.4)])
        >>> print(model.optimizer.momentum.numpy().round(4))
        0.95

    References:
        Su Jianlin, 从动力学角度看优化算法(一):从SGD到动量加速, 2018 (archives/5655).
    """

    def __init__(self, reference=None, momentum=None):
        super().__init__()
        self.reference = reference
        self.momentum = momentum
        self._first: tuple[float, ...] = ()  # the pair that the friction comes from

    def on_train_begin(self, logs=None):
        """Notes the rate and the momentum to start from."""
        if self._first:
            return  # a second `fit` goes on from the same reference
        optimizer = self._optimizer()
        reference = _number(optimizer.learning_rate) if self.reference is None else self.reference
        if not reference > 0:
            raise ValueError(
                "`reference` must be a learning rate above 0, to which the momentum belongs. "
                f"Received: {reference}."
            )
        momentum = _number(optimizer.momentum) if self.momentum is None else self.momentum
        self._first = reference, momentum

    def on_epoch_begin(self, epoch, logs=None):
        """Moves the momentum to where the rate has gone."""
        optimizer = self._optimizer()
        reference, momentum = self._first
        new = couple(momentum, _number(optimizer.learning_rate) / reference)
        if abs(new - _number(optimizer.momentum)) < 1e-7:
            return
        fixed = not isinstance(optimizer.momentum, keras.Variable)
        optimizer.momentum = new
        if fixed:
            self.model.make_train_function(force=True)

    def _optimizer(self):
        *_, plain = members(self.model.optimizer)
        if not _number(getattr(plain, "momentum", 0)) > 0:
            raise ValueError(
                "MomentumLRCoupler needs an optimizer with momentum. "
                f"Received: optimizer={plain.name!r}."
            )
        return plain


def _number(value):
    return float(ops.convert_to_numpy(value))
