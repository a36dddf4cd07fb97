"""The mixture of Gaussians: scikit-learn is the oracle, and the likelihood never falls."""

import math

import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment
from scipy.stats import multivariate_normal

from taolu.fit import GaussianMixture
from taolu.fit.gaussian import TYPES, blend, gaussians, moments

K, D = 3, 4
kinds = pytest.mark.parametrize("kind", TYPES)


def data(n=300, seed=0, spread=2.0):
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(K, D)) * spread
    mixing = rng.normal(size=(K, D, D)) * 0.6
    labels = rng.integers(K, size=n)
    x = centres[labels] + np.einsum("nij,nj->ni", mixing[labels], rng.normal(size=(n, D)))
    return x + 0.3 * rng.normal(size=(n, D)), labels


def start(x, kind, seed=1):
    """Shares, means and precisions to begin with, the same for both libraries."""
    rng = np.random.default_rng(seed)
    square = rng.normal(size=(K, D, D)) * 0.2
    dense = np.eye(D) + square @ np.swapaxes(square, 1, 2)
    precisions = {
        "full": dense,
        "tied": dense[0],
        "diag": rng.uniform(0.5, 2, (K, D)),
        "spherical": rng.uniform(0.5, 2, K),
    }[kind]
    return {
        "weights_init": np.array([0.5, 0.3, 0.2]),
        "means_init": x[rng.choice(len(x), K, replace=False)],
        "precisions_init": precisions,
    }


def covariance(model, k):
    """Covariance matrix of one component, whatever the type."""
    found = model.covariances_
    if model.covariance_type == "tied":
        return found
    return found[k] if model.covariance_type == "full" else np.diag(np.broadcast_to(found[k], D))


def density(model, x):
    """log p(x), by the formula."""
    parts = [
        weight * multivariate_normal(mean, covariance(model, k)).pdf(x)
        for k, (weight, mean) in enumerate(zip(model.weights_, model.means_, strict=True))
    ]
    return np.log(np.sum(parts, axis=0))


def matched(truth, found):
    """The order of the found components that lies nearest to the truth: labels may be switched."""
    apart = ((truth[:, None] - found[None]) ** 2).sum(axis=-1)
    return linear_sum_assignment(apart)[1]


# Oracle: scikit-learn


@kinds
@pytest.mark.parametrize("reg_covar", [1e-6, 0.1])
def test_fifty_iterations_equal_scikit_learn(kind, reg_covar, figure):
    sklearn = pytest.importorskip("sklearn.mixture")
    x, _ = data()
    same = {"covariance_type": kind, "tol": 0, "max_iter": 50, "reg_covar": reg_covar}
    same |= start(x, kind)
    ours = GaussianMixture(K, **same).fit(x)
    with pytest.warns(UserWarning, match="did not converge"):
        theirs = sklearn.GaussianMixture(K, **same).fit(x)
    names = ("weights_", "means_", "covariances_", "precisions_", "precisions_cholesky_")
    for name in names:
        one, other = getattr(ours, name), getattr(theirs, name)
        np.testing.assert_allclose(one, other, atol=1e-6, rtol=1e-6)
        if name in ("weights_", "means_", "covariances_"):
            figure("mixture, 50 iterations, beside scikit-learn", np.abs(one - other).max())
    assert ours.n_iter_ == 50
    assert not ours.converged_
    for name in ("score_samples", "predict_proba", "predict"):
        np.testing.assert_allclose(getattr(ours, name)(x), getattr(theirs, name)(x), atol=1e-6)
    for name in ("score", "aic", "bic"):
        assert getattr(ours, name)(x) == pytest.approx(getattr(theirs, name)(x), rel=1e-9)


@kinds
def test_it_stops_one_step_before_scikit_learn(kind):
    sklearn = pytest.importorskip("sklearn.mixture")
    x, _ = data()
    same = {"covariance_type": kind, **start(x, kind)}
    theirs = sklearn.GaussianMixture(K, **same).fit(x)
    ours = GaussianMixture(K, **same).fit(x)
    assert ours.converged_
    assert theirs.converged_
    assert ours.n_iter_ == theirs.n_iter_ - 1


