"""Lazy: a word that was seen once is moved once.

python examples/lazy_optimizer.py

Adam goes on moving the row of a word long after the one batch that had it. The second part trains
a model on made reviews and looks at a word that occurs in the first batch only.
"""

import numpy as np

from taolu.nn.optimizers import Lazy, MarkedEmbedding  # before Keras: it chooses the backend

# isort: split
import keras
from keras import ops

Adam = keras.optimizers.Adam
RATE = 0.01


def moved(optimizer, steps=60):
    """How many learning rates a row moves that has a gradient in the first step only."""
    table = keras.Variable(np.zeros((2, 1), "float32"), name="embeddings")
    gradients = np.zeros((steps, 2, 1), "float32")
    gradients[:, 0], gradients[0, 1] = 1.0, 1.0  # a common word, and a rare one
    path = []
    for gradient in gradients:
        optimizer.apply([ops.convert_to_tensor(gradient)], [table])
        path.append(abs(table.numpy()[1, 0]) / RATE)
    return path


def reviews(rng):
    """512 reviews of 6 words; words 1 to 9 say good, 10 to 19 bad, word 30 is in the first."""
    labels = rng.integers(0, 2, 512)
    words = np.where(labels[:, None] == 1, 1, 10) + rng.integers(0, 9, (512, 6))
    words[0, 0] = 30
    return words, labels.astype("float32")


def train(optimizer):
    keras.utils.set_random_seed(0)
    ids = keras.Input((6,), dtype="int32")
    words = MarkedEmbedding(40, 8, name="words")
    pooled = keras.layers.GlobalAveragePooling1D()(words(ids))
    model = keras.Model(ids, keras.layers.Dense(1, activation="sigmoid")(pooled))
    model.compile(optimizer, "binary_crossentropy", metrics=["accuracy"])
    before = words.embeddings.numpy()
    x, y = reviews(np.random.default_rng(0))
    model.fit(x, y, batch_size=16, epochs=3, shuffle=False, verbose=0)
    change = np.abs(words.embeddings.numpy() - before).max(axis=1)
    return change[30] / RATE, change[35] / RATE, model.evaluate(x, y, verbose=0)[1]


def main() -> None:
    print("learning rates that a row has moved after 1, 2, 3, 4, 10 and 60 steps")
    for name, make in {
        "Adam": lambda: Adam(RATE),
        "Lazy, frozen slots": lambda: Lazy(Adam(RATE)),
        "Lazy, decaying slots": lambda: Lazy(Adam(RATE), "decay_slots"),
    }.items():
        path = moved(make())
        print(f"{name:<21}", *(f"{path[step - 1]:6.2f}" for step in (1, 2, 3, 4, 10, 60)))

    print("\n                       one batch has it     no batch has it     accuracy")
    lazy = Lazy(Adam(RATE))
    for name, optimizer in {"Adam": Adam(RATE), "Lazy, ids": lazy}.items():
        once, never, accuracy = train(optimizer)
        print(f"{name:<21} {once:9.2f} rates {never:13.2f} rates {accuracy:14.3f}")
    [share] = lazy.touched_share.values()
    print(f"\na batch used {share:.0%} of the rows on average")


if __name__ == "__main__":
    main()
