"""Networks in Keras 3: each method of the articles as a small, correct, readable piece.

Runs on JAX unless the environment variable `KERAS_BACKEND` names another backend; set it before
Keras is first imported.
"""

# First, because it chooses the backend before anything imports Keras.
from taolu.nn import differentiate

__all__ = ["differentiate"]
