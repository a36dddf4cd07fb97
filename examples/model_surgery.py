"""A trained network taken apart: cut it, mend the cut, add to it, tie and freeze its layers.

python examples/model_surgery.py

A little language model learns which letter follows which. Then the same weights serve in halves,
with a layer added, with an output that reads the embedding, and in a copy of their own.
"""

import numpy as np

from taolu.nn.calls import tensors
from taolu.nn.layers.tied_projection import TiedProjection
from taolu.nn.reuse import clone, features, freeze, insert, replace, split

import keras  # isort: skip  (taolu.nn chooses the backend first)
from keras import layers  # isort: skip

TEXT = "上海自来水来自海上" * 40


def letters() -> tuple[np.ndarray, np.ndarray, int]:
    """Ids of each letter and of the next, (time, 1), and the number of distinct letters."""
    names, ids = np.unique(list(TEXT), return_inverse=True)
    return ids[:-1, None], ids[1:, None], len(names)


def language_model(size: int) -> keras.Model:
    ids = keras.Input((1,), dtype="int32", name="letter")
    embedded = layers.Embedding(size, 16, name="embed")(ids)
    hidden = layers.Dense(16, activation="tanh", name="hidden")(embedded)
    joined = layers.Add(name="residual")([embedded, hidden])
    model = keras.Model(ids, layers.Dense(size, name="next")(joined), name="language")
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(0.02), loss, metrics=["accuracy"])
    return model


def difference(one, other) -> float:
    one, other = map(keras.ops.convert_to_numpy, (one, other))
    return float(np.abs(one - other).max())


def main() -> None:
    x, y, size = letters()
    keras.utils.set_random_seed(0)
    model = language_model(size)
    model.fit(x, y, epochs=20, batch_size=64, verbose=0)
    print(f"trained: accuracy {model.evaluate(x, y, verbose=0)[1]:.3f} (the text allows 5 of 9)")
    print("tensors:", *tensors(model))

    try:
        split(model, "hidden")
    except ValueError as error:
        print(f"\nsplit at hidden: {error}")
    halves = split(model, ["hidden", "embed"])
    whole, cut = model(x), halves.tail(halves.head(x))
    print(f"split at both: {halves.tail.count_params()} of {model.count_params()} weights behind")
    print(f"  the two halves differ from the whole by {difference(whole, cut)}")

    same = insert(model, "hidden", layers.Identity())
    half = insert(model, "hidden", layers.Rescaling(0.5))
    print(f"inserted the identity: differs by {difference(whole, same(x))}")
    print(f"inserted a half: differs by {difference(whole, half(x)):.3f}")
    print("features:", *features(model, "embed|residual")(x))

    embedding = model.get_layer("embed")
    tied = replace(model, "next", lambda old: TiedProjection(embedding, name="tied"))
    print(f"\ntied output: {tied.count_params()} weights instead of {model.count_params()}")
    copy = clone(tied, copy_weights=True)
    print(
        f"copied: differs by {difference(tied(x), copy(x))}, embedding shared with its output:",
        copy.get_layer("tied").embedding is copy.get_layer("embed"),
    )
    print("frozen:", *freeze(copy, "embed|tied"))
    print("left to train:", *(variable.path for variable in copy.trainable_variables))
    try:
        freeze(model, "embed")
    except ValueError as error:
        print(f"freeze while in training: {error}")


if __name__ == "__main__":
    main()