@kinds
def test_the_density_is_the_formula(kind):
    x, _ = data(60)
    model = GaussianMixture(K, covariance_type=kind, max_iter=3, tol=0, random_state=0).fit(x)
    np.testing.assert_allclose(model.score_samples(x), density(model, x), rtol=1e-9)
    assert model.score(x) == pytest.approx(density(model, x).mean())
    assert model.bits(x) == pytest.approx(-density(model, x).sum() / math.log(2))
    assert model.log_likelihoods_[-1] == pytest.approx(model.score(x), rel=1e-12)
    np.testing.assert_allclose(model.predict_proba(x).sum(axis=1), 1, rtol=1e-12)


# Invariants


@kinds
def test_the_likelihood_never_falls(kind):
    x, _ = data()
    options = {"covariance_type": kind, "tol": 0, "max_iter": 60, "reg_covar": 0}
    model = GaussianMixture(K, **options, **start(x, kind)).fit(x)
    assert len(model.log_likelihoods_) == 61
    assert np.diff(model.log_likelihoods_).min() >= -1e-10


@kinds
def test_the_gradient_is_that_of_the_completed_data(kind):
    """∇log p(X) = E[∇log p(X, Y)]: the means see the same slope from both sides."""
    x, _ = data(40)
    model = GaussianMixture(K, covariance_type=kind, max_iter=2, tol=0, random_state=0).fit(x)
    shares = model.predict_proba(x)

    def of_means(means):
        model.means_ = means
        return density(model, x).sum()

    means = model.means_.copy()
    for k in range(K):
        inverse = np.linalg.inv(covariance(model, k))
        completed = shares[:, k] @ ((x - means[k]) @ inverse)
        for i in range(D):
            step = np.zeros((K, D))
            step[k, i] = 1e-5
            slope = (of_means(means + step) - of_means(means - step)) / 2e-5
            assert completed[i] == pytest.approx(slope, rel=1e-5, abs=1e-5)


def test_the_gradient_identity_holds_for_automatic_differentiation():
    jax = pytest.importorskip("jax")
    x, _ = data(50)
    model = GaussianMixture(K, max_iter=2, tol=0, random_state=0).fit(x)
    with jax.enable_x64(True):
        jnp = jax.numpy
        fitted = (np.log(model.weights_), model.means_, model.precisions_cholesky_)

        def joint(parameters, rows):
            logits, means, factors = parameters
            white = jnp.einsum("nki,kij->nkj", rows[:, None] - means, factors)
            logs = jnp.log(jnp.abs(jnp.diagonal(factors, axis1=1, axis2=2))).sum(axis=1)
            normal = logs - D / 2 * jnp.log(2 * jnp.pi) - (white**2).sum(axis=2) / 2
            return jax.nn.log_softmax(logits) + normal

        def whole(parameters):
            return jax.nn.logsumexp(joint(parameters, x), axis=1).sum()

        def completed(parameters):
            return (model.predict_proba(x) * joint(parameters, x)).sum()

        assert whole(fitted) == pytest.approx(model.score_samples(x).sum(), rel=1e-12)
        for one, other in zip(jax.grad(whole)(fitted), jax.grad(completed)(fitted), strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-9)
            assert np.abs(one).max() > 1e-3


@kinds
def test_weights_count_copies(kind):
    x, _ = data(60)
    copies = np.random.default_rng(0).integers(0, 4, size=60)
    options = {"covariance_type": kind, "tol": 0, "max_iter": 10, **start(x, kind)}
    one = GaussianMixture(K, **options).fit(x, sample_weight=copies)
    other = GaussianMixture(K, **options).fit(np.repeat(x, copies, axis=0))
    for name in ("weights_", "means_", "covariances_", "log_likelihoods_"):
        np.testing.assert_allclose(getattr(one, name), getattr(other, name), rtol=1e-8, atol=1e-9)


@kinds
def test_threads_change_no_bit(kind):
    x, _ = data(300)
    x = np.tile(x, (150, 1))
    options = {"covariance_type": kind, "max_iter": 2, **start(x, kind)}
    one, two = (GaussianMixture(K, threads=threads, **options).fit(x) for threads in (1, 2))
    np.testing.assert_array_equal(one.means_, two.means_)
    np.testing.assert_array_equal(one.covariances_, two.covariances_)


