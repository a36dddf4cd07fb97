"""The CRF layer is the chain of `taolu.chain` on padded batches, its gradient that of counts."""

import functools
import itertools

import keras
import numpy as np
import pytest
from keras import ops
from samples import compiled, lay_out, move, noise, numpy, prefixes

from taolu import chain
from taolu.nn.differentiate import grad, override, value_and_grad
from taolu.nn.layers import linear_chain
from taolu.nn.layers.crf import CRF, FORBIDDEN
from taolu.text.schemes import BMES, Legality, legality

pytestmark = pytest.mark.usefixtures("fast_compile")

LENGTHS = (6, 1, 4)
MASK = prefixes(LENGTHS)
TAGS = ("B", "M", "E", "S")
RULES = legality(TAGS, BMES)
TABLES = ("transitions", "start", "end")


def sample(states=3, seed=0, lengths=LENGTHS, scale=2.0):
    """Scores (batch, time, states), tables by name, labels."""
    rng = np.random.default_rng(seed)
    scores = scale * rng.normal(size=(len(lengths), max(lengths), states))
    tables = {
        name: rng.normal(size=(states,) * (2 if name == "transitions" else 1)) for name in TABLES
    }
    labels = rng.integers(states, size=scores.shape[:2])
    return scores.astype("float32"), tables, labels.astype("int32")


def layer(tables, **options):
    crf = CRF(**options)
    crf.build((None, None, len(tables["transitions"])))
    crf.assign(**tables)
    return crf


def run(function, *arrays):
    """The result as NumPy; one program on JAX."""
    return numpy(compiled(function)(*_tensors(arrays)))


METHODS = ("log_partition", "marginals", "entropy", "decode", "decode_posterior")


def everything(crf):
    """A function of labels, scores and mask: what the layer knows, by name; one program."""

    def call(labels, scores, mask):
        found = {name: getattr(crf, name)(scores, mask) for name in METHODS}
        return found | {
            "score": crf.score(ops.maximum(labels, 0), scores, mask),
            "loss": crf.loss(labels, scores, mask),
        }

    program = compiled(call)
    return lambda *arrays: {k: numpy(x) for k, x in program(*_tensors(arrays)).items()}


def learner(crf):
    """A function of labels, scores and mask: losses, their gradients by scores and by weights."""
    weights = crf.trainable_variables

    def call(labels, mask, values):
        def loss(values):
            with override(list(zip(weights, values[1:], strict=True))):
                losses = crf.loss(labels, values[0], mask)
            return ops.sum(losses), losses

        (_, losses), gradients = value_and_grad(loss, values, has_aux=True)
        return [losses, *gradients]

    program = compiled(call)

    def run(labels, scores, mask):
        values = _tensors([scores, *(numpy(weight) for weight in weights)])
        return [numpy(x) for x in program(*_tensors([labels, mask]), values)]

    return run


def _tensors(arrays):
    return [ops.convert_to_tensor(x) for x in arrays]


def chains(scores, tables, mask, rules=None):
    """The truth: one `LinearChain` a row."""
    tables = {name: np.asarray(x, "float64") for name, x in tables.items()}
    if rules is not None:
        tables = {n: x + chain.penalties(getattr(rules, n), FORBIDDEN) for n, x in tables.items()}
    return [chain.crf_chain(row[real], **tables) for row, real in zip(scores, mask, strict=True)]


def paths(states, time):
    return np.array(list(itertools.product(range(states), repeat=time)))


