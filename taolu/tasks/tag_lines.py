"""Texts to tag out of lines, and the lines with what was found: text, columns or JSON, in and out.

| form | in | out |
| --- | --- | --- |
| text | one text a line | its words, one space apart, `word_LABEL` where they have labels |
| columns | a character or word a line, blank lines between texts | each line with its tag behind |
| json | an object with a text | the object with the spans as "entities" |

Texts stay in order, and there is one out for each that came in.
"""

import json
import re
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, islice
from typing import Any

from taolu.text.layouts import TAB, Line, ends_sentence, fault, is_comment, split_columns
from taolu.text.normalize import ALNUM, character_class
from taolu.text.records import TEXT_KEYS, parse_record
from taolu.text.schemes import SCHEMES, Scheme, split_tag
from taolu.text.spans import Span, flat_spans, tags_of

FORMS = ("text", "columns", "json")
LOOKED_AT = 50  # lines that decide the form

_LETTERS = frozenset(letter for scheme in SCHEMES.values() for letter in scheme.letters)
_JSON = re.compile(r'(\[\s*)?\{\s*["}]')
_HALF = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True)
class Item:
    """A text to tag.

    Attributes:
        text: The text.
        line: Its first line.
        carry: What goes out again beside it: the object of JSON, or the `Rows` of columns.
    """

    text: str
    line: Line
    carry: Any = None


@dataclass(frozen=True)
class Rows:
    """The lines of columns that a text came from.

    Attributes:
        tokens: The first column of each.
        lines: All of each, without whitespace at its end.
        joiner: What stands between two tokens in the text: a space if most are words of letters, as
            where taggers are trained, else nothing.
    """

    tokens: Sequence[str]
    lines: Sequence[str]
    joiner: str = ""

    @classmethod
    def of(cls, tokens: Sequence[str], lines: Sequence[str]) -> "Rows":
        """Returns rows with the joiner that their tokens call for."""
        words = sum(len(token) > 1 and character_class(token[0]) == ALNUM for token in tokens)
        return cls(tokens, lines, " " if 2 * words > len(tokens) else "")

    @property
    def text(self) -> str:
        """The text of the tokens."""
        return self.joiner.join(self.tokens)

    def spans(self, spans: Iterable[Span]) -> list[Span]:
        """Returns spans of characters as spans of tokens: each takes what it touches and is free.

        Example:
            >>> Rows(["New", "York", "!"], [], " ").spans([Span(1, 8, "LOC"), Span(8, 10, "X")])
            [Span(start=0, stop=2, label='LOC'), Span(start=2, stop=3, label='X')]
        """
        stops = [stop - len(self.joiner) for stop in self._starts[1:]]
        found, free = [], 0
        for span in flat_spans(spans):
            start = max(free, bisect_right(stops, span.start))
            stop = bisect_left(self._starts, span.stop, hi=len(stops))
            if start < stop:
                found.append(Span(start, stop, span.label))
                free = stop
        return found

    @property
    def _starts(self) -> list[int]:
        sizes = (len(token) + len(self.joiner) for token in self.tokens)
        return list(accumulate(sizes, initial=0))


def detect_form(lines: Iterable[Line]) -> str:
    """Returns the form of an input, judged by its first 50 lines that say anything.

    JSON begins with a brace. Columns are there if most lines are a single character, or end in a
    tag. A line alone is taken for text unless it has such a tag: a character may be all of it.

    Example:
        >>> inputs = ["我在北京"], ['{"text": "我"}'], ["我", "在"], ["我 O"], ["一", "第一章"]
        >>> [detect_form(Line("a", 1, text) for text in texts) for texts in inputs]
        ['text', 'json', 'columns', 'columns', 'text']
    """
    looked = list(islice((line for line in lines if not ends_sentence(line.text)), LOOKED_AT))
    if not looked:
        return "text"
    first = looked[0].text.lstrip()
    if _JSON.match(first) or (".json" in looked[0].path and first[0] in "{["):
        return "json"
    rows = [line.text for line in looked if not is_comment(line.text, TAB)]
    columns = sum(_looks_like_a_column(text, len(rows) == 1) for text in rows)
    return "columns" if 2 * columns > len(rows) else "text"


def _looks_like_a_column(text: str, alone: bool) -> bool:
    token, *more = text.rstrip().split(TAB) if TAB in text else text.split()
    if not more:
        return len(token) == 1 and not alone
    letter, label = split_tag(more[-1])
    if letter in _LETTERS and letter != "O" and label[:1].isalpha():
        return True
    if more[-1] in _LETTERS:
        # "I O U" and "Vitamin B" end like columns.
        return not alone or (len(token) == len(more) == 1 and not token.isascii())
    # A part of speech, say; but behind "1" and a tab there may be a whole text.
    return TAB in text and len(token) == 1 and all(re.fullmatch("[!-~]+", f) for f in more)


