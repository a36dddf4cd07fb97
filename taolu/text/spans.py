"""Spans of characters, and the tags that spell them.

A span is a stretch of a text with a label: an entity, or, with an empty label, a word. Tags say the
same with one letter on each character (see `taolu.text.schemes`), as long as no spans overlap:

    tags_of(spans_of(tags)) == tags,    spans_of(tags_of(spans)) == spans

`spans_of` takes only tags that keep the rules. `repaired_spans` takes any: it reads broken ones as
the conlleval script of the CoNLL shared tasks does.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from taolu.text.schemes import Scheme


@dataclass(frozen=True, order=True, slots=True)
class Span:
    """A labelled stretch of a text.

    Args:
        start: Offset of the first character, at least 0.
        stop: Offset behind the last one, above `start`.
        label: What it is; empty for a word.

    Raises:
        ValueError: The span is empty or begins before the text.

    Example:
        >>> span = Span(2, 4, "LOC")
        >>> "我爱北京"[span.start : span.stop], len(span)
        ('北京', 2)
    """

    start: int
    stop: int
    label: str = ""

    def __post_init__(self) -> None:
        if not 0 <= self.start < self.stop:
            raise ValueError(
                "a span must have 0 <= start < stop. "
                f"Received: start={self.start}, stop={self.stop}."
            )

    def __len__(self) -> int:
        return self.stop - self.start


def spans_of(tags: Sequence[str], scheme: Scheme) -> list[Span]:
    """Returns the spans that tags spell, in order.

    Args:
        tags: One for each character.
        scheme: Their scheme.

    Raises:
        ValueError: A tag is none of the scheme, or breaks a rule; names the position and the rule.

    Example:
        >>> from taolu.text.schemes import BIO
        >>> spans_of(["B-PER", "I-PER", "O", "B-LOC"], BIO)
        [Span(start=0, stop=2, label='PER'), Span(start=3, stop=4, label='LOC')]
        >>> spans_of(["O", "I-PER"], BIO)
        Traceback (most recent call last):
        ValueError: `tags` must follow BIO; repaired_spans takes others. Received: I-PER without
        its B-PER, at position 1.
    """
    before: str | None = None
    for position, tag in enumerate([*tags, None]):
        rule = scheme.broken_rule(before, tag)
        if rule:
            raise ValueError(
                f"`tags` must follow {scheme.name}; repaired_spans takes others. "
                f"Received: {rule}, at position {position - scheme.blames_before(tag)}."
            )
        before = tag
    return repaired_spans(tags, scheme)


def repaired_spans(tags: Sequence[str], scheme: Scheme) -> list[Span]:
    """Returns the spans of tags that may break the rules, in order.

    A span begins at every begin or single tag, and at an inside or end tag with no span of its
    label open. It ends behind an end or single tag, and before the next span, before O and at the
    end of the text. So no marked character is lost: an I-PER without its B-PER begins a span, and
    a B-PER without its E-PER is a span up to where it breaks off.

    Args:
        tags: One for each character.
        scheme: Their scheme.

    Raises:
        ValueError: A tag is none of the scheme.

    Example:
        >>> from taolu.text.schemes import BIO
        >>> repaired_spans(["O", "I-PER", "I-PER", "I-LOC"], BIO)
        [Span(start=1, stop=3, label='PER'), Span(start=3, stop=4, label='LOC')]

    References:
        Tjong Kim Sang, Buchholz, Introduction to the CoNLL-2000 shared task: chunking, 2000.
    """
    spans: list[Span] = []
    before, start, label = None, -1, ""
    for position, tag in enumerate(tags):
        opens = scheme.opens(before, tag)
        if start >= 0 and (opens or tag == scheme.outside):
            spans.append(Span(start, position, label))
            start = -1
        if opens:
            start, label = position, scheme.parse(tag)[1]
        before = tag
    if start >= 0:
        spans.append(Span(start, len(tags), label))
    return spans


def tags_of(spans: Iterable[Span], length: int, scheme: Scheme) -> list[str]:
    """Returns the tags that spell the spans, one for each character.

    Args:
        spans: Spans that do not overlap, in any order.
        length: Characters of the text.
        scheme: The scheme to write.

    Raises:
        ValueError: Two spans overlap, one ends behind the text, or the scheme has no tag for a
            character outside.

    Example:
        >>> from taolu.text.schemes import BILOU, BMES
        >>> tags_of([Span(0, 2, "PER"), Span(3, 4, "LOC")], 5, BILOU)
        ['B-PER', 'L-PER', 'O', 'U-LOC', 'O']
        >>> tags_of(word_spans(["我", "爱", "天安门"]), 5, BMES)
        ['S', 'S', 'B', 'M', 'E']
    """
    tags = [scheme.outside] * length
    last: Span | None = None
    for span in sorted(spans):
        _check(span, last, length)
        follows = last is not None and (last.stop, last.label) == (span.start, span.label)
        tags[span.start : span.stop] = _tags_of_span(span, scheme, follows)
        last = span
    if not scheme.outside and "" in tags:
        raise ValueError(
            f"`spans` must cover every character: {scheme.name} has no tag for one outside. "
            f"Received: none at position {tags.index('')} of {length}."
        )
    return tags


def convert(tags: Sequence[str], source: Scheme, target: Scheme) -> list[str]:
    """Returns the tags of the same spans in another scheme.

    Raises:
        ValueError: The tags break a rule of `source`, or `target` cannot spell their spans.

    Example:
        >>> from taolu.text.schemes import BIO, IOB1
        >>> convert(["I-PER", "B-PER", "I-PER"], IOB1, BIO)
        ['B-PER', 'B-PER', 'I-PER']
    """
    return tags_of(spans_of(tags, source), len(tags), target)


def flat_spans(spans: Iterable[Span]) -> list[Span]:
    """Returns spans that do not overlap, as tags need them, in order.

    Of spans that overlap the longest stays; of equally long ones that which begins first; then the
    first label in order of code points. A span that only touches another does not overlap it.

    Example:
        >>> flat_spans([Span(0, 4, "ORG"), Span(0, 2, "LOC"), Span(4, 6, "PER")])
        [Span(start=0, stop=4, label='ORG'), Span(start=4, stop=6, label='PER')]
    """
    kept: list[Span] = []
    covered: set[int] = set()
    for span in sorted(set(spans), key=lambda span: (-len(span), span)):
        places = range(span.start, span.stop)
        if covered.isdisjoint(places):
            covered.update(places)
            kept.append(span)
    return sorted(kept)


def word_spans(words: Iterable[str]) -> list[Span]:
    """Returns where the words of a sentence stand in it, with empty labels.

    Raises:
        ValueError: A word is empty.

    Example:
        >>> word_spans(["我", "爱", "北京"])[-1]
        Span(start=2, stop=4, label='')
    """
    spans, start = [], 0
    for word in words:
        spans.append(Span(start, start + len(word)))
        start += len(word)
    return spans


def words_of(text: str, spans: Iterable[Span]) -> list[str]:
    """Returns the stretches of the text that the spans name.

    Raises:
        ValueError: A span ends behind the text.

    Example:
        >>> from taolu.text.schemes import BMES
        >>> words_of("我爱北京", spans_of(["S", "S", "B", "E"], BMES))
        ['我', '爱', '北京']
    """
    words = []
    for span in spans:
        _check(span, None, len(text))
        words.append(text[span.start : span.stop])
    return words


def _check(span: Span, last: Span | None, length: int) -> None:
    if span.stop > length:
        raise ValueError(
            f"`spans` must end within the {length} characters there are. Received: {span}."
        )
    if last is not None and span.start < last.stop:
        raise ValueError(
            f"`spans` must not overlap; flat_spans leaves the longest. Received: {last} and {span}."
        )


def _tags_of_span(span: Span, scheme: Scheme, follows: bool) -> list[str]:
    inside = scheme.tag("I", span.label)
    if scheme.begin_is_rare and not follows:
        return [inside] * len(span)
    begin = scheme.tag("B", span.label)
    if not scheme.end:
        return [begin] + [inside] * (len(span) - 1)
    if len(span) == 1:
        return [scheme.tag("S", span.label)]
    return [begin, *[inside] * (len(span) - 2), scheme.tag("E", span.label)]
