"""A trained tagger: text in, spans with offsets into that text out; a folder of readable files.

config.json       format, settings, labels, and the hash of every file that follows
model.keras       the network
vocabulary.json   characters, and which of their pairs have an id
words.txt         words of the training text, where the task is to cut words
book/             the codebook that it reads, if any
metrics.json      how it was trained, and how well it does on text it has not learned
report.html       the same as a page to look at
"""

import hashlib
import json
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import keras
import numpy as np

from taolu.errors import ModelError
from taolu.mine.codebook import Codebook
from taolu.mine.span_score import SpanCounts, score_spans, score_unseen
from taolu.nn.models.tag_model import TagModel
from taolu.tasks.tag_batches import lay_out, plan_batches, rows_of
from taolu.tasks.tag_data import is_covered
from taolu.tasks.tag_examples import windows
from taolu.tasks.tag_features import TagFeatures
from taolu.tasks.tag_target import TagTarget
from taolu.text.fold import Folded, fold
from taolu.text.layouts import TaggedSentence
from taolu.text.spans import Span, words_of

FORMAT = 1
KIND = "taolu model"
TASK = "tag"
BATCH_CHARACTERS = 4096  # of a batch that is only predicted, padding included
AT_ONCE = 2048  # texts held in memory when many are predicted
MARGIN = 32  # characters read on each side of those that a window answers for

_PIECE = re.compile(r"\S+")


