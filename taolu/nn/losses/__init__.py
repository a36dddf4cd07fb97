"""Losses: what a network is asked to do, and what it is kept from doing."""

from taolu.nn.losses.candidate_sampler import CandidateSampler, log_uniform
from taolu.nn.losses.hsic import IndependencePenalty, cka, hsic
from taolu.nn.losses.info_nce import info_nce, ranking_nce
from taolu.nn.losses.noise_contrastive import LogPartition, negative_sampling, noise_contrastive
from taolu.nn.losses.sampled_softmax import sampled_softmax

__all__ = [
    "CandidateSampler",
    "IndependencePenalty",
    "LogPartition",
    "cka",
    "hsic",
    "info_nce",
    "log_uniform",
    "negative_sampling",
    "noise_contrastive",
    "ranking_nce",
    "sampled_softmax",
]
