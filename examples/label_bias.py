"""Label bias: why a tagger that is normalised at every step may not listen.

python examples/label_bias.py [--sentences 2000]

A machine says "rib" or "rob": it goes through the states r1 i b or r2 o b, each of which says its
letter 29 times out of 32 and one of the other letters otherwise. "r" fits both words, so whoever
must choose there can only guess. In a MEMM that normalises each step a state with one way out hands
on all of its probability, whatever is heard next: the guess stays. A CRF weighs whole paths, so the
"i" still counts. The same MEMM decoded "raw", as if it were a CRF, escapes too, and mostly does one
that reads in both directions: seen from the shared b the choice is between i and o.

Prints the share of words with any state wrong, of 20,000. No tagger can do better than 1/16: the
vowel is heard as the other one in 1 of 32 words, and as a consonant in 2, where half are guessed.
"""

import argparse

import numpy as np

from taolu.nn.layers import CRF, MEMM
from taolu.nn.models import TagModel

# After taolu.nn, which chooses the backend.
import keras  # isort: skip

LETTERS = "riob"
SAID = np.array(["riob".index(letter) for letter in "ribro"])  # by state
WORDS = np.array([[0, 1, 2], [3, 4, 2]])


def sample(words: int, rng) -> tuple[np.ndarray, np.ndarray]:
    """Letters heard and states, int32 (words, 3)."""
    states = WORDS[rng.integers(2, size=words)]
    other = (SAID[states] + rng.integers(1, len(LETTERS), size=states.shape)) % len(LETTERS)
    heard = np.where(rng.random(states.shape) < 29 / 32, SAID[states], other)
    return heard.astype("int32"), states.astype("int32")


def train(head, heard, states):
    """A tagger whose scores are one number for each letter and state."""
    inputs = keras.Input((3,), dtype="int32")
    scores = keras.layers.Embedding(len(LETTERS), len(SAID), embeddings_initializer="zeros")(inputs)
    model = TagModel(inputs, head(scores))
    model.compile(keras.optimizers.Adam(0.5))
    model.fit(heard, states, batch_size=len(heard), epochs=150, verbose=0)
    return model


def error(model, heard, states) -> float:
    return float((model.predict(heard, batch_size=len(heard), verbose=0) != states).any(1).mean())


def raw(model):
    """The same weights, decoded as they are."""
    scores = model.head.input
    head = MEMM.from_config({**model.head.get_config(), "decoding": "raw"})
    other = TagModel(model.inputs, head(scores))
    head.set_weights(model.head.get_weights())
    return other


def compare(words: int) -> dict[str, float]:
    rng = np.random.default_rng(0)
    data, test = sample(words, rng), sample(20_000, rng)
    keras.utils.set_random_seed(0)
    alone = train(MEMM(initializer="zeros", trainable=False), *data)  # g stays zero: a softmax
    crf = train(CRF(use_ends=False), *data)
    memm = train(MEMM(), *data)
    both = train(MEMM(bidirectional=True, decoding="local"), *data)
    models = {
        "softmax": alone,
        "CRF": crf,
        "MEMM, local": memm,
        "MEMM, raw": raw(memm),
        "Bi-MEMM, local": both,
        "Bi-MEMM, raw": raw(both),
    }
    return {name: error(model, *test) for name, model in models.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sentences", type=int, default=2000, help="words to learn from")
    print("words with a wrong state")
    for name, share in compare(parser.parse_args().sentences).items():
        print(f"{name:15} {share:.3f}")


if __name__ == "__main__":
    main()
