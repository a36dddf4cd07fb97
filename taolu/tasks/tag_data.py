"""Labelled sentences made ready to be learned: held-out ones, labels, ids, batches."""

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from taolu.errors import CorpusError
from taolu.mine.codebook import Codebook
from taolu.nn.differentiate import needs_one_length
from taolu.tasks.tag_batches import TrainingBatches
from taolu.tasks.tag_examples import Example, bucket_widths, examples_of
from taolu.tasks.tag_features import TagFeatures
from taolu.tasks.tag_settings import TagSettings
from taolu.tasks.tag_target import TagTarget
from taolu.text.layouts import TaggedSentence
from taolu.text.schemes import BMES, BMESO, SCHEMES, Scheme
from taolu.text.spans import words_of
from taolu.text.tagged import TaggedCorpus

HELD_OUT = 0.1  # share of the sentences that are scored, where no others are given
MOST_HELD_OUT = 3000
MOST_RUNS = 10  # of neighbours, that the held-out sentences come in
WIDTHS = 6  # programs to compile, at most
LEAST_WIDTH = 64  # where there is only one: long texts are read in windows of it
COMPILE_CHARACTERS = 100_000  # learned in the time that it takes to compile one
STEPS = 100  # of an epoch, at least, where batches may be small enough
BATCHES = 512, 2048  # characters of a batch, where nobody says how many
MOST_WORDS = 20_000  # of a codebook that get vectors


@dataclass(frozen=True)
class TagData:
    """What a training reads.

    Attributes:
        target: Labels, scheme and head.
        features: How text becomes ids.
        batches: The sentences that are learned.
        dev: The sentences that choose the epoch and give the scores.
        sentences: How many are learned.
        words: Words of these, where text is cut into words.
        digest: A hash of everything above.
    """

    target: TagTarget
    features: TagFeatures
    batches: TrainingBatches
    dev: Sequence[TaggedSentence]
    sentences: int
    words: frozenset[str]
    digest: str

    @property
    def widths(self) -> list[int]:
        """Widths of batches, rising."""
        return self.batches.widths


def prepare(
    data: TaggedCorpus,
    dev: TaggedCorpus | None,
    settings: TagSettings,
    book: Codebook | None = None,
    vectors: Mapping[str, np.ndarray] | None = None,
    features: TagFeatures | None = None,
) -> TagData:
    """Returns sentences as batches of ids and labels.

    Args:
        data: Labelled sentences.
        dev: Others, or None to hold out a tenth of `data`.
        settings: How to train.
        book: A codebook for features.
        vectors: Characters that get an id though the sentences lack them.
        features: Ids of a tagger that was trained before, or None to choose them anew.

    Raises:
        CorpusError: There are too few sentences, or no spans.
        ValueError: Settings do not fit the data.
    """
    sentences, held_out = list(data), list(dev or ())
    if dev is None:
        sentences, held_out = _hold_out(sentences, settings.seed)
    if not sentences or not held_out:
        raise CorpusError("too few sentences: one to learn from and one to score are needed.")
    target = _target(sentences, data, settings)
    strange = {span.label for sentence in held_out for span in sentence.spans}
    if strange.isdisjoint(target.labels):
        raise CorpusError(
            "the sentences to score hold no span with a label of those to learn from: "
            f"{', '.join(map(repr, target.labels))}."
        )
    if settings.mixed and book is None:
        raise ValueError("`mixed` needs a codebook (--with). Received: mixed=True without one.")
    examples = examples_of(sentences, settings.longest)
    features = features or TagFeatures.of(
        [example.text for example in examples],
        more=vectors or (),
        segmenter=None if book is None else book.segmenter,
        words=_frequent(book) if settings.mixed and book is not None else (),
    )
    lengths = [len(example.text) for example in examples]
    batches = TrainingBatches(
        examples,
        features,
        target,
        _widths(lengths, settings),
        settings.batch_characters or _batch_characters(sum(lengths)),
        settings.seed,
    )
    words = _words(sentences) if target.covers else frozenset()
    digest = _digest(examples, held_out, batches, vectors)
    return TagData(target, features, batches, held_out, len(sentences), words, digest)


