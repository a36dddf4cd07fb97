"""RMSprop that keeps the direction of the gradient: one step size for all coordinates."""

import math

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="taolu")
class ScalarRMSprop(keras.optimizers.Optimizer):
    """Gradient descent that controls the length of its steps and nothing else.

    `G <- rho G + (1 - rho) ||g||^2 / d`, `theta <- theta - rate g / sqrt(G + epsilon)`, where
    ||g||^2 is summed over all d parameters of the model, or over one tensor with `blockwise`. The
    division by d makes the root mean square of a step about as large as the rate, as with
    RMSprop; plainly `||g||` would make it smaller by a factor of `sqrt(d)`. Squares are summed
    in float32.

    Args:
        learning_rate: Rate, schedule or callable as in Keras.
        rho: Share of G that is kept, in [0, 1).
        epsilon: Added to G inside the root, at least 0.
        blockwise: Whether every tensor has its own G, which keeps directions within tensors only.
        **kwargs: Arguments of every Keras optimizer.

    Raises:
        ValueError: `rho` or `epsilon` is out of range.

    Example:
        >>> weight = keras.Variable([0.0, 0.0])
        >>> optimizer = ScalarRMSprop(1.0, rho=0.0)
        >>> optimizer.apply([ops.convert_to_tensor([3.0, 4.0])], [weight])
        >>> print(weight.numpy().round(3))
        [-0.849 -1.131]

    References:
        Su Jianlin, 从动力学角度看优化算法(二):自适应学习率算法, 2018 (archives/6234).
    """

    def __init__(self, learning_rate=0.001, rho=0.9, epsilon=1e-7, blockwise=False, **kwargs):
        if not 0 <= rho < 1:
            raise ValueError(f"`rho` must be in [0, 1). Received: {rho=}.")
        if not epsilon >= 0:
            raise ValueError(f"`epsilon` must be at least 0. Received: {epsilon=}.")
        super().__init__(learning_rate, **kwargs)
        self.rho = rho
        self.epsilon = epsilon
        self.blockwise = blockwise

    def build(self, variables):
        if self.built:
            return
        super().build(variables)
        count = len(variables) if self.blockwise else 1
        self._mean_squares = [
            self.add_variable((), dtype="float32", name=f"mean_square_{i}") for i in range(count)
        ]

    def _backend_update_step(self, grads, trainable_variables, learning_rate):
        grads = [ops.convert_to_tensor(gradient) for gradient in grads]
        sizes = [math.prod(tuple(variable.shape)) for variable in trainable_variables]
        if self.blockwise:
            blocks = [self._get_variable_index(variable) for variable in trainable_variables]
            parts = zip(blocks, grads, sizes, strict=True)
            scales = [self._scale(block, [g], size) for block, g, size in parts]
        else:
            scales = [self._scale(0, grads, sum(sizes))] * len(grads)
        scaled = [
            gradient * ops.cast(scale, gradient.dtype)
            for gradient, scale in zip(grads, scales, strict=True)
        ]
        super()._backend_update_step(scaled, trainable_variables, learning_rate)

    def _scale(self, block, grads, size):
        """Steps the mean square of a block and returns what its gradients are multiplied by."""
        squares = [ops.sum(ops.square(ops.cast(gradient, "float32"))) for gradient in grads]
        mean_square = self._mean_squares[block]
        mean_square.assign(self.rho * mean_square + (1 - self.rho) * sum(squares) / size)
        total = ops.convert_to_tensor(mean_square) + self.epsilon
        # A gradient that has always been zero stays zero, even without epsilon.
        return ops.where(total > 0, ops.rsqrt(ops.where(total > 0, total, 1.0)), 0.0)

    def update_step(self, gradient, variable, learning_rate):
        """Moves one variable."""
        rate = ops.cast(learning_rate, variable.dtype)
        self.assign_sub(variable, ops.cast(gradient, variable.dtype) * rate)

    def get_config(self):
        config = {"rho": self.rho, "epsilon": self.epsilon, "blockwise": self.blockwise}
        return {**super().get_config(), **config}
