"""What becomes of a signal in a network of thirty layers, before any training.

python examples/signal_report.py [PAGE.html]

Five ways to draw the first weights, and what each does to the length of a vector on its way in,
to the gradient on its way back, and to the space between. With a name it also writes the page.
"""

import sys

import numpy as np

from taolu.nn.initializers import (
    GeometricNormal,
    Orthogonal,
    expected_identity_error,
    gain_for,
    identity_error,
    scale_feedback,
)
from taolu.nn.signal import signal_report
from taolu.report.signal import signal_table, write_signal_report

import keras  # isort: skip  (taolu.nn chooses the backend first)

WIDTH, DEPTH = 64, 30


def network(activation: str, initializer, depth: int = DEPTH) -> keras.Model:
    """Layers of one width; the gain is for weights behind an activation, so not for the first."""
    seeds = keras.random.SeedGenerator(0)
    first = [keras.layers.Dense(WIDTH, kernel_initializer=initializer(1.0, seed=seeds))]
    rest = [
        keras.layers.Dense(WIDTH, kernel_initializer=initializer(gain_for(activation), seed=seeds))
        for _ in range(depth - 1)
    ]
    stack = [keras.Input((WIDTH,), name="x")]
    for number, layer in enumerate(first + rest):
        layer.name = f"dense_{number:02}"
        stack += [layer, keras.layers.Activation(activation, name=f"{activation}_{number:02}")]
    return keras.Sequential(stack[:-1], name=f"{activation}_{initializer.__name__}")


def no_gain(_gain, seed):
    return GeometricNormal(1.0, seed=seed)


def main(names: list[str]) -> None:
    for size in (100, 400):
        drawn = (GeometricNormal(seed=seed)((size, size)) for seed in range(8))
        error = np.mean([identity_error(keras.ops.convert_to_numpy(w)) for w in drawn])
        exact = expected_identity_error(size, 3 / size**2)
        print(
            f"{size} normal units: WᵀW - I has mean square {error:.6f}, by the formula {exact:.6f}"
        )

    x = np.random.default_rng(0).normal(size=(32, WIDTH)).astype("float32")
    print(
        f"\n{'activation':<12}{'weights':<20}{'gain':>7}{'feedback':>10}{'signal':>10}"
        f"{'gradient':>10}{'largest':>9}{'median':>9}"
    )
    for activation, initializer in (
        ("relu", no_gain),
        ("relu", GeometricNormal),
        ("tanh", GeometricNormal),
        ("linear", GeometricNormal),
        ("linear", Orthogonal),
    ):
        report = signal_report(network(activation, initializer), x)
        first, last = report.rows[1], report.rows[-1]
        ratios = last.forward / first.forward, first.backward / last.backward
        gain = 1.0 if initializer is no_gain else gain_for(activation)
        print(
            f"{activation:<12}{initializer.__name__:<20}{gain:7.3f}"
            f"{scale_feedback(activation):10.3f}{ratios[0]:10.2g}{ratios[1]:10.2g}"
            f"{last.through.largest:9.2g}{last.through.median:9.2g}"
        )

    print("\nThe same in full, for four layers:")
    report = signal_report(network("relu", GeometricNormal, 4), x)
    print(signal_table(report))
    for name in names:
        write_signal_report(signal_report(network("relu", GeometricNormal), x), name)
        print(f"wrote {name}")


if __name__ == "__main__":
    main(sys.argv[1:])
