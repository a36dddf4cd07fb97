"""Hidden Markov models: counting, Baum-Welch beside hmmlearn, known states, sequences that end."""

import itertools
import warnings

import numpy as np
import pytest

from taolu.fit.gaussian_hmm import GaussianHMM
from taolu.fit.hmm import HMM

PI, A = [0.6, 0.4], [[0.7, 0.3], [0.4, 0.6]]
B = [[0.5, 0.4, 0.1], [0.1, 0.3, 0.6]]


def rows(rng, *shape):
    return rng.dirichlet(np.ones(shape[-1]), shape[:-1] or None)


def symbols(seed=0, sequences=30, size=5):
    rng = np.random.default_rng(seed)
    lengths = rng.integers(1, 40, sequences)
    return rng.integers(0, size, lengths.sum()), lengths


def fixed(**more):
    """A model that is what its start says."""
    start = {"startprob_init": PI, "transmat_init": A, "emissionprob_init": B}
    model = HMM(2, **start, **more)
    model._check()
    model._symbols = 3
    return model


# worked examples


def test_counting_is_dividing_by_sums():
    states = [[0, 0, 1], [1, 1]]
    said = [[0, 1, 2], [2, 0]]
    model = HMM(2).fit(said, states)
    np.testing.assert_allclose(model.startprob_, [0.5, 0.5])
    np.testing.assert_allclose(model.transmat_, [[0.5, 0.5], [0.0, 1.0]])
    np.testing.assert_allclose(model.emissionprob_, [[0.5, 0.5, 0.0], [1 / 3, 0.0, 2 / 3]])
    smooth = HMM(2, pseudocount=1.0, n_features=4).fit(said, states)
    np.testing.assert_allclose(smooth.startprob_, [0.5, 0.5])
    np.testing.assert_allclose(smooth.transmat_, [[2 / 4, 2 / 4], [1 / 3, 2 / 3]])
    np.testing.assert_allclose(smooth.emissionprob_[0], [2 / 6, 2 / 6, 1 / 6, 1 / 6])
    ends = HMM(2, ends=True).fit(said, states)
    np.testing.assert_allclose(ends.transmat_, [[1 / 2, 1 / 2], [0, 1 / 3]])
    np.testing.assert_allclose(ends.endprob_, [0.0, 2 / 3])


def test_emissions_can_be_smoothed_alone():
    model = HMM(2, emission_pseudocount=1.0).fit([[0, 1, 2], [2, 0]], [[0, 0, 1], [1, 1]])
    assert model.transmat_[1, 0] == 0.0
    np.testing.assert_allclose(model.emissionprob_[0], [2 / 5, 2 / 5, 1 / 5])


def test_a_state_nobody_was_in_is_even():
    model = HMM(3).fit([[0, 1]], [[0, 0]])
    np.testing.assert_allclose(model.transmat_[2], 1 / 3)
    np.testing.assert_allclose(model.emissionprob_[2], 1 / 2)
    assert model.startprob_.tolist() == [1.0, 0.0, 0.0]


# beside hmmlearn


def peer(kind, **attributes):
    hmmlearn = pytest.importorskip("hmmlearn.hmm")
    options = {"n_iter": 20, "tol": -np.inf, "init_params": ""} | attributes.pop("options", {})
    model = getattr(hmmlearn, kind)(len(attributes["startprob_"]), **options)
    for name, value in attributes.items():
        setattr(model, name, np.array(value))
    return model


def test_the_likelihood_and_path_of_three_days():
    # SPEC R07: P = 0.03628, path (0, 0, 1)
    model = fixed(max_iter=1).fit([0, 1, 2])
    assert np.exp(3 * model.log_likelihoods_[0]) == pytest.approx(0.03628)
    them = peer("CategoricalHMM", startprob_=PI, transmat_=A, emissionprob_=B)
    assert them.score([[0], [1], [2]]) == pytest.approx(3 * model.log_likelihoods_[0], rel=1e-12)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("threads", [1, 2])
