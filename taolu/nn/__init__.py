"""Networks in Keras 3: each method of the articles as a small, correct, readable piece.

    differentiate   gradients to any order and one train step for JAX, torch and TensorFlow
    layers          attention, positions, pooling, gates, norms, embeddings, CRF and MEMM
    models          TagModel: a network that ends in a CRF or MEMM
    losses          telling data from noise, sampled softmax; independence from a nuisance
    optimizers      Lookahead, Lazy and others that wrap or extend those of Keras
    masking         which steps are text, and sums that read no others
    activations, initializers, signal   scale: what a network does to its signals
    reuse           surgery on trained graphs

Runs on JAX unless the environment variable `KERAS_BACKEND` names another backend; set it before
Keras is first imported.
"""

# First, because it chooses the backend before anything imports Keras.
from taolu.nn import differentiate  # isort: skip
from taolu.nn import (
    activations,
    initializers,
    layers,
    losses,
    masking,
    models,
    optimizers,
    reuse,
    signal,
)

__all__ = [
    "activations",
    "differentiate",
    "initializers",
    "layers",
    "losses",
    "masking",
    "models",
    "optimizers",
    "reuse",
    "signal",
]
