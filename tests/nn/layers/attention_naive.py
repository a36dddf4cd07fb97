"""Attention element by element in NumPy: the truth for the tests of attention."""

import keras
import numpy as np
from keras import ops

BATCH, TIME, WIDTH = 2, 7, 8


def sample(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def array(x):
    return ops.convert_to_numpy(x)


def run(function, *arguments):
    """The value of a function without side effects, as arrays.

    JAX compiles it whole: much faster than every operation by itself the first time.
    """
    if keras.backend.backend() == "jax":
        import jax

        function = jax.jit(function)
    return keras.tree.map_structure(array, function(*arguments))


def output_of(layer, inputs, memory=None, **arguments):
    """What a layer makes of these arrays; it is built first, for that cannot be compiled."""
    if not layer.built:
        layer.build(inputs.shape, *[] if memory is None else [memory.shape])
    arguments |= {} if memory is None else {"memory": memory}
    return run(lambda: layer(inputs, **arguments))


def right_padded(*lengths, time=TIME):
    """Bool (batch, time): the first `length` steps of each row are real."""
    return np.arange(time)[None, :] < np.array(lengths)[:, None]


def distances(queries, keys=None):
    return np.arange(keys or queries)[None, :] - np.arange(queries)[:, None]


def project(layer, name, x, heads=None):
    """The projection of this name, split into heads."""
    weights = {v.path.split("/", 1)[1]: array(v.value) for v in layer.weights}
    y = x.astype("float64") @ weights[f"{name}/kernel"] + weights.get(f"{name}/bias", 0)
    return y if heads is None else y.reshape(*y.shape[:2], heads, -1)


def attend(query, key, value, scale, shown=None, bias=None, vectors=None):
    """softmax(scale q . (k + r) + b) (v + r), one number at a time; zeros where nothing is shown.

    Shapes as in `attention_core`; `shown` and `bias` are broadcast to (batch, heads, query, key),
    `vectors` is (query, key, width).
    """
    (batch, queries, heads, _), keys = query.shape, key.shape[1]
    shared = heads // key.shape[2]
    full = (batch, heads, queries, keys)
    shown = np.broadcast_to(True if shown is None else shown, full)
    bias = np.broadcast_to(0.0 if bias is None else bias, full)
    if vectors is None:
        vectors = np.zeros((queries, keys, 1))
    output = np.zeros((batch, queries, heads, value.shape[-1]))
    for b in range(batch):
        for h in range(heads):
            for i in range(queries):
                seen = [j for j in range(keys) if shown[b, h, i, j]]
                scores = []
                for j in seen:
                    product = sum(query[b, i, h] * (key[b, j, h // shared] + vectors[i, j]))
                    scores.append(scale * product + bias[b, h, i, j])
                weights = np.exp(np.array(scores) - max(scores, default=0))
                for weight, j in zip(weights / weights.sum() if seen else [], seen, strict=True):
                    output[b, i, h] += weight * (value[b, j, h // shared] + vectors[i, j])
    return output


def layer_by_hand(layer, x, memory=None, mask=None, **terms):
    """What an `Attention` without rotation gives: projections, `attend`, output projection."""
    memory = x if memory is None else memory
    shared = layer.key_value_heads or layer.heads
    query = project(layer, "query", x, layer.heads)
    key, value = (project(layer, name, memory, shared) for name in ("key", "value"))
    scale = query.shape[-1] ** -0.5 if layer.scale is None else layer.scale
    context = attend(query, key, value, scale, **terms)
    output = context.reshape(*x.shape[:2], -1)
    if layer.project_output:
        output = project(layer, "output", output)
    if mask is not None:
        output = np.where(mask[..., None], output, 0)
    return output
