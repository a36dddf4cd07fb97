"""What does our attention cost over the bare operations, and how far is it from other people's?

    python benchmarks/attention.py [--repeat 9] [--parity | --reviews]

A block is four Dense projections and `ops.dot_product_attention`, forward and backward, compiled
on JAX; "bare" is a functional Keras model of just these operations, "ours" is `Attention` with the
same weights. Both compute the same numbers, checked first. They take turns, each turn runs long
enough to time, and the ratio is the median of the ratios of the turns: machines are busy. On torch
the same is run eagerly, where every line of Python counts.

`--parity` prints the largest difference between our outputs and those of every implementation that
is installed: Keras, torch, transformers, and the formulas in NumPy.

`--reviews` trains the classifier of Su's article on Chinese reviews of the folder TAOLU_DATA, with
and without positions: embedding of 128, attention of 8 heads of 16, masked mean, dropout 0.5, one
unit; 80 characters at most, batches of 32, 5 epochs of 10,000 reviews, 4,000 others to test.
"""

import argparse
import csv
import random
import statistics
import time
from collections import Counter
from collections.abc import Callable

import numpy as np
from attention_parity import differences
from corpora import heading, stored_lines, table

from taolu.nn.layers.attention import Attention
from taolu.nn.layers.attention_pattern import Atrous, Local, Sparse
from taolu.nn.layers.position import SinusoidalPosition

# After taolu.nn, which chooses the backend.
import keras  # isort: skip
from keras import ops  # isort: skip

SIZES = {False: (8, 128, 256, 4), True: (2, 16, 16, 2)}  # batch, time, width, heads
LENGTHS = {False: (512, 1024, 2048), True: (32,)}
SEEN = {"all": {}, "causal": {"causal": True}, "padding masked": {}}


