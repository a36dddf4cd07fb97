"""Topics: each word of a document may come from another source, and nobody says which.

    p(w | d) = Σ_z p(w | z) p(z | d)

    E:  p(z | d, w) ∝ p(w | z) p(z | d)
    M:  p(z | d) ∝ Σ_w n(d, w) p(z | d, w)        p(w | z) ∝ Σ_d n(d, w) p(z | d, w)

Only the words that stand in a document are visited: an iteration costs nonzeros · topics. The model
has documents · topics parameters of its own for the documents it was fitted to, and says nothing of
a new one: its topics have to be folded in, by EM with p(w | z) fixed.
"""

import math
from typing import Any

import numpy as np

from taolu._kernel import kernel
from taolu.fit.em import EMResult, best_of, em
from taolu.fit.estimator import (
    Estimator,
    check_counts,
    check_fitted,
    check_whole,
)


class PLSA(Estimator):
    """Topics of documents by probabilistic latent semantic analysis, fitted by EM.

    Args:
        n_components: How many topics.
        alpha: Uses of every word that each topic has seen beforehand. With 0 the climb is that of
            the plain likelihood, and a new word has probability 0.
        tol: Smallest change of the mean log-likelihood of a word worth another iteration, in nats;
            topics begin to differ slowly, so it is smaller than for mixtures.
        max_iter: Most iterations from one start, and for folding in.
        n_init: How many random starts.
        random_state: None, a whole number or a NumPy Generator.

    Attributes:
        components_: p(word | topic), float64 (topics, words), rows sum to 1.
        doc_topics_: p(topic | document) of the documents of `fit`, float64 (documents, topics).
        weights_: Share of each topic in all words, float64 (topics,).
        converged_: True if `tol` was met.
        log_likelihoods_: Mean log-likelihood of a word, the log prior of `alpha` included, at the
            start and after each iteration of the best run.
        lower_bound_, n_iter_, start_log_likelihoods_: As in `GaussianMixture`.

    Example:
        >>> documents = np.array([[4, 3, 0, 0], [0, 0, 3, 4], [2, 2, 2, 2]])
        >>> model = PLSA(2, alpha=0, random_state=0).fit(documents)
        >>> model.doc_topics_[2].round(2)
        array([0.5, 0.5])

    References:
        Hofmann, Probabilistic latent semantic indexing, 1999.
        Su Jianlin, 从最大似然到EM算法: 一致的理解方式, spaces.ac.cn/archives/5239, 2018.
    """

    _sparse = True

    def __init__(
        self, n_components=2, *, alpha=0.01, tol=1e-6, max_iter=500, n_init=1, random_state=None
    ):
        self.n_components = n_components
        self.alpha = alpha
        self.tol = tol
        self.max_iter = max_iter
        self.n_init = n_init
        self.random_state = random_state

    def fit(self, X, y=None):
        """Climbs from each of `n_init` random starts, keeps the best, returns the object itself.

        Args:
            X: Counts (documents, words), dense or sparse.
            y: Not used.

        Raises:
            ValueError: The counts or an argument of the constructor is out of range.
        """
        self._check()
        x = check_counts(X)
        if x.nnz == 0:
            raise ValueError("`X` must hold at least one word. Received: only zeros.")
        rng = np.random.default_rng(self.random_state)
        best = best_of(
            (self._start(x, rng) for _ in range(self.n_init)), lambda start: self._climb(x, start)
        )
        topics, words = best.result.parameters
        self.n_features_in_ = x.shape[1]
        self.doc_topics_, self.components_ = topics, np.ascontiguousarray(words.T)
        self.weights_ = x.sum(axis=1) @ topics / x.sum()
        self.log_likelihoods_ = best.result.log_likelihoods
        self.start_log_likelihoods_ = best.log_likelihoods
        self.lower_bound_ = best.result.log_likelihood
        self.n_iter_, self.converged_ = best.result.iterations, best.result.converged
        return self

    def fit_transform(self, X, y=None) -> np.ndarray:
        """`fit`, then p(topic | document) of the same documents, float64 (documents, topics)."""
        return self.fit(X, y).doc_topics_

    def transform(self, X) -> np.ndarray:
        """p(topic | document) of any documents, folded in, float64 (documents, topics).

        EM from equal shares, the words of topics fixed; this problem has one optimum. Words that
        no topic knows are passed over, and a document without known words gets equal shares.
        """
        return self._folded(self._read(X))

    def score_samples(self, X, given=None) -> np.ndarray:
        """log p(words of a document) in nats, float64 (documents,); -inf for an unknown word.

        Args:
            X: Counts (documents, words).
            given: Counts of the same documents to fold in instead. A document that is scored with
                topics folded in from itself has told them what to say; half of its words for
                `given` and the other half for `X` make an honest figure.

        Returns:
            The words of a document are independent given its topics.
        """
        x = self._read(X)
        topics = self._folded(x if given is None else self._read(given))
        if len(topics) != x.shape[0]:
            raise ValueError(
                "`given` must have one row for each document of `X`. "
                f"Received: {len(topics)} and {x.shape[0]} documents."
            )
        found = np.zeros(x.shape[0])
        _log_words(x.indptr, x.indices, x.data, topics, self.components_.T.copy(), found)
        return found

    def score(self, X, y=None, given=None) -> float:
        """Mean of log p(word) in nats: higher is better. `given` as in `score_samples`."""
        return float(self.score_samples(X, given).sum() / max(self._read(X).sum(), 1))

    def bits(self, X, given=None) -> float:
        """Length of the code of all words, in bits: -Σ log2 p(w | d). Lower is better.

        The shares of topics are not charged. `given` as in `score_samples`.
        """
        return float(-self.score_samples(X, given).sum() / math.log(2))

    def perplexity(self, X, given=None) -> float:
        """Number of equally probable words that would be as hard to guess: exp(-score)."""
        return math.exp(-self.score(X, given=given))

    def _check(self) -> None:
        for name, least in (("n_components", 1), ("max_iter", 1), ("n_init", 1)):
            check_whole(name, getattr(self, name), least)
        for name in ("alpha", "tol"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ValueError(
                    f"`{name}` must be finite and at least 0. "
                    f"Received: {name}={getattr(self, name)!r}."
                )

    def _read(self, X):
        check_fitted(self)
        return check_counts(X, self.n_features_in_)

    def _start(self, x, rng):
        k = self.n_components
        topics = rng.dirichlet(np.ones(k), x.shape[0])
        return topics, np.ascontiguousarray(rng.dirichlet(np.ones(x.shape[1]), k).T)

    def _climb(self, x, start) -> EMResult:
        def m_step(statistics, parameters):
            by_document, by_word = statistics
            return _shares(by_document), _columns(by_word + self.alpha, parameters[1])

        def e_step(parameters):
            total, statistics = _expected(x, *parameters)
            prior = self.alpha * np.log(parameters[1]).sum() if self.alpha else 0.0
            return total + prior, statistics

        return self._em(x, start, e_step, m_step)

    def _folded(self, x) -> np.ndarray:
        words = np.ascontiguousarray(self.components_.T)
        x = x.multiply(words.sum(axis=1) > 0).tocsr()
        x.eliminate_zeros()
        start = np.full((x.shape[0], self.n_components), 1 / self.n_components)
        if x.nnz == 0:
            return start

        def e_step(topics):
            return _expected(x, topics, words)

        return self._em(x, start, e_step, lambda found, topics: _shares(found[0])).parameters

    def _em(self, x, start, e_step, m_step) -> Any:
        return em(
            start,
            e_step,
            m_step,
            tolerance=self.tol,
            iterations=self.max_iter,
            observations=x.sum(),
        )


def _expected(x, topics, words):
    """Log-likelihood in nats, and expected counts (documents, topics) and (words, topics)."""
    by_document, by_word = np.zeros_like(topics), np.zeros_like(words)
    total = _expect(x.indptr, x.indices, x.data, topics, words, by_document, by_word)
    return total, (by_document, by_word)


def _shares(counts):
    """Rows that sum to 1; a row of zeros becomes equal shares."""
    sums = counts.sum(axis=1, keepdims=True)
    return np.where(sums > 0, counts / np.where(sums > 0, sums, 1), 1 / counts.shape[1])


def _columns(counts, old):
    """Columns that sum to 1; a column of zeros, an empty topic, stays as it was."""
    sums = counts.sum(axis=0)
    return np.where(sums > 0, counts / np.where(sums > 0, sums, 1), old)


@kernel
def _expect(starts, places, counts, topics, words, by_document, by_word):
    total = 0.0
    for d in range(topics.shape[0]):
        for at in range(starts[d], starts[d + 1]):
            w = places[at]
            p = 0.0
            for z in range(topics.shape[1]):
                p += topics[d, z] * words[w, z]
            total += counts[at] * np.log(p)
            share = counts[at] / p
            for z in range(topics.shape[1]):
                moved = share * topics[d, z] * words[w, z]
                by_document[d, z] += moved
                by_word[w, z] += moved
    return total


@kernel
def _log_words(starts, places, counts, topics, words, found):
    for d in range(topics.shape[0]):
        for at in range(starts[d], starts[d + 1]):
            p = 0.0
            for z in range(topics.shape[1]):
                p += topics[d, z] * words[places[at], z]
            found[d] += counts[at] * np.log(p) if p > 0 else -np.inf
