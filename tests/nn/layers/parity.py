"""Outputs and gradients of every layer of the gate, on the backend this process runs.

    KERAS_BACKEND=torch python parity.py WEIGHTS.npz ANSWERS.npz

reads the weights of each layer from the first file and writes what it computes to the second;
one process for all layers, because starting a backend costs seconds.
"""

import sys

import numpy as np
from check_layer import _input_gradients, _weight_gradients, numpy


def weights_of(cases):
    """The weights of one new layer for each case, by `name/number`."""
    found = {}
    for name, case in cases.items():
        for number, weight in enumerate(case.built().weights):
            found[f"{name}/{number}"] = numpy(weight)
    return found


def answers(cases, weights):
    """Outputs, gradients of float inputs and gradients of weights, by `name/kind/number`."""
    found = {}
    for name, case in cases.items():
        layer = case.built()
        layer_weights = [weights[f"{name}/{i}"] for i in range(len(layer.weights))]
        layer.set_weights(layer_weights)
        mask, arguments = case.sample_mask, case.arguments
        parts = {"output": [numpy(x) for x in case.call(layer, arguments, mask)]}
        if case.differentiable:
            names = [key for key, array in arguments.items() if array.dtype.kind == "f"]
            if names:
                parts["input gradient"] = _input_gradients(case, layer, arguments, mask, names)
            parts["weight gradient"] = _weight_gradients(case, layer, arguments, mask)
        for kind, arrays in parts.items():
            found |= {f"{name}/{kind}/{i}": array for i, array in enumerate(arrays)}
    return found


def main(weights, out):
    from test_gate import CASES

    with np.load(weights) as arrays:
        np.savez(out, **answers(CASES, dict(arrays)))


if __name__ == "__main__":
    main(*sys.argv[1:])
