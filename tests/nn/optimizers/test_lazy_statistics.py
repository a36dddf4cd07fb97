"""Lazy on words of a Zipf law: what rare words learn by momentum alone does not help."""

import keras
import numpy as np
import pytest

from taolu.nn.optimizers.lazy import Lazy

WORDS, DOCUMENTS, LENGTH, WIDTH = 5_000, 2_000, 30, 16
FREQUENT, SEEDS = 100, 10
RATE = 0.01  # fast enough for rare words to be learned by heart; at 0.002 it is a draw


def documents(seed):
    """Texts to train and to test, and labels drawn by the sum of the weights of frequent words."""
    rng = np.random.default_rng(seed)
    zipf = 1 / np.arange(1, WORDS + 1)
    texts = rng.choice(WORDS, (2 * DOCUMENTS, LENGTH), p=zipf / zipf.sum()).astype("int32")
    weights = np.zeros(WORDS)
    weights[:FREQUENT] = rng.normal(size=FREQUENT)
    positive = 1 / (1 + np.exp(-2 * weights[texts].sum(axis=1)))
    labels = (rng.random(2 * DOCUMENTS) < positive).astype("float32")
    return (texts[:DOCUMENTS], labels[:DOCUMENTS]), (texts[DOCUMENTS:], labels[DOCUMENTS:])


def bag():
    """The mean embedding of a text, and a unit."""
    texts = keras.Input((LENGTH,), dtype="int32")
    x = keras.layers.Embedding(WORDS, WIDTH, name="words")(texts)
    return keras.Model(texts, keras.layers.Dense(1)(keras.layers.GlobalAveragePooling1D()(x)))


def start_again(model, seed):
    """New weights and a fresh optimizer in a model that stays compiled."""
    keras.utils.set_random_seed(seed)
    model.set_weights(bag().get_weights())
    for variable in model.optimizer.variables:
        if variable.name.split("/")[-1] != "learning_rate":
            variable.assign(np.zeros(variable.shape))


def accuracies(optimizer):
    """Test accuracy of every seed, which draws the data, the weights and the order."""
    model = bag()
    loss = keras.losses.BinaryCrossentropy(from_logits=True)
    model.compile(optimizer, loss, metrics=[keras.metrics.BinaryAccuracy(threshold=0.0)])
    model.optimizer.build(model.trainable_variables)
    found = []
    for seed in range(SEEDS):
        train, test = documents(seed)
        start_again(model, seed)
        model.fit(*train, batch_size=32, epochs=8, verbose=0)
        found.append(model.evaluate(*test, batch_size=500, verbose=0)[1])
    return np.array(found)


@pytest.mark.slow
def test_lazy_is_no_worse_than_adam_for_eight_seeds_of_ten(figure):
    plain = accuracies(keras.optimizers.Adam(RATE))
    figure("Zipf words, accuracy, Adam", plain.mean())
    assert plain.mean() > 0.8  # it learns the frequent words
    for mode in ("frozen_slots", "decay_slots"):
        lazy = accuracies(Lazy(keras.optimizers.Adam(RATE), mode))
        figure(f"Zipf words, accuracy, {mode}", lazy.mean())
        figure(f"Zipf words, seeds no worse than Adam, {mode}", (lazy >= plain).sum())
        assert (lazy >= plain).sum() >= 8, (mode, lazy, plain)
