"""The same sentence alone and in a batch: padding must not change what a network says of it.

python examples/masked_pooling.py [SENTENCE ...]

First the article's example, pooling a few numbers with padding behind them. Then a network
of convolutions, one that reads in both directions, and attention pooling: it reads each sentence by
itself and all of them padded to one length. With masks the answers agree, without they do not.
"""

import sys

import numpy as np

from taolu.nn import layers
from taolu.nn.masking import reverse_sequence

import keras  # isort: skip  (taolu.nn chooses the backend first)

SENTENCES = ("知识就是力量", "学习", "学习就是用更少的比特描述同样的文本")
PADDING, UNKNOWN = 0, 1
POOLS = (
    *(layers.MeanPooling, layers.MaxPooling, layers.SumPooling),
    *(layers.FirstPooling, layers.LastPooling, layers.LogSumExpPooling),
)


def pool_numbers() -> None:
    """Prints what each pooling makes of two texts of numbers, in a row of eight steps."""
    for numbers in ((1, 0, 3, 4, 5), (-2, -3)):
        text, mask = np.zeros((1, 8, 1), "float32"), np.arange(8)[None] < len(numbers)
        text[0, : len(numbers), 0] = numbers
        print(f"{', '.join(map(str, numbers)):18}{'masked':>9}{'no mask':>9}")
        for pool in (kind() for kind in POOLS):
            answers = pool(text, mask=mask), pool(text)
            right, wrong = (keras.ops.convert_to_numpy(x).item() for x in answers)
            print(f"  {type(pool).__name__:16}{right:9.3f}{wrong:9.3f}")


def encode(sentences, known: str) -> np.ndarray:
    """Ids (batch, time): 0 where a sentence has ended, 1 for a character that is not known."""
    ids = np.full((len(sentences), max(map(len, sentences))), PADDING, "int32")
    for row, sentence in zip(ids, sentences, strict=True):
        row[: len(sentence)] = [known.find(c) + 2 for c in sentence]  # find gives -1: UNKNOWN
    return ids


def build(size: int, masked: bool) -> keras.Model:
    """Ids to four numbers; only the embedding knows whether there is a mask."""
    keras.utils.set_random_seed(0)
    ids = keras.Input((None,), dtype="int32")
    normal = keras.initializers.RandomNormal(stddev=1.0, seed=0)
    x = keras.layers.Embedding(size, 16, embeddings_initializer=normal, mask_zero=masked)(ids)
    x = layers.GatedConvolution(3)(x)
    x = layers.Bidirectional(layers.GatedConvolution(2, causal=True))(x)
    return keras.Model(ids, keras.layers.Dense(4)(layers.AttentionPooling()(x)))


def main(sentences) -> None:
    pool_numbers()
    letters = np.array([list("abc..")])
    order = reverse_sequence(np.array([[0, 1, 2, 3, 4]]), letters != ".")
    turned = letters[0, keras.ops.convert_to_numpy(order)[0]]
    print(f"\n{''.join(letters[0])} read backwards: {''.join(turned)}\n")
    known = "".join(sorted(set("".join(sentences)) - {"力"}))  # so 力 is unknown, and still text
    ids = encode(sentences, known)
    for masked in (True, False):
        model = build(len(known) + 2, masked)
        batch = model.predict_on_batch(ids)
        for sentence, answer in zip(sentences, batch, strict=True):
            alone = model.predict_on_batch(encode([sentence], known))[0]
            change = np.abs(answer - alone).max()
            how = "with masks" if masked else "without   "
            print(f"{how}  padding changes the answer by {change:.0e}: {sentence}")


if __name__ == "__main__":
    main(sys.argv[1:] or SENTENCES)
