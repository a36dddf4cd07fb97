"""Mixtures of discrete sources: a naive EM in loops is the oracle, planted truth comes back."""

import math

import numpy as np
import pytest
from scipy import sparse
from scipy.optimize import linear_sum_assignment

from taolu.fit import BernoulliMixture, MultinomialMixture

BOTH = pytest.mark.parametrize("model", [BernoulliMixture, MultinomialMixture])


def ones(n=200, seed=0):
    rng = np.random.default_rng(seed)
    chances = np.array([[0.9, 0.8, 0.1, 0.2, 0.5], [0.1, 0.3, 0.9, 0.7, 0.4]])
    labels = (rng.random(n) < 0.35).astype(int)
    return (rng.random((n, 5)) < chances[labels]).astype(float), labels, chances


def counts(n=200, seed=0):
    rng = np.random.default_rng(seed)
    chances = np.array([[0.5, 0.3, 0.1, 0.05, 0.05], [0.05, 0.1, 0.15, 0.3, 0.4]])
    labels = (rng.random(n) < 0.35).astype(int)
    return rng.multinomial(rng.integers(5, 20, n), chances[labels]).astype(float), labels, chances


def data(model, n=200, seed=0):
    return ones(n, seed) if model is BernoulliMixture else counts(n, seed)


def terms(model, p, x):
    """log p(x | component), each observation and each feature by itself."""
    if model is BernoulliMixture:
        return sum(math.log(q if v else 1 - q) for q, v in zip(p, x, strict=True))
    return sum(v * math.log(q) for q, v in zip(p, x, strict=True))


def naive(model, x, weights, p, alpha, iterations):
    """EM as the formulas say it, in loops; returns the parameters and the log-likelihoods."""
    history = []
    for _ in range(iterations + 1):
        joint = [
            [w * math.exp(terms(model, q, row)) for w, q in zip(weights, p, strict=True)]
            for row in x
        ]
        history.append(sum(math.log(sum(row)) for row in joint) / len(x))
        last = weights, p
        shares = np.array([[v / sum(row) for v in row] for row in joint])
        weights = shares.mean(axis=0)
        sums = shares.T @ x + alpha
        if model is BernoulliMixture:
            p = sums / (shares.sum(axis=0) + 2 * alpha)[:, None]
        else:
            p = sums / sums.sum(axis=1, keepdims=True)
    return *last, history


def first(model, x):
    p = np.random.default_rng(3).uniform(0.2, 0.8, (2, x.shape[1]))
    return p if model is BernoulliMixture else p / p.sum(axis=1, keepdims=True)


# Oracle


@BOTH
@pytest.mark.parametrize("alpha", [0, 0.5])
def test_it_is_the_em_of_the_formulas(model, alpha):
    x, _, _ = data(model, 40)
    start = {"weights_init": [0.4, 0.6], "probabilities_init": first(model, x)}
    found = model(2, alpha=alpha, tol=0, max_iter=10, **start).fit(x)
    weights, p, history = naive(model, x, [0.4, 0.6], first(model, x), alpha, 10)
    np.testing.assert_allclose(found.weights_, weights, rtol=1e-9)
    np.testing.assert_allclose(found.probabilities_, p, rtol=1e-9)
    assert found.score(x) == pytest.approx(history[-1], rel=1e-9)
    if alpha == 0:
        np.testing.assert_allclose(found.log_likelihoods_, history, rtol=1e-9)


@BOTH
def test_sparse_counts_are_the_same_counts(model):
    x, _, _ = data(model)
    one = model(2, random_state=0).fit(x)
    for kind in (sparse.csr_array, sparse.csc_matrix, sparse.coo_array):
        other = model(2, random_state=0).fit(kind(x))
        np.testing.assert_allclose(one.probabilities_, other.probabilities_, rtol=1e-10)
    np.testing.assert_allclose(one.score_samples(x), one.score_samples(sparse.csr_array(x)))


# Invariants