def read_items(lines: Iterable[Line], form: str) -> Iterator[Item]:
    """Yields the texts of an input.

    Args:
        lines: All lines.
        form: text, columns or json.

    Raises:
        CorpusError: A line is no JSON object with a text, or a column line has no first column;
            names the line.
        ValueError: There is no such form.

    Example:
        >>> lines = [Line("a", 1, "北"), Line("a", 2, "京"), Line("a", 3, ""), Line("a", 4, "好")]
        >>> [item.text for item in read_items(lines, "columns")]
        ['北京', '好']
    """
    _check_form(form)
    return {"text": _texts, "columns": _columns, "json": _records}[form](lines)


def writer_of(form: str, covers: bool, scheme: Scheme) -> Callable[[Item, Sequence[Span]], str]:
    """Returns the function that writes an item and its spans, line ends included.

    Args:
        form: text, columns or json.
        covers: Whether spans are the words of the text, as text needs.
        scheme: Tags of columns.

    Raises:
        ValueError: There is no such form, or entities cannot be written as text.

    Example:
        >>> from taolu.text.schemes import BMES
        >>> item, spans = Item("我爱北京", Line("", 1, "")), [Span(0, 1), Span(1, 2), Span(2, 4)]
        >>> writer_of("text", True, BMES)(item, spans)
        '我 爱 北京\\n'
    """
    _check_form(form)
    if form == "text" and not covers:
        raise ValueError("`form` must be json or columns for entities. Received: 'text'.")
    if form == "text":
        return _write_words
    return _write_json if form == "json" else lambda item, spans: _write_tags(item, spans, scheme)


def _check_form(form: str) -> None:
    if form not in FORMS:
        raise ValueError(f"`form` must be one of {', '.join(FORMS)}. Received: {form!r}.")


def _texts(lines: Iterable[Line]) -> Iterator[Item]:
    for line in lines:
        yield Item(line.text, line)


def _records(lines: Iterable[Line]) -> Iterator[Item]:
    for line in lines:
        if not line.text.strip():
            continue
        record = parse_record(line)
        key = next((key for key in TEXT_KEYS if isinstance(record.get(key), str)), None)
        if key is None:
            raise fault(line, f"the record has no text in {', '.join(TEXT_KEYS)}.")
        if _HALF.search(record[key]):
            raise fault(line, "the text holds one half of a character (\\ud800 to \\udfff).")
        yield Item(record[key], line, record)


def _columns(lines: Iterable[Line]) -> Iterator[Item]:
    rows: list[Line] = []
    for line in lines:
        if rows and (ends_sentence(line.text) or line.path != rows[0].path):
            yield from _of_rows(rows)
            rows = []
        if not ends_sentence(line.text):
            rows.append(line)
    if rows:
        yield from _of_rows(rows)


def _of_rows(rows: Sequence[Line]) -> Iterator[Item]:
    """The text of some lines of columns, without comments, which only columns with tabs have."""
    sure = [row for row in rows if not is_comment(row.text, TAB)]
    separator = TAB if sure and 2 * sum(TAB in row.text for row in sure) >= len(sure) else " "
    tokens, texts = [], []
    for row in rows:
        if is_comment(row.text, separator):
            continue
        tokens.append(split_columns(row.text, separator)[0])
        texts.append(row.text.rstrip())
        if not tokens[-1]:
            raise fault(row, "there is no character in the first column.")
    if tokens:
        carry = Rows.of(tokens, texts)
        yield Item(carry.text, rows[0], carry)


def _write_words(item: Item, spans: Sequence[Span]) -> str:
    words = [
        item.text[span.start : span.stop] + (f"_{span.label}" if span.label else "")
        for span in spans
    ]
    return " ".join(words) + "\n"


def _write_json(item: Item, spans: Sequence[Span]) -> str:
    entities = [
        {
            "start": span.start,
            "end": span.stop,
            **({"label": span.label} if span.label else {}),
            "text": item.text[span.start : span.stop],
        }
        for span in spans
    ]
    record = item.carry if isinstance(item.carry, dict) else {"text": item.text}
    found = {**record, "entities": entities}
    line = json.dumps(found, ensure_ascii=False)
    if _HALF.search(line):  # which no file can hold but as an escape
        line = json.dumps(found)
    return line + "\n"


def _write_tags(item: Item, spans: Sequence[Span], scheme: Scheme) -> str:
    rows = item.carry
    if not isinstance(rows, Rows):
        # A tab or a line feed would end the column.
        plain = item.text.replace("\t", " ").replace("\n", " ")
        rows = Rows(plain, plain)
    found = rows.spans(spans)
    if not scheme.outside:  # whitespace is no word, but every line needs a tag
        covered = {i for span in found for i in range(span.start, span.stop)}
        label = found[0].label if found else ""
        found += [Span(i, i + 1, label) for i in range(len(rows.tokens)) if i not in covered]
    tags = tags_of(found, len(rows.tokens), scheme)
    separator = TAB if any(TAB in line for line in rows.lines) else " "
    lines = [f"{line}{separator}{tag}\n" for line, tag in zip(rows.lines, tags, strict=True)]
    return "".join(lines) + "\n"