@kinds
def test_a_narrow_component_far_from_the_origin_keeps_its_digits(kind):
    x, _ = data(300)
    options = {"covariance_type": kind, "tol": 0, "max_iter": 10, "reg_covar": 0}
    here = start(x, kind)
    # 2^20 and 2^-10 move and shrink the data without rounding them much.
    there = {**here, "means_init": here["means_init"] / 1024 + 2.0**20}
    there["precisions_init"] = here["precisions_init"] * 1024**2
    one = GaussianMixture(K, **options, **here).fit(x)
    other = GaussianMixture(K, **options, **there).fit(x / 1024 + 2.0**20)
    np.testing.assert_allclose(other.covariances_ * 1024**2, one.covariances_, rtol=1e-4, atol=1e-5)


# Real data


def test_iris(figure):
    sklearn = pytest.importorskip("sklearn")
    from sklearn.datasets import load_iris
    from sklearn.metrics import adjusted_rand_score

    assert sklearn
    x, species = load_iris(return_X_y=True)
    model = GaussianMixture(3, n_init=5, random_state=0).fit(x)
    rand = adjusted_rand_score(species, model.predict(x))
    figure("mixture, iris, adjusted Rand index", rand)
    assert rand >= 0.90
    np.testing.assert_array_equal(model.predict(x), np.argmax(model.predict_proba(x), axis=1))
    np.testing.assert_array_equal(
        GaussianMixture(3, n_init=5, random_state=0).fit_predict(x), model.predict(x)
    )


# Starts


def test_the_best_of_several_starts_is_kept():
    x, _ = data(spread=1.0)
    model = GaussianMixture(K, n_init=6, init_params="k-means++", random_state=0).fit(x)
    assert model.start_log_likelihoods_.shape == (6,)
    assert model.lower_bound_ == model.start_log_likelihoods_.max()
    assert model.start_log_likelihoods_.min() < model.lower_bound_


def test_the_same_seed_gives_the_same_model():
    x, _ = data()
    one, two, other = (GaussianMixture(K, max_iter=2, random_state=s).fit(x) for s in (1, 1, 2))
    np.testing.assert_array_equal(one.means_, two.means_)
    assert not np.array_equal(one.means_, other.means_)


def test_part_of_a_start_may_be_given():
    x, _ = data()
    given = start(x, "full")["means_init"]
    model = GaussianMixture(K, means_init=given, max_iter=1, tol=0, random_state=0).fit(x)
    assert model.means_.shape == (K, D)
    other = GaussianMixture(K, means_init=given + 1, max_iter=1, tol=0, random_state=0).fit(x)
    assert not np.allclose(model.means_, other.means_)


@kinds
def test_equal_rows_leave_no_component_broken(kind):
    x = np.repeat([[0.0, 0.0], [5.0, 5.0]], 20, axis=0)
    model = GaussianMixture(3, covariance_type=kind, random_state=0).fit(x)
    assert np.isfinite(model.means_).all()
    assert model.score(x) > 0


@kinds
def test_an_empty_component_is_placed_anew(kind):
    rng = np.random.default_rng(0)
    x = np.concatenate([rng.normal(0, 1, (50, 2)), rng.normal(30, 1, (50, 2))])
    shape = {"full": np.stack([np.eye(2)] * 2), "tied": np.eye(2), "diag": np.ones((2, 2))}
    given = {
        "weights_init": np.array([0.5, 0.5]),
        "means_init": np.array([[15.0, 15.0], [1e6, 1e6]]),
        "precisions_init": shape.get(kind, np.ones(2)),
    }
    model = GaussianMixture(2, covariance_type=kind, tol=1e-8, **given).fit(x)
    np.testing.assert_allclose(np.sort(model.means_[:, 0]), [0, 30], atol=0.5)
    np.testing.assert_allclose(model.weights_, 0.5, atol=0.01)


# Samples, online