def test_every_path_by_brute_force():
    scores, tables, labels = sample()
    crf = layer(tables)
    found = everything(crf)(labels, scores, MASK)
    for row, time in enumerate(LENGTHS):
        every = paths(3, time)
        h, g = scores[row, :time].astype("float64"), tables["transitions"]
        totals = tables["start"][every[:, 0]] + tables["end"][every[:, -1]]
        totals = totals + h[np.arange(time), every].sum(axis=1)
        totals = totals + g[every[:, :-1], every[:, 1:]].sum(axis=1)
        log_z = np.log(np.exp(totals).sum())
        p = np.exp(totals - log_z)
        marginals = [[p[every[:, t] == j].sum() for j in range(3)] for t in range(time)]
        assert found["log_partition"][row] == pytest.approx(log_z, rel=1e-6)
        np.testing.assert_allclose(found["marginals"][row, :time], marginals, atol=1e-6)
        assert found["entropy"][row] == pytest.approx(-(p * np.log(p)).sum(), abs=1e-5)
        np.testing.assert_array_equal(found["decode"][row, :time], every[totals.argmax()])
        each = np.repeat(scores[row : row + 1, :time], len(every), axis=0)
        ours = run(crf.loss, every.astype("int32"), each)
        np.testing.assert_allclose(ours, log_z - totals, rtol=1e-5, atol=2e-5)
        assert np.exp(-ours.astype("float64")).sum() == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize(
    ("states", "rules", "parallel"),
    [(1, None, False), (7, None, False), (4, RULES, False), (4, RULES, True)],
)
def test_the_numpy_half_is_the_definition(states, rules, parallel):
    lengths = (40, 1, 17, 0)
    scores, tables, labels = sample(states, states, lengths)
    mask = prefixes(lengths)
    crf = layer(tables, legal=rules, parallel=parallel)
    found = everything(crf)(labels, scores, mask)
    truth = chains(scores, tables, mask, rules)
    posterior = [one.forward() for one in truth]
    log_z = [one.log_partition()[0] for one in truth]
    score = [one.log_scores(y[m]).sum() for one, y, m in zip(truth, labels, mask, strict=True)]
    entropy = [one.entropy[0] for one in posterior]
    sizes = np.abs([log_z, score]).max(axis=0)
    np.testing.assert_allclose(found["log_partition"], log_z, rtol=1e-5)
    np.testing.assert_allclose(found["score"], score, rtol=1e-5, atol=1e-5)
    assert (np.abs(found["loss"] - np.subtract(log_z, score)) <= 1e-5 * sizes).all()
    np.testing.assert_allclose(found["entropy"], entropy, rtol=1e-5, atol=1e-5)
    marginals = np.concatenate([one.marginals for one in posterior])
    np.testing.assert_allclose(found["marginals"][mask], marginals, rtol=1e-4, atol=1e-6)
    assert not found["marginals"][~mask].any()
    best = np.concatenate([one.viterbi().path for one in truth])
    np.testing.assert_array_equal(found["decode"][mask], best)
    assert (found["decode"][~mask] == -1).all()
    if rules is None:
        best = chain.posterior_decode(marginals)
    else:
        ends = [chain.penalties(x, FORBIDDEN) for x in (rules.start, rules.end)]
        links = chain.penalties(rules.transitions, FORBIDDEN)
        given = {"start": ends[0], "end": ends[1], "lengths": lengths}
        best = chain.viterbi(marginals, links, **given).path
    np.testing.assert_array_equal(found["decode_posterior"][mask], best)


def test_padding_may_stand_anywhere():
    scores, tables, labels = sample(4)
    labels[0, 2] = -1
    program, answers = everything(layer(tables, legal=RULES)), {}
    for where in ("right", "left", "holes"):
        moved = move(MASK, where, 3)
        given = {"scores": scores, "labels": labels}
        laid = lay_out(given, ("scores", "labels"), MASK, moved, noise)
        laid["scores"][~moved] = np.nan
        found = program(laid["labels"], laid["scores"], moved[..., None])
        answers[where] = {k: x if x.ndim == 1 else x[moved] for k, x in found.items()}
    for where, name in itertools.product(("left", "holes"), answers["right"]):
        wanted = answers["right"][name]
        np.testing.assert_allclose(answers[where][name], wanted, rtol=1e-5, atol=1e-5, err_msg=name)


def test_the_gradient_is_expected_less_observed_counts():
    multiplier = 10.0
    lengths = (6, 1, 4, 0)
    mask = prefixes(lengths)
    scores, tables, labels = sample(lengths=lengths)
    crf = layer(tables, learning_rate_multiplier=multiplier)
    truth = chains(scores, tables, mask)
    posterior = [one.forward() for one in truth]
    _, by_scores, *by_tables = learner(crf)(labels, scores, mask)
    observed = np.eye(3)[labels]
    marginals = np.concatenate([one.marginals for one in posterior])
    np.testing.assert_allclose(by_scores[mask], marginals - observed[mask], atol=1e-5)
    assert not by_scores[~mask].any()
    counts = {name: np.zeros_like(x) for name, x in tables.items()}
    for y, m, one in zip(labels, mask, posterior, strict=True):
        if m.any():
            y = y[m]
            counts["transitions"] += one.transitions
            np.subtract.at(counts["transitions"], (y[:-1], y[1:]), 1)
            counts["start"] += one.marginals[0] - np.eye(3)[y[0]]
            counts["end"] += one.marginals[-1] - np.eye(3)[y[-1]]
    for found, name in zip(by_tables, TABLES, strict=True):
        np.testing.assert_allclose(found, multiplier * counts[name], atol=2e-5 * multiplier)


