"""Mixtures: each observation comes from one of several simple sources, and nobody says which.

    p(x) = Σ_k weight_k p(x | k),      bits(x) = -log2 p(x)

The E-step asks how probable each source is for each observation, p(k | x); the M-step lets each
source learn from its share. What a source is, a subclass says: `GaussianMixture` in
`gaussian_mixture`, `BernoulliMixture` and `MultinomialMixture` in `discrete`. Everything else is
the same for all: the climb, several starts, empty components, online learning, scikit-learn's
manners.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.special import logsumexp

from taolu.fit.em import SLACK, EMResult, best_of, em
from taolu.fit.estimator import Estimator, check_fitted, check_weights, check_whole

EMPTY = 1e-6  # a component that answers for less than this of an observation is empty


class Mixture(Estimator):
    """What all mixtures share. A subclass brings `_read`, `_start`, the two steps, and its names.

    `_read(X, columns, rows)` checks the data; `_start(x, weights, rng)` gives parameters to begin
    with; `_e_step(x, weights, parameters)` the log-likelihood and statistics; `_m_step(statistics,
    parameters)` parameters; `_log_joint(x, parameters)` is (observations, components);
    `_blend(old, new, keep, gain)` is keep · old + gain · new; `_penalty(parameters)` the log prior,
    if the M-step has one; `_revived(x, weights, parameters, empty)` places empty components anew;
    `_publish(parameters)` sets the public names.
    """

    _estimator_type = "density_estimator"
    _parameters: Any
    n_components: int
    tol: float
    max_iter: int
    n_init: int
    random_state: Any
    step_power: float
    _read: Callable
    _start: Callable
    _e_step: Callable
    _m_step: Callable
    _log_joint: Callable
    _blend: Callable
    _revived: Callable
    _publish: Callable
    _free_parameters: Callable

    def fit(self, X, y=None, sample_weight=None):
        """Climbs from each of `n_init` starts, keeps the best end, and returns the object itself.

        Args:
            X: Observations (observations, features).
            y: Not used; scikit-learn's tools pass it.
            sample_weight: Weight of each observation, float (observations,): 2 counts for two
                copies. Default: all 1.

        Raises:
            ValueError: The data or an argument of the constructor is out of range.
        """
        self._check()
        x = self._read(X, None, self.n_components)
        weights = check_weights(sample_weight, x.shape[0])
        rng = np.random.default_rng(self.random_state)
        starts = (self._start(x, weights, rng) for _ in range(self.n_init))
        best = best_of(starts, lambda start: self._climb(x, weights, start))
        self.n_features_in_ = x.shape[1]
        self._observations, self._totals = float(weights.sum()), best.result.statistics
        self._keep(best.result)
        self.start_log_likelihoods_ = best.log_likelihoods
        return self

    def partial_fit(self, X, y=None, sample_weight=None):
        """Learns from one batch and forgets a little of the earlier ones: stepwise online EM.

        The averages that the M-step needs move by s <- (1 - γ) s + γ s(batch), where
        γ = (weight of this batch / weight of all batches)^step_power: early guesses fade, late
        batches average out, and with power 1 every observation would count alike. The first batch
        needs a row for each component: EM on it gives the start. After `fit`, the averages go on
        from the fitted model, which weighs what it was fitted to.

        Args:
            X: Observations of this batch (observations, features).
            y: Not used.
            sample_weight: Weight of each observation, float (observations,). Default: all 1.

        Returns:
            The object itself. `log_likelihoods_` grows by the mean log-likelihood of the batch
            before it was learned, an honest score of a stream.

        Raises:
            ValueError: The data or an argument of the constructor is out of range.

        References:
            Cappé, Moulines, Online expectation-maximization for latent data models, 2009.
        """
        self._check()
        known = hasattr(self, "n_features_in_")
        columns, least = (self.n_features_in_, 1) if known else (None, self.n_components)
        x = self._read(X, columns, least)
        weights = check_weights(sample_weight, x.shape[0])
        if not known:
            rng = np.random.default_rng(self.random_state)
            parameters = self._climb(x, weights, self._start(x, weights, rng)).parameters
            self.n_features_in_, self._observations = x.shape[1], 0.0
        else:
            parameters = self._parameters
        batch = float(weights.sum())
        total, found = self._e_step(x, weights, parameters)
        seen = self._observations + batch
        rate = (batch / seen) ** self.step_power
        if known:
            # Averages are mixed by the rate; kept are totals, of all that was seen, for the M-step.
            factors = (1 - rate) * seen / self._observations, rate * seen / batch
            found = self._blend(self._totals, found, *factors)
        self._totals, self._observations = found, seen
        history = np.append(self.log_likelihoods_ if known else [], total / batch)
        self._keep(EMResult(self._m_step(found, parameters), history, False))
        return self

    def predict(self, X) -> np.ndarray:
        """Number of the most probable component of each observation, int64 (observations,)."""
        return np.argmax(self._joint(X), axis=1)

    def predict_proba(self, X) -> np.ndarray:
        """p(component | observation), float64 (observations, components), rows sum to 1."""
        joint = self._joint(X)
        evidence = logsumexp(joint, axis=1, keepdims=True)
        # An observation that no component can explain tells nothing about the components.
        possible = np.isfinite(evidence)
        return np.where(possible, np.exp(joint - np.where(possible, evidence, 0)), self.weights_)

    def fit_predict(self, X, y=None, sample_weight=None) -> np.ndarray:
        """`fit`, then `predict` on the same observations."""
        return self.fit(X, y, sample_weight).predict(X)

    def score_samples(self, X) -> np.ndarray:
        """log p(x) of each observation in nats, float64 (observations,)."""
        return logsumexp(self._joint(X), axis=1)

    def score(self, X, y=None) -> float:
        """Mean of log p(x) in nats: higher is better."""
        return float(self.score_samples(X).mean())

    def bits(self, X) -> float:
        """Length of the code of all observations, in bits: -Σ log2 p(x). Lower is better.

        For densities it is the length at unit precision: each halving of the precision of one
        feature costs one bit more, under every model alike. The parameters are not charged.
        """
        return float(-self.score_samples(X).sum() / math.log(2))

    def aic(self, X) -> float:
        """Akaike's criterion on these observations, in nats: lower is better."""
        return float(-2 * self.score_samples(X).sum() + 2 * self._free_parameters())

    def bic(self, X) -> float:
        """Bayesian criterion on these observations, in nats: lower is better.

        Half of it is a two-part code: the data, and ½ log n for each parameter.
        """
        logs = self.score_samples(X)
        return float(-2 * logs.sum() + self._free_parameters() * np.log(len(logs)))

    def _check(self) -> None:
        check_whole("n_components", self.n_components, 1)
        check_whole("n_init", self.n_init, 1)
        check_whole("max_iter", self.max_iter, 1)
        if not self.tol >= 0:
            raise ValueError(f"`tol` must be at least 0. Received: tol={self.tol!r}.")
        if not 0.5 < self.step_power <= 1:
            raise ValueError(
                "`step_power` must lie above 0.5, so that noise averages out, and be at most 1, so "
                f"that the start is forgotten. Received: step_power={self.step_power!r}."
            )

    def _climb(self, x, weights, start) -> EMResult:
        """EM from one start; as long as it helps, empty components are placed anew."""
        result = self._run(x, weights, start)
        for _ in range(self.n_components):
            empty = result.parameters.weights * weights.sum() < EMPTY
            if not empty.any():
                break
            again = self._run(x, weights, self._revived(x, weights, result.parameters, empty))
            if again.log_likelihood <= result.log_likelihood:
                break
            result = again
        return result

    def _run(self, x, weights, start) -> EMResult:
        def e_step(parameters):
            total, statistics = self._e_step(x, weights, parameters)
            return total + self._penalty(parameters), statistics

        return em(
            start,
            e_step,
            self._m_step,
            tolerance=self.tol,
            iterations=self.max_iter,
            observations=weights.sum(),
            slack=self._slack(),
        )

    def _penalty(self, parameters) -> float:
        return 0.0

    def _slack(self) -> float:
        return SLACK

    def _keep(self, result: EMResult) -> None:
        self._parameters = result.parameters
        self.weights_ = result.parameters.weights
        self.log_likelihoods_ = result.log_likelihoods
        self.lower_bound_ = result.log_likelihood
        self.n_iter_ = result.iterations
        self.converged_ = result.converged
        self._publish(result.parameters)

    def _joint(self, X) -> np.ndarray:
        check_fitted(self)
        return self._log_joint(self._read(X, self.n_features_in_, 1), self._parameters)

    def _draw_components(self, n_samples, rng) -> tuple[np.ndarray, np.random.Generator]:
        check_fitted(self)
        check_whole("n_samples", n_samples, 1)
        rng = np.random.default_rng(self.random_state if rng is None else rng)
        return np.repeat(
            np.arange(len(self.weights_)), rng.multinomial(n_samples, self.weights_)
        ), rng