def test_baum_welch_takes_the_steps_of_hmmlearn(seed, threads, figure):
    rng = np.random.default_rng(seed)
    pi, a, b = rows(rng, 3), rows(rng, 3, 3), rows(rng, 3, 5)
    x, lengths = symbols(seed)
    options = {"options": {"n_features": 5}}
    them = peer("CategoricalHMM", startprob_=pi, transmat_=a, emissionprob_=b, **options)
    them.fit(x[:, None], lengths)
    start = {"startprob_init": pi, "transmat_init": a, "emissionprob_init": b}
    model = HMM(3, **start, max_iter=20, tol=0, threads=threads).fit(x, lengths=lengths)
    for name in ("startprob_", "transmat_", "emissionprob_"):
        apart = np.abs(getattr(model, name) - getattr(them, name)).max()
        figure("HMM, 20 iterations, beside hmmlearn", apart)
    np.testing.assert_allclose(model.startprob_, them.startprob_, atol=1e-10)
    np.testing.assert_allclose(model.transmat_, them.transmat_, atol=1e-10)
    np.testing.assert_allclose(model.emissionprob_, them.emissionprob_, atol=1e-10)
    assert model.score(x, lengths=lengths) * len(x) == pytest.approx(
        them.score(x[:, None], lengths)
    )
    # Many paths tie, so the paths' probabilities are compared and not the paths.
    paths = model.predict(x, lengths), them.predict(x[:, None], lengths)
    chain = model._chain(x, lengths)[0]
    np.testing.assert_allclose(chain.log_scores(paths[0]), chain.log_scores(paths[1]), rtol=1e-12)
    shares = model.predict_proba(x[:, None], lengths)
    np.testing.assert_allclose(shares, them.predict_proba(x[:, None], lengths), atol=1e-9)
    assert (np.diff(model.log_likelihoods_) >= -1e-10).all()


@pytest.mark.parametrize("kind", ["full", "tied", "diag", "spherical"])
def test_gaussian_states_take_the_steps_of_hmmlearn(kind, figure):
    rng = np.random.default_rng(1)
    lengths = rng.integers(5, 60, 12)
    hidden = np.concatenate([np.cumsum(rng.random(n) < 0.2) % 2 for n in lengths])
    x = rng.normal(size=(len(hidden), 2)) * [1.0, 2.0] + hidden[:, None] * [3.0, -2.0]
    pi, a, means = rows(rng, 2), rows(rng, 2, 2), np.array([[0.0, 0.0], [2.0, 0.0]])
    covars = {
        "full": np.stack([np.eye(2)] * 2),
        "tied": np.eye(2),
        "diag": np.ones((2, 2)),
        "spherical": np.ones(2),
    }[kind]
    # No priors: the weight is a count where the covariance is a matrix, a count plus one elsewhere.
    weight = 1 if kind in ("diag", "spherical") else 0
    options = {"covariance_type": kind, "covars_prior": 0, "covars_weight": weight}
    options |= {"min_covar": 0, "means_weight": 0}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        them = peer(
            "GaussianHMM", startprob_=pi, transmat_=a, means_=means, covars_=covars, options=options
        )
        them.fit(x, lengths)
    start = {"startprob_init": pi, "transmat_init": a, "means_init": means, "covars_init": covars}
    options = {"covariance_type": kind, "reg_covar": 0.0, "max_iter": 20, "tol": 0}
    model = GaussianHMM(2, **start, **options).fit(x, lengths=lengths)
    np.testing.assert_allclose(model.transmat_, them.transmat_, atol=1e-6)
    np.testing.assert_allclose(model.means_, them.means_, atol=1e-6)
    theirs = them._covars_  # the public name gives all kinds as matrices, some of them wrong
    if kind == "spherical":
        theirs = theirs[:, 0]
    np.testing.assert_allclose(model.covars_, theirs, atol=1e-6)
    for one, other in [(model.means_, them.means_), (model.covars_, theirs)]:
        figure("Gaussian HMM, 20 iterations, beside hmmlearn", np.abs(one - other).max())
    assert model.score(x, lengths=lengths) * len(x) == pytest.approx(them.score(x, lengths))
    assert (np.diff(model.log_likelihoods_) >= -1e-10).all()


# known states


def test_some_known_states_name_all_of_them():
    rng = np.random.default_rng(0)
    stay = [[0.9, 0.1], [0.2, 0.8]]
    x, y = [], []
    for _ in range(60):
        states = [rng.choice(2, p=PI)]
        while len(states) < 60:
            states.append(rng.choice(2, p=stay[states[-1]]))
        y.append(np.array(states))
        x.append(np.array([rng.choice(3, p=B[state]) for state in states]))
    some = [np.where(rng.random(len(h)) < 0.2, h, -1) for h in y]
    model = HMM(2, max_iter=200, tol=1e-7).fit(x, some)
    assert (np.diff(model.log_likelihoods_) >= -1e-10).all()
    np.testing.assert_allclose(model.transmat_, stay, atol=0.06)
    np.testing.assert_allclose(model.emissionprob_, B, atol=0.06)
    right = np.mean(np.concatenate(model.predict(x)) == np.concatenate(y))
    assert right > 0.75