@pytest.mark.parametrize("scale", [1.0, 100.0])
def test_the_gradient_can_be_differentiated_again(scale):
    """The matrices are left to the backend to differentiate, the loop is not."""
    rng = np.random.default_rng(0)
    scores, tables, _ = sample(lengths=(4, 2, 0), scale=scale)
    mask = ops.convert_to_tensor(move(prefixes((4, 2, 0)), "holes", 1))
    values = [np.resize(scores, (3, 5, 3)), scale * tables["transitions"]]
    values = _tensors(x.astype("float32") for x in (*values, tables["start"], tables["end"]))
    along = _tensors(rng.normal(size=x.shape).astype("float32") for x in values)

    def products(parallel, values):
        def log_z(values):
            return ops.sum(linear_chain.log_partition(*values, mask, parallel))

        def slope(values):
            pairs = zip(grad(log_z, values), along, strict=True)
            return sum(ops.sum(x * y) for x, y in pairs)

        return grad(slope, values)

    loop, matrices = (compiled(functools.partial(products, p))(values) for p in (False, True))
    for found, wanted in zip(loop, matrices, strict=True):
        np.testing.assert_allclose(numpy(found), numpy(wanted), atol=2e-6 * max(scale, 10))


def test_unknown_labels_leave_any_state_open():
    # Nine rows that fill in what the last one leaves open.
    scores, tables, labels = sample(lengths=(6,))
    every = paths(3, 2)
    scores, labels = np.repeat(scores, 10, axis=0), np.repeat(labels, 10, axis=0)
    mask = np.ones((10, 6), bool)
    learn = learner(layer(tables))
    labels[:9, [1, 4]] = every
    whole, *by_all = learn(labels, scores, mask)
    labels[9, [1, 4]] = -1
    found, *by_some = learn(labels, scores, mask)
    open_paths = np.exp(-found[:9].astype("float64")).sum()
    assert found[9] == pytest.approx(-np.log(open_paths), rel=1e-5)
    # Where all is known, both ways to the loss give the same, and the same gradient.
    np.testing.assert_allclose(found[:9], whole[:9], rtol=1e-5)
    np.testing.assert_allclose(by_some[0][:9], by_all[0][:9], atol=1e-5)
    assert all(np.isfinite(x).all() for x in by_some)
    # Nothing known, nothing to learn.
    for nothing in learn(np.full_like(labels, -1), scores, mask):
        np.testing.assert_allclose(nothing, 0, atol=2e-5)


def test_where_products_underflow_logarithms_take_over():
    """Two states that only their own kind leads to: the one 300 nats behind wins in the end."""
    apart = Legality(np.eye(2, dtype=bool), np.ones(2, bool), np.ones(2, bool))
    scores = np.zeros((1, 5, 2), "float32")
    scores[0, 0, 0], scores[0, 4, 1] = 300, 450
    labels, mask = np.zeros((1, 5), "int32"), np.ones((1, 5), bool)
    crf = layer({"transitions": np.zeros((2, 2))}, legal=apart)
    found = everything(crf)(labels, scores, mask)
    assert found["log_partition"][0] == pytest.approx(450)
    assert found["decode"][0].tolist() == [1] * 5
    np.testing.assert_allclose(found["marginals"][0], [[0, 1]] * 5, atol=1e-6)
    loss, by_scores, *by_tables = learner(crf)(labels, scores, mask)
    assert loss[0] == pytest.approx(150)
    np.testing.assert_allclose(by_scores[0], [[-1, 1]] * 5, atol=1e-6)
    assert all(np.isfinite(x).all() for x in by_tables)


def test_wide_transitions_need_logarithms_too():
    scores = np.array([[[300, 0], [0, 0], [0, 0], [0, 450]]], "float32")
    wide = {"transitions": np.array([[0, -200], [-200, 0]], "float32")}
    truth = chains(scores, wide, np.ones((1, 4), bool))[0].log_partition()
    assert run(layer(wide).log_partition, scores)[0] == pytest.approx(truth[0])


def test_an_illegal_label_costs_much_and_breaks_nothing():
    scores, tables, labels = sample(4)
    labels[0] = 1  # M may neither begin nor end a text
    truth = chains(scores, tables, MASK, RULES)[0]
    wanted = truth.log_partition() - truth.log_scores(labels[0])
    loss, *gradients = learner(layer(tables, legal=RULES))(labels, scores, MASK)
    assert loss[0] == pytest.approx(wanted[0], rel=1e-5)
    assert all(np.isfinite(x).all() for x in gradients)


