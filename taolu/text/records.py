"""Labelled sentences out of JSON lines, in the forms in which annotators write spans.

| form | a record |
| --- | --- |
| objects | `{"text": "...", "entities": [{"start": 0, "end": 2, "label": "PER"}]}` |
| triples | `{"text": "...", "label": [[0, 2, "PER"]]}` |
| mentions | `{"text": "...", "label": {"name": {"彭小军": [[0, 2]]}}}`, ends included (CLUENER) |
| offsets | `{"text": "...", "mention_data": [{"mention": "高铁", "offset": "6"}]}` |
| tags | `{"tokens": ["在", "北", "京"], "tags": ["O", "B-LOC", "I-LOC"]}` |

Ends are taken as the offset behind the last character, unless the mention that stands beside the
offsets says otherwise. Where there is a mention, every span is checked against it.
"""

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from taolu.text.layouts import Line, TaggedSentence, Tokens, fault
from taolu.text.spans import Span

TEXT_KEYS = ("text", "sentence", "content")
SPAN_KEYS = ("entities", "spans", "label", "labels", "mention_data", "annotations")
START_KEYS = ("start", "start_offset", "start_idx", "begin")
END_KEYS = ("end", "end_offset", "end_idx", "stop")
LABEL_KEYS = ("label", "type", "entity_type", "entity")
MENTION_KEYS = ("mention", "entity", "text", "word")
TOKEN_KEYS = ("tokens", "words")
TAG_KEYS = ("tags", "ner_tags", "labels")

_HALF = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True)
class Records:
    """One JSON object a line.

    Args:
        form: objects, triples, mentions, offsets or tags; see the table above.
        text_key: Where the text is, or the tokens.
        spans_key: Where the spans are, or the tags.
        start_key: Where a span of `objects` or `offsets` says where it begins.
        end_key: Where a span of `objects` says where it ends.
        label_key: Where a span says what it is; empty if nowhere, and the label is empty too.
        mention_key: Where a span repeats its text; empty if nowhere.
        end_included: Whether an end is the offset of the last character, not the one behind it.
    """

    form: str
    text_key: str
    spans_key: str
    start_key: str = ""
    end_key: str = ""
    label_key: str = ""
    mention_key: str = ""
    end_included: bool = False

    def __str__(self) -> str:
        ends = ", ends included" if self.end_included else ""
        return f'JSON lines, {self.form} in "{self.spans_key}"{ends}'

    def read(self, lines: Iterable[Line]) -> Iterator[TaggedSentence | Tokens]:
        """Yields the sentences; blank lines are left out.

        Raises:
            CorpusError: A line is no record of this form, or a span is not where it says.
        """
        for line in lines:
            if not line.text.strip():
                continue
            record = parse_record(line)
            for key in (self.text_key, self.spans_key):
                if key not in record:
                    raise fault(line, f'the record has no "{key}".')
            if self.form == "tags":
                yield self._tokens(line, record)
                continue
            text = record[self.text_key]
            if not isinstance(text, str):
                raise fault(line, f'"{self.text_key}" must be a text.')
            if _HALF.search(text):
                raise fault(line, "the text holds one half of a character (\\ud800 to \\udfff).")
            spans = tuple(sorted(self._spans(line, text, record[self.spans_key])))
            yield TaggedSentence(text, spans, (), line.path, line.number)

    def _tokens(self, line: Line, record: dict) -> Tokens:
        tokens, tags = record[self.text_key], record[self.spans_key]
        if not (_are(tokens, str) and _are(tags, str) and len(tokens) == len(tags)):
            raise fault(
                line, f'"{self.text_key}" and "{self.spans_key}" must be equally many texts.'
            )
        if "" in tokens:
            raise fault(line, f'"{self.text_key}" holds an empty text.')
        return Tokens(tokens, tags, [line.number] * len(tokens), line.path)

    def _spans(self, line: Line, text: str, value: Any) -> Iterator[Span]:
        try:
            found = list(self._raw_spans(value))
        except (KeyError, TypeError, ValueError, AttributeError, IndexError):
            raise fault(line, f'"{self.spans_key}" does not hold {self.form}.') from None
        for start, stop, label, mention in found:
            if not 0 <= start < stop <= len(text):
                raise fault(line, f"a span from {start} to {stop} in {len(text)} characters.")
            if mention is not None and text[start:stop] != mention:
                raise fault(
                    line,
                    f"the span from {start} to {stop} is {text[start:stop]!r}, not {mention!r}.",
                )
            yield Span(start, stop, label)

    def _raw_spans(self, value: Any) -> Iterator[tuple[int, int, str, str | None]]:
        more = int(self.end_included)
        if self.form == "mentions":
            for label, mentions in value.items():
                for mention, places in mentions.items():
                    for start, end in places:
                        yield int(start), int(end) + more, label, mention
            return
        for span in value or ():
            if self.form == "triples":
                start, end, label = span[0], span[1], span[2]
                yield int(start), int(end) + more, _text(label), None
                continue
            label = _text(span[self.label_key]) if self.label_key else ""
            mention = _text(span[self.mention_key]) if self.mention_key else None
            start = int(span[self.start_key])
            if self.form == "objects":
                yield start, int(span[self.end_key]) + more, label, mention
            else:
                yield start, start + len(mention or ""), label, mention


