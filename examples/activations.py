"""Activation functions by their numbers: values, slopes, gains, and the ends of half precision.

python examples/activations.py [NAME ...]

Names are those of taolu.nn.activations and of Keras; without any it shows the article's.
"""

import sys

import numpy as np

from taolu.nn import activations
from taolu.nn.differentiate import grad
from taolu.nn.initializers import gain_for, scale_feedback

import keras  # isort: skip  (taolu.nn chooses the backend first)
from keras import ops  # isort: skip

NAMES = ("relu", "swish", "su_exp", "gelu", "tanh")
POINTS = (-4.0, -2.0, -1.0, -0.5, 0.0, 1.0, 2.0)


def numbers(x) -> np.ndarray:
    return np.asarray(ops.convert_to_numpy(x)).astype("float64")


def slopes(function, x) -> np.ndarray:
    return numbers(grad(lambda t: ops.sum(function(t)), x))


def written_literally(x):
    """x min(1, e^x), with the branch that overflows hidden behind a `where`."""
    return ops.where(x > 0, x, x * ops.exp(x))


def main(names: list[str]) -> None:
    functions = {name: activations.get(name) for name in names or NAMES}
    print("value at" + "".join(f"{x:9.1f}" for x in POINTS))
    for name, function in functions.items():
        values = numbers(function(ops.convert_to_tensor(POINTS)))
        print(f"{name:8}" + "".join(f"{value:9.4f}" for value in values))

    grid = np.linspace(-8, 8, 16001).astype("float32")
    print("\n            lowest        at    slopes from        to      gain  feedback")
    for name, function in functions.items():
        values = numbers(function(ops.convert_to_tensor(grid)))
        steep = slopes(function, ops.convert_to_tensor(grid))
        print(
            f"{name:8}{values.min():10.6f}{grid[values.argmin()]:10.4f}{steep.min():15.6f}"
            f"{steep.max():10.6f}{gain_for(name):10.6f}{scale_feedback(name):10.4f}"
        )

    print("\nfloat16 at 20000: value and slope")
    end = ops.cast(ops.convert_to_tensor([20000.0]), "float16")
    for name, function in (("literally", written_literally), *functions.items()):
        print(f"{name:10}{numbers(function(end))[0]:10.1f}{slopes(function, end)[0]:8.3f}")

    print("\ngates: what a value of 3 becomes when the gate is -2, 0, 2")
    gate = ops.convert_to_tensor([-2.0, 0.0, 2.0])
    for name in ("glu", "reglu", "geglu", "swiglu", "bilinear"):
        out = getattr(activations, name)(ops.full_like(gate, 3.0), gate)
        print(f"{name:10}" + "".join(f"{value:9.4f}" for value in numbers(out)))

    layer = keras.layers.Dense(4, activation=activations.su_exp)
    print(f"\nin a layer: {layer.activation.__name__};", end=" ")
    try:
        activations.get("su_expp")
    except ValueError as error:
        print(f"misspelt: {error}")


if __name__ == "__main__":
    main(sys.argv[1:])
