"""How far the spans that were found are the spans that should have been found.

A span counts as found only if start, stop and label are all right. With h such hits, m spans found
and g in the gold text, added up over all sentences,

    precision = h / m,    recall = h / g,    F1 = 2 h / (m + g)

and a share of nothing is zero. Everything is kept as whole counts, so parts can be added up.
"""

from collections import Counter
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, zip_longest
from typing import TypeVar

from taolu.text.spans import Span

Item = TypeVar("Item")


@dataclass(frozen=True)
class SpanCounts:
    """Counts, and the shares they give.

    Attributes:
        hits: Gold spans that were found.
        found: Spans found, right or wrong.
        gold: Gold spans.
    """

    hits: int
    found: int
    gold: int

    @property
    def precision(self) -> float:
        """Share of the found spans that are gold."""
        return self.hits / max(1, self.found)

    @property
    def recall(self) -> float:
        """Share of the gold spans that were found."""
        return self.hits / max(1, self.gold)

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall."""
        return 2 * self.hits / max(1, self.found + self.gold)

    def __add__(self, other: "SpanCounts") -> "SpanCounts":
        """Returns the counts of both."""
        return SpanCounts(self.hits + other.hits, self.found + other.found, self.gold + other.gold)


@dataclass(frozen=True)
class SpanScore:
    """The score of a text.

    Attributes:
        overall: All spans together (micro average).
        labels: Each label by itself, in order of name.
        confusion: How often a gold label (row) was found as a label (column), at the same start and
            stop. The label None stands for no such span: (gold, None) was missed, (None, found)
            made up. Every gold span stands in one cell of its row, every found one in one of its
            column.
        sentences: Number of sentences.
        exact_sentences: How many have all spans right and no others.
    """

    overall: SpanCounts
    labels: Mapping[str, SpanCounts]
    confusion: Mapping[tuple[str | None, str | None], int]
    sentences: int
    exact_sentences: int

    @property
    def macro_f1(self) -> float:
        """Mean F1 of the labels in the gold text; zero if there are none."""
        scores = [counts.f1 for counts in self.labels.values() if counts.gold]
        return sum(scores) / max(1, len(scores))


def score_spans(gold: Iterable[Iterable[Span]], found: Iterable[Iterable[Span]]) -> SpanScore:
    """Returns precision, recall and F1 of spans, over all and for each label.

    Args:
        gold: Spans of each sentence; they may overlap. What is said twice counts once.
        found: Spans of the same sentences, as a model found them.

    Raises:
        ValueError: One has more sentences than the other.

    Example:
        >>> gold = [[Span(0, 2, "PER"), Span(3, 5, "LOC")]]
        >>> score = score_spans(gold, [[Span(0, 2, "PER"), Span(3, 5, "ORG")]])
        >>> score.overall.f1, score.labels["PER"].f1, score.confusion["LOC", "ORG"]
        (0.5, 1.0, 1)
    """
    confusion: Counter[tuple[str | None, str | None]] = Counter()
    sentences = exact = 0
    for one, other in _both(gold, found):
        wanted, made = set(one), set(other)
        confusion.update(_confusions(wanted, made))
        sentences, exact = sentences + 1, exact + (wanted == made)
    names = sorted({name for pair in confusion for name in pair if name is not None})
    labels = {name: _counts(confusion, name) for name in names}
    overall = sum(labels.values(), SpanCounts(0, 0, 0))
    return SpanScore(overall, labels, dict(confusion), sentences, exact)


def score_words(gold: Iterable[Sequence[str]], cut: Iterable[Sequence[str]]) -> SpanCounts:
    """Returns precision, recall and F1 of the words of a segmentation.

    Args:
        gold: Words of each sentence.
        cut: Words of the same sentences, cut by a segmenter.

    Raises:
        ValueError: One has more sentences than the other, or the characters differ.

    Example:
        >>> score_words([["我", "爱", "北京"]], [["我爱", "北京"]]).f1
        0.4
    """
    total = SpanCounts(0, 0, 0)
    for words, other in _cuts(gold, cut):
        wanted, made = _ends(words), _ends(other)
        total += SpanCounts(len(wanted & made), len(made), len(wanted))
    return total


@dataclass(frozen=True)
class UnseenScore:
    """Recall of gold words that a dictionary lacks, and of those it has.

    Attributes:
        unseen_hits: Unseen words that were cut right.
        unseen: Unseen words of the gold text.
        seen_hits: Words of the dictionary that were cut right.
        seen: Words of the dictionary in the gold text.
    """

    unseen_hits: int
    unseen: int
    seen_hits: int
    seen: int

    @property
    def unseen_recall(self) -> float:
        """Share of the unseen words that were cut right; zero if there are none."""
        return self.unseen_hits / max(1, self.unseen)

    @property
    def seen_recall(self) -> float:
        """Share of the words of the dictionary that were cut right; zero if there are none."""
        return self.seen_hits / max(1, self.seen)

    @property
    def unseen_share(self) -> float:
        """Share of the gold words that are unseen."""
        return self.unseen / max(1, self.unseen + self.seen)


def score_unseen(
    gold: Iterable[Sequence[str]], cut: Iterable[Sequence[str]], known: Container[str]
) -> UnseenScore:
    """Returns the recall of words outside and inside of a dictionary: R_oov and R_iv of SIGHAN.

    Args:
        gold: Words of each sentence.
        cut: Words of the same sentences, cut by a segmenter.
        known: The words of the training text; a set is fast.

    Raises:
        ValueError: One has more sentences than the other, or the characters differ.

    Example:
        >>> score = score_unseen([["我", "爱", "北京"]], [["我", "爱", "北", "京"]], {"我", "爱"})
        >>> score.unseen_recall, score.seen_recall, score.unseen
        (0.0, 1.0, 1)

    References:
        Emerson, The second international Chinese word segmentation bakeoff, 2005.
    """
    totals: Counter[bool] = Counter()
    hits: Counter[bool] = Counter()
    for words, other in _cuts(gold, cut):
        made, start = _ends(other), 0
        for word in words:
            totals[word in known] += 1
            hits[word in known] += (start, start + len(word)) in made
            start += len(word)
    return UnseenScore(hits[False], totals[False], hits[True], totals[True])


def _cuts(gold, cut) -> Iterator[tuple[Sequence[str], Sequence[str]]]:
    """Both cuts of each sentence."""
    for number, (words, other) in enumerate(_both(gold, cut), start=1):
        if "".join(words) != "".join(other):
            raise ValueError(
                f"`cut` must hold the characters of `gold`. Received: sentence {number}, "
                f"{''.join(other)!r} for {''.join(words)!r}."
            )
        yield words, other


def _ends(words: Sequence[str]) -> set[tuple[int, int]]:
    """Where words start and stop: plain pairs, as a text has hundreds of thousands."""
    stops = list(accumulate(map(len, words)))
    return set(zip([0, *stops[:-1]], stops, strict=True)) if stops else set()


def _both(gold: Iterable[Item], found: Iterable[Item]) -> Iterator[tuple[Item, Item]]:
    none = object()
    for number, (one, other) in enumerate(zip_longest(gold, found, fillvalue=none)):
        if one is none or other is none:
            shorter = "gold" if one is none else "found"
            raise ValueError(
                "`gold` and what was found must have the same sentences. "
                f"Received: {number} in the {shorter} ones, more in the others."
            )
        yield one, other  # type: ignore[misc]


def _confusions(gold: set[Span], found: set[Span]) -> Iterator[tuple[str | None, str | None]]:
    yield from ((span.label, span.label) for span in gold & found)
    places = sorted({(span.start, span.stop) for span in gold ^ found})
    missed, made_up = sorted(gold - found), sorted(found - gold)
    for place in places:
        # In order of label, should several have the same place.
        rows = [span.label for span in missed if (span.start, span.stop) == place]
        columns = [span.label for span in made_up if (span.start, span.stop) == place]
        yield from zip_longest(rows, columns)


def _counts(confusion: Mapping[tuple[str | None, str | None], int], name: str) -> SpanCounts:
    return SpanCounts(
        confusion.get((name, name), 0),
        sum(count for (_, found), count in confusion.items() if found == name),
        sum(count for (gold, _), count in confusion.items() if gold == name),
    )