def _hold_out(sentences: list[TaggedSentence], seed: int):
    """The sentences to learn from, and some runs of neighbours that are held out.

    Neighbours are often from one document and share its names: single sentences, drawn from among
    others, would tell too much of themselves.
    """
    count = min(MOST_HELD_OUT, math.ceil(HELD_OUT * len(sentences)))
    runs = min(MOST_RUNS, count)
    places, sizes = (np.linspace(0, n, runs + 1).astype(int) for n in (len(sentences), count))
    chosen, rng = np.zeros(len(sentences), dtype=bool), np.random.default_rng(seed)
    for start, stop, size in zip(places[:-1], places[1:], np.diff(sizes), strict=True):
        first = int(rng.integers(start, stop - size + 1))
        chosen[first : first + size] = True
    kept = [s for s, out in zip(sentences, chosen.tolist(), strict=True) if not out]
    return kept, [s for s, out in zip(sentences, chosen.tolist(), strict=True) if out]


def _target(sentences, data: TaggedCorpus, settings: TagSettings) -> TagTarget:
    labels = tuple(sorted({span.label for s in sentences for span in s.spans}))
    if not labels:
        raise CorpusError("the sentences hold no spans: there is nothing to learn.")
    covers = all(is_covered(sentence) for sentence in sentences)
    scheme: Scheme = BMES if covers else BMESO
    if settings.scheme:
        scheme = SCHEMES[settings.scheme]
    if not covers and not scheme.outside:
        raise ValueError(
            f"`scheme` must have a tag for characters in no span. Received: {scheme.name}."
        )
    nested = settings.head == "pointer" and data.overlapping > 0
    return TagTarget(settings.head, labels, scheme, covers, nested)


def is_covered(sentence: TaggedSentence) -> bool:
    """True if the spans are all the words of a text without whitespace."""
    stop = 0
    for span in sentence.spans:
        if span.start != stop:
            return False
        stop = span.stop
    return stop == len(sentence.text) and len(sentence.text.split()) == 1


def _words(sentences) -> frozenset[str]:
    return frozenset(word for s in sentences for word in words_of(s.text, s.spans))


def _frequent(book: Codebook) -> list[str]:
    words = [
        (-count, word)
        for word, count in zip(book.words.word, book.words.count.tolist(), strict=True)
        if len(word) > 1
    ]
    return [word for _, word in sorted(words)[:MOST_WORDS]]


def _batch_characters(characters: int) -> int:
    """A power of two that gives an epoch a hundred steps, if that is neither small nor large."""
    return 1 << int(np.clip(characters // STEPS, *BATCHES)).bit_length() - 1


def _widths(lengths, settings: TagSettings) -> list[int]:
    if needs_one_length():
        return [max(*bucket_widths(lengths, 1), min(LEAST_WIDTH, settings.longest))]
    widths = bucket_widths(lengths, WIDTHS, each=COMPILE_CHARACTERS / settings.epochs)
    # Later texts may be longer than all of these.
    return widths if widths[-1] >= settings.longest else [*widths, settings.longest]


def _digest(examples: list[Example], dev, batches: TrainingBatches, vectors) -> str:
    """A hash of all that is learned from and scored."""
    digest = hashlib.sha256()
    for sentence in (*examples, *dev):
        digest.update(f"{sentence.text}\n{sentence.spans}\n".encode("utf-8", "surrogatepass"))
    for ids in batches.encoded:
        for column in ids.values():
            digest.update(column.tobytes())
    for character in sorted(vectors or ()):
        digest.update(character.encode() + np.asarray(vectors[character], "<f4").tobytes())
    return digest.hexdigest()
