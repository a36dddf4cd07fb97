"""Everything learned from a text, frozen, and saved as a folder of readable files.

`words.tsv` is the dictionary, `characters.tsv` the alphabet that spells it, `templates.tsv` and
`groups.tsv` templates and groups of words where they paid, `vectors.npz` the vectors of words,
`ledger.tsv` and `tried.tsv` what each step saved, `meta.json` the format version and what was read.
A folder is written beside its final name and renamed, so a half-written one never stands in its
place.
"""

import json
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from taolu.bits.codelength import COLUMNS, Ledger, Step
from taolu.errors import CodebookError
from taolu.mine.cut import Segmenter
from taolu.mine.group_files import GROUP_COLUMNS, describes_groups, group_rows, groups_from
from taolu.mine.groups import WordGroups
from taolu.mine.hmm_segmenter import HMMSegmenter
from taolu.mine.score import UnigramModel
from taolu.mine.table_files import number, read_table, write_table
from taolu.mine.template_files import (
    TEMPLATE_COLUMNS,
    describes_templates,
    template_rows,
    templates_from,
)
from taolu.mine.template_grammar import grammar_parser
from taolu.mine.template_parse import Parse, TemplateParser
from taolu.mine.templates import Templates
from taolu.mine.word_vectors import WordVectors

FORMAT = 1
KIND = "taolu codebook"

WORD_COLUMNS = (
    "word",
    "count",
    "cohesion",
    "left_entropy",
    "right_entropy",
    "saved_bits",
    "known",
)


@dataclass(frozen=True)
class Words:
    """A table of words, one row a word, ranked: the most useful first.

    Attributes:
        word: The words; single characters are units of the segmentation too.
        count: Uses on the best path, int64 (words,).
        cohesion: Natural log, minimum over all cuts of `N * c(w) / (c(left) * c(right))`,
            (words,); nan for a single character.
        left_entropy: Bits of surprise of the character before the word, (words,).
        right_entropy: Bits of surprise of the character after it, (words,).
        saved_bits: Bits the text would cost more without the word, the cost of keeping it
            taken off, (words,); 0 for a single character.
        known: True where the word stands in the user's dictionary, bool (words,).
    """

    word: tuple[str, ...]
    count: np.ndarray
    cohesion: np.ndarray
    left_entropy: np.ndarray
    right_entropy: np.ndarray
    saved_bits: np.ndarray
    known: np.ndarray

    def __len__(self) -> int:
        return len(self.word)

    def __iter__(self) -> Iterator[str]:
        return iter(self.word)

    def __contains__(self, word: object) -> bool:
        return word in self.index

    @cached_property
    def index(self) -> dict[str, int]:
        """Row of each word."""
        return {word: row for row, word in enumerate(self.word)}

    def select(self, rows) -> "Words":
        """Returns the table with only these rows, in this order (indices or a boolean mask)."""
        rows = np.asarray(rows)
        rows = np.flatnonzero(rows) if rows.dtype == bool else rows.astype(np.int64)
        columns = (getattr(self, name)[rows] for name in WORD_COLUMNS[1:])
        return Words(tuple(self.word[row] for row in rows), *columns)

    def row(self, word: str) -> dict[str, Any]:
        """Returns the row of a word by column name."""
        at = self.index[word]
        return {"word": word} | {name: getattr(self, name)[at].item() for name in WORD_COLUMNS[1:]}