def test_a_known_state_is_what_its_posterior_says():
    x, lengths = symbols(2, sequences=3)
    states = np.full(len(x), -1)
    states[::3] = 1
    model = HMM(2, max_iter=1, random_state=0).fit(x, states, lengths=lengths)
    log_sums, shares, _ = model._sums(
        x.astype(np.int32), states, model._parameters, np.array([0, *np.cumsum(lengths)])
    )
    np.testing.assert_allclose(shares[::3], [[0, 1]] * len(shares[::3]))
    free = model.score_samples(x, lengths)
    assert (log_sums <= free + 1e-12).all()


# sequences that end


def test_probabilities_of_all_sequences_add_up_to_one():
    model = HMM(2, ends=True, max_iter=5, random_state=0).fit([[0, 1], [1], [1, 1, 0]] * 5)
    total = 0.0
    for n in range(1, 13):
        every = [list(s) for s in itertools.product([0, 1], repeat=n)]
        total += np.exp(model.score_samples(every)).sum()
        if n == 1:
            assert total < 1
    assert 0.99 < total < 1 + 1e-12
    closed = HMM(2, max_iter=5, random_state=0).fit([[0, 1], [1], [1, 1, 0]] * 5)
    every = [list(s) for s in itertools.product([0, 1], repeat=4)]
    assert np.exp(closed.score_samples(every)).sum() == pytest.approx(1.0)


def test_bits_are_probabilities():
    model = fixed(max_iter=1, tol=np.inf).fit([0, 1, 2, 0, 1])
    assert model.bits([0, 1, 2]) == pytest.approx(-model.score([0, 1, 2]) * 3 / np.log(2))
    free = 1 + 2 + 2 * 2
    assert model.bic([0, 1, 2]) == pytest.approx(free * np.log(3) - 6 * model.score([0, 1, 2]))
    assert model.aic([0, 1, 2]) == pytest.approx(2 * free - 6 * model.score([0, 1, 2]))


# invariants


def test_its_text_shows_what_was_given():
    assert repr(HMM(3, transmat_init=np.eye(3), tol=1e-3)).startswith("HMM(n_components=3, transm")


def test_several_starts_keep_the_best():
    x, lengths = symbols(4)
    model = HMM(3, n_init=5, random_state=0, max_iter=30).fit(x, lengths=lengths)
    assert len(model.start_log_likelihoods_) == 5
    assert model.log_likelihoods_[-1] == model.start_log_likelihoods_.max()
    again = HMM(3, n_init=5, random_state=0, max_iter=30).fit(x, lengths=lengths)
    np.testing.assert_array_equal(model.transmat_, again.transmat_)


def test_with_pseudocounts_the_posterior_rises():
    x, lengths = symbols(5)
    model = HMM(3, pseudocount=0.5, random_state=0, tol=0, max_iter=30).fit(x, lengths=lengths)
    assert (np.diff(model.log_likelihoods_) >= -1e-10).all()
    assert (model.transmat_ > 0).all()
    assert (model.emissionprob_ > 0).all()


def test_zeros_of_the_start_stay():
    x, lengths = symbols(6, size=3)
    band = [[0.5, 0.5, 0.0], [0.0, 0.5, 0.5], [0.5, 0.0, 0.5]]
    model = HMM(3, transmat_init=band, pseudocount=0.1, max_iter=5, random_state=0)
    model.fit(x, lengths=lengths)
    np.testing.assert_array_equal(model.transmat_ == 0, np.array(band) == 0)


def test_long_sequences_and_many_blocks_are_counted_once(monkeypatch):
    x, lengths = symbols(7)
    start = {
        "startprob_init": PI,
        "transmat_init": A,
        "emissionprob_init": rows(np.random.default_rng(0), 2, 5),
    }
    whole = HMM(2, **start, max_iter=3, tol=0).fit(x, lengths=lengths)
    monkeypatch.setattr("taolu.fit.markov_counts.BLOCK", 50)
    parts = HMM(2, **start, max_iter=3, tol=0, threads=3).fit(x, lengths=lengths)
    np.testing.assert_allclose(whole.transmat_, parts.transmat_, rtol=1e-12)
    np.testing.assert_allclose(whole.emissionprob_, parts.emissionprob_, rtol=1e-12)


