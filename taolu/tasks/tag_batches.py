"""Batches of encoded sentences: few widths, each with its own number of rows, so shapes are static.

Every batch has about the same number of characters, padding included, so a step costs the same
whatever the sentences are, and there is one program to compile for each width.
"""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from taolu.tasks.tag_examples import Example
from taolu.tasks.tag_features import PADDING, UNKNOWN, TagFeatures
from taolu.tasks.tag_target import TagTarget

HIDDEN_USES = 1.0  # what was used n times is hidden this often in n + this
Encoded = dict[str, np.ndarray]
Item = TypeVar("Item")


@dataclass(frozen=True)
class Batch:
    """Sentences of one width.

    Attributes:
        inputs: What the network reads; rows without a sentence are padding.
        rows: Places of the sentences among those that were given, int64 (sentences,).
        lengths: Their characters, int64 (sentences,).
    """

    inputs: Encoded
    rows: np.ndarray
    lengths: np.ndarray


def plan_batches(
    lengths: Sequence[int], widths: Sequence[int], characters: int, rng=None
) -> list[tuple[int, np.ndarray]]:
    """Returns the width and the rows of each batch, in order of width; with `rng` shuffled.

    Args:
        lengths: Characters of each sentence, none above the last width.
        widths: The widths there are, rising.
        characters: Characters of a batch, padding included.
        rng: Random generator, or None to keep the order.

    Example:
        >>> [(width, rows.tolist()) for width, rows in plan_batches([3, 9, 4, 2], [8, 16], 16)]
        [(8, [0, 2]), (8, [3]), (16, [1])]
    """
    order = np.arange(len(lengths)) if rng is None else rng.permutation(len(lengths))
    place = np.searchsorted(widths, np.asarray(lengths, dtype=np.int64)[order])
    batches = []
    for i, width in enumerate(widths):
        rows, size = order[place == i], rows_of(width, characters)
        batches += [(width, rows[at : at + size]) for at in range(0, len(rows), size)]
    if rng is None:
        return batches
    return [batches[i] for i in rng.permutation(len(batches))]


def rows_of(width: int, characters: int) -> int:
    """Returns how many sentences a batch of this width has."""
    return max(1, characters // width)


def lay_out(encoded: Sequence[Encoded], rows: np.ndarray, width: int, size: int) -> Batch:
    """Returns the batch of some rows, filled up with padding to `size` rows of `width` steps."""
    lengths = np.array([len(encoded[row]["characters"]) for row in rows.tolist()], dtype=np.int64)
    inputs = {}
    for name, first in encoded[0].items():
        inputs[name] = np.full((size, width, *first.shape[1:]), PADDING, dtype=np.int32)
        for i, row in enumerate(rows.tolist()):
            inputs[name][i, : lengths[i]] = encoded[row][name]
    return Batch(inputs, rows, lengths)


def ahead(items: Iterator[Item]) -> Iterator[Item]:
    """Yields the items, each made by a thread while the one before it is used."""
    none: Any = object()
    with ThreadPoolExecutor(1) as pool:
        coming = pool.submit(next, items, none)
        while (item := coming.result()) is not none:
            coming = pool.submit(next, items, none)
            yield item


class TrainingBatches:
    """The batches of an epoch, in an order that only the seed and the epoch decide.

    Args:
        examples: Sentences, none longer than the last width.
        features: How they become ids.
        target: What is learned about them.
        widths: Widths of batches, rising.
        characters: Characters of a batch, padding included.
        seed: Of the order, and of what is hidden.
    """

    def __init__(
        self,
        examples: Sequence[Example],
        features: TagFeatures,
        target: TagTarget,
        widths: Sequence[int],
        characters: int,
        seed: int,
    ):
        self.learned = [target.learned(example) for example in examples]
        self.encoded = features.encode_all([example.text for example in examples])
        self.lengths = [len(example.text) for example in examples]
        self.features, self.target, self.widths = features, target, list(widths)
        self.batch_characters, self.seed = characters, seed
        self.characters = sum(self.lengths)

    def __len__(self) -> int:
        """Returns the batches of an epoch: the same in each."""
        places = np.bincount(np.searchsorted(self.widths, self.lengths))
        sizes = [rows_of(width, self.batch_characters) for width in self.widths]
        return int(sum(-(-count // size) for count, size in zip(places, sizes, strict=False)))

    def epoch(self, number: int) -> Iterator[tuple[Encoded, np.ndarray, np.ndarray]]:
        """Yields inputs, labels and weights of each batch.

        Characters and pairs are now and then taken for unknown, the rare ones more often: with n
        uses in 1 of n + 1 cases. Later text will have many that training has not, and what stands
        for them must have been learned.

        A sentence weighs its share of the characters of a batch, so that the loss is in nats per
        character, and every character counts the same in whatever batch it stands.
        """
        rng = np.random.default_rng([self.seed, number])
        for width, rows in plan_batches(self.lengths, self.widths, self.batch_characters, rng):
            size = rows_of(width, self.batch_characters)
            batch = lay_out(self.encoded, rows, width, size)
            for name, uses in (
                ("characters", self.features.uses),
                ("pairs", self.features.pair_uses),
            ):
                _hide(batch.inputs[name], uses, rng)
            learned = [self.learned[row] for row in rows.tolist()]
            labels = self.target.of_batch(learned, width, size)
            weights = np.zeros(size, dtype=np.float32)
            weights[: len(rows)] = size / self.batch_characters
            yield batch.inputs, labels, weights


def _hide(ids: np.ndarray, uses: np.ndarray, rng) -> None:
    """Makes some ids unknown, in place."""
    often = HIDDEN_USES / (HIDDEN_USES + uses[ids])
    ids[(ids > UNKNOWN) & (rng.random(ids.shape, dtype=np.float32) < often)] = UNKNOWN
