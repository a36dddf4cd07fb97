"""On synthetic Chinese with known words, whole paths are worth half a point over single tags."""

from pathlib import Path

import keras
import numpy as np
import pytest

from taolu.mine.span_score import score_spans
from taolu.nn.layers import CRF, SoftmaxHead
from taolu.nn.models import TagModel
from taolu.text.schemes import BMES
from taolu.text.spans import repaired_spans, tags_of, word_spans

TAGS = "BMES"
TRAINING, TESTING, EPOCHS = 4000, 2000, 4


def batches(monkeypatch):
    """Ids of characters, 0 where there is none, and of tags, int32 (sentences, time)."""
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "mine"))
    from synthetic import gold_sentences

    sentences = gold_sentences()[: TRAINING + TESTING]
    texts = ["".join(words) for words in sentences]
    ids = {character: i for i, character in enumerate(sorted(set("".join(texts))), start=1)}
    shape = len(texts), max(map(len, texts))
    characters, tags = np.zeros(shape, "int32"), np.zeros(shape, "int32")
    for row, (text, words) in enumerate(zip(texts, sentences, strict=True)):
        characters[row, : len(text)] = [ids[character] for character in text]
        spelled = tags_of(word_spans(words), len(text), BMES)
        tags[row, : len(text)] = [TAGS.index(tag) for tag in spelled]
    return characters, tags, len(ids) + 1


def tagger(head, characters, seed):
    """A small network of convolutions that sees two characters to each side."""
    keras.utils.set_random_seed(seed)
    inputs = keras.Input((None,), dtype="int32")
    x = keras.layers.Embedding(characters, 32, mask_zero=True)(inputs)
    for _ in range(2):
        x = keras.layers.Conv1D(64, 3, padding="same", activation="relu")(x)
    model = TagModel(inputs, head(keras.layers.Dense(len(TAGS))(x)))
    model.compile(keras.optimizers.Adam(3e-3))
    return model


def spans(paths, real):
    rows = zip(paths, real, strict=True)
    return [repaired_spans([TAGS[i] for i in path[m]], BMES) for path, m in rows]


def span_f1(head, seed, characters, tags, size):
    model = tagger(head, size, seed)
    model.fit(characters[:TRAINING], tags[:TRAINING], 64, EPOCHS, verbose=0)
    x, y = characters[TRAINING:], tags[TRAINING:]
    found = model.predict(x, batch_size=500, verbose=0)
    return score_spans(spans(y, x > 0), spans(found, x > 0)).overall.f1


@pytest.mark.slow
def test_a_crf_finds_more_words_than_single_tags(monkeypatch, figure):
    pytest.importorskip("jieba")
    given = batches(monkeypatch)
    alone, whole = (span_f1(head, 0, *given) for head in (SoftmaxHead(), CRF()))
    figure("synthetic Chinese, span F1 of a softmax", alone)
    figure("synthetic Chinese, span F1 of a CRF", whole)
    assert whole >= alone + 0.005