def test_draws_follow_the_model():
    rng = np.random.default_rng(0)
    model = fixed(max_iter=1, tol=np.inf).fit([0, 1, 2, 0, 1, 2, 2, 1, 0, 0])
    x, states = model.sample(20_000, rng)
    again = HMM(2).fit(x, states)
    np.testing.assert_allclose(again.transmat_, model.transmat_, atol=0.02)
    np.testing.assert_allclose(again.emissionprob_, model.emissionprob_, atol=0.02)
    vectors = GaussianHMM(2, random_state=0).fit(rng.normal(size=(50, 2)))
    y, _ = vectors.sample(7, rng)
    assert y.shape == (7, 2)


def test_scikit_learn_can_copy_chain_and_tune_it():
    base = pytest.importorskip("sklearn.base")
    from sklearn.model_selection import GridSearchCV
    from sklearn.pipeline import Pipeline

    x, lengths = symbols(8)
    sequences = np.empty(len(lengths), dtype=object)
    sequences[:] = np.split(x, np.cumsum(lengths)[:-1])
    model = HMM(2, n_features=5, random_state=0, max_iter=3)
    assert base.clone(model).get_params() == model.get_params()
    piped = Pipeline([("model", model)]).fit(list(sequences))
    assert len(piped.predict(list(sequences))) == len(lengths)
    search = GridSearchCV(model, {"n_components": [1, 2]}, cv=2).fit(list(sequences))
    assert search.best_params_["n_components"] in (1, 2)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()


# what is refused


@pytest.mark.parametrize(
    ("model", "arguments", "said"),
    [
        (HMM(2), ([0.5, 1.0],), r"`X` must hold whole numbers.*Received: float64"),
        (HMM(2), ([0, -1],), r"`X` must lie in \[0, 1\). Received: from -1 to 0"),
        (HMM(2, n_features=2), ([0, 2],), r"`X` must lie in \[0, 2\). Received: from 0 to 2"),
        (HMM(2), ([[0, 1], []],), "must not hold empty sequences. Received: sequence 1"),
        (HMM(2), ([0, 1], [0, 2]), r"`y` must lie in \[0, 2\).*from 0 to 2"),
        (HMM(2), ([0, 1], [0]), r"`y` must have one whole number for each of the 2.*shape \(1,\)"),
        (
            HMM(2),
            ([0, 1, 0], None, [1, 1]),
            "`lengths` must not be negative and must add up to the 3",
        ),
        (HMM(2), ([[0, 1]], None, [2]), "`lengths` must be left out"),
        (
            HMM(2, transmat_init=[[0.5, 0.4], [0.5, 0.5]]),
            ([0],),
            "`transmat_init`.*sums from 0.9 to 1",
        ),
        (
            HMM(2, startprob_init=[-0.5, 1.5]),
            ([0],),
            "`startprob_init` must hold probab.*least -0.5",
        ),
        (
            HMM(2, emissionprob_init=[[1.0]]),
            ([0],),
            r"`emissionprob_init` must have the shape \(2, 1\)",
        ),
        (HMM(0), ([0],), "`n_components` must be a whole number, at least 1"),
        (HMM(2, pseudocount=-1), ([0],), "`pseudocount` must be at least 0. Received: -1"),
        (HMM(2, emission_pseudocount=-1), ([0],), "`emission_pseudocount` must be at least 0"),
        (GaussianHMM(2), ([[0.0], [np.nan]],), "`X` must be finite.*nan in row 1, column 0"),
        (GaussianHMM(2, covariance_type="round"), ([[0.0]],), "`covariance_type` must be one of"),
        (GaussianHMM(1, means_init=[[0.0]]), ([[0.0], [1.0]],), "must be given together"),
        (GaussianHMM(2, reg_covar=0.0), ([[1.0]] * 4,), "covariance must be positive definite"),
    ],
)
def test_what_does_not_fit_is_named(model, arguments, said):
    with pytest.raises(ValueError, match=said):
        model.fit(*arguments)


def test_an_impossible_sequence_is_named():
    silent = {"emissionprob_init": [[1.0, 0.0], [1.0, 0.0]]}
    with pytest.raises(ValueError, match="Received: sequence 1 has probability 0"):
        HMM(2, **silent).fit([[0, 0], [0, 1]])
    model = HMM(2, n_features=3).fit([[0, 1, 0]], [[0, 1, 0]])
    assert model.score_samples([[0, 2]]) == [-np.inf]
    with pytest.raises(ValueError, match="must be fitted before"):
        HMM(2).predict([0])
