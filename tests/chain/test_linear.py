"""HMM, MEMM and CRF as chains: probabilities of all label strings, and the peer's own marginals."""

import itertools

import numpy as np
import pytest

from taolu.chain.linear import (
    LinearChain,
    backward_memm_chain,
    crf_chain,
    hmm_chain,
    memm_chain,
)

TIME, STATES = 4, 3
STRINGS = [np.array(y) for y in itertools.product(range(STATES), repeat=TIME)]


def weights(seed, scale=1.5):
    rng = np.random.default_rng(seed)
    return rng.normal(0, scale, (TIME, STATES)), rng.normal(0, scale, (STATES, STATES))


def softmax(x):
    return np.exp(x - x.max()) / np.exp(x - x.max()).sum()


@pytest.mark.parametrize("seed", range(5))
def test_a_memm_is_a_product_of_softmaxes(seed):
    f, g = weights(seed)
    chain = memm_chain(f, g)
    assert chain.log_partition()[0] == pytest.approx(0.0, abs=1e-12)
    for y in STRINGS:
        p = softmax(f[0])[y[0]]
        for t in range(1, TIME):
            p *= softmax(f[t] + g[y[t - 1]])[y[t]]
        assert np.exp(chain.log_scores(y)[0]) == pytest.approx(p, rel=1e-11)


@pytest.mark.parametrize("seed", range(5))
def test_a_backward_memm_runs_from_the_end(seed):
    f, g = weights(seed)
    chain = backward_memm_chain(f, g)
    total = 0.0
    for y in STRINGS:
        p = softmax(f[-1])[y[-1]]
        for t in range(TIME - 2, -1, -1):
            p *= softmax(f[t] + g[:, y[t + 1]])[y[t]]
        assert np.exp(chain.log_scores(y)[0]) == pytest.approx(p, rel=1e-11)
        total += p
    assert total == pytest.approx(1.0)


def test_probabilities_of_all_label_strings_add_up_to_one():
    f, g = weights(0)
    memm = memm_chain(f, g)
    for chain in (memm, backward_memm_chain(f, g), crf_chain(f, g, start=f[0], end=f[1])):
        assert sum(np.exp(chain.log_probabilities(y)[0]) for y in STRINGS) == pytest.approx(1.0)
    # the product of both directions is decoded by the sum of their scores
    both = memm + backward_memm_chain(f, g)
    best = max(STRINGS, key=lambda y: both.log_scores(y)[0])
    np.testing.assert_array_equal(both.viterbi().path, best)


def test_a_low_rank_table_is_the_dense_one():
    rng = np.random.default_rng(1)
    f, u, v = (
        rng.normal(size=(TIME, STATES)),
        rng.normal(size=(STATES, 2)),
        rng.normal(size=(STATES, 2)),
    )
    y = STRINGS[17]
    g = sum(np.outer(u[:, k], v[:, k]) for k in range(2))
    assert memm_chain(f, u @ v.T).log_scores(y) == pytest.approx(memm_chain(f, g).log_scores(y))


def test_a_memm_of_many_sequences_normalises_each():
    f, g = weights(2)
    lengths = [1, 0, 3]
    for make in (memm_chain, backward_memm_chain):
        many = make(f, g, lengths=lengths)
        np.testing.assert_allclose(many.scores[:1], make(f[:1], g).scores, rtol=1e-12)
        np.testing.assert_allclose(many.scores[1:], make(f[1:], g).scores, rtol=1e-12)
        np.testing.assert_allclose(many.log_partition(), 0.0, atol=1e-12)


def test_local_and_raw_decoding_differ_by_label_bias():
    # State 1 has one way on, so its local share is whole whatever the step says against it.
    f = np.array([[0.0, 0.5], [3.0, 0.0]])
    g = np.array([[0.0, 0.0], [-50.0, 0.0]])
    assert memm_chain(f, g).viterbi().path.tolist() == [1, 1]
    assert crf_chain(f, g).viterbi().path.tolist() == [0, 0]