@kinds
def test_a_sample_has_the_moments_of_the_model(kind):
    x, _ = data()
    model = GaussianMixture(K, covariance_type=kind, random_state=0).fit(x)
    drawn, components = model.sample(30_000, np.random.default_rng(0))
    assert drawn.shape == (30_000, D)
    for k in range(K):
        mine = drawn[components == k]
        assert len(mine) / 30_000 == pytest.approx(model.weights_[k], abs=0.02)
        spread = np.sqrt(np.diag(covariance(model, k)))
        np.testing.assert_allclose(mine.mean(axis=0), model.means_[k], atol=0.1 * spread.max())
        close = 0.1 * spread.max() ** 2
        np.testing.assert_allclose(np.cov(mine.T), covariance(model, k), atol=close)
    again, _ = model.sample(5)
    np.testing.assert_array_equal(again, model.sample(5)[0])


@kinds
def test_blended_moments_are_those_of_both_batches(kind):
    x, _ = data(30)
    shares = np.random.default_rng(0).dirichlet(np.ones(K), 30)
    both = moments(x, shares, kind)
    parts = [moments(x[rows], shares[rows], kind) for rows in (slice(0, 10), slice(10, 30))]
    mixed = blend(*parts, 0.5, 0.5)
    for name, factor in (("counts", 2), ("means", 1), ("scatters", 2)):
        np.testing.assert_allclose(factor * getattr(mixed, name), getattr(both, name), rtol=1e-9)


@kinds
def test_a_stream_is_learned_batch_by_batch(kind):
    x, _ = data(6000)
    whole = GaussianMixture(K, covariance_type=kind, random_state=0, n_init=3).fit(x)
    model = GaussianMixture(K, covariance_type=kind, random_state=0, n_init=3)
    for rows in np.split(np.arange(6000), 40):
        model.partial_fit(x[rows])
    assert len(model.log_likelihoods_) == 40
    assert model.score(x) > whole.score(x) - 0.05
    if kind != "tied":  # one shape for three different ones: several optima are as good
        order = matched(whole.means_, model.means_)
        np.testing.assert_allclose(model.weights_[order], whole.weights_, atol=0.06)


@kinds
def test_online_learning_goes_on_from_a_fitted_model(kind):
    x, _ = data(600)
    model = GaussianMixture(K, covariance_type=kind, tol=1e-9, max_iter=500, random_state=0).fit(x)
    means, covariances = model.means_.copy(), model.covariances_.copy()
    model.partial_fit(x)  # the same data again: EM has arrived, so nothing moves
    np.testing.assert_allclose(model.means_, means, atol=1e-3)
    np.testing.assert_allclose(model.covariances_, covariances, atol=1e-3)


# scikit-learn's tools


def test_scikit_learn_can_copy_chain_and_tune_it():
    pytest.importorskip("sklearn")
    from sklearn.base import clone
    from sklearn.model_selection import GridSearchCV
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    x, _ = data(120)
    model = GaussianMixture(K, covariance_type="diag", random_state=0)
    copy = clone(model)
    assert copy is not model
    assert copy.get_params() == model.get_params()
    pipeline = make_pipeline(StandardScaler(), model).fit(x)
    assert np.isfinite(pipeline.score(x))
    assert pipeline.predict(x).shape == (120,)
    search = GridSearchCV(GaussianMixture(random_state=0), {"n_components": [1, K]}, cv=3).fit(x)
    assert search.best_params_ == {"n_components": K}
    nested = GridSearchCV(
        make_pipeline(StandardScaler(), GaussianMixture(random_state=0)),
        {"gaussianmixture__n_components": [1, K]},
        cv=2,
    )
    assert nested.fit(x).best_params_ == {"gaussianmixture__n_components": K}


def test_arguments_are_shown_and_set_by_name():
    model = GaussianMixture(2, tol=0.1)
    assert repr(model) == "GaussianMixture(n_components=2, tol=0.1)"
    assert repr(GaussianMixture(weights_init=np.ones(2))).endswith("weights_init=array([1., 1.]))")
    assert model.set_params(n_components=4) is model
    assert model.get_params()["n_components"] == 4
    with pytest.raises(ValueError, match=r"`size` must be an argument of .* Received: size=1"):
        model.set_params(size=1)


# Errors


