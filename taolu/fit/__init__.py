"""Probabilities when part of the story is hidden: EM, its promise, and the models it fits."""

# Eager, unlike `taolu` itself: the function `em` must stand before the file of the same name.
from taolu.fit.discrete import BernoulliMixture, MultinomialMixture
from taolu.fit.em import Best, EMResult, best_of, em
from taolu.fit.gaussian_hmm import GaussianHMM
from taolu.fit.gaussian_mixture import GaussianMixture
from taolu.fit.hmm import HMM
from taolu.fit.plsa import PLSA

__all__ = [
    "HMM",
    "PLSA",
    "BernoulliMixture",
    "Best",
    "EMResult",
    "GaussianHMM",
    "GaussianMixture",
    "MultinomialMixture",
    "best_of",
    "em",
]
