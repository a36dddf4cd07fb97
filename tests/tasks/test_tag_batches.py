"""Batches hold every sentence once, weigh characters alike, and hide what is rare."""

import numpy as np
import pytest

from taolu.tasks.tag_batches import TrainingBatches, ahead, plan_batches
from taolu.tasks.tag_examples import Example
from taolu.tasks.tag_features import UNKNOWN, TagFeatures
from taolu.tasks.tag_target import TagTarget
from taolu.text.schemes import BMES
from taolu.text.spans import Span

RNG = np.random.default_rng(0)
TEXTS = ["".join(RNG.choice(list("甲乙丙丁"), size)) for size in RNG.integers(1, 16, 60)]
TARGET = TagTarget("crf", ("",), BMES, covers=True, nested=False)


def batches(texts=TEXTS, seed=0):
    examples = [Example(text, tuple(Span(i, i + 1) for i in range(len(text)))) for text in texts]
    return TrainingBatches(examples, TagFeatures.of(texts), TARGET, [4, 8, 16], 32, seed)


def test_every_sentence_is_in_one_batch_of_the_least_width():
    lengths = [len(text) for text in TEXTS]
    planned = plan_batches(lengths, [4, 8, 16], 32)
    rows = np.concatenate([rows for _, rows in planned])
    assert sorted(rows.tolist()) == list(range(len(TEXTS)))
    for width, rows in planned:
        assert len(rows) <= 32 // width
        assert {4: 0, 8: 4, 16: 8}[width] < min(lengths[row] for row in rows)
        assert max(lengths[row] for row in rows) <= width


def test_an_epoch_has_all_characters_and_its_weights_make_nats_per_character():
    made = batches()
    for epoch in (1, 2):
        seen = list(made.epoch(epoch))
        assert len(seen) == len(made)
        assert sum(np.count_nonzero(x["characters"]) for x, _, _ in seen) == made.characters
        for inputs, labels, weights in seen:
            size, width = inputs["characters"].shape
            assert size == 32 // width
            real = inputs["characters"] > 0
            np.testing.assert_array_equal(labels >= 0, real)
            np.testing.assert_array_equal(weights > 0, real.any(axis=1))
            # The mean over rows of weight * nats of the row is nats / 32.
            assert weights[weights > 0] / size == pytest.approx(1 / 32)


def test_seed_and_epoch_decide_the_order():
    first = [x["characters"] for x, _, _ in batches().epoch(1)]
    again = [x["characters"] for x, _, _ in batches().epoch(1)]
    for one, other in zip(first, again, strict=True):
        np.testing.assert_array_equal(one, other)
    for others in (batches().epoch(2), batches(seed=1).epoch(1)):
        arrays = [x["characters"] for x, _, _ in others]
        assert any(a.shape != b.shape or (a != b).any() for a, b in zip(first, arrays, strict=True))


def test_what_is_used_n_times_is_hidden_in_one_of_n_plus_1_cases():
    texts = ["甲" * 16] * 3 + ["乙丙"]
    made = batches(texts)
    hidden = {"甲": 0, "乙": 0}
    epochs = 3000
    for epoch in range(epochs):
        for inputs, _, _ in made.epoch(epoch):
            ids = inputs["characters"]
            hidden["甲"] += np.count_nonzero(ids[:, 2:] == UNKNOWN)
            hidden["乙"] += np.count_nonzero(ids[:, 0][(ids[:, 2] == 0)] == UNKNOWN)
    deviation = 4 * np.sqrt(0.25 / epochs)
    assert abs(hidden["乙"] / epochs - 1 / 2) < deviation
    places = 3 * 14
    assert abs(hidden["甲"] / (epochs * places) - 1 / 49) < 4 * np.sqrt(1 / 49 / (epochs * places))


def test_items_made_ahead_are_the_same_and_so_are_errors():
    assert list(ahead(iter(range(9)))) == list(range(9))
    assert list(ahead(iter([]))) == []

    def broken():
        yield 1
        raise RuntimeError("no more")

    items = ahead(broken())
    assert next(items) == 1
    with pytest.raises(RuntimeError, match="no more"):
        next(items)
