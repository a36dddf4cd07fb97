"""Optimizers that wrap or extend those of Keras, and the dynamics that explain them."""

from taolu.nn.optimizers.lazy import Lazy
from taolu.nn.optimizers.lookahead import Lookahead
from taolu.nn.optimizers.marked_embedding import MarkedEmbedding
from taolu.nn.optimizers.slow_weights import SlowWeights

__all__ = ["Lazy", "Lookahead", "MarkedEmbedding", "SlowWeights"]