def bare(time_steps: int, width: int, heads: int, masked: bool, causal: bool = False):
    """The same work in a functional model: dense, dense, dense, attention, dense."""
    inputs = keras.Input((time_steps, width))
    mask = keras.Input((time_steps,), dtype="bool")
    split = (time_steps, heads, width // heads)
    query, key, value = (
        keras.layers.Reshape(split)(keras.layers.Dense(width, name=name)(inputs))
        for name in ("query", "key", "value")
    )
    shown = ops.expand_dims(ops.expand_dims(mask, 1), 1) if masked else None
    x = ops.dot_product_attention(query, key, value, mask=shown, is_causal=causal)
    x = keras.layers.Dense(width, name="output")(keras.layers.Reshape((time_steps, width))(x))
    if masked:
        x = ops.where(ops.expand_dims(mask, -1), x, 0.0)
    return keras.Model([inputs, mask], x)


def ours(time_steps: int, width: int, heads: int, masked: bool, **form):
    inputs = keras.Input((time_steps, width))
    mask = keras.Input((time_steps,), dtype="bool")
    layer = Attention(heads, **form)
    return keras.Model([inputs, mask], layer(inputs, mask=mask if masked else None))


def forward_backward(model, inputs: list) -> Callable[[], np.ndarray]:
    """A function that computes the gradient of every weight and waits for it."""
    if keras.backend.backend() == "jax":
        import jax

        def loss(weights, inputs):
            y, _ = model.stateless_call(weights, [], inputs)
            return ops.mean(ops.square(y))

        step = jax.jit(jax.grad(loss))
        weights = [v.value for v in model.trainable_variables]
        return lambda: [np.asarray(g) for g in jax.block_until_ready(step(weights, inputs))]

    from taolu.nn.differentiate import grad

    tensors = [ops.convert_to_tensor(x) for x in inputs]
    variables = model.trainable_variables
    return lambda: [
        ops.convert_to_numpy(g)
        for g in grad(lambda: ops.mean(ops.square(model(tensors))), variables)
    ]


def seconds(run: Callable, count: int) -> float:
    start = time.perf_counter()
    for _ in range(count):
        run()
    return (time.perf_counter() - start) / count


def turns(runs: list[Callable], repeat: int, least: float) -> list[list[float]]:
    """Times of each, taking turns after a first run; a turn lasts at least `least` seconds."""
    counts = [max(1, round(least / max(min(seconds(r, 1), seconds(r, 1)), 1e-6))) for r in runs]
    rounds = [
        [seconds(run, count) for run, count in zip(runs, counts, strict=True)]
        for _ in range(repeat)
    ]
    return [list(times) for times in zip(*rounds, strict=True)]


def ratio(times: list[float], base: list[float]) -> float:
    return statistics.median(a / b for a, b in zip(times, base, strict=True))


def overhead(arguments) -> str:
    batch, steps, width, heads = SIZES[arguments.small]
    x = np.random.default_rng(0).normal(size=(batch, steps, width)).astype("float32")
    mask = np.arange(steps)[None, :] < np.linspace(steps, steps // 2, batch).astype(int)[:, None]
    rows = []
    for name, form in list(SEEN.items())[:1] if arguments.small else SEEN.items():
        masked = name == "padding masked"
        models = [make(steps, width, heads, masked, **form) for make in (bare, ours)]
        models[1].set_weights(models[0].get_weights())
        runs = [forward_backward(model, [x, mask]) for model in models]
        for theirs, mine in zip(runs[0](), runs[1](), strict=True):
            np.testing.assert_allclose(mine, theirs, atol=1e-5)
        base, times = turns(runs, arguments.repeat, 0.0 if arguments.small else 0.3)
        medians = [f"{1000 * statistics.median(t):.2f}" for t in (base, times)]
        rows.append([name, *medians, f"{ratio(times, base):.3f}"])
    return table(["keys seen", "bare ms", "ours ms", "ours / bare"], rows)


def patterns(arguments) -> str:
    """Forward and backward of one layer, full and sparse, as texts grow."""
    width, heads = (16, 2) if arguments.small else (64, 4)
    forms = {
        "full": None,
        "Local(32)": Local(32),
        "Atrous(16)": Atrous(16),
        "Sparse(32, 32)": Sparse(32, 32),
    }
    rows = []
    for steps in LENGTHS[arguments.small]:
        x = np.random.default_rng(0).normal(size=(1, steps, width)).astype("float32")
        data = [x, np.ones((1, steps), bool)]
        runs = [
            forward_backward(ours(steps, width, heads, False, pattern=p), data)
            for p in forms.values()
        ]
        times = turns(runs, arguments.repeat, 0.0 if arguments.small else 0.1)
        rows.append([steps, *(f"{1000 * statistics.median(t):.1f}" for t in times)])
    return table(["time", *(f"{name} ms" for name in forms)], rows)


def parity() -> str:
    rows = [
        [name, "not installed" if difference is None else f"{difference:.1e}"]
        for name, difference in differences()
    ]
    return table(["reference", "max abs difference"], rows)


def reviews() -> list[tuple[np.ndarray, np.ndarray]]:
    """Ids of characters (reviews, 80), 0 for padding, and labels; to train and to test."""
    rows = csv.DictReader(stored_lines("senti/online_shopping_10_cats.csv.xz"))
    rows = list({row["review"]: row for row in rows}.values())  # some were written twice
    random.Random(0).shuffle(rows)
    rows = rows[:14_000]
    texts = [row["review"][:80] for row in rows]
    counts = Counter(c for text in texts[:10_000] for c in text)
    number = {c: i for i, c in enumerate((c for c, n in counts.items() if n >= 5), start=2)}
    ids = np.zeros((len(rows), 80), "int32")
    for row, text in zip(ids, texts, strict=True):
        row[: len(text)] = [number.get(c, 1) for c in text]  # 1: not seen often enough
    labels = np.array([float(row["label"]) for row in rows], "float32")
    return [(ids[:10_000], labels[:10_000]), (ids[10_000:], labels[10_000:])]


def accuracies(place, train, test) -> list[float]:
    """Accuracy on the test reviews after each epoch."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input((80,), dtype="int32")
    x = keras.layers.Embedding(int(train[0].max()) + 1, 128, mask_zero=True)(inputs)
    x = Attention(8, 16, project_output=False)(place(x) if place else x)
    x = keras.layers.Dropout(0.5)(keras.layers.GlobalAveragePooling1D()(x))
    model = keras.Model(inputs, keras.layers.Dense(1, activation="sigmoid")(x))
    model.compile("adam", "binary_crossentropy", metrics=["accuracy"])
    history = model.fit(*train, batch_size=32, epochs=5, validation_data=test, verbose=0)
    return history.history["val_accuracy"]


def with_and_without_positions() -> str:
    train, test = reviews()
    rows = []
    for name, place in (("none", None), ("sinusoidal", SinusoidalPosition())):
        found = accuracies(place, train, test)
        rows.append([name, max(found), found[-1]])
    return table(["positions", "best of 5 epochs", "last"], rows)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeat", type=int, default=9, help="turns of each model")
    kind = parser.add_mutually_exclusive_group()
    kind.add_argument("--parity", action="store_true", help="differences instead of times")
    kind.add_argument("--reviews", action="store_true", help="train on reviews instead")
    parser.add_argument("--small", action="store_true", help="tiny sizes, to try the script")
    arguments = parser.parse_args()
    print(heading("keras", *([] if arguments.parity else [keras.backend.backend()])))
    if arguments.parity:
        print(parity())
        return
    if arguments.reviews:
        print(with_and_without_positions())
        return
    batch, steps, width, heads = SIZES[arguments.small]
    print(f"\nForward and backward, batch {batch}, {steps} steps, width {width}, {heads} heads:\n")
    print(overhead(arguments))
    print("\nSparse patterns, forward and backward, batch 1:\n")
    print(patterns(arguments))


if __name__ == "__main__":
    main()
