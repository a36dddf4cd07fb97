"""The currency: entropy, code lengths, and the ledger that keeps every step honest.

entropy      what a source costs, and what a wrong belief about it adds
association  what two things tell about each other, pair by pair and on average
codelength   two-part code lengths and the ledger
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

__all__ = [
    "cross_entropy",
    "entropy",
    "js_divergence",
    "kl_divergence",
    "miller_madow_entropy",
    "miller_madow_mutual_information",
    "mutual_information",
    "normalized_mutual_information",
    "normalized_pointwise_mutual_information",
    "pointwise_mutual_information",
]