def test_an_hmm_with_ends_is_a_distribution_over_sequences():
    # one symbol, stops with probability .25 after each step: p(length n) = .75 ** (n - 1) * .25
    for n in (1, 2, 5):
        chain = hmm_chain([1.0], [[0.75]], np.zeros((n, 1)), end=[0.25])
        assert np.exp(chain.log_partition()[0]) == pytest.approx(0.75 ** (n - 1) * 0.25)


def test_impossible_starts_and_steps_have_no_probability():
    chain = hmm_chain([1.0, 0.0], [[0.0, 1.0], [1.0, 0.0]], np.log([[0.5, 0.5]] * 3))
    assert chain.viterbi().path.tolist() == [0, 1, 0]
    assert chain.log_scores([1, 0, 1])[0] == -np.inf
    assert chain.log_probabilities([0, 1, 0])[0] == pytest.approx(0.0)


def test_log_scores_of_many_sequences():
    f, g = weights(3)
    start, end = f[1], f[2]
    many = LinearChain(f, g, start, end, lengths=[0, 1, 3, 0])
    y = np.array([2, 0, 1, 1])
    one = start[2] + f[0, 2] + end[2]
    three = start[0] + f[1, 0] + g[0, 1] + f[2, 1] + g[1, 1] + f[3, 1] + end[1]
    np.testing.assert_allclose(many.log_scores(y), [0.0, one, three, 0.0])


def test_it_agrees_with_crfsuite(tmp_path, figure):
    crfsuite = pytest.importorskip("pycrfsuite")
    rng = np.random.default_rng(0)
    words, labels = [f"w{i}" for i in range(12)], ["B", "I", "O"]
    trainer = crfsuite.Trainer(verbose=False)
    for _ in range(60):
        ids = rng.integers(12, size=7)
        trainer.append([[words[i]] for i in ids], [labels[(i + t) % 3] for t, i in enumerate(ids)])
    trainer.set_params({"c2": 0.1, "max_iterations": 50})
    trainer.train(str(tmp_path / "model"))
    tagger = crfsuite.Tagger()
    tagger.open(str(tmp_path / "model"))
    info = tagger.info()
    names = tagger.labels()
    g = np.array([[info.transitions.get((a, b), 0.0) for b in names] for a in names])
    for _ in range(20):
        text = [words[i] for i in rng.integers(12, size=int(rng.integers(1, 9)))]
        f = np.array([[info.state_features.get((w, a), 0.0) for a in names] for w in text])
        tagger.set([[word] for word in text])
        chain = crf_chain(f, g)
        found, best = chain.forward(), chain.viterbi().path
        marginals = [[tagger.marginal(a, t) for a in names] for t in range(len(text))]
        np.testing.assert_allclose(found.marginals, marginals, atol=1e-6)
        figure("chain, marginals, beside crfsuite", np.abs(found.marginals - marginals).max())
        assert [names[y] for y in best] == tagger.tag()
        y = rng.integers(3, size=len(text))
        expected = tagger.probability([names[i] for i in y])
        probability = np.exp(chain.log_probabilities(y)[0])
        assert probability == pytest.approx(expected, abs=1e-6)
        figure("chain, probability, beside crfsuite", abs(probability - expected))


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda c: c.log_scores([0, 1]), r"whole numbers of shape \(4,\).*shape \(2,\)"),
        (
            lambda c: c.log_scores([0, 1, 2, 3]),
            r"`path` must lie in \[0, 3\). Received: from 0 to 3",
        ),
        (lambda c: c + LinearChain(c.scores, c.transitions, lengths=[1, 3]), "same states"),
        (
            lambda c: hmm_chain([-0.5, 1.5], [[1, 0], [0, 1]], [[0, 0]]),
            "`start` must be prob.*-0.5",
        ),
        (lambda c: hmm_chain([0.5, 0.4], [[1, 0], [0, 1]], [[0, 0]]), "`start` must add up to 1"),
        (
            lambda c: hmm_chain([1, 0], [[1, 0], [0, 0.5]], [[0, 0]], end=[0, 0.4]),
            r"`transition` must add up.*from 0\.9 to 1",
        ),
        (lambda c: memm_chain(c.scores, np.zeros((2, 2))), r"`transitions` must have the shape"),
    ],
)
def test_what_does_not_fit_is_named(call, said):
    with pytest.raises(ValueError, match=said):
        call(LinearChain(*weights(0)))
