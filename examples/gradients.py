"""Gradients of any order, and one train step of one's own that runs on JAX, torch and TensorFlow.

python examples/gradients.py

The environment variable KERAS_BACKEND chooses the backend; every line printed is the same.
"""

import numpy as np

from taolu.nn.differentiate import StepModel, grad, override, value_and_grad

import keras  # isort: skip  (taolu.nn chooses the backend first)
from keras import layers, ops  # isort: skip


def show(title: str, *numbers) -> None:
    values = [np.ravel(ops.convert_to_numpy(number)) for number in numbers]
    print(f"{title}: {' '.join(f'{value:.3f}' for value in np.concatenate(values))}")


class FastGradient(StepModel):
    """Trains at the worst point near the input as well: x + epsilon g / |g|, with g = dL/dx."""

    epsilon = 0.1

    def step(self, data):
        x, y, _ = keras.utils.unpack_x_y_sample_weight(data)

        def objective(point):
            prediction = self(point, training=True)
            return self.compute_loss(x, y, prediction), prediction

        slope = self.value_and_grad(lambda point: objective(point)[0], x)[1]
        length = ops.sqrt(ops.sum(slope**2, axis=-1, keepdims=True)) + 1e-12
        worst = ops.stop_gradient(x + self.epsilon * slope / length)

        def both():
            loss, prediction = objective(x)
            return loss + objective(worst)[0], (loss, prediction)

        variables = self.trainable_variables
        (_, (loss, prediction)), gradients = self.value_and_grad(both, variables, has_aux=True)
        self.update(gradients, variables)
        return self.record(loss, x, y, prediction)


def main() -> None:
    # With respect to a tensor: x^3, its slope 3 x^2, the slope of that 6 x.
    x = np.array([1.0, 2.0], "float32")
    show("slope of x^3", grad(lambda t: ops.sum(t**3), x))
    show("its slope", grad(lambda t: ops.sum(grad(lambda s: ops.sum(s**3), t)), x))

    # With respect to a Variable, with the value: w^2 and 2 w.
    w = keras.Variable(3.0)
    show("w^2 and its slope", *value_and_grad(lambda: w**2, w))
    with override([(w, 5.0)]):
        show("the same where w is 5", *value_and_grad(lambda: w**2, w))
    show("and w is still", w)

    # A penalty on the slope by the input of a linear critic: (|a| - 1)^2 with a = (3, 4).
    critic = layers.Dense(1)
    critic.build((None, 2))
    critic.kernel.assign([[3.0], [4.0]])

    def penalty():
        slopes = grad(lambda t: ops.sum(critic(t)), np.ones((5, 2), "float32"))
        return ops.mean((ops.sqrt(ops.sum(slopes**2, axis=-1)) - 1) ** 2)

    show("penalty and its slope by a", *value_and_grad(penalty, critic.kernel))

    # A step of one's own in `fit`: logistic regression against small attacks.
    rng = np.random.default_rng(0)
    points = rng.normal(size=(256, 2)).astype("float32")
    labels = (points[:, :1] > 0).astype("float32")
    inputs = keras.Input((2,))
    outputs = layers.Dense(1, activation="sigmoid", kernel_initializer="zeros")(inputs)
    model = FastGradient(inputs, outputs)
    model.compile(keras.optimizers.SGD(1.0), "binary_crossentropy", metrics=["accuracy"])
    losses = model.fit(points, labels, batch_size=64, epochs=5, shuffle=False, verbose=0)
    show("loss by epoch", *losses.history["loss"])


if __name__ == "__main__":
    main()
