"""The MEMM layer is the chain of `taolu.chain`, in both directions, without a loop in its loss."""

import itertools

import keras
import numpy as np
import pytest
from keras import ops
from samples import compiled, lay_out, move, noise, numpy, prefixes

from taolu import chain
from taolu.nn.differentiate import override, value_and_grad
from taolu.nn.layers.memm import MEMM

pytestmark = pytest.mark.usefixtures("fast_compile")

LENGTHS = (6, 1, 4)
MASK = prefixes(LENGTHS)


def sample(states=3, seed=0, lengths=LENGTHS):
    """Scores, transitions, labels."""
    rng = np.random.default_rng(seed)
    scores = 2 * rng.normal(size=(len(lengths), max(lengths), states))
    labels = rng.integers(states, size=scores.shape[:2]).astype("int32")
    return scores.astype("float32"), 2 * rng.normal(size=(states, states)), labels


def layer(transitions, **options):
    memm = MEMM(**options)
    memm.build((None, None, len(transitions)))
    memm.weights[0].assign(transitions / memm.learning_rate_multiplier)
    return memm


def run(function, *arrays):
    """The result as NumPy; one program on JAX."""
    return numpy(compiled(function)(*[ops.convert_to_tensor(x) for x in arrays]))


def directions(scores, transitions, lengths):
    """The truth: forward and backward chain of all rows."""
    rows = np.concatenate([row[:n] for row, n in zip(scores, lengths, strict=True)])
    made = chain.memm_chain, chain.backward_memm_chain
    return [make(rows, transitions, lengths=lengths) for make in made]


def test_worked_example():
    """p(1) = 1/4, p(1 | 1) = e^3 / (e^3 + e^2): nothing is halved, the first step is its own."""
    scores = np.array([[[np.log(3), 0], [2, 0]]], "float32")
    memm = layer(np.array([[5.0, 1.0], [0.0, 3.0]]))
    found = run(memm.loss, np.array([[1, 1]], "int32"), scores)
    assert found[0] == pytest.approx(np.log(4) + np.log1p(np.exp(-1)), rel=1e-6)


@pytest.mark.parametrize("bidirectional", [False, True])
def test_the_numpy_half_is_the_definition(bidirectional):
    scores, transitions, labels = sample(5, 1)
    forward, backward = directions(scores, transitions, LENGTHS)
    path = labels[MASK]
    wanted = -forward.log_probabilities(path)
    if bidirectional:
        wanted = (wanted - backward.log_probabilities(path)) / 2
    memm = layer(transitions, bidirectional=bidirectional, learning_rate_multiplier=4.0)
    found = run(memm.loss, labels, scores, MASK)
    np.testing.assert_allclose(found, wanted, rtol=1e-5)


def test_local_decoding_is_that_of_the_model_and_raw_that_of_a_crf():
    lengths = (9, 1, 5) * 4
    scores, transitions, _ = sample(4, 2, lengths)
    mask = prefixes(lengths)
    forward, backward = directions(scores, transitions, lengths)
    raw = chain.crf_chain(scores[mask], transitions, lengths=lengths)
    truths = {
        (False, "local"): forward,
        (False, None): forward,
        (False, "raw"): raw,
        (True, "local"): forward + backward,
        (True, "raw"): raw,
        (True, None): raw,
    }
    memms = {key: layer(transitions, bidirectional=key[0], decoding=key[1]) for key in truths}
    found = compiled(lambda s, m: [memm.decode(s, m) for memm in memms.values()])(
        ops.convert_to_tensor(scores), ops.convert_to_tensor(mask)
    )
    for path, key in zip(map(numpy, found), truths, strict=True):
        np.testing.assert_array_equal(path[mask], truths[key].viterbi().path, err_msg=str(key))
        assert (path[~mask] == -1).all()
    # They are different questions.
    assert (numpy(found[0]) != numpy(found[2])).any()
    assert (numpy(found[3]) != numpy(found[4])).any()


def test_probabilities_of_all_paths_add_up_to_one():
    scores, transitions, _ = sample(3, 3)
    every = np.array(list(itertools.product(range(3), repeat=6)), "int32")
    each = np.repeat(scores[:1], len(every), axis=0)
    loss = run(layer(transitions).loss, every, each)
    assert np.exp(-loss.astype("float64")).sum() == pytest.approx(1, abs=1e-5)


def test_factors_are_the_matrix_they_multiply_to():
    scores, _, labels = sample(4)
    for bidirectional in (False, True):
        low = MEMM(rank=2, bidirectional=bidirectional, learning_rate_multiplier=3.0)
        low.build((None, None, 4))
        left, right = (9 * numpy(w) for w in low.weights)
        dense = layer(left @ right.T / 9, bidirectional=bidirectional)
        # Where products cancel, float32 is exact to a part of their sizes, not of what is left.
        sizes = np.abs(left) @ np.abs(right.T) / 9
        assert np.all(np.abs(numpy(low.transitions()) - left @ right.T / 9) <= 1e-6 * sizes)
        one, other = (run(memm.loss, labels, scores, MASK) for memm in (low, dense))
        np.testing.assert_allclose(one, other, rtol=1e-5)
    one, other = (run(memm.decode, scores, MASK) for memm in (low, dense))
    np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("where", ["left", "holes"])
