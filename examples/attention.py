"""Why attention needs positions: is the last letter of a text the same as the first?

python examples/attention.py [EPOCHS]

Every text is a shuffle of the same letters, each of them twice, so only their order can tell.
Attention alone sees a bag of letters: whatever it learns, it guesses. With a clock added to each
letter, one layer finds the last letter and compares it with the first.
"""

import sys

import numpy as np

from taolu.nn.layers.attention import Attention
from taolu.nn.layers.position import SinusoidalPosition

import keras  # isort: skip  (taolu.nn chooses the backend first)

LETTERS, WIDTH, HEADS = 5, 32, 4
TIME = 2 * LETTERS


def draw(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Shuffled texts, half of them with equal ends, and whether the ends are equal."""
    rng = np.random.default_rng(seed)
    texts = rng.permuted(np.tile(np.repeat(np.arange(LETTERS), 2), (count, 1)), axis=1)
    for text, equal in zip(texts, rng.random(count) < 0.5, strict=True):
        if equal:
            other = 1 + np.flatnonzero(text[1:] == text[0])[0]  # where the first letter comes again
        else:
            other = rng.choice(np.flatnonzero(text != text[0]))
        text[[other, -1]] = text[[-1, other]]
    return texts.astype("int32"), (texts[:, 0] == texts[:, -1]).astype("float32")


def build(placed: bool) -> keras.Model:
    """One block of a Transformer that answers from the first step."""
    texts = keras.Input((TIME,), dtype="int32")
    normal = keras.initializers.RandomNormal(stddev=1.0, seed=0)
    x = keras.layers.Embedding(LETTERS, WIDTH, embeddings_initializer=normal)(texts)
    if placed:
        x = SinusoidalPosition()(x)
    x = keras.layers.LayerNormalization()(x + Attention(HEADS, name="attention")(x))
    inner = keras.layers.Dense(2 * WIDTH, activation="relu")(x)
    x = keras.layers.LayerNormalization()(x + keras.layers.Dense(WIDTH)(inner))
    return keras.Model(texts, keras.layers.Dense(1)(x[:, 0]))


def train(placed: bool, epochs: int = 4, seed: int = 0) -> tuple[keras.Model, float]:
    """A model trained on 8,192 texts, and the share of 2,000 others that it judges right."""
    keras.utils.set_random_seed(seed)
    model = build(placed)
    model.compile(
        keras.optimizers.Adam(0.003),
        keras.losses.BinaryCrossentropy(from_logits=True),
        metrics=[keras.metrics.BinaryAccuracy(threshold=0.0)],
    )
    model.fit(*draw(8192, seed=1), batch_size=128, epochs=epochs, verbose=0)
    return model, model.evaluate(*draw(2000, seed=2), batch_size=500, verbose=0)[1]


def looks(model: keras.Model, text: np.ndarray) -> np.ndarray:
    """Probabilities with which the first step looks at each step, (heads, time)."""
    layer = model.get_layer("attention")
    x = keras.Model(model.input, layer.input)(text[None])
    parts = [layer.query_projection(x), layer.key_projection(x)]
    query, key = (keras.ops.convert_to_numpy(p).reshape(TIME, HEADS, -1) for p in parts)
    scores = np.einsum("hw,thw->ht", query[0], key) / query.shape[-1] ** 0.5
    weights = np.exp(scores - scores.max(axis=1, keepdims=True))
    return weights / weights.sum(axis=1, keepdims=True)


def main(epochs: int) -> None:
    texts, equal = draw(4, seed=3)
    for text, same in zip(texts, equal, strict=True):
        print("".join("abcde"[i] for i in text), "equal ends" if same else "different ends")
    for placed in (False, True):
        model, right = train(placed, epochs)
        print(f"{'with' if placed else 'without'} positions: accuracy {right:.2f}")
        for head in looks(model, texts[0]):
            print("  " + "".join("▁▂▃▄▅▆▇█"[min(int(8 * p), 7)] for p in head))


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 4)
