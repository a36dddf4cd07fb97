"""Lookahead: what slow weights cost without noise, and what they bring with it.

python examples/lookahead.py

The inner optimizer takes five steps, the slow weights follow half-way, and the inner one starts
again from there.
"""

import numpy as np

from taolu.nn.optimizers import Lookahead  # before Keras, for which it chooses the backend

# isort: split
import keras
from keras import ops

SGD = keras.optimizers.SGD


def without_noise() -> None:
    weight = keras.Variable([1.0, 2.0])
    optimizer = Lookahead(SGD(0.1), period=5, rate=0.5)
    for _ in range(10):
        optimizer.apply([2 * ops.convert_to_tensor(weight)], [weight])
    plain = 0.8**10 * np.array([1.0, 2.0])
    print(f"ten steps on the sum of squares: {weight.numpy()}, plain SGD: {plain.round(4)}")


def with_noise(rate: float, period: int = 5, part: float = 0.5, walkers: int = 4000) -> None:
    """4000 walkers on the parabola x^2 / 2 whose gradient has noise of variance 1."""
    rng = np.random.default_rng(0)
    weight = keras.Variable(np.zeros(walkers, "float32"))
    optimizer = Lookahead(SGD(rate), period, part)
    fast, slow = [], []
    for step in range(150):
        before = weight.numpy()
        gradient = before + rng.normal(size=walkers).astype("float32")
        optimizer.apply([ops.convert_to_tensor(gradient)], [weight])
        if step >= 100 and (step + 1) % period == 0:
            fast.append(before - rate * gradient)  # where the fast weights were
            slow.append(weight.numpy())
    kept = (1 - rate) ** period
    exact = part**2 * (1 - kept**2) / (1 - (1 - part + part * kept) ** 2)
    plain = rate**2 / (1 - (1 - rate) ** 2)
    print(
        f"{rate:5.2f} {plain:10.4f} {np.var(fast):10.4f} {np.var(slow):10.4f}"
        f" {np.var(slow) / plain:10.3f} {exact:10.3f}"
    )


def main() -> None:
    without_noise()
    print("\n rate  plain SGD       fast       slow  slow/plain  by theory   (variances)")
    for rate in (0.05, 0.1, 0.3):
        with_noise(rate)

    weight = keras.Variable(1.0)
    optimizer = Lookahead(SGD(0.1))
    for _ in range(7):
        optimizer.apply([ops.convert_to_tensor(weight)], [weight])
    with optimizer.slow_weights():
        slow = float(weight.numpy())
    print(f"\nin the middle of a cycle: fast {float(weight.numpy()):.4f}, slow {slow:.4f}")


if __name__ == "__main__":
    main()
