"""Losses: what a network is asked to do, and what it is kept from doing."""

from taolu.nn.losses.hsic import IndependencePenalty, cka, hsic

__all__ = ["IndependencePenalty", "cka", "hsic"]
