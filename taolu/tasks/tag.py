"""Training of a tagger: from labelled sentences to a model folder, killed and resumed at will.

Each epoch goes through all sentences in an order that only the seed decides, takes Adam steps whose
rate falls along a cosine, and then scores a running average of the weights on text that is not
learned. The average with the best F1 is what is saved; training stops when it has not been beaten
for some epochs. After every epoch all that is needed to go on lies in `FOLDER.partial`, written
beside and renamed: a run that is killed and resumed ends in the same weights.
"""

import hashlib
import json
import math
import os
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import keras
import numpy as np

from taolu.errors import CorpusError, ModelError
from taolu.mine.codebook import Codebook
from taolu.mine.span_score import score_spans
from taolu.nn.differentiate import needs_one_length
from taolu.nn.models.tag_model import TagModel
from taolu.nn.models.tag_network import ENCODERS, assign_vectors, tag_network
from taolu.tasks.tag_batches import TrainingBatches
from taolu.tasks.tag_examples import Example, bucket_widths, examples_of
from taolu.tasks.tag_features import TagFeatures
from taolu.tasks.tag_target import HEADS, TagTarget
from taolu.tasks.tagger import Tagger, counted
from taolu.text.files import replacing
from taolu.text.layouts import TaggedSentence
from taolu.text.schemes import BMES, BMESO, SCHEMES, Scheme
from taolu.text.spans import words_of
from taolu.text.tagged import TaggedCorpus

HELD_OUT = 0.1  # share of the sentences that are scored, where no others are given
MOST_HELD_OUT = 3000
WIDTHS = 6  # programs to compile, at most
COMPILE_CHARACTERS = 100_000  # learned in the time that it takes to compile one
FIRST_RATE = 0.05  # the warm-up begins at this share of the rate
CLIP = 5.0  # norm of a gradient, in nats per character

_LEAST = {
    **dict.fromkeys(("width", "character_width", "pair_width", "epochs", "patience"), 1),
    **dict.fromkeys(("depth", "seed"), 0),
    "batch_characters": 1,
    "longest": 16,
}

Report = Callable[[str, int, int], None]


@dataclass(frozen=True)
class TagSettings:
    """How a tagger is made and trained.

    Attributes:
        encoder: convolution (fast), recurrent or transformer.
        head: softmax, memm, bi-memm, crf, or pointer, which scores spans and may find nested ones.
        scheme: Tags to learn: BIO, BMESO, ...; empty for BMES where text is cut into words, else
            BMESO.
        width: Width of the encoder.
        depth: Layers of the encoder; 0 for its default.
        character_width: Width of the vector of a character, unless vectors are given.
        pair_width: Width of the vector of a pair of characters.
        dropout: Rate at which units are dropped.
        mixed: Whether words of the codebook get vectors too, added to those of their characters.
        epochs: Most passes through the sentences.
        patience: Epochs without a better F1 after which training stops.
        learning_rate: Highest rate of Adam.
        batch_characters: Characters of a batch, padding included.
        longest: Characters read at once; longer sentences are cut for training, and read in windows
            that overlap later.
        seed: Of weights, order, dropout and held-out sentences.
    """

    encoder: str = "convolution"
    head: str = "crf"
    scheme: str = ""
    width: int = 128
    depth: int = 0
    character_width: int = 64
    pair_width: int = 48
    dropout: float = 0.3
    mixed: bool = False
    epochs: int = 15
    patience: int = 4
    learning_rate: float = 2e-3
    batch_characters: int = 2048
    longest: int = 256
    seed: int = 0

    def __post_init__(self) -> None:
        for name, choices in (("encoder", ENCODERS), ("head", HEADS), ("scheme", ("", *SCHEMES))):
            if getattr(self, name) not in choices:
                listed = ", ".join(filter(None, choices))
                raise ValueError(
                    f"`{name}` must be one of {listed}. Received: {getattr(self, name)!r}."
                )
        for name, least in _LEAST.items():
            if getattr(self, name) < least:
                raise ValueError(
                    f"`{name}` must be at least {least}. Received: {name}={getattr(self, name)}."
                )
        if not 0 <= self.dropout < 1:
            raise ValueError(f"`dropout` must lie in [0, 1). Received: dropout={self.dropout}.")
        if not self.learning_rate > 0:
            raise ValueError(
                f"`learning_rate` must be positive. Received: learning_rate={self.learning_rate}."
            )