@dataclass(frozen=True)
class Codebook:
    """What `learn` found in a text.

    Attributes:
        words: Every unit of the segmentation with its count on the best path of the text.
        characters: Alphabet and occurrences of each character in the text.
        sentences: Number of sentences of the text.
        ledger: Steps taken and steps tried, in bits per character.
        passage: A few sentences of the text and their segmentation, for the report.
        meta: What was read and how: sources, options, version.
        templates: Templates with their uses, or None where templates did not pay.
        vectors: Vectors of words, or None where they were not saved.
        groups: Words in groups, or None where groups did not pay.

    Example:
        >>> import taolu
        >>> book = taolu.learn(taolu.Corpus.from_lines(["上海自来水来自海上"] * 40))
        >>> import tempfile
        >>> name = tempfile.mkdtemp() + "/water.taolu"
        >>> book.save(name)
        >>> taolu.Codebook.load(name).words.word == book.words.word
        True
    """

    words: Words
    characters: dict[str, int]
    sentences: int
    ledger: Ledger
    passage: tuple[tuple[str, ...], ...] = ()
    meta: dict[str, Any] = field(default_factory=dict)
    templates: Templates | None = None
    vectors: WordVectors | None = None
    groups: WordGroups | None = None

    @cached_property
    def segmenter(self) -> Segmenter:
        """Cuts text with these words."""
        counts = dict(zip(self.words.word, self.words.count.tolist(), strict=True))
        return Segmenter(counts, self.sentences)

    @cached_property
    def model(self) -> UnigramModel:
        """Gives held-out text its bits: smoothed, summed over all cuts."""
        counts = dict(zip(self.words.word, self.words.count.tolist(), strict=True))
        return UnigramModel(counts, self.sentences)

    @cached_property
    def hmm(self) -> HMMSegmenter:
        """What these words say about the places of characters in words, without the words."""
        counts = dict(zip(self.words.word, self.words.count.tolist(), strict=True))
        return HMMSegmenter.from_counts(counts, self.sentences)

    @cached_property
    def parser(self) -> TemplateParser:
        """Puts sentences of words together from these templates, in bits."""
        counts = dict(zip(self.words.word, self.words.count.tolist(), strict=True))
        templates = self.templates or Templates((), np.empty(0, dtype=np.int64))
        return grammar_parser(templates, counts, self.sentences)

    def parse(self, sentence: str) -> Parse:
        """Returns how words and templates make up a sentence, the cheapest way."""
        return self.parser.parse(self.segmenter.cut(sentence))

    def bits(self, sentence: str) -> float:
        """Returns the bits of a sentence under the smoothed words of this codebook."""
        return self.model.bits(sentence)

    def with_passage(self, sentences: Iterable[str]) -> "Codebook":
        """Returns the codebook with these sentences, cut, as the passage of its report."""
        passage = tuple(tuple(words) for words in self.segmenter.cut_lines(sentences))
        return replace(self, passage=passage)

    def save(self, folder: str | os.PathLike[str], *, report: bool = False) -> None:
        """Writes the codebook to a folder, whole or not at all.

        Args:
            folder: Its name; an older codebook of that name is replaced.
            report: Writes `report.html` too.

        Raises:
            CodebookError: The name is taken by something that is no codebook, or the disk is full.
        """
        folder = Path(folder)
        check_free(folder)
        try:
            folder.parent.mkdir(parents=True, exist_ok=True)
            scratch = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
            try:
                self._write(scratch, report)
                _replace(scratch, folder)
            finally:
                shutil.rmtree(scratch, ignore_errors=True)
        except (OSError, CodebookError) as error:
            # The report names its place in the scratch folder, which nobody knows.
            reason = getattr(error.__cause__ or error, "strerror", None) or error
            raise CodebookError(f"{folder}: cannot be written ({reason}).") from error

    def _write(self, folder: Path, report: bool) -> None:
        write_table(folder / "words.tsv", WORD_COLUMNS, _word_rows(self.words))
        write_table(folder / "characters.tsv", ("character", "count"), self.characters.items())
        write_table(folder / "ledger.tsv", COLUMNS, _step_rows(self.ledger.steps))
        write_table(folder / "tried.tsv", COLUMNS, _step_rows(self.ledger.tried))
        meta = {"format": FORMAT, "kind": KIND, "sentences": self.sentences}
        if self.templates is not None:
            write_table(folder / "templates.tsv", TEMPLATE_COLUMNS, template_rows(self.templates))
            meta["templates"] = {"examples": self.templates.examples}
        if self.vectors is not None:
            self.vectors.save(folder / "vectors.npz")
            meta["vectors"] = {"width": self.vectors.vectors.shape[1]}
        if self.groups is not None:
            write_table(folder / "groups.tsv", GROUP_COLUMNS, group_rows(self.groups))
            meta["groups"] = {"level": self.groups.level, "codelength": self.groups.codelength}
        meta |= {"passage": self.passage, **self.meta}
        text = json.dumps(meta, ensure_ascii=False, indent=1)
        (folder / "meta.json").write_text(text + "\n", encoding="utf-8")
        if report:
            from taolu.report.codebook import write_report

            write_report(self, folder / "report.html")

    @classmethod
    def load(cls, folder: str | os.PathLike[str]) -> "Codebook":
        """Returns the codebook saved in a folder.

        Raises:
            CodebookError: A file is missing or damaged, or was written by a newer format.
        """
        folder = Path(folder)
        meta = _read_meta(folder)
        groups = groups_from(folder / "groups.tsv", meta.pop("groups", None))
        templates = templates_from(folder / "templates.tsv", meta.pop("templates", None))
        vectors = None
        if meta.pop("vectors", None):
            vectors = WordVectors.load(folder / "vectors.npz")
        rows = read_table(folder / "words.tsv", WORD_COLUMNS)
        characters = read_table(folder / "characters.tsv", ("character", "count"))
        return cls(
            _words_from(rows, folder / "words.tsv"),
            {row[0]: count for row, count in _counted(characters, folder / "characters.tsv")},
            meta.pop("sentences"),
            Ledger(_steps(folder / "ledger.tsv"), _steps(folder / "tried.tsv")),
            tuple(tuple(sentence) for sentence in meta.pop("passage", ())),
            {name: value for name, value in meta.items() if name not in ("format", "kind")},
            templates,
            vectors,
            groups,
        )