@BOTH
@pytest.mark.parametrize("alpha", [0, 0.01, 1])
def test_the_likelihood_never_falls(model, alpha):
    x, _, _ = data(model)
    found = model(3, alpha=alpha, tol=0, max_iter=50, random_state=0).fit(x)
    assert np.diff(found.log_likelihoods_).min() >= -1e-10
    assert not found.converged_


@BOTH
def test_the_probabilities_of_everything_add_up_to_one(model):
    x, _, _ = data(model)
    found = model(2, random_state=0).fit(x)
    if model is BernoulliMixture:
        everything = np.array(np.meshgrid(*[[0, 1]] * 5)).reshape(5, -1).T
        assert np.exp(found.score_samples(everything)).sum() == pytest.approx(1)
    else:
        pairs = np.eye(5)[:, None] + np.eye(5)[None]  # every document of two words, in order
        assert np.exp(found.score_samples(pairs.reshape(25, 5))).sum() == pytest.approx(1)
    np.testing.assert_allclose(found.predict_proba(x).sum(axis=1), 1)


@BOTH
def test_weights_count_copies(model):
    x, _, _ = data(model, 50)
    copies = np.random.default_rng(0).integers(0, 4, size=50)
    options = {"probabilities_init": first(model, x), "tol": 0, "max_iter": 10}
    one = model(2, **options).fit(x, sample_weight=copies)
    other = model(2, **options).fit(np.repeat(x, copies, axis=0))
    np.testing.assert_allclose(one.probabilities_, other.probabilities_, rtol=1e-9)


# Planted truth


@BOTH
def test_planted_components_come_back(model):
    x, labels, chances = data(model, 3000)
    found = model(2, n_init=3, random_state=0).fit(x)
    apart = np.abs(chances[:, None] - found.probabilities_[None]).sum(axis=-1)
    order = linear_sum_assignment(apart)[1]
    np.testing.assert_allclose(found.probabilities_[order], chances, atol=0.05)
    assert (np.argsort(order)[found.predict(x)] == labels).mean() > 0.9


@BOTH
def test_a_stream_is_learned_batch_by_batch(model):
    x, _, _ = data(model, 4000)
    whole = model(2, random_state=0).fit(x)
    stream = model(2, random_state=0)
    for rows in np.split(np.arange(4000), 40):
        stream.partial_fit(x[rows])
    assert stream.score(x) > whole.score(x) - 0.01
    stream = model(2, alpha=0, tol=1e-10, max_iter=1000, random_state=0).fit(x)
    before = stream.probabilities_.copy()
    np.testing.assert_allclose(stream.partial_fit(x).probabilities_, before, atol=1e-3)


def test_power_one_counts_every_observation_alike():
    x, _, _ = counts(300)
    model = MultinomialMixture(1, alpha=0.5, step_power=1)
    for rows in np.split(np.arange(300), [50, 170]):
        model.partial_fit(x[rows])
    expected = (x.sum(axis=0) + 0.5) / (x.sum() + 2.5)
    np.testing.assert_allclose(model.probabilities_[0], expected, rtol=1e-12)


@BOTH
def test_a_sample_has_the_probabilities_of_the_model(model):
    x, _, _ = data(model)
    found = model(2, random_state=0).fit(x)
    drawn, components = found.sample(20_000, rng=np.random.default_rng(0))
    for k in range(2):
        mean = drawn[components == k].mean(axis=0)
        expected = found.probabilities_[k] * (1 if model is BernoulliMixture else 100)
        np.testing.assert_allclose(mean, expected, rtol=0.05, atol=0.02 * expected.max())


def test_bits_are_the_length_of_the_text():
    model = MultinomialMixture(1, alpha=0).fit([[2, 1, 1], [2, 1, 1]])
    assert model.bits([[2, 1, 1]]) == pytest.approx(2 * 1 + 2 + 2)  # halves and quarters
    uniform = BernoulliMixture(1, alpha=0).fit([[1, 0], [0, 1]])
    assert uniform.bits([[1, 1], [0, 0], [1, 0]]) == pytest.approx(6)


# The edges


