"""Tied projection: one matrix for reading and writing, one in the file, one after loading."""

import zipfile

import h5py
import keras
import numpy as np
import pytest
from keras import ops
from samples import compiled, numpy

from taolu.nn.differentiate import grad, override
from taolu.nn.layers.tied_projection import TiedProjection

pytestmark = pytest.mark.usefixtures("fast_compile")

IDS = np.array([[1, 2, 3], [4, 0, 2]], "int32")
KINDS = (keras.layers.Embedding, keras.layers.ReversibleEmbedding)


def tied(kind=keras.layers.Embedding, **options):
    """A language model in one breath: embed, squash, project back; and its two ends."""
    embedding = kind(6, 4)
    embedding.build()
    embedding.embeddings.assign(np.random.default_rng(3).normal(size=(6, 4)))
    layer = TiedProjection(embedding, **options)
    ids = keras.Input((None,), dtype="int32")
    return keras.Model(ids, layer(ops.tanh(embedding(ids)))), embedding, layer


@pytest.mark.parametrize("kind", KINDS)
def test_scores_are_products_with_the_table(kind):
    model, embedding, layer = tied(kind, activation="tanh")
    layer.bias.assign(np.arange(6) / 10)
    table = numpy(embedding.embeddings)
    wanted = np.tanh(np.tanh(table[IDS]) @ table.T + np.arange(6) / 10)
    np.testing.assert_allclose(numpy(model(IDS)), wanted, rtol=0, atol=1e-6)


def test_without_bias_it_is_the_way_back_of_a_reversible_embedding():
    _, embedding, layer = tied(keras.layers.ReversibleEmbedding, use_bias=False)
    x = np.random.default_rng(0).normal(size=(2, 3, 4)).astype("float32")
    np.testing.assert_allclose(
        numpy(layer(x)), numpy(embedding(x, reverse=True)), rtol=0, atol=1e-6
    )


def test_the_table_is_read_in_the_call_and_never_frozen():
    model, embedding, _ = tied()
    embedding.embeddings.assign(np.ones((6, 4)))
    np.testing.assert_allclose(numpy(model(IDS)), 4 * np.tanh(1), rtol=0, atol=1e-6)


def test_only_the_bias_is_added_and_the_table_is_counted_once():
    model, embedding, _ = tied()
    assert model.count_params() == 6 * 4 + 6
    assert len(model.trainable_variables) == 2
    assert sum(v is embedding.embeddings for v in model.trainable_variables) == 1


def test_the_gradient_is_the_sum_of_both_ends():
    """E reads and writes: its gradient is that of two matrices which happen to be equal."""
    model, embedding, layer = tied()
    table = embedding.embeddings
    weight = ops.convert_to_tensor(
        np.random.default_rng(0).normal(size=(2, 3, 6)).astype("float32")
    )
    run = compiled(lambda ids: grad(lambda: ops.sum(model(ids) * weight), table))
    together = numpy(run(IDS))
    value = ops.convert_to_tensor(numpy(table))

    def untied(tables):
        x = ops.tanh(ops.take(tables[0], IDS, axis=0))
        with override([(table, tables[1])]):
            return ops.sum(layer(x) * weight)

    first, second = (
        numpy(x) for x in compiled(lambda x: grad(untied, x))([value, ops.copy(value)])
    )
    assert np.abs(first).max() > 0.1
    assert np.abs(second).max() > 0.1
    np.testing.assert_allclose(together, first + second, rtol=0, atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_holds_the_table_once_and_ties_it_again(kind, tmp_path):
    model, _, layer = tied(kind)
    layer.bias.assign(np.arange(6))
    path = tmp_path / "model.keras"
    model.save(path)
    with zipfile.ZipFile(path) as archive, archive.open("model.weights.h5") as file:
        sizes = []
        with h5py.File(file) as weights:
            weights.visititems(lambda _, x: sizes.append(getattr(x, "shape", None)))
    assert sizes.count((6, 4)) == 1
    assert sizes.count((6,)) == 1
    loaded = keras.models.load_model(path)
    reader = next(x for x in loaded.layers if isinstance(x, kind))
    writer = next(x for x in loaded.layers if isinstance(x, TiedProjection))
    assert writer.embedding is reader
    assert writer.embedding.embeddings is reader.embeddings
    assert len(loaded.trainable_variables) == 2
    np.testing.assert_array_equal(numpy(loaded(IDS)), numpy(model(IDS)))


def test_a_tail_without_its_embedding_keeps_the_table(tmp_path):
    """A model of the projection alone is self-contained: the owner travels with it."""
    _, embedding, layer = tied()
    x = keras.Input((None, 4))
    tail = keras.Model(x, layer(x))
    tail.save(tmp_path / "tail.keras")
    loaded = keras.models.load_model(tmp_path / "tail.keras")
    given = np.random.default_rng(0).normal(size=(1, 2, 4)).astype("float32")
    np.testing.assert_array_equal(numpy(loaded(given)), numpy(tail(given)))
    assert tail.count_params() == embedding.count_params() + 6


def test_a_training_step_moves_the_one_table():
    model, embedding, layer = tied()
    model.compile("sgd", loss="mse")
    before = numpy(embedding.embeddings).copy()
    model.train_on_batch(IDS, np.ones((2, 3, 6), "float32"))
    assert not np.array_equal(numpy(embedding.embeddings), before)
    assert layer.embedding.embeddings is embedding.embeddings


def test_wrong_ties_are_named():
    with pytest.raises(ValueError, match=r"`embedding` must be built before .* not built"):
        TiedProjection(keras.layers.Embedding(6, 4, name="words"))(np.ones((1, 2, 4), "float32"))
    with pytest.raises(ValueError, match=r"must be an Embedding of Keras\. Received: Dense"):
        TiedProjection(keras.layers.Dense(3))
    with pytest.raises(ValueError, match=r"call it with `reverse=True`.* tie_weights=False"):
        TiedProjection(keras.layers.ReversibleEmbedding(6, 4, tie_weights=False))
    _, embedding, _ = tied()
    with pytest.raises(ValueError, match=r"width of the embedding. Received: .*\(1, 2, 5\).* 4"):
        TiedProjection(embedding)(np.ones((1, 2, 5), "float32"))
