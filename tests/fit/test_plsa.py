"""Topics: a naive EM is the oracle, planted topics come back, new documents are folded in."""

import math

import numpy as np
import pytest
from scipy import sparse
from scipy.optimize import linear_sum_assignment

from taolu.fit import PLSA


def corpus(documents=150, words=60, length=120, seed=0):
    """Documents that mix three planted topics, the topics and the mixtures."""
    rng = np.random.default_rng(seed)
    topics = rng.dirichlet(np.full(words, 0.1), 3)
    shares = rng.dirichlet(np.full(3, 0.2), documents)
    return rng.multinomial(length, shares @ topics), topics, shares


def cosines(truth, found):
    """Cosine of each true topic with the topic matched to it, and the order of the match."""
    unit = [m / np.linalg.norm(m, axis=1, keepdims=True) for m in (truth, found)]
    similar = unit[0] @ unit[1].T
    rows, order = linear_sum_assignment(-similar)
    return similar[rows, order], order


def naive(x, topics, words, alpha, iterations):
    """EM with the whole table p(z | d, w); words is (topics, words)."""
    history = []
    for _ in range(iterations + 1):
        last = topics, words
        joint = topics[:, :, None] * words[None]
        p = joint.sum(axis=1)
        history.append((x * np.log(p)).sum() / x.sum())
        expected = x[:, None] * joint / p[:, None]
        topics = expected.sum(axis=2) / expected.sum(axis=(1, 2))[:, None]
        counts = expected.sum(axis=0) + alpha
        words = counts / counts.sum(axis=1, keepdims=True)
    return *last, history


@pytest.mark.parametrize("alpha", [0, 0.3])
def test_it_is_the_em_of_the_formulas(alpha):
    x, _, _ = corpus(20, 8, 30)
    model = PLSA(3, alpha=alpha, tol=0, max_iter=15, random_state=0)
    start, words = model._start(sparse.csr_array(x), np.random.default_rng(0))
    model.fit(x)
    topics, words, history = naive(x, start, words.T, alpha, 15)
    np.testing.assert_allclose(model.doc_topics_, topics, rtol=1e-8, atol=1e-12)
    np.testing.assert_allclose(model.components_, words, rtol=1e-8, atol=1e-12)
    if alpha == 0:
        np.testing.assert_allclose(model.log_likelihoods_, history, rtol=1e-9)


def test_planted_topics_come_back(figure):
    x, topics, shares = corpus()
    model = PLSA(3, n_init=3, random_state=0).fit(x)
    similar, order = cosines(topics, model.components_)
    figure("pLSA, planted topics, least cosine", similar.min())
    assert similar.min() > 0.97
    assert np.abs(model.doc_topics_[:, order] - shares).mean() < 0.06
    assert model.converged_
    assert model.lower_bound_ == model.start_log_likelihoods_.max()


def test_new_documents_are_folded_in():
    x, topics, shares = corpus(300)
    model = PLSA(3, n_init=3, random_state=0).fit(x[:150])
    _, order = cosines(topics, model.components_)
    found = model.transform(sparse.csc_array(x[150:]))
    np.testing.assert_allclose(found.sum(axis=1), 1)
    assert np.abs(found[:, order] - shares[150:]).mean() < 0.06


def test_folding_in_again_finds_what_fitting_found():
    x, _, _ = corpus(20, 12, 60)
    model = PLSA(2, tol=1e-10, max_iter=2000, random_state=0).fit(x)
    np.testing.assert_allclose(model.transform(x), model.doc_topics_, atol=5e-3)
    assert model.score(x) == pytest.approx(
        (x * np.log(model.doc_topics_ @ model.components_)).sum() / x.sum(), abs=1e-5
    )


@pytest.mark.parametrize("alpha", [0, 0.01, 1])
def test_the_likelihood_never_falls(alpha):
    x, _, _ = corpus(50)
    model = PLSA(4, alpha=alpha, tol=0, max_iter=60, random_state=1).fit(x)
    assert np.diff(model.log_likelihoods_).min() >= -1e-10


def test_one_topic_is_the_frequency_of_words():
    x, _, _ = corpus(30)
    model = PLSA(1, alpha=0).fit(x)
    np.testing.assert_allclose(model.components_[0], x.sum(axis=0) / x.sum(), rtol=1e-12)
    p = x.sum(axis=0) / x.sum()
    entropy = -np.sum(p[p > 0] * np.log2(p[p > 0]))
    assert model.bits(x) == pytest.approx(x.sum() * entropy)
    assert model.perplexity(x) == pytest.approx(2**entropy)


def test_topics_are_worth_their_bits_on_words_they_were_not_told():
    x, _, _ = corpus(200)
    rng = np.random.default_rng(5)
    given = rng.binomial(x, 0.5)
    one, three = (PLSA(k, random_state=0).fit(x[:100]) for k in (1, 3))
    told = [model.bits((x - given)[100:], given=given[100:]) for model in (one, three)]
    assert told[1] < 0.9 * told[0]
    # Scored by topics folded in from the words themselves, the figure flatters.
    assert three.bits((x - given)[100:]) < told[1]


def test_an_unknown_word_is_impossible_without_alpha_and_passed_over_in_folding():
    model = PLSA(2, alpha=0, random_state=0).fit([[4, 3, 0], [1, 4, 0]])
    assert model.score_samples([[1, 0, 1]])[0] == -math.inf
    np.testing.assert_allclose(model.transform([[4, 3, 9]]), model.transform([[4, 3, 0]]))
    np.testing.assert_array_equal(model.transform([[0, 0, 9]]), [[0.5, 0.5]])
    assert PLSA(2, random_state=0).fit([[4, 3, 0], [1, 4, 0]]).score_samples([[1, 0, 1]])[0] > -99


def test_scikit_learn_can_copy_and_chain_it():
    pytest.importorskip("sklearn")
    from sklearn.base import clone
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    x, _, shares = corpus()
    pipeline = make_pipeline(clone(PLSA(3, n_init=3, random_state=0)), LogisticRegression(C=100))
    assert pipeline.fit(x, shares.argmax(axis=1)).score(x, shares.argmax(axis=1)) > 0.9


@pytest.mark.parametrize(
    ("x", "message"),
    [
        ([[1, -1]], "`X` must be finite and not negative. Received: the value -1"),
        ([[1, math.nan]], "Received: the value nan"),
        ([[0, 0]], "`X` must hold at least one word"),
        ([1, 2], "`X` must have the shape"),
    ],
)
def test_bad_counts_are_named(x, message):
    with pytest.raises(ValueError, match=message):
        PLSA(2).fit(x)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_components": 0}, "`n_components` must be a whole number, at least 1"),
        ({"alpha": -1}, "`alpha` must be finite and at least 0. Received: alpha=-1"),
        ({"tol": math.nan}, "`tol` must be finite and at least 0"),
    ],
)
def test_arguments_out_of_range_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        PLSA(**options).fit([[1, 2]])


def test_a_model_must_be_fitted_and_rows_must_match():
    with pytest.raises(ValueError, match="PLSA must be fitted"):
        PLSA(2).transform([[1, 2]])
    model = PLSA(2, random_state=0).fit([[1, 2], [2, 1]])
    with pytest.raises(ValueError, match="`X` must have 2 features"):
        model.transform([[1, 2, 3]])
    with pytest.raises(ValueError, match="`given` must have one row for each document of `X`"):
        model.score_samples([[1, 2]], given=[[1, 1], [1, 1]])