@pytest.mark.parametrize(
    ("x", "message"),
    [
        ([[1.0, math.nan], [1, 1]], "`X` must be finite.* Received: nan in row 0, column 1"),
        ([[1.0, 1.0], [-math.inf, 1]], "Received: -inf in row 1, column 0"),
        ([1.0, 2.0], r"`X` must have the shape \(observations, features\).* \(2,\)"),
        ([[1.0, 2.0]], "`X` must have at least 2 rows, one for each component. Received: 1 rows"),
        ([[1e200, 1], [1, 1]], r"`X` must lie within ±1e\+140.* Received: values up to 1e\+200"),
        (np.zeros((3, 0)), r"Received: the shape \(3, 0\)"),
    ],
)
def test_bad_data_are_named(x, message):
    with pytest.raises(ValueError, match=message):
        GaussianMixture(2).fit(x)


def test_sparse_data_are_refused():
    from scipy import sparse

    with pytest.raises(ValueError, match="`X` must be dense here"):
        GaussianMixture(2).fit(sparse.eye_array(5))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_components": 0}, "`n_components` must be a whole number, at least 1"),
        ({"n_components": 2.0}, r"Received: n_components=2\.0"),
        ({"covariance_type": "round"}, "`covariance_type` must be one of full, tied, diag, spher"),
        ({"init_params": "far"}, "`init_params` must be one of kmeans, k-means"),
        ({"reg_covar": -1}, "`reg_covar` must be finite and at least 0"),
        ({"tol": -1}, "`tol` must be at least 0"),
        ({"max_iter": 0}, "`max_iter` must be a whole number, at least 1"),
        ({"n_init": 0}, "`n_init` must be a whole number, at least 1"),
        ({"step_power": 0.5}, "`step_power` must lie above 0.5"),
        ({"weights_init": [0.5, 0.4]}, r"`weights_init` must .* add up to 1.* sum 0\.9"),
        ({"means_init": np.zeros((2, 3))}, r"`means_init` must .* shape \(2, 2\)"),
        ({"precisions_init": np.zeros(2)}, r"`precisions_init` must .* shape \(2, 2, 2\)"),
    ],
)
def test_arguments_out_of_range_are_named(options, message):
    x = np.random.default_rng(0).normal(size=(9, 2))
    with pytest.raises(ValueError, match=message) as caught:
        GaussianMixture(**{"n_components": 2, **options}).fit(x)
    assert "Received:" in str(caught.value)


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ([1.0], r"`sample_weight` must have one value for each of the 9 rows.* \(1,\)"),
        ([-1.0] * 9, "`sample_weight` must be finite and not negative. Received: the weight -1"),
        ([math.nan] * 9, "Received: the weight nan"),
        ([0.0] * 9, "`sample_weight` must not be all zero"),
    ],
)
def test_bad_weights_are_named(weights, message):
    x = np.random.default_rng(0).normal(size=(9, 2))
    with pytest.raises(ValueError, match=message):
        GaussianMixture(2).fit(x, sample_weight=weights)


def test_another_width_is_named():
    x, _ = data(30)
    model = GaussianMixture(2, random_state=0).fit(x)
    with pytest.raises(ValueError, match="`X` must have 4 features, as the data of `fit`"):
        model.predict(x[:, :2])


def test_an_unfitted_model_says_so():
    with pytest.raises(ValueError, match="GaussianMixture must be fitted before"):
        GaussianMixture(2).predict([[0.0]])
    with pytest.raises(ValueError, match="must be fitted"):
        GaussianMixture(2).sample(3)


def test_a_collapsed_component_without_a_floor_is_named():
    x = np.repeat([[0.0, 0.0], [5.0, 5.0]], 20, axis=0)
    with pytest.raises(ValueError, match="Every covariance must be positive definite"):
        GaussianMixture(2, reg_covar=0, random_state=0).fit(x)


@kinds
def test_start_shares_of_gaussians_are_kept(kind):
    shape = {"full": [np.eye(D)], "tied": np.eye(D), "diag": np.ones((1, D)), "spherical": [1.0]}
    mixture = gaussians([1.0], np.zeros((1, D)), shape[kind], kind)
    np.testing.assert_array_equal(mixture.covariances, mixture.factors)
