"""Labelled sentences as a network learns them: folded, cut to length, spelled as tags.

Characters are folded to NFKC, and every offset is kept: what is found in the folded text is told in
the text as it came. A sentence above the limit is cut between spans, behind a full stop or a comma
if there is one, so nothing of it is lost.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from taolu.text.fold import Folded, fold
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
    """Returns the sentences folded, those above `longest` characters in parts; empty ones left out.

    Parts end behind a full stop or a comma, at least between spans; only a span that is itself
    longer than `longest` is cut, and each of its pieces stays a span.

    Args:
        sentences: Labelled sentences.
        longest: Most characters of an example, at least 1.

    Raises:
        ValueError: `longest` is below 1.

    Example:
        >>> sentence = TaggedSentence("在北京，他说Ａ", (Span(1, 3, "LOC"),))
        >>> [(part.text, part.spans) for part in examples_of([sentence], 4)]
        [('在北京,', (Span(start=1, stop=3, label='LOC'),)), ('他说A', ())]
    """
    if longest < 1:
        raise ValueError(f"`longest` must be at least 1. Received: longest={longest}.")
    found: list[Example] = []
    for sentence in sentences:
        folded = fold(sentence.text)
        example = Example(folded.text, _folded_spans(sentence.spans, folded))
        found.extend(_parts(example, longest))
    return found


def _folded_spans(spans: Sequence[Span], folded: Folded) -> tuple[Span, ...]:
    """Spans in the folded text; those that did not overlap do not there either."""
    ends = {span.stop for span in spans}
    found = set()
    for span in spans:
        there = folded.to_folded(span)
        first = int(folded.starts[there.start])
        start = there.start
        # A span that ends within what folds into one piece, such as e and its accent, takes it.
        if not ends.isdisjoint(range(first + 1, span.start + 1)):
            start = int(np.searchsorted(folded.starts, first, side="right"))
        if start < there.stop:
            found.add(replace(there, start=start))
    return tuple(sorted(found))


def _parts(example: Example, longest: int) -> Iterator[Example]:
    if len(example.text) <= longest:
        if example.text:
            yield example
        return
    bounds = _bounds(example, longest)
    spans: list[list[Span]] = [[] for _ in bounds[1:]]
    for span in example.spans:
        first = bisect_right(bounds, span.start) - 1
        for i in range(first, bisect_left(bounds, span.stop)):
            start, stop = max(span.start, bounds[i]), min(span.stop, bounds[i + 1])
            spans[i].append(replace(span, start=start - bounds[i], stop=stop - bounds[i]))
    for (start, stop), inside in zip(pairwise(bounds), spans, strict=True):
        yield Example(example.text[start:stop], tuple(inside))


def _bounds(example: Example, longest: int) -> list[int]:
    """Where the parts begin, and where the last one ends."""
    length = len(example.text)
    changes = np.zeros(length + 1, dtype=np.int64)
    for span in example.spans:
        changes[span.start + 1] += 1
        changes[span.stop] -= 1
    free = np.cumsum(changes) == 0
    bounds = [0]
    while length - bounds[-1] > longest:
        start = bounds[-1]
        places = np.flatnonzero(free[start + 1 : start + longest + 1]) + start + 1
        bounds.append(_cut(example.text, start, places.tolist(), start + longest))
    return [*bounds, length]


def _cut(text: str, start: int, places: Sequence[int], latest: int) -> int:
    """The place to cut at, above `start`: behind punctuation, between spans, or anywhere."""
    # Half a window is context enough; a cut further left would only make more parts.
    for at in reversed(places):
        if at - start <= (latest - start) // 2:
            break
        if text[at - 1] in STOPS:
            return at
    return places[-1] if places else latest


def windows(length: int, longest: int, margin: int) -> list[tuple[int, int, int, int]]:
    """Returns windows that overlap and cover a text: (start, stop, first, last).

    A window reads from `start` to `stop` and answers for what begins from `first` to `last`; each
    character has one window that answers for it, with `margin` characters on both sides where the
    text has them.

    Args:
        length: Characters of the text.
        longest: Characters of a window.
        margin: Characters read on each side of those that a window answers for.

    Raises:
        ValueError: Nothing would be left between the margins of a window.

    Example:
        >>> windows(10, 6, 1)
        [(0, 6, 0, 5), (4, 10, 5, 10)]
    """
    if margin < 0 or longest <= 2 * margin:
        raise ValueError(
            "`longest` must be above twice `margin`, which is at least 0. "
            f"Received: longest={longest}, margin={margin}."
        )
    if length <= longest:
        return [(0, length, 0, length)] if length else []
    found, first = [], 0
    while first < length:
        start = max(0, min(first - margin, length - longest))
        stop = start + longest
        last = length if stop >= length else stop - margin
        found.append((start, stop, first, last))
        first = last
    return found


def bucket_widths(lengths: Sequence[int], most: int, step: int = 8, each: float = 0.0) -> list[int]:
    """Returns the widths that batches are padded to, at most so many, for the least padding.

    Exact, by dynamic programming over the distinct lengths, rounded up to multiples of `step`.

    Args:
        lengths: Lengths of the sentences.
        most: How many widths there may be: each is a program to compile.
        step: Widths are multiples of it.
        each: What one more width costs, in characters of padding: the time of a program to compile.

    Raises:
        ValueError: `most` or `step` is below 1.

    Example:
        >>> bucket_widths([3, 4, 5, 6, 7, 30, 31], most=2)
        [8, 32]
    """
    if most < 1 or step < 1:
        raise ValueError(
            f"`most` and `step` must be at least 1. Received: most={most}, step={step}."
        )
    rounded = -(-np.maximum(1, np.asarray(lengths, dtype=np.int64)) // step) * step
    widths, counts = np.unique(rounded, return_counts=True)
    if not widths.size:
        return []
    below = np.concatenate([[0], np.cumsum(counts)])
    # cost[j]: padded characters of the sentences of the first j widths, in so many buckets.
    cost = np.concatenate([[0], np.full(len(widths), np.iinfo(np.int64).max // 2)])
    choices, totals = [], []
    for count in range(1, min(most, len(widths)) + 1):
        bigger = cost[:-1, None] + (below[None, 1:] - below[:-1, None]) * widths[None, :]
        bigger = np.where(np.tri(len(widths), dtype=bool).T, bigger, np.iinfo(np.int64).max // 2)
        choices.append(bigger.argmin(axis=0))
        cost = np.concatenate([[0], bigger.min(axis=0)])
        totals.append(cost[-1] + count * each)
    chosen, end = [], len(widths)
    count = min(range(len(totals)), key=totals.__getitem__, default=-1) + 1
    for choice in reversed(choices[:count]):
        if end == 0:
            break
        chosen.append(int(widths[end - 1]))
        end = int(choice[end - 1])
    return sorted(chosen)