@pytest.mark.parametrize("scale", [1.0, 3e4])
def test_decoding_is_legal_whatever_the_scores(scale):
    lengths = (9, 2, 1, 5) * 8
    scores, tables, _ = sample(4, 5, lengths, scale)
    mask = prefixes(lengths)
    crf = layer(tables, legal=RULES)
    for method in (crf.decode, crf.decode_posterior):
        for row, time in zip(run(method, scores, mask), lengths, strict=True):
            path = row[:time]
            assert RULES.start[path[0]]
            assert RULES.end[path[-1]]
            assert RULES.transitions[path[:-1], path[1:]].all()


def test_decoding_breaks_the_fewest_rules_where_it_must():
    never = Legality(np.zeros((2, 2), bool), np.array([True, False]), np.ones(2, bool))
    crf = layer({"transitions": np.zeros((2, 2))}, legal=never)
    scores = np.array([[[0.0, 5.0], [0.0, 1.0], [2.0, 1.0]]], "float32")
    assert run(crf.decode, scores)[0].tolist() == [0, 1, 0]


def test_of_equal_paths_the_first_is_taken():
    scores = np.zeros((1, 4, 3), "float32")
    crf = layer({"transitions": np.zeros((3, 3))})
    assert (
        run(crf.decode, scores)[0].tolist()
        == chain.viterbi(scores[0], np.zeros((3, 3))).path.tolist()
    )


def test_matrices_in_any_order_give_the_loop():
    scores, tables, labels = sample(5, 3, (13, 8, 0))
    mask = move(prefixes((13, 8, 0)), "holes", 2)
    scores, labels = np.resize(scores, (3, 15, 5)), np.resize(labels, (3, 15))
    both = [learner(layer(tables, parallel=p))(labels, scores, mask) for p in (False, True)]
    for one, other in zip(*both, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-5)


def test_a_multiplier_speeds_the_weights_up_and_changes_no_answer():
    scores, tables, labels = sample()
    plain, fast = layer(tables), layer(tables, learning_rate_multiplier=20.0)
    np.testing.assert_allclose(20 * numpy(fast.weights[0]), numpy(plain.weights[0]), rtol=1e-6)
    one, two = (run(crf.loss, labels, scores, MASK) for crf in (plain, fast))
    np.testing.assert_allclose(one, two, rtol=1e-5)
    for crf in (plain, fast):
        gradient = [ops.ones(w.shape) for w in crf.trainable_variables]
        keras.optimizers.Adam(0.01).apply(gradient, crf.trainable_variables)
    moved = [numpy(crf.tables()[0]) - tables["transitions"] for crf in (plain, fast)]
    np.testing.assert_allclose(moved[1], 20 * moved[0], rtol=1e-3)
    initial = CRF(learning_rate_multiplier=20.0, initializer=keras.initializers.Constant(0.5))
    initial.build((None, None, 3))
    np.testing.assert_allclose(numpy(initial.tables()[0]), 0.5, rtol=1e-6)


def test_half_precision_sums_in_float32():
    scores, tables, labels = sample(4, lengths=(60, 30), scale=8.0)
    mask = prefixes((60, 30))
    scores = numpy(ops.cast(scores, "float16"))  # what is representable
    crf = layer(tables, dtype="mixed_float16")
    wanted = run(layer(tables).loss, labels, scores, mask)
    found = run(lambda y, h, m: crf.loss(y, crf(ops.cast(h, "float16")), m), labels, scores, mask)
    np.testing.assert_allclose(found, wanted, rtol=1e-6)


def test_a_file_keeps_rules_and_weights(tmp_path):
    inputs = keras.Input((None, 4))
    crf = CRF(legal=RULES, learning_rate_multiplier=3.0, parallel=True, initializer="ones")
    model = keras.Model(inputs, crf(inputs))
    crf.assign(**sample(4)[1])
    model.save(tmp_path / "model.keras")
    other = keras.models.load_model(tmp_path / "model.keras").layers[-1]
    assert other.get_config() == crf.get_config()
    for a, b in zip(crf.tables(), other.tables(), strict=True):
        np.testing.assert_array_equal(numpy(a), numpy(b))


# Other people's programs


