"""The MEMM of second order gives each tag a softmax that has seen the two tags before it."""

import itertools

import keras
import numpy as np
import pytest
from keras import ops
from samples import compiled, lay_out, move, noise, numpy, prefixes

from taolu.nn.differentiate import override, value_and_grad
from taolu.nn.layers.memm import MEMM
from taolu.nn.layers.memm_second_order import SecondOrderMEMM

pytestmark = pytest.mark.usefixtures("fast_compile")

LENGTHS = (5, 1, 4, 2, 0)
MASK = prefixes(LENGTHS)


def sample(states=3, seed=0):
    """Scores, g, h, labels."""
    rng = np.random.default_rng(seed)
    scores = 2 * rng.normal(size=(*MASK.shape, states))
    tables = [2 * rng.normal(size=(states,) * n) for n in (2, 3)]
    labels = rng.integers(states, size=MASK.shape).astype("int32")
    return scores.astype("float32"), *tables, labels


def layer(pairs, triples, **options):
    memm = SecondOrderMEMM(**options)
    memm.build((None, None, len(pairs)))
    for weight, value in zip(memm.weights, (pairs, triples), strict=True):
        weight.assign(value / memm.learning_rate_multiplier)
    return memm


def run(function, *arrays):
    """The result as NumPy; one program on JAX."""
    return numpy(compiled(function)(*[ops.convert_to_tensor(x) for x in arrays]))


def log_softmax(logits):
    return logits - np.log(np.exp(logits).sum())


def step_terms(path, scores, pairs, triples, normalise=log_softmax):
    """What each step of a path adds to its score: log p(y_t | y_t-2, y_t-1), if normalised."""
    terms = []
    for t, state in enumerate(path):
        logits = scores[t].astype("float64")
        if t > 0:
            logits = logits + pairs[path[t - 1]]
        if t > 1:
            logits = logits + triples[path[t - 2], path[t - 1]]
        terms.append(normalise(logits)[state])
    return terms


def paths(states, time):
    return list(itertools.product(range(states), repeat=time))


def test_worked_example():
    """p(1) = 1/2, p(1 | 1) = e / (e + 1), p(0 | 1, 1) = e^2 / (e^2 + e)."""
    scores = np.zeros((1, 3, 2), "float32")
    triples = np.zeros((2, 2, 2))
    triples[1, 1, 0] = 2
    memm = layer(np.array([[0.0, 0.0], [0.0, 1.0]]), triples)
    found = run(memm.loss, np.array([[1, 1, 0]], "int32"), scores)
    e = np.e
    assert found[0] == pytest.approx(np.log(2 * (e + 1) / e * (e**2 + e) / e**2), rel=1e-6)


@pytest.mark.parametrize("states", [2, 3])
def test_every_path_by_brute_force(states):
    scores, pairs, triples, _ = sample(states, states)
    memm = layer(pairs, triples, learning_rate_multiplier=4.0)
    raw = layer(pairs, triples, decoding="raw")
    local, free = (run(x.decode, scores, MASK) for x in (memm, raw))
    assert (local[~MASK] == -1).all()
    assert (free[~MASK] == -1).all()
    for row, time in enumerate(LENGTHS):
        every = paths(states, time)
        given = scores[row], pairs, triples
        log_p = np.array([sum(step_terms(y, *given)) for y in every])
        assert tuple(local[row, :time]) == every[log_p.argmax()]
        totals = [sum(step_terms(y, *given, normalise=lambda x: x)) for y in every]
        assert tuple(free[row, :time]) == every[np.argmax(totals)]
    every = np.array(paths(states, 5), "int32")
    each = np.repeat(scores[:1], len(every), axis=0)
    loss = run(memm.loss, every, each)
    wanted = [-sum(step_terms(y, scores[0], pairs, triples)) for y in every]
    np.testing.assert_allclose(loss, wanted, rtol=1e-5)
    assert np.exp(-loss.astype("float64")).sum() == pytest.approx(1, abs=1e-5)


def test_local_and_raw_are_different_questions():
    scores, pairs, triples, _ = sample(3, 3)
    both = [run(layer(pairs, triples, decoding=d).decode, scores, MASK) for d in ("local", "raw")]
    assert (both[0] != both[1]).any()


def test_without_triples_it_is_a_memm():
    scores, pairs, _, labels = sample(4)
    first = MEMM()
    first.build((None, None, 4))
    first.weights[0].assign(pairs)
    second = layer(pairs, np.zeros((4, 4, 4)))
    np.testing.assert_array_equal(*(run(x.decode, scores, MASK) for x in (first, second)))
    losses = [run(x.loss, labels, scores, MASK) for x in (first, second)]
    np.testing.assert_allclose(*losses, rtol=1e-5)


