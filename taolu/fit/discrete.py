"""Mixtures for yes-and-no data and for counts.

    Bernoulli:    p(x | k) = Π_i p_ki^x_i (1 - p_ki)^(1 - x_i)
    multinomial:  p(x | k) = Π_w p_kw^x_w

A document is one observation of the multinomial: all its words come from one component. (Where each
word may come from another topic, `PLSA` is the model.) `alpha` counts have been seen of everything
before the first observation; the climb is that of log-likelihood plus log prior.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import sparse
from scipy.special import logsumexp

from taolu.fit.estimator import check_counts, check_whole
from taolu.fit.mixture import Mixture
from taolu.fit.starts import assign, spread_rows

EDGE = 1e-12  # Bernoulli probabilities keep this distance from 0 and 1, whose logarithms are lost


@dataclass(frozen=True)
class Discrete:
    """Parameters of a mixture of discrete sources.

    Args:
        weights: Share of each component, float64 (components,), sum 1.
        probabilities: Float64 (components, features).
    """

    weights: np.ndarray
    probabilities: np.ndarray


@dataclass(frozen=True)
class Sums:
    """What the components have seen of the data.

    Args:
        counts: Expected number of observations, float64 (components,).
        sums: Sum of these observations, float64 (components, features).
    """

    counts: np.ndarray
    sums: np.ndarray


class DiscreteMixture(Mixture):
    """What `BernoulliMixture` and `MultinomialMixture` share."""

    _sparse = True
    alpha: float
    _points: Callable  # the rows, as points among which far ones make a good start

    def __init__(
        self,
        n_components=1,
        *,
        alpha=0.01,
        tol=1e-3,
        max_iter=100,
        n_init=1,
        weights_init=None,
        probabilities_init=None,
        random_state=None,
        step_power=0.7,
    ):
        self.n_components = n_components
        self.alpha = alpha
        self.tol = tol
        self.max_iter = max_iter
        self.n_init = n_init
        self.weights_init = weights_init
        self.probabilities_init = probabilities_init
        self.random_state = random_state
        self.step_power = step_power

    def _check(self) -> None:
        super()._check()
        if not 0 <= self.alpha < np.inf:
            raise ValueError(
                f"`alpha` must be finite and at least 0. Received: alpha={self.alpha!r}."
            )

    def _start(self, x, weights, rng) -> Discrete:
        if self.probabilities_init is not None:
            return self._given(x.shape[1])
        points = self._points(x)
        centres = points[spread_rows(points, self.n_components, rng, weights)].toarray()
        # A tenth of every row goes to all components, so that no probability starts at zero.
        nearest = assign(points, centres)[:, None] == np.arange(self.n_components)
        shares = weights[:, None] * (0.9 * nearest + 0.1 / self.n_components)
        return self._m_step(Sums(shares.sum(axis=0), (x.T @ shares).T), None)

    def _given(self, features) -> Discrete:
        k = self.n_components
        probabilities = np.asarray(self.probabilities_init, dtype=np.float64)
        if probabilities.shape != (k, features) or not (
            (probabilities >= 0).all() and (probabilities <= 1).all()
        ):
            raise ValueError(
                f"`probabilities_init` must lie in [0, 1] and have the shape {(k, features)}. "
                f"Received: an array of shape {probabilities.shape}."
            )
        weights = np.full(k, 1 / k) if self.weights_init is None else np.array(self.weights_init)
        if weights.shape != (k,) or (weights < 0).any() or abs(weights.sum() - 1) > 1e-6:
            raise ValueError(
                f"`weights_init` must be {k} numbers, at least 0, that add up to 1. "
                f"Received: {weights}."
            )
        return Discrete(weights, self._kept(probabilities))

    def _e_step(self, x, weights, parameters):
        joint = self._log_joint(x, parameters)
        evidence = logsumexp(joint, axis=1, keepdims=True)
        shares = weights[:, None] * np.exp(joint - evidence)
        return float(weights @ evidence[:, 0]), Sums(shares.sum(axis=0), (x.T @ shares).T)

    def _blend(self, old, new, keep, gain) -> Sums:
        return Sums(keep * old.counts + gain * new.counts, keep * old.sums + gain * new.sums)

    def _revived(self, x, weights, parameters, empty) -> Discrete:
        """Empty components take after the observations that the others explain worst."""
        evidence = logsumexp(self._log_joint(x, parameters), axis=1)
        worst = np.argsort(np.where(weights > 0, evidence, np.inf), kind="stable")[: empty.sum()]
        shares = np.where(empty, 1 / len(empty), parameters.weights)
        probabilities = parameters.probabilities.copy()
        average = self._m_step(Sums(weights.sum(keepdims=True), (weights @ x)[None]), None)
        alone = Sums(np.ones(len(worst)), x[worst].toarray())
        probabilities[empty] = (
            self._m_step(alone, average).probabilities + average.probabilities
        ) / 2
        return Discrete(shares / shares.sum(), self._kept(probabilities))

    def _publish(self, parameters) -> None:
        self.probabilities_ = parameters.probabilities

    def _kept(self, probabilities) -> np.ndarray:
        return probabilities


class BernoulliMixture(DiscreteMixture):
    """A mixture for observations of zeros and ones, fitted by EM.

    Args:
        n_components: How many components.
        alpha: Zeros and ones of every feature that each component has seen beforehand; with 0 the
            climb is that of the plain likelihood.
        tol: Smallest change of the mean log-likelihood worth another iteration, in nats.
        max_iter: Most iterations from one start.
        n_init: How many starts.
        weights_init: Shares to start from, float (components,); used with `probabilities_init`.
        probabilities_init: Probabilities to start from, float (components, features).
        random_state: None, a whole number or a NumPy Generator.
        step_power: How slowly `partial_fit` forgets, above 0.5, at most 1.

    Attributes:
        weights_: Float64 (components,), sum 1.
        probabilities_: Probability of a one, float64 (components, features).
        converged_, n_iter_, lower_bound_: As in `GaussianMixture`.
        log_likelihoods_: Mean log-likelihood, the log prior of `alpha` included, at the start and
            after each iteration of the best run.

    Example:
        >>> x = np.array([[1, 1, 0], [1, 1, 0], [0, 0, 1], [0, 1, 1]])
        >>> model = BernoulliMixture(2, random_state=0).fit(x)
        >>> model.predict(x)[0] == model.predict(x)[1] != model.predict(x)[2]
        np.True_
    """

    def sample(self, n_samples=1, rng=None) -> tuple[np.ndarray, np.ndarray]:
        """New observations, int8 (n_samples, features), and their components, sorted."""
        components, rng = self._draw_components(n_samples, rng)
        chances = self.probabilities_[components]
        return (rng.random(chances.shape) < chances).astype(np.int8), components

    def _read(self, X, columns, rows):
        return check_counts(X, columns, rows, most=1)

    def _points(self, x):
        return x

    def _log_joint(self, x, parameters) -> np.ndarray:
        p = parameters.probabilities
        with np.errstate(divide="ignore"):
            constants = np.log(parameters.weights) + np.log1p(-p).sum(axis=1)
        return x @ (np.log(p) - np.log1p(-p)).T + constants

    def _m_step(self, statistics, parameters) -> Discrete:
        counts, alpha = statistics.counts, self.alpha
        tried = (counts + 2 * alpha)[:, None]
        p = (statistics.sums + alpha) / np.where(tried > 0, tried, 1)
        if parameters is not None:
            p = np.where(tried > 0, p, parameters.probabilities)
        return Discrete(counts / counts.sum(), self._kept(p))

    def _kept(self, probabilities) -> np.ndarray:
        return np.clip(probabilities, EDGE, 1 - EDGE)

    def _penalty(self, parameters) -> float:
        p = parameters.probabilities
        return float(self.alpha * (np.log(p) + np.log1p(-p)).sum())

    def _free_parameters(self) -> int:
        return self.n_components - 1 + self.probabilities_.size


class MultinomialMixture(DiscreteMixture):
    """A mixture for counts, such as the words of documents, fitted by EM.

    The probability of a document is that of its words in their order, the length given: no
    multinomial coefficient. So `bits` is the length of a code for the text itself.

    Args:
        n_components: How many components.
        alpha: Uses of every word that each component has seen beforehand; with 0 the climb is that
            of the plain likelihood, and a document with a word that no component knows has
            probability 0.
        tol: Smallest change of the mean log-likelihood of a document worth another iteration, in
            nats.
        max_iter: Most iterations from one start.
        n_init: How many starts.
        weights_init: Shares to start from, float (components,); used with `probabilities_init`.
        probabilities_init: Probabilities to start from, float (components, words).
        random_state: None, a whole number or a NumPy Generator.
        step_power: How slowly `partial_fit` forgets, above 0.5, at most 1.

    Attributes:
        weights_: Float64 (components,), sum 1.
        probabilities_: p(word | component), float64 (components, words), rows sum to 1.
        converged_, n_iter_, lower_bound_: As in `GaussianMixture`.
        log_likelihoods_: Mean log-likelihood of a document, the log prior of `alpha` included, at
            the start and after each iteration of the best run.

    Example:
        >>> documents = np.array([[3, 1, 0], [4, 1, 0], [0, 1, 5]])
        >>> model = MultinomialMixture(2, alpha=0, random_state=0).fit(documents)
        >>> sorted(model.weights_.round(2).tolist())
        [0.33, 0.67]

    References:
        Nigam, McCallum, Thrun, Mitchell, Text classification from labeled and unlabeled documents
        using EM, 2000.
    """

    def sample(self, n_samples=1, length=100, rng=None) -> tuple[np.ndarray, np.ndarray]:
        """Counts of new documents of `length` words, int64 (n_samples, words), and components."""
        components, rng = self._draw_components(n_samples, rng)
        check_whole("length", length, 0)
        return rng.multinomial(length, self.probabilities_[components]), components

    def _read(self, X, columns, rows):
        return check_counts(X, columns, rows)

    def _points(self, x):
        """Square roots of shares: their distance is that of Hellinger, the lengths forgotten."""
        lengths = x.sum(axis=1)
        return sparse.diags_array(1 / np.sqrt(np.where(lengths > 0, lengths, 1))) @ x.sqrt()

    def _log_joint(self, x, parameters) -> np.ndarray:
        with np.errstate(divide="ignore"):  # a word without probability makes a document impossible
            logs = np.log(parameters.probabilities.T)
            # Only the counts above zero are multiplied, so 0 · log 0 never arises.
            return x @ logs + np.log(parameters.weights)

    def _m_step(self, statistics, parameters) -> Discrete:
        counts = statistics.counts
        smoothed = statistics.sums + self.alpha
        lengths = smoothed.sum(axis=1, keepdims=True)
        old = 1 / smoothed.shape[1] if parameters is None else parameters.probabilities
        p = np.where(lengths > 0, smoothed / np.where(lengths > 0, lengths, 1), old)
        return Discrete(counts / counts.sum(), p)

    def _penalty(self, parameters) -> float:
        return float(self.alpha * np.log(parameters.probabilities).sum()) if self.alpha else 0.0

    def _free_parameters(self) -> int:
        return self.n_components - 1 + self.n_components * (self.probabilities_.shape[1] - 1)
