"""The currency: entropy, code lengths, and the ledger that keeps every step honest.

entropy      what a source costs, and what a wrong belief about it adds
association  what two things tell about each other, pair by pair and on average
codelength   two-part code lengths and the ledger
hsic         dependence without bins: estimates; their Gram matrices in gram and distances,
             p-values in independence, cheaper estimates in hsic_sampled
"""

# Imported here rather than when first used: `entropy` is a function and also the file it lives in,
# and whoever loads the file first would otherwise find the file under the name.
from taolu.bits.association import (
    miller_madow_mutual_information,
    mutual_information,
    normalized_mutual_information,
    normalized_pointwise_mutual_information,
    pointwise_mutual_information,
)
from taolu.bits.entropy import (
    cross_entropy,
    entropy,
    js_divergence,
    kl_divergence,
    miller_madow_entropy,
)
from taolu.bits.gram import Gaussian, Linear, median_bandwidth
from taolu.bits.hsic import biased_cka, biased_hsic, cka, hsic
from taolu.bits.hsic_sampled import (
    BlockHsic,
    block_hsic,
    feature_hsic,
    incomplete_hsic,
    random_feature_hsic,
)
from taolu.bits.independence import HsicTest, hsic_gamma_test, hsic_permutation_test

__all__ = [
    "BlockHsic",
    "Gaussian",
    "HsicTest",
    "Linear",
    "biased_cka",
    "biased_hsic",
    "block_hsic",
    "cka",
    "cross_entropy",
    "entropy",
    "feature_hsic",
    "hsic",
    "hsic_gamma_test",
    "hsic_permutation_test",
    "incomplete_hsic",
    "js_divergence",
    "kl_divergence",
    "median_bandwidth",
    "miller_madow_entropy",
    "miller_madow_mutual_information",
    "mutual_information",
    "normalized_mutual_information",
    "normalized_pointwise_mutual_information",
    "pointwise_mutual_information",
    "random_feature_hsic",
]