def test_python_crfsuite_gives_the_same_probabilities(tmp_path):
    crfsuite = pytest.importorskip("pycrfsuite")
    rng = np.random.default_rng(0)
    trainer = crfsuite.Trainer(verbose=False)
    trainer.set_params({"max_iterations": 20, "feature.possible_transitions": True})
    texts = [[f"w={x}" for x in rng.integers(5, size=6)] for _ in range(40)]
    for text in texts:
        trainer.append([[x] for x in text], ["abc"[int(x[2:]) * 7 % 3] for x in text])
    trainer.train(str(tmp_path / "model"))
    tagger = crfsuite.Tagger()
    tagger.open(str(tmp_path / "model"))
    names = tagger.labels()
    place = {name: i for i, name in enumerate(names)}
    transitions = np.zeros((len(names), len(names)))
    for (a, b), weight in tagger.info().transitions.items():
        transitions[place[a], place[b]] = weight
    scores = np.zeros((len(texts), 6, len(names)), "float32")
    for (feature, name), weight in tagger.info().state_features.items():
        for i, text in enumerate(texts):
            scores[i, [x == feature for x in text], place[name]] = weight
    crf = layer({"transitions": transitions}, use_ends=False)
    labels = rng.integers(len(names), size=(len(texts), 6)).astype("int32")
    loss, marginals = run(crf.loss, labels, scores), run(crf.marginals, scores)
    best = run(crf.decode, scores)
    for i, text in enumerate(texts):
        path = tagger.tag([[x] for x in text])
        assert [names[j] for j in best[i]] == path
        wanted = tagger.probability([names[j] for j in labels[i]])
        assert np.exp(-loss[i]) == pytest.approx(wanted, rel=1e-5, abs=1e-6)
        for t, j in itertools.product(range(6), range(len(names))):
            assert marginals[i, t, j] == pytest.approx(tagger.marginal(names[j], t), abs=1e-6)


@pytest.mark.parametrize("states", [3, 17])
def test_pytorch_crf_gives_the_same_loss_and_path(states):
    torchcrf = pytest.importorskip("torchcrf")
    torch = pytest.importorskip("torch")
    scores, tables, labels = sample(states)
    theirs = torchcrf.CRF(states, batch_first=True)
    with torch.no_grad():
        theirs.transitions.copy_(torch.tensor(tables["transitions"]))
        theirs.start_transitions.copy_(torch.tensor(tables["start"]))
        theirs.end_transitions.copy_(torch.tensor(tables["end"]))
        given = torch.tensor(scores), torch.tensor(labels).long()
        wanted = -theirs(*given, mask=torch.tensor(MASK), reduction="none").numpy()
        best = theirs.decode(given[0], mask=torch.tensor(MASK))
    crf = layer(tables)
    np.testing.assert_allclose(run(crf.loss, labels, scores, MASK), wanted, rtol=1e-5, atol=1e-5)
    found = run(crf.decode, scores, MASK)
    assert [row[m].tolist() for row, m in zip(found, MASK, strict=True)] == best


# Errors


@pytest.mark.parametrize(
    ("options", "shape", "said"),
    [
        ({"learning_rate_multiplier": 0}, (1, 2, 3), "`learning_rate_multiplier` must be positive"),
        ({"legal": RULES}, (1, 2, 3), "about the 3 states of the inputs. Received: rules for 4"),
        ({}, (1, 3), "scores of known states"),
    ],
)
def test_bad_arguments_are_named(options, shape, said):
    with pytest.raises(ValueError, match=said):
        CRF(**options).build(shape)


def test_bad_calls_are_named():
    scores, tables, labels = sample()
    crf = layer(tables)
    with pytest.raises(ValueError, match=r"`labels` must be whole numbers.* Received: float32"):
        crf.loss(labels.astype("float32"), scores)
    with pytest.raises(ValueError, match=r"`labels` must be whole numbers.* shape \(3, 5\)"):
        crf.loss(labels[:, :5], scores)
    with pytest.raises(ValueError, match=r"`scores` must have the shape \(batch, time, 3\)"):
        crf.log_partition(scores[..., :2])
    with pytest.raises(ValueError, match="`mask` must be boolean"):
        crf.log_partition(scores, np.ones((3, 6), "int32"))
    with pytest.raises(ValueError, match="`CRF` must be built before `assign`"):
        CRF().assign(tables["transitions"])
    with pytest.raises(ValueError, match="need use_ends=True"):
        layer({"transitions": np.zeros((2, 2))}, use_ends=False).assign(
            np.zeros((2, 2)), start=[0, 0]
        )
    with pytest.raises(TypeError, match=r"`legal` must be a Legality.* Received: ndarray"):
        CRF(legal=np.ones((2, 2)))


def test_neighbours_are_the_real_ones():
    mask = np.array([[0, 1, 0, 1, 1, 0], [0, 0, 0, 0, 0, 0]], bool)
    before, after = (run(x, mask) for x in (linear_chain.before, linear_chain.after))
    assert before[0].tolist() == [-1, -1, 1, 1, 3, 4]
    assert after[0].tolist() == [1, 3, 3, 4, -1, -1]
    assert (before[1] == -1).all()
    assert (after[1] == -1).all()