def test_an_impossible_document_has_probability_zero():
    model = MultinomialMixture(2, alpha=0, random_state=0).fit([[3, 1, 0], [1, 3, 0]])
    assert model.score_samples([[0, 0, 1], [1, 0, 0]])[0] == -math.inf
    np.testing.assert_allclose(model.predict_proba([[0, 0, 1]]), [model.weights_])


def test_an_empty_document_says_nothing():
    model = MultinomialMixture(2, random_state=0).fit([[3, 1], [1, 3], [0, 0]])
    np.testing.assert_allclose(model.predict_proba([[0, 0]]), [model.weights_])
    assert model.score_samples([[0, 0]])[0] == pytest.approx(0)


def test_features_that_never_change_are_no_trouble():
    x = np.array([[1, 0, 1], [1, 0, 0], [1, 0, 1]])
    model = BernoulliMixture(2, alpha=0, random_state=0).fit(x)
    assert np.isfinite(model.score_samples([[0, 1, 1]]))
    assert model.score(x) <= 0


@BOTH
def test_an_empty_component_is_placed_anew(model):
    x, _, _ = data(model, 400)
    p = np.stack([x.mean(axis=0), np.where(np.arange(5) == 0, 1.0, 1e-12)])
    if model is MultinomialMixture:
        p /= p.sum(axis=1, keepdims=True)
    start = {"weights_init": [1 - 1e-12, 1e-12], "probabilities_init": p}
    found = model(2, alpha=0, tol=1e-6, **start).fit(x)
    assert found.weights_.min() > 0.2
    assert found.score(x) == pytest.approx(
        model(2, alpha=0, random_state=0).fit(x).score(x), abs=0.01
    )


# Errors


@BOTH
@pytest.mark.parametrize(
    ("x", "message"),
    [
        ([[1.0, -1.0], [1, 1]], "Received: the value -1"),
        ([[1.0, math.nan], [1, 1]], "Received: the value nan"),
        ([[1.0, math.inf], [1, 1]], "Received: the value inf"),
        ([1.0, 2.0], r"`X` must have the shape"),
        ([[1.0, 2.0]], "`X` must have at least 2 rows"),
    ],
)
def test_bad_data_are_named(model, x, message):
    with pytest.raises(ValueError, match=message):
        model(2).fit(x)
    if message.startswith("Received"):
        with pytest.raises(ValueError, match=message):
            model(2).fit(sparse.csr_array(x))


def test_bernoulli_takes_zeros_and_ones_only():
    with pytest.raises(ValueError, match=r"`X` must be 0 or 1\. Received: the value 2"):
        BernoulliMixture(1).fit([[0, 2]])


@BOTH
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"alpha": -1}, "`alpha` must be finite and at least 0. Received: alpha=-1"),
        ({"probabilities_init": [[2.0] * 5] * 2}, r"`probabilities_init` must lie in \[0, 1\]"),
        ({"probabilities_init": [[0.5] * 4] * 2}, r"shape \(2, 5\)"),
        ({"probabilities_init": [[0.2] * 5] * 2, "weights_init": [1, 1]}, "add up to 1"),
    ],
)
def test_arguments_out_of_range_are_named(model, options, message):
    with pytest.raises(ValueError, match=message):
        model(2, **options).fit(data(model)[0])


@BOTH
def test_scikit_learn_can_copy_and_tune_it(model):
    pytest.importorskip("sklearn")
    from sklearn.base import clone
    from sklearn.model_selection import GridSearchCV

    x, _, _ = data(model, 300)
    assert clone(model(3, alpha=2)).get_params()["alpha"] == 2
    search = GridSearchCV(model(random_state=0), {"n_components": [1, 2]}, cv=2)
    assert search.fit(sparse.csr_array(x)).best_params_ == {"n_components": 2}


@BOTH
def test_another_width_is_named(model):
    found = model(2).fit(data(model)[0])
    with pytest.raises(ValueError, match="`X` must have 5 features, as the data of `fit`"):
        found.partial_fit([[1, 0]])
