"""What tests of contrastive losses share: gradients, least values, scores and a joint table."""

import numpy as np
import scipy.optimize
from keras import ops
from samples import compiled, numpy

from taolu.nn.differentiate import value_and_grad


def value(loss, *arrays):
    """The loss as NumPy; on JAX one program instead of a program for each operation."""
    run = compiled(lambda tensors: loss(*tensors))
    return numpy(run([ops.convert_to_tensor(array) for array in arrays]))


def value_and_slopes(loss, *arrays):
    """The loss as an array, and the gradient of its sum by each of the arrays, as NumPy."""

    def total(tensors):
        each = loss(*tensors)
        return ops.sum(each), each

    run = compiled(lambda tensors: value_and_grad(total, tensors, has_aux=True))
    (_, each), slopes = run([ops.convert_to_tensor(array) for array in arrays])
    return [numpy(x) for x in (each, *slopes)]


def least(loss, start, *data):
    """Where a scalar loss of a vector is least, and how small it is there."""
    data = [ops.convert_to_tensor(np.asarray(x, "float32")) for x in data]
    both = compiled(lambda theta, data: value_and_grad(lambda t: loss(t, *data), theta))

    def evaluate(theta):
        value, slope = both(ops.convert_to_tensor(theta.astype("float32")), data)
        return float(numpy(value)), numpy(slope).astype("float64")

    found = scipy.optimize.minimize(evaluate, start, jac=True, method="L-BFGS-B")
    return found.x, found.fun


def random_scores(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def joint(size):
    table = np.exp(np.random.default_rng(0).normal(size=(size, size)))
    table /= table.sum()
    return table, table.sum(axis=1, keepdims=True), table.sum(axis=0)
