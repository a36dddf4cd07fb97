"""The mixture of Gaussians, with the names and the manners of scikit-learn.

    p(x) = Σ_k weight_k N(x; mean_k, covariance_k)

Its likelihood has no highest point: a component that shrinks onto one observation makes it
infinite. `reg_covar` keeps every variance above a floor.
"""

import math

import numpy as np

from taolu.fit import gaussian
from taolu.fit.em import SLACK
from taolu.fit.estimator import check_matrix
from taolu.fit.gaussian import Gaussians, Moments
from taolu.fit.mixture import Mixture
from taolu.fit.starts import assign, k_means, spread_rows

STARTS = ("kmeans", "k-means++")


class GaussianMixture(Mixture):
    """A mixture of Gaussians fitted by EM; arguments and attributes are named as in scikit-learn.

    From the same start it takes the same steps as scikit-learn's class of this name, and stops by
    the same rule one M-step earlier: at the parameters that were judged. Beyond it: weights of the
    observations, `partial_fit`, empty components placed anew, code lengths in bits.

    Args:
        n_components: How many Gaussians.
        covariance_type: "full": each component its own ellipsoid; "tied": one shape for all;
            "diag": axes along the features; "spherical": round.
        tol: Smallest change of the mean log-likelihood worth another iteration, in nats.
        reg_covar: Added to every variance, in squared units of the data. Above 0 the climb is that
            of the regularised steps, and the likelihood may fall by about as much near the end.
        max_iter: Most iterations from one start.
        n_init: How many starts.
        init_params: "kmeans": k-means from a k-means++ start; "k-means++": that start alone.
        weights_init: Shares to start from, float (components,).
        means_init: Means to start from, float (components, features).
        precisions_init: Inverse covariances to start from, shaped like the covariances.
        random_state: None, a whole number or a NumPy Generator: the source of chance.
        step_power: How slowly `partial_fit` forgets, above 0.5, at most 1.
        threads: How many blocks of rows are worked on at once; None means one for each core. Every
            number gives the same result to the last bit.

    Attributes:
        weights_: Float64 (components,), sum 1.
        means_: Float64 (components, features).
        covariances_: Float64: full (components, features, features), tied (features, features),
            diag (components, features), spherical (components,).
        precisions_cholesky_, precisions_: P and P Pᵀ, the inverse covariances, shaped alike.
        converged_: True if `tol` was met.
        log_likelihoods_: Mean log-likelihood at the start and after each iteration of the best run.
        lower_bound_: The last of them.
        start_log_likelihoods_: Where each start ended, float64 (n_init,).
        n_iter_, n_features_in_: Iterations of the best run; width of the data.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> x = np.concatenate([rng.normal(0, 1, (200, 1)), rng.normal(9, 2, (200, 1))])
        >>> model = GaussianMixture(2, random_state=0).fit(x)
        >>> sorted(model.means_.ravel().round(1).tolist())
        [0.0, 8.9]
        >>> model.predict(x)[0] != model.predict(x)[-1]
        np.True_

    References:
        Dempster, Laird, Rubin, Maximum likelihood from incomplete data via the EM algorithm, 1977.
        Su Jianlin, 从最大似然到EM算法: 一致的理解方式, spaces.ac.cn/archives/5239, 2018.
    """

    def __init__(
        self,
        n_components=1,
        *,
        covariance_type="full",
        tol=1e-3,
        reg_covar=1e-6,
        max_iter=100,
        n_init=1,
        init_params="kmeans",
        weights_init=None,
        means_init=None,
        precisions_init=None,
        random_state=None,
        step_power=0.7,
        threads=None,
    ):
        self.n_components = n_components
        self.covariance_type = covariance_type
        self.tol = tol
        self.reg_covar = reg_covar
        self.max_iter = max_iter
        self.n_init = n_init
        self.init_params = init_params
        self.weights_init = weights_init
        self.means_init = means_init
        self.precisions_init = precisions_init
        self.random_state = random_state
        self.step_power = step_power
        self.threads = threads

    @property
    def precisions_(self) -> np.ndarray:
        """The inverse covariances, shaped like `covariances_`."""
        factors = self.precisions_cholesky_
        if self.covariance_type in ("full", "tied"):
            return factors @ np.swapaxes(factors, -1, -2)
        return factors**2

    def sample(self, n_samples=1, rng=None) -> tuple[np.ndarray, np.ndarray]:
        """New observations and the components they come from, sorted by component.

        Args:
            n_samples: How many.
            rng: NumPy Generator or seed. Default: `random_state`.

        Returns:
            Observations, float64 (n_samples, features), and components, int64 (n_samples,).
        """
        components, rng = self._draw_components(n_samples, rng)
        white = rng.standard_normal((n_samples, self.n_features_in_))
        found = np.empty_like(white)
        for k in range(self.n_components):
            rows = components == k
            found[rows] = self.means_[k] + self._coloured(white[rows], k)
        return found, components

    def _coloured(self, white, k):
        if self.covariance_type == "tied":
            return white @ np.linalg.cholesky(self.covariances_).T
        if self.covariance_type == "full":
            return white @ np.linalg.cholesky(self.covariances_[k]).T
        return white * np.sqrt(self.covariances_[k])

    def _check(self) -> None:
        super()._check()
        if self.covariance_type not in gaussian.TYPES:
            raise ValueError(
                f"`covariance_type` must be one of {', '.join(gaussian.TYPES)}. "
                f"Received: covariance_type={self.covariance_type!r}."
            )
        if self.init_params not in STARTS:
            raise ValueError(
                f"`init_params` must be one of {', '.join(STARTS)}. "
                f"Received: init_params={self.init_params!r}."
            )
        if not 0 <= self.reg_covar < math.inf:
            raise ValueError(
                "`reg_covar` must be finite and at least 0. "
                f"Received: reg_covar={self.reg_covar!r}."
            )

    def _slack(self) -> float:
        # The floor is no part of the likelihood, so the promise holds without it only.
        return SLACK if self.reg_covar == 0 else math.inf

    def _read(self, X, columns, rows):
        return check_matrix(X, columns, rows)

    def _start(self, x, weights, rng) -> Gaussians:
        given = (self.weights_init, self.means_init, self.precisions_init)
        if all(part is not None for part in given):
            return self._replaced(None, x.shape[1])
        centred = x - weights @ x / weights.sum()  # distances by products lose digits far out
        if self.init_params == "kmeans":
            centres = k_means(centred, self.n_components, rng, weights)
        else:
            centres = centred[spread_rows(centred, self.n_components, rng, weights)]
        shares = self._shares(centred, weights, centres)
        found = gaussian.moments(x, shares, self.covariance_type)
        return self._replaced(self._whole(found, x, weights), x.shape[1])

    def _shares(self, x, weights, centres) -> np.ndarray:
        """Each row belongs to the nearest centre: float64 (observations, components)."""
        return weights[:, None] * (assign(x, centres)[:, None] == np.arange(self.n_components))

    def _whole(self, found: Moments, x, weights) -> Gaussians:
        """The M-step of a start; a component that got no row starts as broad as all the data."""
        if not (found.counts > 0).all():
            gone = found.counts == 0
            everything = gaussian.moments(x, weights[:, None], self.covariance_type)
            share = 1 / weights.sum()
            found.counts[gone] = 1.0
            found.means[gone] = everything.means[0]
            found.scatters[gone] = everything.scatters[0] * share
        return gaussian.maximised(found, None, self.reg_covar, self.covariance_type)

    def _replaced(self, guess: Gaussians | None, features: int) -> Gaussians:
        """The guess with what the user gave in the place of what was guessed."""
        k, kind = self.n_components, self.covariance_type
        shapes = {"full": (k, features, features), "tied": (features, features)}
        shape = {**shapes, "diag": (k, features), "spherical": (k,)}[kind]
        weights = _given("weights_init", self.weights_init, (k,))
        means = _given("means_init", self.means_init, (k, features))
        precisions = _given("precisions_init", self.precisions_init, shape)
        if weights is not None and not ((weights >= 0).all() and abs(weights.sum() - 1) < 1e-6):
            raise ValueError(
                "`weights_init` must be at least 0 and add up to 1. "
                f"Received: values from {weights.min():g}, sum {weights.sum():g}."
            )
        covariances = None
        if precisions is not None:
            dense = kind in ("full", "tied")
            covariances = np.linalg.inv(precisions) if dense else 1 / precisions
        if guess is None:
            return gaussian.gaussians(weights, means, covariances, kind)
        return gaussian.gaussians(
            guess.weights if weights is None else weights,
            guess.means if means is None else means,
            guess.covariances if covariances is None else covariances,
            kind,
        )

    def _e_step(self, x, weights, parameters):
        return gaussian.expected_moments(x, weights, parameters, self.threads)

    def _m_step(self, statistics, parameters) -> Gaussians:
        return gaussian.maximised(statistics, parameters, self.reg_covar, self.covariance_type)

    def _log_joint(self, x, parameters) -> np.ndarray:
        return gaussian.log_joint(x, parameters)

    def _blend(self, old, new, keep, gain) -> Moments:
        return gaussian.blend(old, new, keep, gain)

    def _revived(self, x, weights, parameters, empty) -> Gaussians:
        """Empty components move to the observations that the others explain worst."""
        logs = gaussian.log_joint(x, parameters)
        evidence = np.where(weights > 0, logs.max(axis=1), np.inf)
        means = parameters.means.copy()
        means[empty] = x[np.argsort(evidence, kind="stable")[: empty.sum()]]
        shares = np.where(empty, 1 / len(empty), parameters.weights)
        if self.covariance_type == "tied":
            # The shape shared so far is as broad as all components together: from it, the new one
            # would hardly move. The rows around each mean say how broad one of them is.
            found = gaussian.moments(x, self._shares(x, weights, means), "tied")
            covariances = gaussian.maximised(found, None, self.reg_covar, "tied").covariances
        else:
            covariances = parameters.covariances.copy()
            covariances[empty] = np.average(covariances[~empty], 0, parameters.weights[~empty])
        return gaussian.gaussians(shares / shares.sum(), means, covariances, self.covariance_type)

    def _publish(self, parameters) -> None:
        self.means_ = parameters.means
        self.covariances_ = parameters.covariances
        self.precisions_cholesky_ = parameters.factors

    def _free_parameters(self) -> int:
        k, features = self.means_.shape
        symmetric = features * (features + 1) // 2
        shape = {"full": k * symmetric, "tied": symmetric, "diag": k * features, "spherical": k}
        return k - 1 + k * features + shape[self.covariance_type]


def _given(name, value, shape):
    if value is None:
        return None
    value = np.asarray(value, dtype=np.float64)
    if value.shape != shape or not np.isfinite(value).all():
        raise ValueError(
            f"`{name}` must be finite and have the shape {shape}. "
            f"Received: an array of shape {value.shape}."
        )
    return value
