"""A TagModel learns by the loss of its head and predicts what that decodes, on every backend."""

import keras
import numpy as np
import pytest
from keras import ops
from samples import numpy

from taolu import chain
from taolu.nn.layers import CRF, MEMM, GlobalPointer, SoftmaxHead
from taolu.nn.models import TagModel
from taolu.text.schemes import BMES, legality

pytestmark = pytest.mark.usefixtures("fast_compile")

RULES = legality("BMES", BMES)
X = np.array([[1, 2, 3, 4, 2, 0], [3, 1, 2, 0, 0, 0], [4, 4, 0, 0, 0, 0]], "int32")
Y = np.array([[0, 1, 2, 3, 3, 9], [3, 0, 2, 9, 9, 9], [0, 2, 9, 9, 9, 9]], "int32")
REAL = X > 0


def tagger(head, width=4, **options):
    keras.utils.set_random_seed(0)
    inputs = keras.Input((6,), dtype="int32")
    x = keras.layers.Embedding(5, width, mask_zero=True)(inputs)
    model = TagModel(inputs, head(keras.layers.Dense(4)(x)))
    model.compile(keras.optimizers.Adam(0.1), **options)
    return model


def test_fit_learns_and_predict_decodes():
    model = tagger(CRF(legal=RULES))
    first = model.evaluate(X, Y, verbose=0, return_dict=True)
    history = model.fit(X, Y, epochs=40, batch_size=3, verbose=0).history
    assert set(history) == {"loss"}
    assert history["loss"][0] == pytest.approx(first["loss"], rel=1e-5)
    path = model.predict(X, verbose=0)
    np.testing.assert_array_equal(path, np.where(REAL, Y, -1))
    last = model.evaluate(X, Y, verbose=0, return_dict=True)
    assert last["accuracy"] == 1 > first["accuracy"]
    assert last["loss"] < first["loss"] / 10


def test_loss_and_answers_are_those_of_the_chain():
    model = tagger(CRF(legal=RULES))
    rng = np.random.default_rng(1)
    for weight in model.head.weights:
        weight.assign(rng.normal(size=weight.shape))
    scores = numpy(model(X))
    tables = dict(
        zip(("transitions", "start", "end"), map(numpy, model.head.tables()), strict=True)
    )
    given = chain.crf_chain(scores[REAL], **tables, lengths=REAL.sum(axis=1))
    losses = -given.log_probabilities(Y[REAL])
    found = model.evaluate(X, Y, verbose=0, return_dict=True)
    assert found["loss"] == pytest.approx(losses.mean(), rel=1e-5)
    best = given.viterbi().path
    assert found["accuracy"] == pytest.approx((best == Y[REAL]).mean())
    np.testing.assert_array_equal(model.predict_on_batch(X)[REAL], best)
    # Rows weigh in by their weights; unknown labels are not counted as right or wrong.
    weight = np.array([1.0, 0.0, 2.0], "float32")
    found = model.evaluate(X, Y, sample_weight=weight, verbose=0, return_dict=True)
    assert found["loss"] == pytest.approx((losses * weight).mean(), rel=1e-5)
    some = np.where(np.arange(6) == 1, -1, Y)
    found = model.evaluate(X, some, verbose=0, return_dict=True)
    assert found["accuracy"] == pytest.approx((best == some[REAL])[some[REAL] >= 0].mean())


