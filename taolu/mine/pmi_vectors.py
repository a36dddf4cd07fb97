"""Word vectors without training: the table of mutual information that word2vec only approaches.

Pairs of words at most `window` words apart are counted, near ones more: at a distance of d a pair
counts (window - d + 1) / window, as often as word2vec's windows of random reach hold it. A cell is

    max(0, log(n_ab * N / (n_a * n_b)) - log k),

where the uses n_b of the company, and N, their sum, may be flattened by a power as noise is. The
best approximation of low rank, U S V, gives the vectors U sqrt(S).
"""

import numpy as np
from scipy import sparse

from taolu.count.runs import runs
from taolu.mine.token_stream import END, Sentences, TokenStream, read_tokens
from taolu.mine.vectors import strongest
from taolu.mine.word_vectors import WordVectors

AT_ONCE = 1 << 22  # ids whose pairs are counted at a time


def pmi_vectors(
    source: Sentences,
    *,
    width: int = 100,
    window: int = 5,
    min_count: int = 5,
    negative: float = 1.0,
    noise_power: float = 0.75,
    rng=0,
) -> WordVectors:
    """Returns a vector for each word of a text that is cut into words, from counts of pairs.

    Takes memory for each different pair of words, 16 bytes, and time linear in them times `width`.

    Args:
        source: As for `word2vec`: a file with one sentence a line, or lists of words.
        width: Numbers in a vector; a small table gives shorter ones.
        window: Words of company to either side, at most.
        min_count: Least uses of a word that gets a vector.
        negative: The k of word2vec: log k is taken from each cell.
        noise_power: Power that flattens the uses of the company; 1 leaves them.
        rng: Seed, or NumPy generator, of the directions the search starts from.

    Raises:
        CorpusError: A file cannot be read.
        ValueError: An argument is out of range, or no word is used often enough.

    Example:
        >>> days = [[a, "去", b] for a in "甲乙丙" for b in ("北京", "上海")] * 2
        >>> pmi_vectors(days, width=4).most_similar("北京", top=1)[0][0]
        '上海'

    References:
        Levy, Goldberg, Neural word embedding as implicit matrix factorization, 2014. Levy,
        Goldberg, Dagan, Improving distributional similarity with lessons learned from word
        embeddings, 2015.
    """
    for name, value in (("width", width), ("window", window)):
        if value < 1 or value != int(value):
            raise ValueError(
                f"`{name}` must be a whole number, at least 1. Received: {name}={value}."
            )
    if not 0 < negative < np.inf:
        raise ValueError(f"`negative` must be above 0. Received: negative={negative}.")
    if not np.isfinite(noise_power):
        raise ValueError(f"`noise_power` must be a number. Received: noise_power={noise_power}.")
    stream = read_tokens(source, min_count=min_count)
    table = _positive(count_pairs_within(stream, window), negative, noise_power)
    if not table.nnz:
        raise ValueError(
            "`source` must hold pairs of words that meet more often than by chance, `negative` "
            f"times as often. Received: none, negative={negative}."
        )
    vectors = strongest(table, width, np.random.default_rng(rng), power=0.5)
    return WordVectors(stream.words, vectors, stream.counts)


def count_pairs_within(stream: TokenStream, window: int) -> sparse.csr_array:
    """Returns how often each word has each other in its company, near ones counted more.

    Args:
        stream: The text.
        window: Largest distance of two words of one sentence, in words.

    Returns:
        float64 (words, words) in compressed rows, symmetric.

    Example:
        >>> counts = count_pairs_within(read_tokens([["甲", "乙", "丙"]]), 2)
        >>> counts.toarray().tolist()
        [[0.0, 1.0, 0.5], [1.0, 0.0, 1.0], [0.5, 1.0, 0.0]]
    """
    words = len(stream.words)
    counts = sparse.csr_array((words, words))
    for start in range(0, stream.ids.size, AT_ONCE):
        ids = stream.ids[start : start + AT_ONCE + window].astype(np.int64)
        sentence = np.cumsum(ids == END)
        for distance in range(1, window + 1):
            first = ids[:-distance][:AT_ONCE]
            second = ids[distance:][:AT_ONCE]
            same = sentence[:-distance][:AT_ONCE] == sentence[distance:][:AT_ONCE]
            same &= first != END
            keys = first[same] * words + second[same]
            keys.sort()
            keys, found = runs(keys)
            rows = np.searchsorted(keys, np.arange(words + 1) * words)
            weighted = found * ((window - distance + 1) / window)
            counts = counts + sparse.csr_array((weighted, keys % words, rows), shape=counts.shape)
    return (counts + counts.T).tocsr()


def _positive(counts, negative, power) -> sparse.csr_array:
    cells = counts.tocoo()
    uses = np.asarray(counts.sum(axis=0)).ravel()
    first, second = cells.coords
    flat = np.where(uses > 0, uses, 1.0) ** power * (uses > 0)
    value = np.log(cells.data) - np.log(uses[first]) - np.log(flat[second]) + np.log(flat.sum())
    value -= np.log(negative)
    some = value > 0
    coords = first[some], second[some]
    return sparse.csr_array((value[some].astype(np.float32), coords), shape=counts.shape)
