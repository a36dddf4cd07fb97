"""The cheapest way to put a sentence together from templates, one inside the other.

A sentence, and what fills a slot, is a row of items; an item is a word, or a template whose slots
are filled. Every word is said once, and nothing crosses. With costs for words, templates, the end
of a slot, and each item that stands beside another without a template that joins them,

    row(i, j)   = min over k of  item(i, k) + beside + row(k, j),    or item(i, j) itself
    item(i, j)  = word, or min over templates of  cost + sum over slots (row of the slot + slot end)

an interval dynamic programme: spans are solved from the last start to the first, and for each start
all templates are matched together, in a trie whose edges are words and slots.
"""

import heapq
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

from taolu.mine.template_chart import TIE, build_rules, parse_one
from taolu.mine.templates import Part, Templates, check_template

NULL = -20.0  # nats; what an item costs that no template joins to the one before

# Records of a parse.
WORD_ITEM, SLOT = -1, -2


@dataclass(frozen=True)
class Parse:
    """A word, a template with its slots filled, or a row of these.

    Attributes:
        words: The words it covers.
        parts: Words and slots (None) of the template; nothing for a row, the word for a word.
        inside: What fills each slot in turn; the items of a row.
    """

    words: tuple[str, ...]
    parts: tuple[Part, ...] = ()
    inside: tuple["Parse", ...] = ()

    def spans(self, start: int = 0) -> Iterator[tuple[int, int]]:
        """Yields the first word and the one after the last of all that is put together.

        The items of a row are yielded, the row is not, unless it fills a slot or is the sentence.
        """
        yield start, start + len(self.words)
        for at, part in self.placed(start):
            yield from part.spans(at)

    def placed(self, start: int = 0) -> Iterator[tuple[int, "Parse"]]:
        """Yields where each part inside starts, and the part."""
        fillers = iter(self.inside)
        for part in self.parts or (None,) * len(self.inside):
            if part is None:
                filler = next(fillers)
                yield start, filler
                start += len(filler.words)
            else:
                start += 1

    def __str__(self) -> str:
        """The parse in one line: templates in brackets, each slot's filling in braces."""
        if self.parts and not self.inside:
            return self.parts[0] or "" if len(self.parts) == 1 else f"[{' '.join(self.words)}]"
        fillers = iter(self.inside)
        if not self.parts:
            return " ".join(map(str, self.inside))
        return "[" + " ".join(p or "{" + str(next(fillers)) + "}" for p in self.parts) + "]"


class TemplateParser:
    """Puts sentences together from templates.

    Args:
        templates: The templates, with how often each is used.
        word_costs: Cost of words as items; by default words cost nothing.
        costs: Cost of each template, (templates,); by default minus the natural log of its share.
        slot_end: Cost of the end of a slot.
        beside: Cost of each item of a row but the first.
        longest_slot: Most words of a slot.

    Raises:
        ValueError: An argument is out of range, or a template is none.

    Example:
        The sentence of the article, with four templates:

        >>> parts = [(None, "呢"), (None, "是", "什么"), (None, "的", None), (None, "和", None)]
        >>> parser = TemplateParser(Templates(tuple(parts), np.array([6, 4, 3, 3])))
        >>> str(parser.parse("苹果 的 颜色 是 什么 呢".split()))
        '[{[{[{苹果} 的 {颜色}]} 是 什么]} 呢]'

    References:
        Su Jianlin, 最小熵原理（三）：“飞象过河”之句模版和语言结构, 2018.
    """

    def __init__(
        self,
        templates: Templates,
        word_costs: Mapping[str, float] | None = None,
        *,
        costs=None,
        slot_end: float = 0.0,
        beside: float = -NULL,
        longest_slot: int = 64,
    ) -> None:
        for parts in templates.parts:
            check_template(parts)
        if longest_slot < 1:
            raise ValueError(
                f"`longest_slot` must be at least 1. Received: longest_slot={longest_slot}."
            )
        for name, value in (("slot_end", slot_end), ("beside", beside)):
            if not (math.isfinite(value) and value >= 0):
                raise ValueError(f"`{name}` must be finite, 0 or more. Received: {name}={value}.")
        self.templates = templates
        if costs is None:
            costs = np.log(templates.count.sum()) - np.log(templates.count)
        self.costs = np.asarray(costs, dtype=np.float64)
        if self.costs.shape != (len(templates),) or not np.isfinite(self.costs).all():
            raise ValueError(
                f"`costs` must hold a finite number for each of {len(templates)} templates. "
                f"Received: {self.costs}."
            )
        names = dict.fromkeys(p for parts in templates.parts for p in parts if p is not None)
        given = word_costs or {}
        self.vocabulary = {word: i for i, word in enumerate(dict.fromkeys([*names, *given]))}
        # What has no cost, the last row for words nobody named, costs as much as the dearest word.
        self.word_costs = np.full(len(self.vocabulary) + 1, max(given.values(), default=0.0))
        for word, cost in given.items():
            self.word_costs[self.vocabulary[word]] = cost
        self.word_costs += TIE
        self.costs = self.costs + TIE
        self.rules = build_rules(self.templates.parts, self.vocabulary, self.costs)
        self.slot_end, self.beside, self.longest_slot = slot_end, beside, longest_slot

    def parse(self, words: Sequence[str]) -> Parse:
        """Returns the cheapest parse of a sentence of words, whatever they are.

        Takes time of the third power of the number of words, up to `longest_slot`.
        """
        words = tuple(words)
        unknown = len(self.vocabulary)
        ids = np.array([self.vocabulary.get(word, unknown) for word in words], dtype=np.int32)
        limits = self.longest_slot, ids.size
        prices = np.array([self.slot_end, self.beside])
        records = np.empty((4 * ids.size + 4, 3), dtype=np.int64)
        used = parse_one(ids, self.rules, self.word_costs, prices, limits, records)[1]
        rows = iter(records[:used].tolist())
        return _joined(_row(rows, words, self.templates.parts, 0, len(words)))

    def alone(self, words: Sequence[str]) -> float:
        """Returns what a sentence costs word by word, without templates."""
        rows = [self.vocabulary.get(word, -1) for word in words]
        return float(self.word_costs[rows].sum() + self.beside * max(0, len(rows) - 1))

    def best(self, words: Sequence[str], most: int = 5) -> list[tuple[float, Parse]]:
        """Returns the cheapest parses with their costs, the cheapest first.

        In plain Python, with lists of the cheapest ways in place of single ones, for sentences to
        look at: it takes `most` times as long, and more.

        Args:
            words: The words of the sentence, at least one.
            most: How many parses.
        """
        if not words or most < 1:
            raise ValueError(
                "`words` must not be empty, and `most` must be at least 1. "
                f"Received: {len(words)} words, most={most}."
            )
        ways = _Ways(self, tuple(words), most).row(0, len(words), outside=True)
        return [(cost, _joined(items)) for cost, items in ways]