def train_tagger(
    data: TaggedCorpus,
    folder: str | os.PathLike[str],
    *,
    dev: TaggedCorpus | None = None,
    settings: TagSettings | None = None,
    book: Codebook | None = None,
    vectors: Mapping[str, np.ndarray] | None = None,
    resume: bool = False,
    report: Report | None = None,
) -> Tagger:
    """Returns the tagger that the sentences teach, and saves it as a model folder.

    Args:
        data: Labelled sentences.
        folder: The model folder to write; it appears when all is done.
        dev: Other labelled sentences, which choose the epoch and give the scores. Default: a tenth
            of `data`, 3,000 at most, drawn by the seed.
        settings: How to train.
        book: A codebook: the network also reads which of its words each character may be part of.
        vectors: Vectors of characters to begin with, float (width,) each.
        resume: Go on from `FOLDER.partial`, where there is one.
        report: Called with a stage, steps done and all steps; what stands behind a colon in the
            stage is a note.

    Raises:
        CorpusError: There are too few sentences, or no spans.
        ModelError: The folder exists already, or what is to be resumed had other settings or data.
        ValueError: Settings do not fit the data.

    Example:
        >>> from taolu.text.corpus import Corpus
        >>> from taolu.text.tagged import read_tagged
        >>> data = read_tagged(Corpus.from_lines(["我 爱 北京", "北京 爱 我"] * 20))
        >>> tagger = train_tagger(data, "words.model")        # doctest: +SKIP
        >>> tagger.cut("我爱北京")        # doctest: +SKIP
        ['我', '爱', '北京']
    """
    run = _Run(Path(folder), settings or TagSettings(), report or (lambda *_: None))
    run.prepare(data, dev, book, vectors)
    run.begin(resume)
    run.train()
    return run.finish(book)


