"""A task that only positions can solve: attention solves it with them, and guesses without."""

import sys
from pathlib import Path

import keras
import numpy as np
import pytest


@pytest.fixture
def example(monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parents[3] / "examples"))
    import attention

    yield attention
    del sys.modules["attention"]


def test_every_text_has_the_same_letters(example):
    texts, equal = example.draw(500, seed=0)
    assert (np.sort(texts, axis=1) == np.sort(texts[0])).all()
    np.testing.assert_array_equal(equal, texts[:, 0] == texts[:, -1])
    assert 0.4 < equal.mean() < 0.6


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_ends_are_compared_with_positions_and_guessed_without(example, seed):
    model, right = example.train(placed=True, seed=seed)
    assert right > 0.99
    text = example.draw(1, seed=5)[0][0]
    if keras.backend.backend() == "jax" and seed == 0:
        # What the example prints. Other seeds find other ways, as from the last to the first.
        assert example.looks(model, text)[:, -1].max() > 0.5
    # 2,000 texts: four standard deviations of a fair coin.
    assert abs(example.train(placed=False, seed=seed)[1] - 0.5) < 4 * 0.5 / 2000**0.5
