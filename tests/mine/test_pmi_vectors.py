"""Vectors of mutual information: counts and cells by hand, the whole table at full rank."""

import math

import numpy as np
import pytest
from topics import topic_precision, topics_text

from taolu.mine import pmi_vectors as module
from taolu.mine.pmi_vectors import count_pairs_within, pmi_vectors
from taolu.mine.token_stream import read_tokens


def text(sentences=60, words=9, seed=0):
    rng = np.random.default_rng(seed)
    return [[f"w{i}" for i in rng.integers(0, words, rng.integers(1, 9))] for _ in range(sentences)]


def slow_pairs(sentences, words, window):
    place = {word: i for i, word in enumerate(words)}
    table = np.zeros((len(words), len(words)))
    for sentence in sentences:
        kept = [place[word] for word in sentence if word in place]
        for i, one in enumerate(kept):
            for j, other in enumerate(kept):
                if 0 < abs(i - j) <= window:
                    table[one, other] += (window - abs(i - j) + 1) / window
    return table


@pytest.mark.parametrize("at_once", [1 << 22, 50, 1])
@pytest.mark.parametrize("window", [1, 4])
def test_pairs_are_counted_within_sentences(monkeypatch, at_once, window):
    monkeypatch.setattr(module, "AT_ONCE", at_once)
    sentences = text(20)
    stream = read_tokens(sentences, min_count=9)
    assert 1 < len(stream.words) < 9
    found = count_pairs_within(stream, window).toarray()
    np.testing.assert_allclose(found, slow_pairs(sentences, stream.words, window), atol=1e-12)


def test_vectors_of_full_rank_give_the_table_back():
    sentences = text()
    found = pmi_vectors(sentences, width=9, window=2, negative=1.1)
    pairs = slow_pairs(sentences, found.words, 2)
    flat = pairs.sum(axis=0) ** 0.75
    with np.errstate(divide="ignore"):
        cells = np.log(pairs * flat.sum() / np.outer(pairs.sum(axis=1), flat)) - math.log(1.1)
    table = np.maximum(cells, 0)
    # U S U' of a table U S V: its root of the table times its transpose.
    values, turns = np.linalg.eigh(table @ table.T)
    root = (turns * np.sqrt(np.maximum(values, 0))) @ turns.T
    np.testing.assert_allclose(found.vectors @ found.vectors.T, root, atol=1e-3)


def test_near_words_are_of_one_topic():
    found = pmi_vectors(topics_text(4000), width=50)
    assert topic_precision(found) >= 0.95


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"window": 0}, "`window` must be a whole number, at least 1. Received: window=0"),
        ({"width": 0}, "`width` must be"),
        ({"negative": 0}, "`negative` must be above 0. Received: negative=0"),
        ({"noise_power": math.nan}, "`noise_power` must be a number"),
        ({"min_count": 99}, "at least `min_count` times"),
        ({"negative": 1e9}, "Received: none, negative=1000000000.0"),
    ],
)
def test_wrong_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        pmi_vectors(text(), **arguments)
