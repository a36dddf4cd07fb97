"""Training of a tagger: from labelled sentences to a model folder, killed and resumed at will.

Each epoch goes through all sentences in an order that only the seed decides, takes Adam steps whose
rate falls along a cosine, and then scores a running average of the weights on text that is not
learned. The average with the best F1 is what is saved; training stops when it has not been beaten
for some epochs. After every epoch all that is needed to go on lies in `FOLDER.partial`, written
beside and renamed: a run that is killed and resumed ends in the same weights.
"""

import json
import math
import os
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import keras
import numpy as np

from taolu.errors import ModelError
from taolu.mine.codebook import Codebook
from taolu.mine.span_score import score_spans
from taolu.nn.models.tag_model import TagModel
from taolu.nn.models.tag_network import assign_vectors, tag_network, take_weights, vectors_width
from taolu.tasks.tag_batches import ahead
from taolu.tasks.tag_data import prepare
from taolu.tasks.tag_features import FIRST_ID
from taolu.tasks.tag_settings import TagSettings
from taolu.tasks.tagger import Tagger, counted
from taolu.text.files import replacing
from taolu.text.tagged import TaggedCorpus

FIRST_RATE = 0.05  # the warm-up begins at this share of the rate
CLIP = 5.0  # norm of a gradient, in nats per character

SHAPE = ("encoder", "width", "depth", "character_width", "pair_width", "mixed")
"""What a training takes over from the tagger that it begins from."""

Report = Callable[[str, int, int], None]


