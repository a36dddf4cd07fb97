"""Momentum whose gradient is taken half-way ahead, the balanced variant of Nesterov's method."""

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="taolu")
class HalfNesterov(keras.optimizers.Optimizer):
    """SGD with momentum, with the gradient at `theta + reach momentum v`.

    `v <- momentum v - rate grad L(theta + reach momentum v)`, `theta <- theta + v`. What the
    model stores is the point ahead, `x = theta + reach momentum v`. Put in,

        x' = x - reach momentum v + (1 + reach momentum) v'
           = x + (1 + reach momentum - reach) v' - reach rate grad L(x)

    because `momentum v = v' + rate grad L(x)`. The implicit midpoint of the ball with friction
    gives a reach of 1/2; 1 is Nesterov's method as Keras has it, 0 plain momentum. The momentum
    is a variable, so that a callback such as `MomentumLRCoupler` can change it under jit.

    Args:
        learning_rate: Rate, schedule or callable as in Keras.
        momentum: Share of v that is kept, in [0, 1].
        reach: How far ahead the gradient is taken, in [0, 1].
        **kwargs: Arguments of every Keras optimizer.

    Raises:
        ValueError: `momentum` or `reach` is out of range.

    Example:
        >>> weight = keras.Variable(1.0)
        >>> optimizer = HalfNesterov(0.1, momentum=0.9)
        >>> for _ in range(2):
        ...     optimizer.apply([ops.copy(weight)], [weight])
        >>> print(weight.numpy().round(4))
        0.6455

    References:
        Su Jianlin, 从动力学角度看优化算法(一):从SGD到动量加速, 2018 (archives/5655).
    """

    def __init__(self, learning_rate=0.01, momentum=0.9, reach=0.5, **kwargs):
        for name, value in (("momentum", momentum), ("reach", reach)):
            if not 0 <= value <= 1:
                raise ValueError(f"`{name}` must be in [0, 1]. Received: {name}={value}.")
        super().__init__(learning_rate, **kwargs)
        constant = keras.initializers.Constant(momentum)
        self._momentum = self.add_variable((), initializer=constant, name="momentum")
        self.reach = reach

    @property
    def momentum(self):
        """The momentum, a variable; assign a number to change it."""
        return self._momentum

    @momentum.setter
    def momentum(self, value):
        self._momentum.assign(value)

    def build(self, variables):
        if self.built:
            return
        super().build(variables)
        self._displacements = self.add_optimizer_variables(variables, "displacement")

    def update_step(self, gradient, variable, learning_rate):
        """Moves one variable."""
        rate = ops.cast(learning_rate, variable.dtype)
        gradient = ops.cast(gradient, variable.dtype)
        momentum = ops.cast(self._momentum, variable.dtype)
        displacement = self._displacements[self._get_variable_index(variable)]
        push = gradient * rate
        new = ops.convert_to_tensor(displacement) * momentum - push
        self.assign(displacement, new)
        share = 1 - self.reach * (1 - momentum)
        self.assign_add(variable, share * new - self.reach * push)

    def get_config(self):
        momentum = float(ops.convert_to_numpy(self._momentum))
        # Written in float32: the shortest number that says the same.
        config = {"momentum": float(f"{momentum:.7g}"), "reach": self.reach}
        return {**super().get_config(), **config}
