"""Probabilities when part of the story is hidden: EM, its promise, and the models it fits."""

# Eager, unlike `taolu` itself: the function `em` must stand before the file of the same name.
from taolu.fit.em import Best, EMResult, best_of, em
from taolu.fit.gaussian_mixture import GaussianMixture

__all__ = ["Best", "EMResult", "GaussianMixture", "best_of", "em"]
