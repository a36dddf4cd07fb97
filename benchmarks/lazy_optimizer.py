"""Does it help to leave the words alone that a batch does not have? And slow weights?

    python benchmarks/lazy_optimizer.py [--seeds 10] [--only bag lstm]

Hotel reviews (`senti/ChnSentiCorp_htl_all.csv.xz` in the folder TAOLU_DATA), positive or negative:
70 % train, 10 % development, 20 % test, the same for every seed; a seed chooses the first weights
and the order of the batches, alike for all optimizers. Tokens are characters or, for the large
vocabulary, pairs of neighbouring characters; no segmentation. Every model is tested twice: with
the weights of the epoch of least development loss, and with those of the last epoch. For each, the
table has the test accuracy in percent with the standard deviation over the seeds, the mean gain
over Adam of the same seed with its standard error, and how many seeds are better, equal, worse.
"""

import argparse
import csv
import random
import sys
from collections import Counter
from itertools import pairwise

from taolu.nn.optimizers import Lazy, Lookahead  # before Keras: it chooses the backend

# isort: split
import keras
import numpy as np
from corpora import heading, stored_lines, table

REVIEWS = "senti/ChnSentiCorp_htl_all.csv.xz"
RATES = {"bag": 5e-3, "lstm": 1e-3}
EPOCHS = {"bag": 8, "lstm": 5}
OPTIMIZERS = {
    "Adam": lambda adam: adam,
    "Lazy, frozen slots": lambda adam: Lazy(adam, fixed_rows=[0]),
    "Lazy, decaying slots": lambda adam: Lazy(adam, "decay_slots", fixed_rows=[0]),
    # An epoch has 170 batches: a cycle of five ends with it, so the slow weights are tested.
    "Lookahead": lambda adam: Lookahead(adam),
}


class BestWeights(keras.callbacks.Callback):
    """The weights of the epoch with the least development loss."""

    def on_train_begin(self, logs=None):
        self.least = float("inf")

    def on_epoch_end(self, epoch, logs=None):
        if logs["val_loss"] < self.least:
            self.least, self.weights = logs["val_loss"], self.model.get_weights()


def reviews(small):
    """Pairs of text and label, shuffled once for good."""
    if small:
        good, bad = "干净安静早餐好", "吵闹脏乱不会再住"
        rows = [(word * 3, label) for label, words in enumerate((bad, good)) for word in words] * 8
    else:
        lines = csv.reader(stored_lines(REVIEWS)[1:])
        rows = [(row[1].strip(), int(row[0])) for row in lines if len(row) > 1 and row[1].strip()]
    random.Random(0).shuffle(rows)
    return rows


def characters(text):
    return [character for character in text if not character.isspace()]


def pairs(text):
    units = characters(text)
    return [a + b for a, b in pairwise(units)]


def encode(texts, tokens, vocabulary, length):
    """Ids (texts, length); 0 pads, 1 is any word outside the vocabulary."""
    ids = np.zeros((len(texts), length), dtype="int32")
    for row, text in enumerate(texts):
        known = [vocabulary.get(token, 1) for token in tokens(text)[:length]]
        ids[row, : len(known)] = known
    return ids


def parts(rows, tokens, limit, length):
    """Encoded train, development and test part, and the number of words."""
    cuts = [0, len(rows) * 7 // 10, len(rows) * 8 // 10, len(rows)]
    seen = Counter(token for text, _ in rows[: cuts[1]] for token in tokens(text))
    ranked = [token for token, count in seen.most_common(limit) if count > 1]
    vocabulary = {token: place for place, token in enumerate(ranked, start=2)}
    found = []
    for first, last in pairwise(cuts):
        texts, labels = zip(*rows[first:last], strict=True)
        found.append((encode(texts, tokens, vocabulary, length), np.array(labels, "float32")))
    return found, len(vocabulary) + 2


def build(body, words, width=64):
    layers = keras.layers
    ids = keras.Input((None,), dtype="int32")
    x = layers.Embedding(words, width, mask_zero=True, name="words")(ids)
    x = layers.LSTM(64)(x) if body == "lstm" else layers.GlobalAveragePooling1D()(x)
    return keras.Model(ids, layers.Dense(1)(x))


def start_again(model, body, words, seed):
    """New weights and a fresh optimizer in a model that stays compiled."""
    keras.utils.set_random_seed(seed)
    model.set_weights(build(body, words).get_weights())
    for variable in model.optimizer.variables:
        if variable.name.split("/")[-1] != "learning_rate":
            variable.assign(np.zeros(variable.shape))


def accuracies(body, optimizer, data, words, arguments):
    """Test accuracy in percent, (seeds, 2): of the best epoch and of the last."""
    (x, y), development, test = data
    model = build(body, words)
    loss = keras.losses.BinaryCrossentropy(from_logits=True)
    metric = keras.metrics.BinaryAccuracy(threshold=0.0, name="accuracy")
    model.compile(optimizer, loss, metrics=[metric])
    model.optimizer.build(model.trainable_variables)
    found = []
    for seed in range(arguments.seeds):
        start_again(model, body, words, seed)
        best = BestWeights()
        options = {"epochs": arguments.epochs or EPOCHS[body], "callbacks": [best], "verbose": 0}
        model.fit(x, y, batch_size=32, validation_data=development, **options)
        last = model.evaluate(*test, batch_size=256, verbose=0)[1]
        model.set_weights(best.weights)
        found.append([model.evaluate(*test, batch_size=256, verbose=0)[1], last])
        print(f"{body}, {optimizer.name}, seed {seed}: {found[-1]}", file=sys.stderr, flush=True)
    return 100 * np.array(found)


def rows_of(body, tokens, limit, length, arguments):
    data, words = parts(reviews(arguments.small), tokens, limit, length)
    name = f"{body}, {tokens.__name__}, {words:,} words"
    plain = None
    for label, make in OPTIMIZERS.items():
        found = accuracies(body, make(keras.optimizers.Adam(RATES[body])), data, words, arguments)
        plain = found if plain is None else plain
        yield name, label, *cells(found[:, 0], plain[:, 0]), *cells(found[:, 1], plain[:, 1])


def cells(found, plain):
    accuracy = f"{found.mean():.2f} ± {found.std(ddof=1):.2f}"
    if found is plain or (found == plain).all():
        return accuracy, "", ""
    gain = found - plain
    error = gain.std(ddof=1) / len(gain) ** 0.5
    counts = [(gain > 0).sum(), (gain == 0).sum(), (gain < 0).sum()]
    return accuracy, f"{gain.mean():+.2f} ± {error:.2f}", "/".join(map(str, counts))


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=10, help="at least two")
    parser.add_argument("--epochs", type=int, help="at most so many passes over the data")
    parser.add_argument("--only", nargs="+", choices=["bag", "lstm"], default=["bag", "lstm"])
    parser.add_argument("--small", action="store_true", help="made reviews, to try the script")
    arguments = parser.parse_args()
    if arguments.small:
        arguments.seeds, arguments.epochs = 2, 2
    trials = [("bag", characters, 20_000, 128), ("bag", pairs, 20_000, 128)]
    trials.append(("lstm", characters, 20_000, 80))
    print(heading("keras", keras.backend.backend()))
    columns = ("accuracy", "gain", "b/e/w")
    head = ("model", "optimizer", *(f"{n}, {c}" for n in ("best", "last") for c in columns))
    rows = [
        row for trial in trials if trial[0] in arguments.only for row in rows_of(*trial, arguments)
    ]
    print(table(head, rows))


if __name__ == "__main__":
    main()
