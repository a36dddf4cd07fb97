"""Labelled sentences as a network learns them: folded, cut to length, spelled as tags.

Characters are folded to NFKC, and every offset is kept: what is found in the folded text is told in
the text as it came. A sentence above the limit is cut between spans, behind a full stop or a comma
if there is one, so nothing of it is lost.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from taolu.text.fold import fold
from taolu.text.layouts import TaggedSentence
from taolu.text.schemes import Scheme
from taolu.text.spans import Span, flat_spans, tags_of

STOPS = "。！？!?；;，,、"


@dataclass(frozen=True, slots=True)
class Example:
    """A sentence or part of one.

    Attributes:
        text: Folded.
        spans: What is marked in it, in order.
    """

    text: str
    spans: tuple[Span, ...]

    def tags(self, scheme: Scheme) -> list[str]:
        """Returns one tag for each character; of spans that overlap the longest is tagged."""
        return tags_of(flat_spans(self.spans), len(self.text), scheme)


def examples_of(sentences: Iterable[TaggedSentence], longest: int) -> list[Example]:
    """Returns the sentences folded, those above `longest` characters in parts.

    Example:
        >>> sentence = TaggedSentence("在北京，他说Ａ", (Span(1, 3, "LOC"),))
        >>> [(part.text, part.spans) for part in examples_of([sentence], 4)]
        [('在北京,', (Span(start=1, stop=3, label='LOC'),)), ('他说A', ())]
    """
    found: list[Example] = []
    for sentence in sentences:
        folded = fold(sentence.text)
        spans = tuple(sorted({folded.to_folded(span) for span in sentence.spans}))
        found.extend(_parts(Example(folded.text, spans), longest))
    return found


def _parts(example: Example, longest: int) -> Iterator[Example]:
    start = 0
    while len(example.text) - start > longest:
        stop = _cut(example, start, start + longest)
        yield _part(example, start, stop)
        start = stop
    if example.text:
        yield _part(example, start, len(example.text))


def _cut(example: Example, start: int, latest: int) -> int:
    """The place to cut at, above `start`: behind punctuation, between spans, or anywhere."""
    free = np.ones(latest - start + 1, dtype=bool)
    for span in example.spans:
        free[max(0, span.start + 1 - start) : max(0, span.stop - start)] = False
    free[0] = False
    places = np.flatnonzero(free) + start
    stops = [at for at in places.tolist() if example.text[at - 1] in STOPS]
    # Half a window is context enough; a cut further left would only make more parts.
    stops = [at for at in stops if at - start > (latest - start) // 2]
    return stops[-1] if stops else int(places[-1]) if places.size else latest


def _part(example: Example, start: int, stop: int) -> Example:
    spans = [
        replace(span, start=max(span.start, start) - start, stop=min(span.stop, stop) - start)
        for span in example.spans
        if span.start < stop and span.stop > start
    ]
    return Example(example.text[start:stop], tuple(spans))


def windows(length: int, longest: int, margin: int) -> list[tuple[int, int, int, int]]:
    """Returns windows that overlap and cover a text: (start, stop, first, last).

    A window reads from `start` to `stop` and answers for what begins from `first` to `last`; each
    character has one window that answers for it, with `margin` characters on both sides where the
    text has them.

    Args:
        length: Characters of the text.
        longest: Characters of a window.
        margin: Characters read on each side of those that a window answers for.

    Example:
        >>> windows(10, 6, 1)
        [(0, 6, 0, 5), (4, 10, 5, 10)]
    """
    if length <= longest:
        return [(0, length, 0, length)] if length else []
    step = longest - 2 * margin
    found, first = [], 0
    while first < length:
        start = max(0, min(first - margin, length - longest))
        stop = start + longest
        last = length if stop >= length else stop - margin
        found.append((start, stop, first, last))
        first = last
    assert step > 0
    return found


def bucket_widths(lengths: Sequence[int], most: int, step: int = 8) -> list[int]:
    """Returns the widths that batches are padded to, at most so many, for the least padding.

    Exact, by dynamic programming over the distinct lengths, rounded up to multiples of `step`.

    Args:
        lengths: Lengths of the sentences.
        most: How many widths there may be: each is a program to compile.
        step: Widths are multiples of it.

    Example:
        >>> bucket_widths([3, 4, 5, 6, 7, 30, 31], most=2)
        [8, 32]
    """
    rounded = -(-np.maximum(1, np.asarray(lengths, dtype=np.int64)) // step) * step
    widths, counts = np.unique(rounded, return_counts=True)
    below = np.concatenate([[0], np.cumsum(counts)])
    # cost[j]: padded characters of the sentences of the first j widths, in so many buckets.
    cost = np.concatenate([[0], np.full(len(widths), np.iinfo(np.int64).max // 2)])
    choices = []
    for _ in range(min(most, len(widths))):
        each = cost[:-1, None] + (below[None, 1:] - below[:-1, None]) * widths[None, :]
        each = np.where(np.tri(len(widths), k=0, dtype=bool).T, each, np.iinfo(np.int64).max // 2)
        choices.append(each.argmin(axis=0))
        cost = np.concatenate([[0], each.min(axis=0)])
    chosen, end = [], len(widths)
    for choice in reversed(choices):
        if end == 0:
            break
        chosen.append(int(widths[end - 1]))
        end = int(choice[end - 1])
    return sorted(chosen)
