"""Labelled sentences out of lines: columns with tags, and words between spaces.

Columns     one character or word a line, its tag in the last column, a blank line after each
            sentence (CoNLL)
TreeColumns one word a line in the ten columns of CoNLL-X and CoNLL-U: words without labels
Words       one sentence a line, its words between spaces, each perhaps with its part of speech

Spans in JSON lines are in `taolu.text.records`. Every layout reads lines and yields `Tokens`, whose
tags are still to be understood, or finished `TaggedSentence`s.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from taolu.errors import CorpusError
from taolu.text.corpus import LINES_BYTES, Corpus
from taolu.text.schemes import Scheme
from taolu.text.spans import Span, flat_spans, tags_of, word_spans

TREE_COLUMNS = 8  # CoNLL-X has ten columns, of which the last two may be missing
DOCUMENT_START = "-DOCSTART-"
SHOWN_CHARS = 40


class Line(NamedTuple):
    """A line of a file, without its line end.

    Attributes:
        path: Name of the file.
        number: From 1.
        text: The line.
    """

    path: str
    number: int
    text: str


@dataclass(frozen=True, slots=True)
class TaggedSentence:
    """A sentence and what is marked in it.

    Attributes:
        text: The sentence.
        spans: What is marked, in order; spans from JSON may overlap.
        tokens: The characters or words of the file, if it has any.
        path: Name of its file.
        line: Number of its first line there.

    Example:
        >>> from taolu.text.schemes import BIO
        >>> TaggedSentence("在北京", (Span(1, 3, "LOC"),)).tags(BIO)
        ['O', 'B-LOC', 'I-LOC']
    """

    text: str
    spans: tuple[Span, ...]
    tokens: tuple[str, ...] = ()
    path: str = "<memory>"
    line: int = 1

    def tags(self, scheme: Scheme) -> list[str]:
        """Returns one tag for each character; of spans that overlap the longest is tagged."""
        return tags_of(flat_spans(self.spans), len(self.text), scheme)


@dataclass(frozen=True, slots=True)
class Tokens:
    """A sentence as a file spells it, one tag for each token.

    Attributes:
        tokens: Characters or words.
        tags: The tag of each.
        lines: The line of each in its file.
        path: Name of the file.
    """

    tokens: list[str]
    tags: list[str]
    lines: list[int]
    path: str


@dataclass(frozen=True)
class Columns:
    """Characters or words in the first column, their tags in the last.

    A blank line ends a sentence, and so do a line that begins with -DOCSTART- and the end of a
    file. Lines such as `# text = ...` in files with tabs are left out.

    Args:
        separator: A tab or a space; several spaces are one.
        columns: How many there are.
    """

    separator: str
    columns: int

    def __str__(self) -> str:
        return f"{self.columns} columns between {'tabs' if self.separator == TAB else 'spaces'}"

    def read(self, lines: Iterable[Line]) -> Iterator[Tokens]:
        """Yields the sentences.

        Raises:
            CorpusError: A line has another number of columns, or nothing in the first.
        """
        tokens: list[str] = []
        tags: list[str] = []
        numbers: list[int] = []
        path = ""
        for line in lines:
            ends = ends_sentence(line.text)
            if numbers and (ends or line.path != path):
                yield Tokens(tokens, tags, numbers, path)
                tokens, tags, numbers = [], [], []
            if ends:
                continue
            fields = split_columns(line.text, self.separator)
            if len(fields) != self.columns or not fields[0]:
                if is_comment(line.text, self.separator):
                    continue
                raise self._misfit(line, fields)
            path = line.path
            tokens.append(fields[0])
            tags.append(fields[-1])
            numbers.append(line.number)
        if numbers:
            yield Tokens(tokens, tags, numbers, path)

    def _misfit(self, line: Line, fields: list[str]) -> CorpusError:
        if len(fields) < self.columns:
            return fault(line, f"a tag column is missing: {len(fields)} of {self}.")
        if len(fields) > self.columns:
            return fault(line, f"{len(fields)} columns, where other lines have {self}.")
        return fault(line, "there is a tag, but no character before it.")


@dataclass(frozen=True)
class TreeColumns:
    """Words in the second column of a treebank, put together without spaces; labels are not read.

    A word that stands for several (`3-4`) is taken whole; empty nodes (`3.1`) are left out.
    """

    def __str__(self) -> str:
        return "words in the second column of a treebank"

    def read(self, lines: Iterable[Line]) -> Iterator[TaggedSentence]:
        """Yields the sentences.

        Raises:
            CorpusError: A line has no second column.
        """
        words: list[str] = []
        path, first, covered = "", 0, 0
        for line in lines:
            if words and (line.path != path or ends_sentence(line.text)):
                yield _sentence(words, [], path, first)
                words, covered = [], 0
            if ends_sentence(line.text) or is_comment(line.text, TAB):
                continue
            number, word, *_ = (*split_columns(line.text, TAB), "", "")
            if not re.fullmatch(r"\d+([-.]\d+)?", number) or not word:
                raise fault(line, "no number and word in the first two columns.")
            path, first = line.path, first if words else line.number
            if "-" in number:
                covered = int(number.split("-")[1])
            elif "." in number or int(number) <= covered:
                continue
            words.append(word)
        if words:
            yield _sentence(words, [], path, first)


@dataclass(frozen=True)
class Words:
    """One sentence a line, its words between spaces.

    Args:
        label_separator: What stands between a word and its part of speech, such as `_` or `/`;
            empty if there is none. The part of speech becomes the label of the word.
    """

    label_separator: str = ""

    def __str__(self) -> str:
        label = f", each with {self.label_separator} and a label" if self.label_separator else ""
        return f"words between spaces{label}"

    def read(self, lines: Iterable[Line]) -> Iterator[TaggedSentence]:
        """Yields the sentences; blank lines are left out.

        Raises:
            CorpusError: A word has no label, where there should be one.
        """
        for line in lines:
            words, labels = line.text.split(), []
            if self.label_separator:
                parts = [word.rpartition(self.label_separator) for word in words]
                for word, (form, _, label) in zip(words, parts, strict=True):
                    if not form or not label:
                        raise fault(line, f"{word!r} has no {self.label_separator} and a label.")
                words, labels = [part[0] for part in parts], [part[2] for part in parts]
            if words:
                yield _sentence(words, labels, line.path, line.number)


TAB = "\t"


def numbered_lines(corpus: Corpus, comment: str = "") -> Iterator[Line]:
    """Yields every line with its place; those that begin with `comment` are left out.

    Example:
        >>> list(numbered_lines(Corpus.from_lines(["#1", "好\\r"]), comment="#"))
        [Line(path='<memory>', number=2, text='好')]
    """
    for block in corpus.blocks(LINES_BYTES):
        lines = block.decode().removesuffix("\n").split("\n")
        for number, text in enumerate(lines, block.line):
            if not comment or not text.startswith(comment):
                yield Line(block.path, number, text.removesuffix("\r"))


def split_columns(text: str, separator: str) -> list[str]:
    """Returns the columns of a line, whitespace at its end left out.

    A space that begins a line with spaces is the character of that line.

    Example:
        >>> split_columns("EU  NNP B-ORG ", " "), split_columns("  O", " ")
        (['EU', 'NNP', 'B-ORG'], [' ', 'O'])
    """
    text = text.rstrip()
    if separator != " ":
        return text.split(separator)
    fields = [field for field in text.split(" ") if field]
    return [" ", *fields] if text.startswith(" ") else fields


def is_comment(text: str, separator: str) -> bool:
    """True for a line that columns leave out: `# sent_id = 1` between lines with tabs."""
    return separator == TAB and text.startswith("# ") and TAB not in text


def fault(line: Line, what: str) -> CorpusError:
    """Returns the error that names the place, what is wrong there, and the line itself."""
    shown = line.text[:SHOWN_CHARS] + ("…" if len(line.text) > SHOWN_CHARS else "")
    return CorpusError(f"{line.path}, line {line.number}: {what} Received: {shown!r}.")


def ends_sentence(text: str) -> bool:
    """True for a blank line and for the mark of a new document."""
    return not text.strip() or text.startswith(DOCUMENT_START)


def _sentence(words: list[str], labels: list[str], path: str, line: int) -> TaggedSentence:
    spans = word_spans(words)
    if labels:
        spans = [Span(s.start, s.stop, label) for s, label in zip(spans, labels, strict=True)]
    return TaggedSentence("".join(words), tuple(spans), tuple(words), path, line)
