"""One dynamic programme for every sequence model.

trie, lattice  paths through words
ragged         sequences of different lengths in one array; rules as penalties
viterbi        the best path, and the k best
forward        the sum over paths, marginals, entropy
sample         paths drawn at random
linear         HMM, MEMM and CRF as chains of scores
"""

# Imported here rather than when first used: `viterbi` is a function and also the file it lives in.
from taolu.chain.forward import Posterior, forward, log_partition, posterior_decode
from taolu.chain.linear import (
    LinearChain,
    backward_memm_chain,
    crf_chain,
    hmm_chain,
    memm_chain,
)
from taolu.chain.ragged import penalties
from taolu.chain.sample import sample
from taolu.chain.viterbi import KBest, Path, k_best, viterbi

__all__ = [
    "KBest",
    "LinearChain",
    "Path",
    "Posterior",
    "backward_memm_chain",
    "crf_chain",
    "forward",
    "hmm_chain",
    "k_best",
    "log_partition",
    "memm_chain",
    "penalties",
    "posterior_decode",
    "sample",
    "viterbi",
]
