"""A softmax head is a product of softmaxes; only its rules make steps see each other."""

import itertools

import keras
import numpy as np
import pytest
from keras import ops
from samples import compiled, lay_out, move, noise, numpy, prefixes

from taolu.nn.differentiate import grad
from taolu.nn.layers.softmax_head import SoftmaxHead
from taolu.text.schemes import BMES, Legality, legality

pytestmark = pytest.mark.usefixtures("fast_compile")

LENGTHS = (5, 1, 4, 0)
MASK = prefixes(LENGTHS)
RULES = legality("BMES", BMES)


def sample(states=4, seed=0, scale=2.0):
    """Scores, labels."""
    rng = np.random.default_rng(seed)
    scores = scale * rng.normal(size=(*MASK.shape, states))
    return scores.astype("float32"), rng.integers(states, size=MASK.shape).astype("int32")


def run(function, *arrays):
    """The result as NumPy; one program on JAX."""
    return numpy(compiled(function)(*[ops.convert_to_tensor(x) for x in arrays]))


def softmax(scores):
    weights = np.exp(scores.astype("float64") - scores.max(axis=-1, keepdims=True))
    return weights / weights.sum(axis=-1, keepdims=True)


def test_worked_example():
    """p(0) = 3/4, then p(1) = 1/5."""
    scores = np.log(np.array([[[3, 1], [8, 2]]], "float32"))
    head = SoftmaxHead()
    found = run(head.loss, np.array([[0, 1]], "int32"), scores)
    assert found[0] == pytest.approx(np.log(20 / 3), rel=1e-6)
    assert run(head.decode, scores).tolist() == [[0, 0]]


def test_loss_and_answers_are_those_of_single_softmaxes():
    scores, labels = sample()
    labels[0, 2] = -1
    head = SoftmaxHead()
    p = softmax(scores)
    known = MASK & (labels >= 0)
    own = np.take_along_axis(p, np.maximum(labels, 0)[..., None], axis=-1)[..., 0]
    wanted = np.where(known, -np.log(own), 0).sum(axis=1)
    np.testing.assert_allclose(run(head.loss, labels, scores, MASK), wanted, rtol=1e-5)
    assert wanted[3] == 0
    np.testing.assert_allclose(
        run(head.marginals, scores, MASK), np.where(MASK[..., None], p, 0), atol=1e-6
    )
    best = np.where(MASK, scores.argmax(axis=-1), -1)
    np.testing.assert_array_equal(run(head.decode, scores, MASK), best)


def test_the_gradient_is_probabilities_less_observed_states():
    scores, labels = sample()
    labels[0, 2] = -1
    head = SoftmaxHead()

    def call(scores, labels, mask):
        return grad(lambda x: ops.sum(head.loss(labels, x, mask)), scores)

    known = MASK & (labels >= 0)
    wanted = np.where(known[..., None], softmax(scores) - np.eye(4)[labels], 0)
    scores[~MASK] = np.nan
    np.testing.assert_allclose(run(call, scores, labels, MASK), wanted, atol=1e-6)


def test_with_rules_the_likeliest_legal_path_is_taken():
    head = SoftmaxHead(RULES)
    for seed, scale in ((0, 2.0), (1, 3e4)):
        scores, _ = sample(seed=seed, scale=scale)
        found = run(head.decode, scores, MASK)
        assert (found[~MASK] == -1).all()
        for row, path, time in zip(scores, found, LENGTHS, strict=True):
            every = np.array(list(itertools.product(range(4), repeat=time)), "int32")
            legal = [len(y) == 0 or (RULES.start[y[0]] and RULES.end[y[-1]]) for y in every]
            legal &= RULES.transitions[every[:, :-1], every[:, 1:]].all(axis=1)
            every = every[np.array(legal)]
            totals = row.astype("float64")[np.arange(time), every].sum(axis=1)
            np.testing.assert_array_equal(path[:time], every[totals.argmax()])


def test_the_fewest_rules_are_broken_where_one_must_be():
    never = Legality(np.zeros((2, 2), bool), np.array([True, False]), np.ones(2, bool))
    scores = np.array([[[0.0, 5.0], [0.0, 1.0], [2.0, 1.0]]], "float32")
    assert run(SoftmaxHead(never).decode, scores)[0].tolist() == [0, 1, 0]


def test_of_equals_the_first_is_taken():
    scores = np.zeros((1, 3, 4), "float32")
    assert run(SoftmaxHead().decode, scores)[0].tolist() == [0, 0, 0]


@pytest.mark.parametrize("where", ["left", "holes"])
def test_padding_may_stand_anywhere(where):
    scores, labels = sample()
    head = SoftmaxHead(RULES)
    moved = move(MASK, where, 3)
    laid = lay_out({"scores": scores, "labels": labels}, ("scores", "labels"), MASK, moved, noise)
    laid["scores"][~moved], laid["labels"][~moved] = np.nan, 99
    answers = []
    for y, h, mask in ((labels, scores, MASK), (laid["labels"], laid["scores"], moved[..., None])):
        real = mask.reshape(len(mask), -1)
        answers.append((run(head.loss, y, h, mask), run(head.decode, h, mask)[real]))
    np.testing.assert_allclose(answers[1][0], answers[0][0], rtol=1e-6)
    np.testing.assert_array_equal(answers[1][1], answers[0][1])


def test_a_file_keeps_the_rules(tmp_path):
    inputs = keras.Input((None, 4))
    model = keras.Model(inputs, SoftmaxHead(RULES)(inputs))
    model.save(tmp_path / "model.keras")
    other = keras.models.load_model(tmp_path / "model.keras").layers[-1]
    assert other.get_config() == model.layers[-1].get_config()
    np.testing.assert_array_equal(other.legal.transitions, RULES.transitions)


def test_bad_arguments_are_named():
    with pytest.raises(ValueError, match=r"about the 3 states of the inputs\. Received: rules"):
        SoftmaxHead(RULES).build((1, 2, 3))
    with pytest.raises(TypeError, match=r"`legal` must be a Legality.* Received: ndarray"):
        SoftmaxHead(np.ones((2, 2)))
    scores, labels = sample()
    with pytest.raises(ValueError, match=r"`labels` must be whole numbers.* Received: float32"):
        SoftmaxHead().loss(labels.astype("float32"), scores)
