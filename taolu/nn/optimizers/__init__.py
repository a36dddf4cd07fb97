"""Optimizers that wrap or extend those of Keras, and the dynamics that explain them."""

from taolu.nn.optimizers.lookahead import Lookahead, SlowWeights

__all__ = ["Lookahead", "SlowWeights"]
