"""Optimizers that wrap or extend those of Keras, and the dynamics that explain them."""

from taolu.nn.optimizers.coupling import MomentumLRCoupler
from taolu.nn.optimizers.half_nesterov import HalfNesterov
from taolu.nn.optimizers.lazy import Lazy
from taolu.nn.optimizers.lookahead import Lookahead
from taolu.nn.optimizers.marked_embedding import MarkedEmbedding
from taolu.nn.optimizers.scalar_rmsprop import ScalarRMSprop
from taolu.nn.optimizers.slow_weights import SlowWeights

__all__ = [
    "HalfNesterov",
    "Lazy",
    "Lookahead",
    "MarkedEmbedding",
    "MomentumLRCoupler",
    "ScalarRMSprop",
    "SlowWeights",
]