def _word_rows(words: Words) -> Iterator[tuple]:
    return zip(words.word, *(getattr(words, name) for name in WORD_COLUMNS[1:]), strict=True)


def _step_rows(steps) -> Iterator[tuple]:
    return ((s.step, s.learned, s.text, s.codebook, s.total) for s in steps)


def _words_from(rows: list[list[str]], path: Path) -> Words:
    def column(at: int, dtype) -> np.ndarray:
        return np.array([number(row[at], dtype, path, n) for n, row in enumerate(rows, 2)], dtype)

    count = column(1, np.int64)
    for n, (row, uses) in enumerate(zip(rows, count.tolist(), strict=True), 2):
        if uses < 1 or not row[0] or row[0].split() != [row[0]]:
            raise CodebookError(
                f"{path}, line {n}: needs a word without whitespace and a count of at least 1. "
                f"Received: {row[0]!r}, {uses}."
            )
    return Words(
        word=tuple(row[0] for row in rows),
        count=count,
        cohesion=column(2, np.float64),
        left_entropy=column(3, np.float64),
        right_entropy=column(4, np.float64),
        saved_bits=column(5, np.float64),
        known=np.array([row[6] == "yes" for row in rows], dtype=bool),
    )


def _counted(rows: list[list[str]], path: Path) -> Iterator[tuple[list[str], int]]:
    return ((row, number(row[1], np.int64, path, n)) for n, row in enumerate(rows, 2))


def _steps(path: Path) -> tuple[Step, ...]:
    steps = []
    for n, row in enumerate(read_table(path, COLUMNS), 2):
        learned = number(row[1], np.int64, path, n)
        text, codebook = (number(row[at], np.float64, path, n) for at in (2, 3))
        steps.append(Step(row[0], learned, text, codebook))
    return tuple(steps)


def _read_meta(folder: Path) -> dict[str, Any]:
    path = folder / "meta.json"
    if not folder.is_dir():
        raise CodebookError(f"{folder}: no such codebook. `taolu learn TEXT` makes one.")
    try:
        meta = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise CodebookError(f"{path}: cannot be read ({error.strerror}): no codebook.") from error
    except ValueError as error:
        raise CodebookError(f"{path}: not valid JSON ({error}).") from None
    if not _describes_codebook(meta):
        raise CodebookError(f"{path}: not the description of a codebook.")
    if meta.get("format") != FORMAT:
        raise CodebookError(
            f"{path}: this version of taolu reads format {FORMAT}. "
            f"Received: format {meta.get('format')}. Learn the text again, or update taolu."
        )
    return meta


def _describes_codebook(meta: Any) -> bool:
    return (
        isinstance(meta, dict)
        and isinstance(meta.get("sentences"), int)
        and isinstance(meta.get("passage", []), list)
        and all(isinstance(sentence, list) for sentence in meta.get("passage", []))
        and describes_groups(meta.get("groups"))
        and describes_templates(meta.get("templates"))
    )


def check_free(folder: Path) -> None:
    """Makes sure a codebook may be written under this name.

    Raises:
        CodebookError: The name is taken by something that is no codebook.
    """
    if folder.exists() and not _is_codebook(folder):
        raise CodebookError(
            f"{folder}: exists and is no codebook, so it is left alone. Choose another name (-o)."
        )


def _is_codebook(folder: Path) -> bool:
    # Of any format, but ours: other programs write a meta.json too.
    try:
        meta = json.loads((folder / "meta.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(meta, dict) and meta.get("kind") == KIND


def _replace(scratch: Path, folder: Path) -> None:
    scratch.chmod(0o755)
    if not folder.exists():
        scratch.rename(folder)
        return
    old = Path(tempfile.mkdtemp(prefix=f".{folder.name}-old-", dir=folder.parent))
    try:
        folder.rename(old / "book")
        scratch.rename(folder)
    except BaseException:
        # A full disk, or Ctrl-C between the two: the older codebook goes back to its place.
        if not folder.exists():
            (old / "book").rename(folder)
        raise
    finally:
        shutil.rmtree(old, ignore_errors=True)