@dataclass(frozen=True)
class Tagger:
    """Marks spans in text: words, or entities.

    Attributes:
        model: The network; it predicts what its head decodes.
        features: How text becomes ids.
        target: How what the head decodes becomes spans.
        widths: Widths of batches, rising; the last one is the longest text read at once, longer
            ones are read in windows that overlap.
        words: Words of the training text; empty unless it is cut into words.
        settings: How it was trained, as plain data.
        metrics: What `metrics.json` holds.

    Example:
        >>> tagger = Tagger.load("resume.model")    # doctest: +SKIP
        >>> tagger.predict(["我在北京大学学习"])    # doctest: +SKIP
        [[Span(start=2, stop=6, label='EDU')]]
    """

    model: TagModel
    features: TagFeatures
    target: TagTarget
    widths: tuple[int, ...]
    words: frozenset[str] = frozenset()
    settings: dict[str, Any] = field(default_factory=dict)
    metrics: dict[str, Any] = field(default_factory=dict)

    def predict(self, texts: Iterable[str]) -> list[list[Span]]:
        """Returns the spans of each text, with offsets into it as it came.

        A tagger of words takes whitespace for a boundary, and marks none.
        """
        return list(self.stream(texts))

    def stream(self, texts: Iterable[str]) -> Iterator[list[Span]]:
        """Yields the spans of each text, in order, holding 2,048 texts at a time."""
        texts = iter(texts)
        while block := list(islice(texts, AT_ONCE)):
            yield from self._block(block)

    def cut(self, text: str) -> list[str]:
        """Returns the words of a text.

        Raises:
            ValueError: The tagger marks entities.
        """
        if not self.target.covers:
            raise ValueError(
                "`cut` needs a tagger that was trained on words. "
                f"Received: one of {', '.join(self.target.labels)}."
            )
        return [text[span.start : span.stop] for span in self.predict([text])[0]]

    def score(
        self, gold: Iterable[TaggedSentence], found: Sequence[Sequence[Span]]
    ) -> dict[str, Any]:
        """Returns all scores as plain data, as `metrics.json` holds them.

        Args:
            gold: Labelled sentences.
            found: The spans found in each.

        Raises:
            ValueError: There are more of one than of the other.
        """
        sentences = list(gold)
        score = score_spans([sentence.spans for sentence in sentences], found)
        unseen = None
        if self.target.covers and all(map(is_covered, sentences)):
            wanted = [words_of(sentence.text, sentence.spans) for sentence in sentences]
            cut = [words_of(s.text, spans) for s, spans in zip(sentences, found, strict=True)]
            counts = score_unseen(wanted, cut, self.words)
            unseen = {
                "recall": counts.unseen_recall,
                "share": counts.unseen_share,
                "seen_recall": counts.seen_recall,
            }
        return {
            **counted(score.overall),
            "macro_f1": score.macro_f1,
            "sentences": score.sentences,
            "exact_sentences": score.exact_sentences,
            "labels": {label: counted(counts) for label, counts in score.labels.items()},
            "confusion": sorted(([*pair, n] for pair, n in score.confusion.items()), key=str),
            "unseen": unseen,
        }

    def _block(self, texts: Sequence[str]) -> Iterator[list[Span]]:
        pieces = [self._pieces(text) for text in texts]
        found = iter(self._spans([folded.text for part in pieces for _, folded in part]))
        for part in pieces:
            spans: list[Span] = []
            for start, folded in part:
                spans += _moved(next(found), folded, start, self.target.nested)
            yield spans

    def _pieces(self, text: str) -> list[tuple[int, Folded]]:
        if not self.target.covers:
            return [(0, fold(text))]
        return [(match.start(), fold(match[0])) for match in _PIECE.finditer(text)]

    def _spans(self, texts: Sequence[str]) -> list[list[Span]]:
        """The spans of folded texts."""
        longest = self.widths[-1]
        parts = [windows(len(text), longest, min(MARGIN, longest // 4)) for text in texts]
        encoded = []
        for ids, part in zip(self.features.encode_all(texts), parts, strict=True):
            encoded += [
                {name: column[start:stop] for name, column in ids.items()}
                for start, stop, *_ in part
            ]
        answers = iter(self._decode(encoded))
        return [self.target.spans(part, [next(answers) for _ in part]) for part in parts]

    def _decode(self, encoded: Sequence[dict[str, np.ndarray]]) -> list[np.ndarray]:
        """What the head decodes in each window, without padding."""
        lengths = [len(window["characters"]) for window in encoded]
        found: list[Any] = [None] * len(encoded)
        for width, rows in plan_batches(lengths, self.widths, BATCH_CHARACTERS):
            batch = lay_out(encoded, rows, width, rows_of(width, BATCH_CHARACTERS))
            decoded = np.asarray(self.model.predict_on_batch(batch.inputs))
            for i, (row, length) in enumerate(zip(rows.tolist(), batch.lengths, strict=True)):
                whole = decoded[i]
                found[row] = whole[..., :length] if whole.ndim == 1 else whole[:, :length, :length]
        return found

    def save(self, folder: str | os.PathLike[str], book: Codebook | None = None) -> None:
        """Writes all files of the model into a folder, the configuration last.

        Args:
            folder: An empty folder, or one with files of a model, which are replaced.
            book: The codebook of the features.
        """
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        self.model.save(folder / "model.keras")
        features = self.features
        vocabulary = {
            "characters": features.characters,
            "pairs": features.pairs.tolist(),
            "uses": features.uses.tolist(),
            "pair_uses": features.pair_uses.tolist(),
            "words": list(features.words),
        }
        _write_json(folder / "vocabulary.json", vocabulary)
        _write_json(folder / "metrics.json", self.metrics, indent=1)
        if self.target.covers:
            text = "".join(f"{word}\n" for word in sorted(self.words))
            (folder / "words.txt").write_text(text, encoding="utf-8")
        if book is not None:
            book.save(folder / "book")
        config = {
            "kind": KIND,
            "format": FORMAT,
            "task": TASK,
            "target": self.target.as_config(),
            "widths": list(self.widths),
            "settings": self.settings,
            "sha256": {name: _hash(folder / name) for name in _files(folder)},
        }
        _write_json(folder / "config.json", config, indent=1)

    @classmethod
    def load(cls, folder: str | os.PathLike[str]) -> "Tagger":
        """Returns the tagger of a model folder.

        Nothing in the folder is run: the network is made of known layers only.

        Raises:
            ModelError: The folder is no model, of another format, or a file in it is missing or has
                changed since it was written.
        """
        folder = Path(folder)
        config = read_config(folder)
        try:
            return cls._of_files(folder, config)
        except (KeyError, TypeError, ValueError) as error:
            raise ModelError(
                f"{folder}: its files do not go together ({type(error).__name__}: {error}). "
                "Restore them, or train again."
            ) from None

    @classmethod
    def _of_files(cls, folder: Path, config: dict[str, Any]) -> "Tagger":
        vocabulary = json.loads((folder / "vocabulary.json").read_text(encoding="utf-8"))
        segmenter = None
        if (folder / "book").is_dir():
            segmenter = Codebook.load(folder / "book").segmenter
        features = TagFeatures(
            vocabulary["characters"],
            np.array(vocabulary["pairs"], dtype=np.int64),
            np.array(vocabulary["uses"], dtype=np.int64),
            np.array(vocabulary["pair_uses"], dtype=np.int64),
            segmenter,
            tuple(vocabulary["words"]),
        )
        words: frozenset[str] = frozenset()
        if "words.txt" in config["sha256"]:
            words = frozenset((folder / "words.txt").read_text(encoding="utf-8").split())
        return cls(
            keras.saving.load_model(folder / "model.keras", compile=False),
            features,
            TagTarget.from_config(config["target"]),
            tuple(config["widths"]),
            words,
            config["settings"],
            json.loads((folder / "metrics.json").read_text(encoding="utf-8")),
        )


def counted(counts: SpanCounts) -> dict[str, float]:
    """Returns counts and the shares they give, as plain data."""
    shares = {"precision": counts.precision, "recall": counts.recall, "f1": counts.f1}
    return {**shares, "hits": counts.hits, "found": counts.found, "gold": counts.gold}


def read_config(folder: Path) -> dict[str, Any]:
    """Returns the configuration of a model folder, its files checked.

    Raises:
        ModelError: As `Tagger.load`.
    """
    if not folder.is_dir():
        partial = folder.with_name(folder.name + ".partial")
        hint = f" Its training was not finished: go on with --resume ({partial})."
        raise ModelError(
            f"{folder}: there is no such model folder.{hint if partial.is_dir() else ''}"
        )
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ModelError(f"{folder}: no model folder, config.json is missing.") from None
    except ValueError as error:
        raise ModelError(f"{folder}/config.json: not valid JSON ({error}).") from None
    if not isinstance(config, dict) or config.get("kind") != KIND:
        raise ModelError(f"{folder}/config.json: does not describe a {KIND}.")
    if config.get("format") != FORMAT:
        raise ModelError(
            f"{folder}: format {config.get('format')} is not format {FORMAT}, which this version "
            "of taolu reads."
        )
    if config.get("task") != TASK:
        raise ModelError(
            f"{folder}: was trained for the task {config.get('task')!r}; a tagger is needed here."
        )
    missing = {"target", "widths", "settings", "sha256"} - config.keys()
    if missing:
        raise ModelError(f"{folder}/config.json: lacks {', '.join(sorted(missing))}.")
    for name, known in config["sha256"].items():
        if not (folder / name).is_file():
            raise ModelError(f"{folder}: the file {name} is missing.")
        if _hash(folder / name) != known:
            raise ModelError(
                f"{folder}/{name}: has changed since the model was saved. Restore it, or train "
                "again."
            )
    return config


def _moved(spans: Sequence[Span], folded: Folded, start: int, nested: bool) -> list[Span]:
    """Spans of a folded text in the text it came from, which has more before it."""
    moved, last = [], 0
    for span in spans:
        there = folded.to_original(span)
        # Two spans in what was one character: the first takes it.
        first = there.start if nested else max(there.start, last)
        if first < there.stop:
            moved.append(Span(start + first, start + there.stop, span.label))
            last = there.stop
    return moved


def _files(folder: Path) -> list[str]:
    names = ["model.keras", "vocabulary.json", "words.txt", "metrics.json"]
    if (folder / "book").is_dir():
        names += sorted(f"book/{path.name}" for path in (folder / "book").iterdir())
    return [name for name in names if (folder / name).is_file()]


def _hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _write_json(path: Path, data: Any, indent: int | None = None) -> None:
    text = json.dumps(data, ensure_ascii=False, indent=indent)
    path.write_text(text + "\n", encoding="utf-8")