def test_a_file_holds_head_and_training(tmp_path):
    model = tagger(MEMM(rank=2, bidirectional=True, decoding="local"))
    model.fit(X, Y, epochs=3, verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert isinstance(loaded, TagModel)
    assert loaded.head.get_config() == model.head.get_config()
    np.testing.assert_array_equal(loaded.predict(X, verbose=0), model.predict(X, verbose=0))
    both = [one.train_on_batch(X, Y) for one in (model, loaded)]
    assert both[0] == pytest.approx(both[1], rel=1e-5)


def test_half_precision_trains():
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_float16")
    try:
        model = tagger(CRF(legal=RULES))
    finally:
        keras.config.set_dtype_policy(before)
    losses = model.fit(X, Y, epochs=30, verbose=0).history["loss"]
    assert losses[-1] < losses[0] / 3
    assert keras.backend.standardize_dtype(model(X).dtype) == "float32"


def test_penalties_of_layers_are_part_of_the_loss():
    inputs = keras.Input((6,), dtype="int32")
    scores = keras.layers.Embedding(5, 4, embeddings_regularizer=keras.regularizers.L2(0.5))(inputs)
    model = TagModel(inputs, MEMM()(scores))
    model.compile("sgd")
    penalty = 0.5 * float(np.square(numpy(model.layers[1].weights[0])).sum())
    labels = np.minimum(Y, 3)
    plain = numpy(ops.mean(model.head.loss(labels, model(X))))
    assert model.train_on_batch(X, labels) == pytest.approx(plain + penalty, rel=1e-4)


def test_a_softmax_head_will_do():
    model = tagger(SoftmaxHead(RULES))
    model.fit(X, Y, epochs=30, verbose=0)
    right = (model.predict(X, verbose=0) == Y)[REAL].mean()
    found = model.evaluate(X, Y, verbose=0, return_dict=True)
    assert found["accuracy"] == pytest.approx(right)


# Spans: the last two of the first row overlap, and both lie inside its first.
SPANS = {(0, 0, 0, 4), (0, 1, 0, 2), (0, 1, 1, 3), (1, 0, 0, 1), (2, 1, 0, 1)}


def pointer(low_rank, steps=6):
    keras.utils.set_random_seed(0)
    inputs = keras.Input((steps,), dtype="int32")
    x = keras.layers.Embedding(5, 8, mask_zero=True)(inputs)
    x = keras.layers.Dense(16, activation="tanh")(x)
    model = TagModel(inputs, GlobalPointer(2, head_width=8, low_rank=low_rank)(x))
    model.compile(keras.optimizers.Adam(0.03))
    labels = np.zeros((3, 2, 6, 6), "int32")
    labels[tuple(np.array(list(SPANS)).T)] = 1
    return model, labels


def test_nested_and_overlapping_spans_are_found(tmp_path):
    model, labels = pointer(low_rank=False)
    first = model.evaluate(X, labels, verbose=0, return_dict=True)
    model.fit(X, labels, epochs=80, batch_size=3, verbose=0)
    found = model.predict(X, verbose=0)
    assert found.shape == labels.shape
    assert {tuple(map(int, at)) for at in np.argwhere(found)} == SPANS
    last = model.evaluate(X, labels, verbose=0, return_dict=True)
    assert last["accuracy"] == 1 > first["accuracy"]
    assert last["loss"] < first["loss"] / 4
    # A file keeps all of it, and the mask still reaches the head.
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded.predict(X, verbose=0), found)


def test_padding_says_nothing_about_spans():
    model, labels = pointer(low_rank=True)
    scores = numpy(model(X))
    cells = REAL[:, :, None] & REAL[:, None, :] & np.triu(np.ones((6, 6), bool))
    given = scores.astype("float64"), labels, np.broadcast_to(cells[:, None], labels.shape)
    losses = [
        sum(np.log1p(np.exp((1 - 2 * kind) * s[m & (y == kind)]).sum()) for kind in (0, 1))
        for s, y, m in (x for row in zip(*given, strict=True) for x in zip(*row, strict=True))
    ]
    found = model.evaluate(X, labels, verbose=0, return_dict=True)
    assert found["loss"] == pytest.approx(np.sum(losses) / 3, rel=1e-5)
    true, over = labels == 1, (scores > 0) & given[2]
    assert found["accuracy"] == pytest.approx((true & over).sum() / (true | over).sum())
    np.testing.assert_array_equal(model.predict_on_batch(X) > 0, over)
    # Padding in front instead of behind: the same spans.
    moved = np.zeros((3, 6), "int32")
    for row, real, new in zip(X, REAL, moved, strict=True):
        new[6 - real.sum() :] = row[real]
    shifted = model.predict_on_batch(moved)
    for a, b, real in zip(model.predict_on_batch(X), shifted, REAL, strict=True):
        n = real.sum()
        np.testing.assert_allclose(b[:, 6 - n :, 6 - n :], a[:, :n, :n], atol=1e-5)


def test_a_model_without_a_head_at_its_end_is_refused():
    inputs = keras.Input((6, 4))
    with pytest.raises(ValueError, match=r"the output of a head such as CRF.* Received: 0 heads"):
        TagModel(inputs, keras.layers.Dense(4)(inputs))
    with pytest.raises(ValueError, match="Received: 2 heads"):
        TagModel(inputs, CRF()(MEMM()(inputs)))