def test_factors_are_the_table_they_multiply_to():
    scores, pairs, _, labels = sample(4)
    low = SecondOrderMEMM(rank=2, learning_rate_multiplier=3.0)
    low.build((None, None, 4))
    low.weights[0].assign(pairs / 3)
    a, b, c = (3 * numpy(weight).astype("float64") for weight in low.weights[1:])
    triples = (a[:, None, None] * b[None, :, None] * c).sum(axis=-1)
    np.testing.assert_allclose(numpy(low.triples()), triples, atol=1e-5)
    assert low.count_params() == 4**2 + 3 * 2 * 4
    dense = layer(pairs, triples)
    np.testing.assert_allclose(
        *(run(x.loss, labels, scores, MASK) for x in (low, dense)), rtol=1e-5
    )
    np.testing.assert_array_equal(*(run(x.decode, scores, MASK) for x in (low, dense)))


def test_steps_that_are_not_known_say_nothing():
    scores, pairs, triples, labels = sample()
    terms = step_terms(labels[0], scores[0], pairs, triples)
    labels[0, 1] = -1  # takes itself away, and the two steps that have seen it
    found = run(layer(pairs, triples).loss, labels[:1], scores[:1])
    assert found[0] == pytest.approx(-(terms[0] + terms[4]), rel=1e-5)


@pytest.mark.parametrize("where", ["left", "holes"])
def test_padding_may_stand_anywhere(where):
    scores, pairs, triples, labels = sample()
    memm = layer(pairs, triples)
    moved = move(MASK, where, 3)
    laid = lay_out({"scores": scores, "labels": labels}, ("scores", "labels"), MASK, moved, noise)
    laid["scores"][~moved], laid["labels"][~moved] = np.nan, 99
    answers = []
    for y, h, mask in ((labels, scores, MASK), (laid["labels"], laid["scores"], moved)):
        path = run(memm.decode, h, mask[..., None])
        answers.append((run(memm.loss, y, h, mask), path[mask]))
    np.testing.assert_allclose(answers[1][0], answers[0][0], rtol=1e-5)
    np.testing.assert_array_equal(answers[1][1], answers[0][1])


def test_the_gradient_is_that_of_softmaxes():
    scores, pairs, triples, labels = sample()
    memm = layer(pairs, triples)

    def call(labels, mask, values):
        def loss(values):
            with override(list(zip(memm.weights, values[1:], strict=True))):
                return ops.sum(memm.loss(labels, values[0], mask))

        return value_and_grad(loss, values)[1]

    given = [ops.convert_to_tensor(x.astype("float32")) for x in (scores, pairs, triples)]
    found = compiled(call)(ops.convert_to_tensor(labels), ops.convert_to_tensor(MASK), given)
    wanted = [np.zeros(x.shape) for x in (scores, pairs, triples)]
    for b, time in enumerate(LENGTHS):
        y = labels[b, :time]
        for t in range(time):
            logits = scores[b, t].astype("float64")
            logits = logits + (pairs[y[t - 1]] if t else 0)
            logits = logits + (triples[y[t - 2], y[t - 1]] if t > 1 else 0)
            error = np.exp(log_softmax(logits)) - np.eye(3)[y[t]]
            wanted[0][b, t] = error
            if t:
                wanted[1][y[t - 1]] += error
            if t > 1:
                wanted[2][y[t - 2], y[t - 1]] += error
    for one, other in zip(map(numpy, found), wanted, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)


def test_a_file_keeps_everything(tmp_path):
    inputs = keras.Input((None, 4))
    memm = SecondOrderMEMM(rank=2, decoding="raw", learning_rate_multiplier=3.0)
    model = keras.Model(inputs, memm(inputs))
    model.save(tmp_path / "model.keras")
    other = keras.models.load_model(tmp_path / "model.keras").layers[-1]
    assert other.get_config() == memm.get_config()
    np.testing.assert_array_equal(numpy(memm.pairs()), numpy(other.pairs()))
    np.testing.assert_array_equal(numpy(memm.triples()), numpy(other.triples()))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"rank": 0}, "`rank` must be at least 1, or None. Received: rank=0"),
        ({"decoding": "greedy"}, "`decoding` must be .* Received: decoding='greedy'"),
        ({"learning_rate_multiplier": 0}, "`learning_rate_multiplier` must be positive"),
    ],
)
def test_bad_arguments_are_named(options, said):
    with pytest.raises(ValueError, match=said):
        SecondOrderMEMM(**options)