def train_tagger(
    data: TaggedCorpus,
    folder: str | os.PathLike[str],
    *,
    dev: TaggedCorpus | None = None,
    settings: TagSettings | None = None,
    book: Codebook | None = None,
    vectors: Mapping[str, np.ndarray] | None = None,
    start: str | os.PathLike[str] | None = None,
    resume: bool = False,
    report: Report | None = None,
) -> Tagger:
    """Returns the tagger that the sentences teach, and saves it as a model folder.

    Args:
        data: Labelled sentences.
        folder: The model folder to write; it appears when all is done.
        dev: Other labelled sentences, which choose the epoch and give the scores. Default: a tenth
            of `data`, 3,000 at most, in ten runs of neighbours, drawn by the seed.
        settings: How to train.
        book: A codebook: the network also reads which of its words each character may be part of.
        vectors: Vectors of characters to begin with, float (width,) each.
        start: A model folder to begin from, trained on other sentences, perhaps with other labels:
            its ids, its codebook and the shape of its network are taken over, and all weights that
            fit.
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
    run.prepare(data, dev, book, vectors, start)
    run.begin(resume)
    run.train()
    return run.finish()


class _Run:
    """One training: what is prepared once, and what changes from epoch to epoch."""

    def __init__(self, folder: Path, settings: TagSettings, report: Report):
        self.folder, self.settings, self.report = folder, settings, report
        self.partial = folder.with_name(folder.name + ".partial")
        if folder.exists():
            raise ModelError(f"{folder}: exists already. Remove it, or name another folder (-o).")
        self.history: list[dict[str, float]] = []
        self.best: dict[str, Any] = {"epoch": 0, "f1": -1.0}

    def prepare(self, data, dev, book, vectors, start) -> None:
        """Turns sentences into batches, and makes the networks."""
        self.report("read", 0, 0)
        known = None
        if start is not None:
            known, book = _known(start, book, vectors)
            shape = {name: known.settings[name] for name in SHAPE}
            self.settings = replace(self.settings, **shape)
        self.book = book
        features = None if known is None else known.features
        self.data = prepare(data, dev, self.settings, book, vectors, features)
        self._make_networks(vectors, known)

    def _make_networks(self, vectors, known: Tagger | None) -> None:
        settings = self.settings
        keras.utils.set_random_seed(settings.seed)
        width = settings.character_width
        if vectors:
            width = len(next(iter(vectors.values())))
        if known is not None:
            width = vectors_width(known.model)
        self.model = self._network(width)
        if vectors:
            ids = {c: i for i, c in enumerate(self.data.features.characters, FIRST_ID)}
            assign_vectors(self.model, {ids[c]: v for c, v in vectors.items() if c in ids})
        if known is not None:
            take_weights(self.model, known.model)
        steps = len(self.data.batches)
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
        states = settings.width if settings.head == "pointer" else len(self.data.target.tags)
        return tag_network(
            self.data.features.inputs,
            self.data.target.make_head(),
            states,
            encoder=settings.encoder,
            width=settings.width,
            depth=settings.depth or None,
            dropout=settings.dropout,
            character_width=character_width,
            pair_width=settings.pair_width,
            length=self.data.widths[0] if len(self.data.widths) == 1 else None,
            seed=settings.seed,
        )

    @property
    def tagger(self) -> Tagger:
        """The tagger of the averaged weights."""
        return Tagger(
            self.averaged,
            self.data.features,
            self.data.target,
            tuple(self.data.widths),
            self.data.words,
            asdict(self.settings),
        )

    def begin(self, resume: bool) -> None:
        """Reads what an earlier run left, or starts anew."""
        state = self.partial / "state.json"
        if not state.is_file():  # not one epoch was done
            if self.partial.exists():
                _remove_begun(self.partial)
            self.partial.mkdir(parents=True)
            return
        if not resume:
            raise ModelError(
                f"{self.partial}: a training that was not finished lies there. Go on with "
                "--resume, or remove it."
            )
        try:
            known = json.loads(state.read_text(encoding="utf-8"))
            names = "settings", "digest", "history", "best", "checkpoint"
            known = {name: known[name] for name in names}
        except (ValueError, KeyError, TypeError):
            raise ModelError(
                f"{state}: is damaged. Remove {self.partial}, and begin anew."
            ) from None
        settings = asdict(self.settings)
        for name, value in known["settings"].items():
            if settings.get(name) != value:
                raise ModelError(
                    f"{self.partial}: was begun with {name}={value!r}. "
                    f"Received: {name}={settings.get(name)!r}."
                )
        if known["digest"] != self.data.digest:
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
        total, seen, steps = 0.0, 0, len(self.data.batches)
        note = f", best F1 {self.best['f1']:.4f}" if self.history else ""
        for step, (inputs, labels, weights) in enumerate(ahead(self.data.batches.epoch(epoch))):
            self.model.reset_metrics()
            logs = self.model.train_on_batch(inputs, labels, weights, return_dict=True)
            loss = float(logs["loss"])
            if not math.isfinite(loss):
                raise ModelError(
                    f"the loss is {loss} in epoch {epoch}, step {step + 1}: the training diverged. "
                    "Try a lower --learning-rate."
                )
            total += loss * self.data.batches.batch_characters
            seen += int(np.count_nonzero(inputs["characters"]))
            self.report(f"epoch {epoch}: loss {total / seen:.4f}{note}", step + 1, steps)
        return total / seen

    def _score(self):
        """Puts the running average into the second network and scores it."""
        variables = self.model.trainable_variables
        kept = [keras.ops.convert_to_numpy(v).copy() for v in self.model.weights]
        self.model.optimizer.finalize_variable_values(variables)
        self.averaged.set_weights(self.model.get_weights())
        self.model.set_weights(kept)
        return score_spans(
            [sentence.spans for sentence in self.data.dev],
            self.tagger.stream(sentence.text for sentence in self.data.dev),
        )

    def _checkpoint(self, epoch: int, better: bool) -> None:
        """Writes all that is needed to go on; the state, which names the files, last."""
        name = f"epoch-{epoch}.keras"
        self.model.save(self.partial / name)
        if better:
            self.averaged.save(self.partial / f"best-{epoch}.keras")
        state = {
            "settings": asdict(self.settings),
            "digest": self.data.digest,
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

    def finish(self) -> Tagger:
        """Scores the best epoch in full, and writes the folder, whole or not at all."""
        self.report("save", 0, 0)
        best = self.partial / f"best-{self.best['epoch']}.keras"
        self.averaged = keras.saving.load_model(best, compile=False)
        self.averaged.compile()
        tagger = self.tagger
        found = tagger.predict(sentence.text for sentence in self.data.dev)
        tagger = replace(tagger, metrics=self._metrics(tagger.score(self.data.dev, found)))
        whole = self.partial / "model"
        shutil.rmtree(whole, ignore_errors=True)
        tagger.save(whole, self.book)
        from taolu.report.training import write_training

        write_training(whole / "report.html", tagger.metrics, self.folder.name)
        whole.rename(self.folder)
        shutil.rmtree(self.partial)
        return tagger

    def _metrics(self, score: dict[str, Any]) -> dict[str, Any]:
        characters = sum(len(sentence.text) for sentence in self.data.dev)
        return {
            "format": 1,
            "task": "tag",
            "settings": {
                **asdict(self.settings),
                "scheme": self.data.target.scheme.name,
                "batch_characters": self.data.batches.batch_characters,
            },
            "train": {"sentences": self.data.sentences, "characters": self.data.batches.characters},
            "dev": {"sentences": len(self.data.dev), "characters": characters},
            "weights": self.averaged.count_params(),
            "seconds": sum(epoch["seconds"] for epoch in self.history),
            "best_epoch": self.best["epoch"],
            "epochs": self.history,
            "score": score,
        }


def _remove_begun(partial: Path) -> None:
    """Removes what a training left that did no whole epoch; never what it did not write."""
    for path in partial.iterdir():
        if path.suffix != ".keras" and not path.name.startswith(".state.json-"):
            raise ModelError(f"{partial}: is no unfinished training. Remove or rename it.")
    shutil.rmtree(partial)


def _known(start, book, vectors) -> tuple[Tagger, Codebook | None]:
    """The tagger to begin from, and its codebook."""
    for name, value in (("book", book), ("vectors", vectors)):
        if value is not None:
            raise ValueError(f"`{name}` cannot go with `start`, which has its own. Received: both.")
    folder = Path(start) / "book"
    return Tagger.load(start), Codebook.load(folder) if folder.is_dir() else None