def _joined(items: tuple[Parse, ...]) -> Parse:
    if len(items) == 1:
        return items[0]
    return Parse(tuple(word for item in items for word in item.words), (), items)


class _Ways:
    """The cheapest ways to say each span of a sentence, each with its cost, the cheapest first."""

    def __init__(self, parser: TemplateParser, words: tuple[str, ...], most: int) -> None:
        self.parser, self.words, self.most = parser, words, most
        self.row, self.item = cache(self._row), cache(self._item)
        here = set(words)
        self.rules = [
            (parts, cost)
            for parts, cost in zip(parser.templates.parts, parser.costs.tolist(), strict=True)
            if all(part is None or part in here for part in parts)
        ]

    def _row(self, start, stop, outside=False) -> list[tuple[float, tuple[Parse, ...]]]:
        found: list[tuple[float, tuple[Parse, ...]]]
        found = [(cost, (item,)) for cost, item in self.item(start, stop)]
        beside = self.parser.beside + (TIE if outside else 0.0)
        for middle in range(start + 1, stop):
            for cost, item in self.item(start, middle):
                rest = self.row(middle, stop, outside)
                found += [(cost + beside + more, (item, *items)) for more, items in rest]
        return self._cheapest(found)

    def _item(self, start, stop) -> list[tuple[float, Parse]]:
        found = []
        if stop == start + 1:
            word = self.words[start]
            number = self.parser.vocabulary.get(word, -1)
            found.append((self.parser.word_costs[number].item(), Parse((word,), (word,))))
        for parts, cost in self.rules:
            for more, inside in self._filled(parts, start, stop):
                found.append((cost + more, Parse(self.words[start:stop], parts, inside)))
        return self._cheapest(found)

    def _filled(self, parts, start, stop) -> list[tuple[float, tuple[Parse, ...]]]:
        """Ways to read a span as these parts."""
        if not parts:
            return [(0.0, ())] if start == stop else []
        least = len(parts)
        if stop - start < least:
            return []
        if parts[0] is not None:
            some = self.words[start] == parts[0]
            return self._filled(parts[1:], start + 1, stop) if some else []
        found = []
        last = min(stop - least + 1, start + self.parser.longest_slot)
        for middle in range(start + 1, last + 1):
            rest = self._filled(parts[1:], middle, stop)
            for cost, items in self.row(start, middle) if rest else ():
                spent = cost + self.parser.slot_end
                spent += TIE * (middle - start) if len(parts) == 1 else 0.0
                found += [(spent + more, (_joined(items), *others)) for more, others in rest]
        return self._cheapest(found)

    def _cheapest(self, found):
        return heapq.nsmallest(self.most, found, key=lambda way: way[0])


def _row(rows, words, templates, start, stop) -> tuple[Parse, ...]:
    """The items from here to there, from records in the order of a reader."""
    items = []
    while start < stop:
        kind, _, end = next(rows)
        if kind == WORD_ITEM:
            items.append(Parse(words[start:end], words[start:end]))
        else:
            inside = []
            for _ in range(sum(part is None for part in templates[kind])):
                _, first, last = next(rows)
                inside.append(_joined(_row(rows, words, templates, first, last)))
            items.append(Parse(words[start:end], templates[kind], tuple(inside)))
        start = end
    return tuple(items)