class _Run:
    """One training: what is prepared once, and what changes from epoch to epoch."""

    def __init__(self, folder: Path, settings: TagSettings, report: Report):
        self.folder, self.settings, self.report = folder, settings, report
        self.partial = folder.with_name(folder.name + ".partial")
        if folder.exists():
            raise ModelError(f"{folder}: exists already. Remove it, or name another folder (-o).")
        self.history: list[dict[str, float]] = []
        self.best: dict[str, Any] = {"epoch": 0, "f1": -1.0}

    def prepare(self, data, dev, book, vectors) -> None:
        """Turns sentences into batches, and makes the networks."""
        settings = self.settings
        self.report("read", 0, 0)
        sentences = list(data)
        self.dev = list(dev) if dev is not None else []
        if dev is None:
            sentences, self.dev = _hold_out(sentences, settings.seed)
        if not sentences or not self.dev:
            raise CorpusError("too few sentences: one to learn from and one to score are needed.")
        self.target = _target(sentences, data, settings)
        examples = examples_of(sentences, settings.longest)
        self.sentences = len(sentences)
        self.words = _words(sentences) if self.target.covers else frozenset()
        segmenter = None if book is None else book.segmenter
        if settings.mixed and book is None:
            raise ValueError("`mixed` needs a codebook (--with). Received: mixed=True without one.")
        self.features = TagFeatures.of(
            [example.text for example in examples],
            more=vectors or (),
            segmenter=segmenter,
            words=_frequent(book) if settings.mixed and book is not None else (),
        )
        lengths = [len(example.text) for example in examples]
        self.widths = _widths(lengths, settings)
        self.batches = TrainingBatches(
            examples,
            self.features,
            self.target.of_batch,
            self.widths,
            settings.batch_characters,
            settings.seed,
        )
        self.digest = _digest(examples, self.dev, self.features)
        self._make_networks(vectors)

    def _make_networks(self, vectors) -> None:
        settings = self.settings
        keras.utils.set_random_seed(settings.seed)
        width = settings.character_width
        if vectors:
            width = len(next(iter(vectors.values())))
        self.model = self._network(width)
        if vectors:
            ids = {c: i for i, c in enumerate(self.features.characters, 2)}
            assign_vectors(self.model, {ids[c]: v for c, v in vectors.items() if c in ids})
        steps = len(self.batches)
        rate = keras.optimizers.schedules.CosineDecay(
            FIRST_RATE * settings.learning_rate,
            max(1, settings.epochs * steps - steps // 2),
            alpha=0.01,
            warmup_target=settings.learning_rate,
            warmup_steps=max(1, steps // 2),
        )
        # Averaged over about half an epoch.
        momentum = 1 - 1 / min(1000, max(10, steps // 2))
        optimizer = keras.optimizers.Adam(rate, clipnorm=CLIP, use_ema=True, ema_momentum=momentum)
        self.model.compile(optimizer)
        optimizer.build(self.model.trainable_variables)
        self.averaged = self._network(width)
        self.averaged.compile()

    def _network(self, character_width: int) -> TagModel:
        settings = self.settings
        states = settings.width if settings.head == "pointer" else len(self.target.tags)
        return tag_network(
            self.features.inputs,
            self.target.make_head(),
            states,
            encoder=settings.encoder,
            width=settings.width,
            depth=settings.depth or None,
            dropout=settings.dropout,
            character_width=character_width,
            pair_width=settings.pair_width,
            length=self.widths[0] if len(self.widths) == 1 else None,
            seed=settings.seed,
        )

    @property
    def tagger(self) -> Tagger:
        """The tagger of the averaged weights."""
        return Tagger(
            self.averaged,
            self.features,
            self.target,
            tuple(self.widths),
            self.words,
            asdict(self.settings),
        )

    def begin(self, resume: bool) -> None:
        """Reads what an earlier run left, or starts anew."""
        state = self.partial / "state.json"
        if not resume or not state.is_file():
            if self.partial.exists():
                if not resume:
                    raise ModelError(
                        f"{self.partial}: a training that was not finished lies there. Go on with "
                        "--resume, or remove it."
                    )
                shutil.rmtree(self.partial)
            self.partial.mkdir(parents=True)
            return
        known = json.loads(state.read_text(encoding="utf-8"))
        settings = asdict(self.settings)
        for name, value in known["settings"].items():
            if settings.get(name) != value:
                raise ModelError(
                    f"{self.partial}: was begun with {name}={value!r}. "
                    f"Received: {name}={settings.get(name)!r}."
                )
        if known["digest"] != self.digest:
            raise ModelError(
                f"{self.partial}: was begun with other sentences, codebook or vectors. Resume with "
                "the same files, or remove it."
            )
        self.history, self.best = known["history"], known["best"]
        self.model = keras.saving.load_model(self.partial / known["checkpoint"])

    def train(self) -> None:
        """Goes through the epochs that are left."""
        settings = self.settings
        while len(self.history) < settings.epochs and not self._stalls():
            epoch = len(self.history) + 1
            started = time.monotonic()
            loss = self._pass(epoch)
            score = self._score()
            overall = counted(score.overall)
            self.history.append(
                {
                    "epoch": epoch,
                    "loss": loss,
                    "learning_rate": float(np.asarray(self.model.optimizer.learning_rate)),
                    **{name: overall[name] for name in ("precision", "recall", "f1")},
                    "seconds": time.monotonic() - started,
                }
            )
            better = score.overall.f1 > self.best["f1"]
            if better:
                self.best = {"epoch": epoch, "f1": score.overall.f1}
            self._checkpoint(epoch, better)

    def _stalls(self) -> bool:
        return len(self.history) - self.best["epoch"] >= self.settings.patience

    def _pass(self, epoch: int) -> float:
        """One pass through the sentences; returns the mean loss, in nats per character."""
        total, steps = 0.0, len(self.batches)
        note = f"best F1 {self.best['f1']:.4f}" if self.history else ""
        for step, (inputs, labels, weights) in enumerate(self.batches.epoch(epoch)):
            self.model.reset_metrics()
            logs = self.model.train_on_batch(inputs, labels, weights, return_dict=True)
            loss = float(logs["loss"])
            if not math.isfinite(loss):
                raise ModelError(
                    f"the loss is {loss} in epoch {epoch}, step {step + 1}: the training diverged. "
                    "Try a lower --learning-rate."
                )
            total += loss
            self.report(f"epoch {epoch}: loss {loss:.3f}  {note}", step + 1, steps)
        return total * self.settings.batch_characters / self.batches.characters

    def _score(self):
        """Puts the running average into the second network and scores it."""
        variables = self.model.trainable_variables
        kept = [keras.ops.convert_to_numpy(v).copy() for v in self.model.weights]
        self.model.optimizer.finalize_variable_values(variables)
        self.averaged.set_weights(self.model.get_weights())
        self.model.set_weights(kept)
        return score_spans(
            [sentence.spans for sentence in self.dev],
            self.tagger.stream(sentence.text for sentence in self.dev),
        )

    def _checkpoint(self, epoch: int, better: bool) -> None:
        """Writes all that is needed to go on; the state, which names the files, last."""
        name = f"epoch-{epoch}.keras"
        self.model.save(self.partial / name)
        if better:
            self.averaged.save(self.partial / f"best-{epoch}.keras")
        state = {
            "settings": asdict(self.settings),
            "digest": self.digest,
            "history": self.history,
            "best": self.best,
            "checkpoint": name,
        }
        with replacing(self.partial / "state.json") as file:
            json.dump(state, file, ensure_ascii=False, indent=1)
        kept = {name, f"best-{self.best['epoch']}.keras"}
        for path in self.partial.glob("*.keras"):
            if path.name not in kept:
                path.unlink()

    def finish(self, book: Codebook | None) -> Tagger:
        """Scores the best epoch in full, and writes the folder, whole or not at all."""
        self.report("save", 0, 0)
        best = self.partial / f"best-{self.best['epoch']}.keras"
        self.averaged = keras.saving.load_model(best, compile=False)
        self.averaged.compile()
        tagger = self.tagger
        found = tagger.predict(sentence.text for sentence in self.dev)
        tagger = replace(tagger, metrics=self._metrics(tagger.score(self.dev, found)))
        whole = self.partial / "model"
        shutil.rmtree(whole, ignore_errors=True)
        tagger.save(whole, book)
        from taolu.report.training import write_training

        write_training(whole / "report.html", tagger.metrics, self.folder.name)
        whole.rename(self.folder)
        shutil.rmtree(self.partial)
        return tagger

    def _metrics(self, score: dict[str, Any]) -> dict[str, Any]:
        characters = sum(len(sentence.text) for sentence in self.dev)
        return {
            "format": 1,
            "task": "tag",
            "settings": {**asdict(self.settings), "scheme": self.target.scheme.name},
            "train": {"sentences": self.sentences, "characters": self.batches.characters},
            "dev": {"sentences": len(self.dev), "characters": characters},
            "weights": self.averaged.count_params(),
            "seconds": sum(epoch["seconds"] for epoch in self.history),
            "best_epoch": self.best["epoch"],
            "epochs": self.history,
            "score": score,
        }


def _hold_out(sentences: list[TaggedSentence], seed: int):
    count = min(MOST_HELD_OUT, math.ceil(HELD_OUT * len(sentences)))
    chosen = np.zeros(len(sentences), dtype=bool)
    chosen[np.random.default_rng(seed).permutation(len(sentences))[:count]] = True
    kept = [s for s, out in zip(sentences, chosen.tolist(), strict=True) if not out]
    return kept, [s for s, out in zip(sentences, chosen.tolist(), strict=True) if out]


def _target(sentences, data: TaggedCorpus, settings: TagSettings) -> TagTarget:
    labels = tuple(sorted({span.label for s in sentences for span in s.spans}))
    if not labels:
        raise CorpusError("the sentences hold no spans: there is nothing to learn.")
    covers = all(_is_covered(sentence) for sentence in sentences)
    scheme: Scheme = BMES if covers else BMESO
    if settings.scheme:
        scheme = SCHEMES[settings.scheme]
    if not covers and not scheme.outside:
        raise ValueError(
            f"`scheme` must have a tag for characters in no span. Received: {scheme.name}."
        )
    nested = settings.head == "pointer" and data.overlapping > 0
    return TagTarget(settings.head, labels, scheme, covers, nested)


def _is_covered(sentence: TaggedSentence) -> bool:
    stop = 0
    for span in sentence.spans:
        if span.start != stop:
            return False
        stop = span.stop
    return stop == len(sentence.text)


def _words(sentences) -> frozenset[str]:
    return frozenset(word for s in sentences for word in words_of(s.text, s.spans))


def _frequent(book: Codebook, most: int = 20_000) -> list[str]:
    words = [
        (-count, word)
        for word, count in zip(book.words.word, book.words.count.tolist(), strict=True)
        if len(word) > 1
    ]
    return [word for _, word in sorted(words)[:most]]


def _widths(lengths, settings: TagSettings) -> list[int]:
    if needs_one_length():
        return bucket_widths(lengths, 1)
    widths = bucket_widths(lengths, WIDTHS, each=COMPILE_CHARACTERS / settings.epochs)
    # Later texts may be longer than all of these.
    return widths if widths[-1] >= settings.longest else [*widths, settings.longest]


def _digest(examples: list[Example], dev, features: TagFeatures) -> str:
    """A hash of all that is learned from and scored."""
    digest = hashlib.sha256()
    for example in examples:
        digest.update(f"{example.text}\n{example.spans}\n".encode("utf-8", "surrogatepass"))
    for sentence in dev:
        digest.update(f"{sentence.text}\n{sentence.spans}\n".encode("utf-8", "surrogatepass"))
    digest.update(str(features.inputs).encode())
    return digest.hexdigest()