def detect_records(lines: Iterable[Line]) -> Records | None:
    """Returns the form of JSON lines, from the first record that holds a span; None if none does.

    Raises:
        CorpusError: A line before it is no JSON object.

    Example:
        >>> span = '{"start": 1, "end": 2, "type": "LOC", "mention": "北京"}'
        >>> record = f'{{"text": "在北京", "entities": [{span}]}}'
        >>> str(detect_records([Line("a.json", 1, record)]))
        'JSON lines, objects in "entities", ends included'
    """
    for line in lines:
        if line.text.strip():
            records = _form_of(parse_record(line))
            if records:
                return records
    return None


def parse_record(line: Line) -> dict[str, Any]:
    """Returns the JSON object of a line.

    Raises:
        CorpusError: It is none.
    """
    try:
        record = json.loads(line.text)
    except (ValueError, RecursionError) as error:
        raise fault(line, f"not valid JSON ({getattr(error, 'msg', error)}).") from None
    if not isinstance(record, dict):
        raise fault(
            line, "each line must hold one JSON object; `jq -c '.[]'` makes lines of a list."
        )
    return record


def _form_of(record: dict[str, Any]) -> Records | None:
    tokens = _key(record, TOKEN_KEYS)
    tags = _key(record, TAG_KEYS)
    if tokens and tags and _are(record[tokens], str) and _are(record[tags], str) and record[tags]:
        return Records("tags", tokens, tags)
    text_key = _key(record, TEXT_KEYS)
    if not text_key or not isinstance(record[text_key], str):
        return None
    for key in SPAN_KEYS:
        value = record.get(key)
        if isinstance(value, dict) and value and _are(list(value.values()), dict):
            return Records("mentions", text_key, key, end_included=True)
        if _are(value, dict) and value:
            return _objects(record[text_key], text_key, key, value[0])
        if _are(value, list) and value and len(value[0]) > 2:
            return Records("triples", text_key, key)
    return None


def _objects(text: str, text_key: str, key: str, span: dict[str, Any]) -> Records | None:
    label = _key(span, LABEL_KEYS)
    mention = _key(span, [key for key in MENTION_KEYS if key != label])
    start, end = _key(span, START_KEYS), _key(span, END_KEYS)
    if start and end:
        included = bool(mention) and _end_included(text, span[start], span[end], span[mention])
        return Records("objects", text_key, key, start, end, label, mention, included)
    if "offset" in span and mention:
        return Records("offsets", text_key, key, "offset", "", label, mention)
    return None


def _end_included(text: str, start: Any, end: Any, mention: Any) -> bool:
    try:
        return text[int(start) : int(end)] != mention == text[int(start) : int(end) + 1]
    except (TypeError, ValueError):
        return False


def _key(record: dict[str, Any], keys: Iterable[str]) -> str:
    return next((key for key in keys if key in record), "")


def _are(values: Any, kind: type) -> bool:
    return isinstance(values, list) and all(isinstance(value, kind) for value in values)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value
