"""The hidden Markov model of vectors: each state says a Gaussian."""

import numpy as np

from taolu.fit import gaussian
from taolu.fit.estimator import check_fitted, check_matrix
from taolu.fit.gaussian import Gaussians, Moments
from taolu.fit.markov import MarkovModel
from taolu.fit.starts import assign, k_means


class GaussianHMM(MarkovModel):
    """A hidden Markov model with Gaussian emissions, fitted by counting, by EM, or by both.

    From the same start Baum-Welch takes the same steps as `hmmlearn.hmm.GaussianHMM` without
    priors and with `reg_covar=0`. The Gaussians are those of `GaussianMixture`.

    Args:
        n_components: How many states.
        covariance_type: "full", "tied", "diag" or "spherical", as for `GaussianMixture`.
        reg_covar: Added to every variance, in squared units of the data. Above 0 the likelihood
            may fall by about as much near the end.
        ends: Also learn where sequences end.
        pseudocount: Added to every count of starts and transitions that are possible.
        startprob_init: First state to start from, float (states,). Default: guessed.
        transmat_init: Transitions to start from, float (states, states). Zeros stay.
        means_init: Means to start from, float (states, features). Default: k-means.
        covars_init: Covariances to start from, shaped as the type says. Default: of k-means.
        tol: Smallest change of the mean log-likelihood of an observation worth another iteration,
            in nats.
        max_iter: Most iterations from one start.
        n_init: How many starts.
        random_state: None, a whole number or a NumPy Generator: the source of chance.
        threads: Sequences are shared out over so many threads; None means one for each core.

    Attributes:
        startprob_, transmat_, endprob_, converged_, log_likelihoods_, start_log_likelihoods_,
            n_iter_: As of `HMM`.
        means_: Float64 (states, features).
        covars_: Float64: full (states, features, features), tied (features, features), diag
            (states, features), spherical (states,).

    Example:
        >>> rng = np.random.default_rng(0)
        >>> level = np.repeat([0.0, 5.0, 0.0], 30)
        >>> model = GaussianHMM(2, random_state=0).fit(level[:, None] + rng.normal(size=(90, 1)))
        >>> states = model.predict(level[:, None])
        >>> np.flatnonzero(np.diff(states)).tolist()
        [29, 59]

    References:
        Rabiner, A tutorial on hidden Markov models, 1989.
    """

    _rank = 1

    def __init__(
        self,
        n_components=2,
        *,
        covariance_type="diag",
        reg_covar=1e-6,
        ends=False,
        pseudocount=0.0,
        startprob_init=None,
        transmat_init=None,
        means_init=None,
        covars_init=None,
        tol=1e-3,
        max_iter=100,
        n_init=1,
        random_state=None,
        threads=1,
    ):
        self.n_components = n_components
        self.covariance_type = covariance_type
        self.reg_covar = reg_covar
        self.ends = ends
        self.pseudocount = pseudocount
        self.startprob_init = startprob_init
        self.transmat_init = transmat_init
        self.means_init = means_init
        self.covars_init = covars_init
        self.tol = tol
        self.max_iter = max_iter
        self.n_init = n_init
        self.random_state = random_state
        self.threads = threads

    def sample(self, n_samples=1, rng=None) -> tuple[np.ndarray, np.ndarray]:
        """Returns one sequence drawn from the model, and its states.

        Args:
            n_samples: How many observations; with `ends`, at most so many.
            rng: A NumPy Generator. Default: from `random_state`.

        Returns:
            Observations float64 (time, features), and states, int (time,).
        """
        check_fitted(self)
        rng = np.random.default_rng(self.random_state if rng is None else rng)
        states = self._states(n_samples, rng)
        white = rng.normal(size=(len(states), self.means_.shape[1]))
        spread = self._dense()[states]
        return self.means_[states] + np.einsum("tij,tj->ti", spread, white), states

    def _dense(self) -> np.ndarray:
        """Cholesky factors of the covariances, float64 (states, features, features)."""
        k, features = self.means_.shape
        if self.covariance_type in ("full", "tied"):
            whole = np.broadcast_to(self.covars_, (k, features, features))
        else:
            rows = np.broadcast_to(self.covars_.reshape(k, -1), (k, features))
            whole = rows[:, :, None] * np.eye(features)
        return np.linalg.cholesky(whole)

    def _check(self) -> None:
        super()._check()
        if self.covariance_type not in gaussian.TYPES:
            raise ValueError(
                f"`covariance_type` must be one of {', '.join(gaussian.TYPES)}. "
                f"Received: {self.covariance_type!r}."
            )
        if not self.reg_covar >= 0:
            raise ValueError(f"`reg_covar` must be at least 0. Received: {self.reg_covar!r}.")

    def _slack(self) -> float:
        # The floor under the variances is no part of the likelihood.
        return np.inf if self.reg_covar else super()._slack()

    def _observations(self, x, fitting) -> np.ndarray:
        x = check_matrix(x, None if fitting else self.n_features_in_)
        if fitting:
            self._features = x.shape[1]
        return x

    def _guess(self, x, rng) -> np.ndarray:
        labels = assign(x, k_means(x, self.n_components, rng, np.ones(len(x))))
        return labels[:, None] == np.arange(self.n_components)

    def _given(self) -> Gaussians | None:
        if (self.means_init is None) != (self.covars_init is None):
            raise ValueError(
                "`means_init` and `covars_init` must be given together. "
                f"Received: means_init={self.means_init!r}, covars_init={self.covars_init!r}."
            )
        if self.means_init is None:
            return None
        k, d = self.n_components, self._features
        shapes = {"full": (k, d, d), "tied": (d, d), "diag": (k, d), "spherical": (k,)}
        wanted = {"means_init": (k, d), "covars_init": shapes[self.covariance_type]}
        for name, shape in wanted.items():
            if np.shape(getattr(self, name)) != shape:
                received = np.shape(getattr(self, name))
                raise ValueError(f"`{name}` must have the shape {shape}. Received: {received}.")
        weights = np.full(k, 1.0 / k)
        return gaussian.gaussians(weights, self.means_init, self.covars_init, self.covariance_type)

    def _log_densities(self, x, emission: Gaussians) -> np.ndarray:
        return gaussian.log_joint(x, emission) - np.log(emission.weights)

    def _nothing(self) -> list[Moments]:
        return []

    # Moments are merged as they are: sums of squares around zero would lose digits.

    def _collect(self, x, shares, statistics) -> list[Moments]:
        return self._join(statistics, [gaussian.moments(x, shares, self.covariance_type)])

    def _join(self, one, other) -> list[Moments]:
        if not one or not other:
            return one or other
        (a,), (b,) = one, other
        both = gaussian.blend(a, b, 0.5, 0.5)  # half of each: the sums are twice that
        return [Moments(2 * both.counts, both.means, 2 * both.scatters)]

    def _emission(self, statistics, old) -> Gaussians:
        (found,) = statistics
        best = gaussian.maximised(found, old, self.reg_covar, self.covariance_type)
        k = self.n_components
        even = np.full(k, 1.0 / k)  # how often a state is visited, the transitions say
        return gaussian.gaussians(even, best.means, best.covariances, self.covariance_type)

    def _emission_prior(self, emission) -> float:
        return 0.0

    def _publish(self, emission) -> None:
        self.means_ = emission.means
        self.covars_ = emission.covariances

    def _emission_size(self) -> int:
        k, d = self.means_.shape
        symmetric = d * (d + 1) // 2
        shape = {"full": k * symmetric, "tied": symmetric, "diag": k * d, "spherical": k}
        return k * d + shape[self.covariance_type]
