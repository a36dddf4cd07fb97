"""Outputs and gradients of every layer of the gate, on the backend this process runs.

    KERAS_BACKEND=torch python parity.py WEIGHTS.npz ANSWERS.npz

reads the weights of each layer from the first file and writes what it computes to the second;
one process for all layers, because starting a backend costs seconds.
"""

import sys

import numpy as np
from check_layer import Subject
from samples import numpy


def weights_of(cases):
    """The weights of one new layer for each case, by `name/number`."""
    found = {}
    for name, case in cases.items():
        for number, weight in enumerate(case.built().weights):
            found[f"{name}/{number}"] = numpy(weight)
    return found


def answers(cases, weights):
    """Outputs, gradients of float inputs and gradients of weights, by `name/kind/which`."""
    found = {}
    for name, case in cases.items():
        subject = Subject(case)
        number = len(subject.layer.weights)
        subject.layer.set_weights([weights[f"{name}/{i}"] for i in range(number)])
        given = case.arguments, case.sample_mask
        parts = {"output": enumerate(subject.run(*given))}
        if case.differentiable:
            inputs, gradients = subject.gradients(*given)
            parts |= {"input gradient": inputs.items(), "weight gradient": enumerate(gradients)}
        for kind, arrays in parts.items():
            found |= {f"{name}/{kind}/{which}": array for which, array in arrays}
    return found


def main(weights, out):
    from test_gate import CASES

    with np.load(weights) as arrays:
        np.savez(out, **answers(CASES, dict(arrays)))


if __name__ == "__main__":
    main(*sys.argv[1:])