def test_padding_may_stand_anywhere(where):
    scores, transitions, labels = sample(4)
    labels[0, 2] = -1
    memm = layer(transitions, bidirectional=True, decoding="local")

    def call(labels, scores, mask):
        return memm.loss(labels, scores, mask), memm.decode(scores, mask)

    program, answers = compiled(call), []
    for place in ("right", where):
        moved = move(MASK, place, 3)
        given = {"scores": scores, "labels": labels}
        laid = lay_out(given, ("scores", "labels"), MASK, moved, noise)
        laid["scores"][~moved], laid["labels"][~moved] = np.nan, 99
        arrays = laid["labels"], laid["scores"], moved
        loss, path = map(numpy, program(*[ops.convert_to_tensor(x) for x in arrays]))
        answers.append((loss, path[moved]))
    np.testing.assert_allclose(answers[1][0], answers[0][0], rtol=1e-5)
    np.testing.assert_array_equal(answers[1][1], answers[0][1])


def test_steps_that_are_not_known_say_nothing():
    scores, transitions, labels = sample(3)
    memm, at = layer(transitions), np.arange(6)
    loss = -directions(scores[:1], transitions, (6,))[0].log_probabilities(labels[0])[0]
    g = transitions[labels[0, :-1]]
    logits = scores[0] + np.concatenate([np.zeros((1, 3)), g])
    steps = np.log(np.exp(logits).sum(axis=1)) - logits[at, labels[0]]
    assert steps.sum() == pytest.approx(loss)
    labels[0, 3] = -1  # takes step 3 away, and step 4, which it conditions
    found = run(memm.loss, labels[:1], scores[:1])
    assert found[0] == pytest.approx(steps[[0, 1, 2, 5]].sum(), rel=1e-5)


def test_the_gradient_is_that_of_softmaxes():
    scores, transitions, labels = sample(3)
    memm = layer(transitions)

    def call(labels, mask, values):
        def loss(values):
            with override([(memm.weights[0], values[1])]):
                return ops.sum(memm.loss(labels, values[0], mask))

        return value_and_grad(loss, values)[1]

    values = [ops.convert_to_tensor(x) for x in (scores, transitions.astype("float32"))]
    mask = ops.convert_to_tensor(MASK)
    by_scores, by_transitions = map(numpy, compiled(call)(labels, mask, values))
    wanted, counts = np.zeros_like(scores), np.zeros((3, 3))
    for b, n in enumerate(LENGTHS):
        for t in range(n):
            logits = scores[b, t] + (transitions[labels[b, t - 1]] if t else 0)
            p = np.exp(logits) / np.exp(logits).sum()
            wanted[b, t] = p - np.eye(3)[labels[b, t]]
            if t:
                counts[labels[b, t - 1]] += wanted[b, t]
    np.testing.assert_allclose(by_scores, wanted, atol=1e-5)
    np.testing.assert_allclose(by_transitions, counts, atol=1e-5)


def test_wide_transitions_need_logarithms():
    scores = np.array([[[0, 0], [0, 300], [0, 0]]], "float32")
    transitions = np.array([[0, -400], [-400, 0]], "float32")
    truth = directions(scores, transitions, (3,))[0].viterbi().path
    assert run(layer(transitions).decode, scores)[0].tolist() == truth.tolist()


def test_a_file_keeps_everything(tmp_path):
    inputs = keras.Input((None, 4))
    memm = MEMM(rank=2, bidirectional=True, decoding="local", learning_rate_multiplier=3.0)
    model = keras.Model(inputs, memm(inputs))
    model.save(tmp_path / "model.keras")
    other = keras.models.load_model(tmp_path / "model.keras").layers[-1]
    assert other.get_config() == memm.get_config()
    np.testing.assert_array_equal(numpy(memm.transitions()), numpy(other.transitions()))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"rank": 0}, "`rank` must be at least 1, or None. Received: rank=0"),
        ({"decoding": "greedy"}, "`decoding` must be .* Received: decoding='greedy'"),
        ({"learning_rate_multiplier": -1}, "`learning_rate_multiplier` must be positive"),
    ],
)
def test_bad_arguments_are_named(options, said):
    with pytest.raises(ValueError, match=said):
        MEMM(**options)


def test_bad_labels_are_named():
    scores, transitions, labels = sample()
    with pytest.raises(ValueError, match=r"`labels` must be whole numbers.* Received: float32"):
        layer(transitions).loss(labels.astype("float32"), scores)
