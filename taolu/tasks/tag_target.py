"""What a head learns and what it answers: labels out of spans, spans out of what it decodes.

Two kinds of heads. Tags: a state for each character, `Scheme` spells the spans. Spans: a score for
every pair of start and end, which may overlap.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from taolu.nn.layers.tag_head import TagHead
from taolu.tasks.tag_examples import Example
from taolu.text.schemes import SCHEMES, Scheme, legality, tag_set
from taolu.text.spans import Span, repaired_spans

HEADS = ("softmax", "memm", "bi-memm", "crf", "pointer")


@dataclass(frozen=True)
class TagTarget:
    """Labels and scheme of a tagger, and the kind of its head.

    Attributes:
        head: One of `HEADS`.
        labels: What a span may be, in order.
        scheme: How tags spell spans.
        covers: Whether every character lies in a span, as when text is cut into words.
        nested: Whether spans may overlap; only the head pointer finds such.
    """

    head: str
    labels: tuple[str, ...]
    scheme: Scheme
    covers: bool
    nested: bool

    @property
    def tags(self) -> tuple[str, ...]:
        """The states of a head for tags."""
        return tag_set(self.labels, self.scheme)

    def make_head(self) -> TagHead:
        """Returns the head, not built."""
        from taolu.nn import layers

        legal = legality(self.tags, self.scheme)
        if self.head == "pointer":
            return layers.GlobalPointer(len(self.labels), low_rank=True, name="head")
        if self.head in ("memm", "bi-memm"):
            return layers.MEMM(bidirectional=self.head == "bi-memm", name="head")
        kind = layers.CRF if self.head == "crf" else layers.SoftmaxHead
        return kind(legal=legal, name="head")

    def learned(self, example: Example) -> np.ndarray:
        """Returns what is to be learned about a sentence, small enough to keep.

        Tags: the state of each character, int32 (characters,). Spans: the cells that are one:
        label, first and last character, int64 (3, spans).
        """
        if self.head == "pointer":
            places = {label: i for i, label in enumerate(self.labels)}
            cells = [(places[span.label], span.start, span.stop - 1) for span in example.spans]
            return np.array(cells, dtype=np.int64).reshape(-1, 3).T
        ids = {tag: i for i, tag in enumerate(self.tags)}
        return np.array([ids[tag] for tag in example.tags(self.scheme)], dtype=np.int32)

    def of_batch(self, learned: Sequence[np.ndarray], width: int, size: int) -> np.ndarray:
        """Returns the labels of a batch, as its head wants them.

        Args:
            learned: What `learned` gave for each sentence, at most `size` of them.
            width: Steps.
            size: Rows.
        """
        if self.head == "pointer":
            cells = np.zeros((size, len(self.labels), width, width), dtype=np.int8)
            for row, places in enumerate(learned):
                cells[row][tuple(places)] = 1
            return cells
        labels = np.full((size, width), -1, dtype=np.int32)
        for row, states in enumerate(learned):
            labels[row, : len(states)] = states
        return labels

    def spans(self, windows: Sequence[tuple[int, int, int, int]], answers) -> list[Span]:
        """Returns the spans of a text from what its windows answered.

        Args:
            windows: Start and stop of each window, and the first and last character it answers for.
            answers: What the head decoded in each: states int (steps,), or scores float (labels,
                steps, steps).
        """
        if self.head == "pointer":
            return self._from_scores(windows, answers)
        names = self.tags
        tags = [
            names[state]
            for (start, _, first, last), states in zip(windows, answers, strict=True)
            for state in states[first - start : last - start].tolist()
        ]
        found = repaired_spans(tags, self.scheme)
        return sorted([*found, *self._gaps(found, len(tags))]) if self.covers else found

    def _from_scores(self, windows, answers) -> list[Span]:
        found: list[tuple[float, Span]] = []
        for (start, _, first, last), cells in zip(windows, answers, strict=True):
            for label, i, j in zip(*np.nonzero(cells > 0), strict=True):
                span = Span(int(start + i), int(start + j + 1), self.labels[label])
                if first <= span.start < last:
                    found.append((-float(cells[label, i, j]), span))
        if self.nested:
            return sorted(span for _, span in found)
        taken: list[Span] = []
        covered: set[int] = set()
        for _, span in sorted(found):
            if covered.isdisjoint(range(span.start, span.stop)):
                covered.update(range(span.start, span.stop))
                taken.append(span)
        if self.covers:
            taken += self._gaps(taken, max((last for *_, last in windows), default=0))
        return sorted(taken)

    def _gaps(self, taken: Sequence[Span], length: int) -> list[Span]:
        """Words where the head saw none: every stretch that is left."""
        edges = [0, *(at for span in sorted(taken) for at in (span.start, span.stop)), length]
        return [
            Span(i, j, self.labels[0])
            for i, j in zip(edges[::2], edges[1::2], strict=True)
            if i < j
        ]

    def as_config(self) -> dict:
        """Returns the target as plain data."""
        return {
            "head": self.head,
            "labels": list(self.labels),
            "scheme": self.scheme.name,
            "covers": self.covers,
            "nested": self.nested,
        }

    @classmethod
    def from_config(cls, config: dict) -> "TagTarget":
        """Returns the target that `as_config` gave."""
        rest = {name: config[name] for name in ("head", "covers", "nested")}
        return cls(labels=tuple(config["labels"]), scheme=SCHEMES[config["scheme"]], **rest)
