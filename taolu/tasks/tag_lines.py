"""Texts to tag out of lines, and the lines with what was found: text, columns or JSON, in and out.

| form | in | out |
| --- | --- | --- |
| text | one text a line | its words, one space apart, `word_LABEL` where they have labels |
| columns | a character or word a line, blank lines between texts | each line with its tag behind |
| json | an object with a text | the object with the spans as "entities" |

Texts stay in order, and there is one out for each that came in.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from taolu.text.layouts import TAB, Line, ends_sentence, fault, split_columns
from taolu.text.records import TEXT_KEYS, parse_record
from taolu.text.schemes import Scheme
from taolu.text.spans import Span, tags_of

FORMS = ("text", "columns", "json")


@dataclass(frozen=True)
class Item:
    """A text to tag.

    Attributes:
        text: The text.
        line: Its first line.
        carry: What goes out again beside it: the object of JSON, or the fields of each column line.
    """

    text: str
    line: Line
    carry: Any = None


def detect_form(line: Line) -> str:
    """Returns the form that the first line of an input has.

    JSON begins with a brace. In columns a line is a single character, or has a tab.

    Example:
        >>> texts = "我在北京", '{"text": "我"}', "我", "我 O"
        >>> [detect_form(Line("a", 1, text)) for text in texts]
        ['text', 'json', 'columns', 'columns']
    """
    if line.text.lstrip().startswith('{"'):
        return "json"
    if TAB in line.text:
        return "columns"
    token, *tag = line.text.split() or [""]
    named = len(tag) == 1 and tag[0][0] in "BIMESOLU" and tag[0].isascii()
    return "columns" if len(token) == 1 and (named or not tag) else "text"


def read_items(lines: Iterable[Line], form: str) -> Iterator[Item]:
    """Yields the texts of an input.

    Args:
        lines: All lines.
        form: text, columns or json.

    Raises:
        CorpusError: A line is no JSON object with a text, or a column line has no first column;
            names the line.

    Example:
        >>> lines = [Line("a", 1, "北"), Line("a", 2, "京"), Line("a", 3, ""), Line("a", 4, "好")]
        >>> [item.text for item in read_items(lines, "columns")]
        ['北京', '好']
    """
    return {"text": _texts, "columns": _columns, "json": _records}[form](lines)


def writer_of(form: str, covers: bool, scheme: Scheme) -> Callable[[Item, Sequence[Span]], str]:
    """Returns the function that writes an item and its spans, line ends included.

    Args:
        form: text, columns or json.
        covers: Whether spans are the words of the text, as text needs.
        scheme: Tags of columns.

    Raises:
        ValueError: Entities cannot be written as text.

    Example:
        >>> from taolu.text.schemes import BMES
        >>> item, spans = Item("我爱北京", Line("", 1, "")), [Span(0, 1), Span(1, 2), Span(2, 4)]
        >>> writer_of("text", True, BMES)(item, spans)
        '我 爱 北京\\n'
    """
    if form == "text" and not covers:
        raise ValueError("`form` must be json or columns for entities. Received: 'text'.")
    if form == "text":
        return _write_words
    return _write_json if form == "json" else lambda item, spans: _write_tags(item, spans, scheme)


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
        yield Item(record[key], line, record)


def _columns(lines: Iterable[Line]) -> Iterator[Item]:
    rows: list[tuple[str, str]] = []
    first: Line | None = None
    for line in lines:
        if first is not None and (ends_sentence(line.text) or line.path != first.path):
            yield Item("".join(token for token, _ in rows), first, rows)
            rows, first = [], None
        if ends_sentence(line.text):
            continue
        separator = TAB if TAB in line.text else " "
        token = split_columns(line.text, separator)[0]
        if not token:
            raise fault(line, "there is no character in the first column.")
        first = first or line
        rows.append((token, line.text.rstrip()))
    if first is not None:
        yield Item("".join(token for token, _ in rows), first, rows)


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
    return json.dumps({**record, "entities": entities}, ensure_ascii=False) + "\n"


def _write_tags(item: Item, spans: Sequence[Span], scheme: Scheme) -> str:
    rows = item.carry if isinstance(item.carry, list) else [(c, c) for c in item.text]
    found = _of_tokens(spans, [token for token, _ in rows])
    if not scheme.outside:  # whitespace is no word, but every line needs a tag
        covered = {i for span in found for i in range(span.start, span.stop)}
        label = found[0].label if found else ""
        found += [Span(i, i + 1, label) for i in range(len(rows)) if i not in covered]
    tags = tags_of(found, len(rows), scheme)
    separator = TAB if any(TAB in line for _, line in rows) else " "
    lines = [f"{line}{separator}{tag}\n" for (_, line), tag in zip(rows, tags, strict=True)]
    return "".join(lines) + "\n"


def _of_tokens(spans: Sequence[Span], tokens: Sequence[str]) -> list[Span]:
    """Spans of characters as spans of tokens: every token that they touch, once."""
    place = [i for i, token in enumerate(tokens) for _ in token]
    found, free = [], 0
    for span in spans:
        start, stop = max(free, place[span.start]), place[span.stop - 1] + 1
        if start < stop:
            found.append(Span(start, stop, span.label))
            free = stop
    return found
