"""What a text costs when its sentences are put together from templates.

A sentence is a row of items closed by the end symbol, an item a word or a template, a slot a row of
items closed by a slot end; one distribution says all of them:

    bits = T log2 T - sum over words, templates, slot ends, sentence ends of c log2 c,    T = sum c.

Only what skips words can pay: words in front of a template, or behind it, are said beside it, at no
cost, so outer slots are taken off, and a run of words without a gap is left to the lexicon. A
template takes the place of its words and costs its slot ends; in the codebook it is spelled with
words and slots, and its frequency is sent.
"""

import math
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np
from scipy import sparse

from taolu.bits.codelength import parameter_bits, unigram_bits
from taolu.mine.template_chart import TIE, Rules, build_rules, count_uses, read_slots
from taolu.mine.templates import Templates
from taolu.text.encode import sentence_bounds

LONGEST_SLOT = 12
LONGEST_ITEM = 40
ENOUGH = 1e-4  # of the bits of the text; a round that saves less is the last
FILLERS = 12  # of a slot that are shown


@dataclass(frozen=True)
class GrammarBits:
    """Templates with their uses on the cheapest parses of one text, and what it costs.

    Attributes:
        templates: The templates used, the most used first; `count` is their uses.
        words: Uses of each word as an item, int64 (words,).
        slots: Slot ends.
        text: Bits of the text.
        codebook: Bits of the templates and of all frequencies; the spelling of words is not among
            them.
    """

    templates: Templates
    words: np.ndarray
    slots: int
    text: float
    codebook: float

    @property
    def total(self) -> float:
        """Bits of both."""
        return self.text + self.codebook


class TemplateText:
    """A text of words and what its words and candidates cost; templates are rows of candidates.

    Args:
        ids: Words, int32 (time,), a negative id after each sentence.
        words: The word of each id.
        parts: Words and slots of the candidates.
        share: How many times as long the text is that this is a sample of.
    """

    def __init__(self, ids, words, parts, share=1.0) -> None:
        self.ids, self.parts = np.ascontiguousarray(ids, dtype=np.int32), parts
        self.size, self.names = len(words), words
        self.sentences = int((self.ids < 0).sum())
        self.words = np.bincount(self.ids[self.ids >= 0], minlength=self.size)
        self.place = {word: i for i, word in enumerate(words)}
        rows = [[self.place[p] for p in one if p is not None] for one in parts]
        self.length = np.array([len(row) for row in rows], dtype=np.int64)
        self.slots = np.array([one.count(None) for one in parts], dtype=np.int64)
        number = np.repeat(np.arange(len(parts)), self.length)
        flat = np.array([i for row in rows for i in row], dtype=np.int64)
        shape = len(parts), self.size
        self.uses_of = sparse.csr_array((np.ones(flat.size, np.int64), (number, flat)), shape=shape)
        # What it takes to spell a template, slots and the end priced as the end of a sentence.
        total = self.words.sum() + self.sentences
        cost = np.log2(total) - np.log2(np.maximum(self.words, 1))
        end = np.log2(total / self.sentences)
        # Of what a template costs once, a sample pays its part, as of all its uses it has a part.
        self.spelling = (self.uses_of @ cost + end * (self.slots + 1)) / share
        self.share = share

    def fit(self, rows, uses, rounds, threads) -> GrammarBits:
        """Parses, counts and drops until a round saves no more."""
        found = best = self.bits(rows, uses)
        for turn in range(rounds):
            if rows.size:
                uses = self.parse(rows, uses, threads)
            rows, uses = self.paying(rows, uses)
            found = self.bits(rows, uses)
            if turn and found.total > best.total * (1 - ENOUGH):
                break
            best = found
        return best if turn and best.total < found.total else found

    def guess(self, counts) -> np.ndarray:
        """Uses to start from: as often as seen, but that leaves half of every word's uses."""
        if not counts.size:
            return counts
        taken = counts @ self.uses_of
        share = np.minimum(1.0, 0.5 * self.words / np.maximum(taken, 1))
        least = np.array([share[row].min() for row in np.split(self.uses_of.indices, self._starts)])
        return np.maximum(1, (counts * least).astype(np.int64))

    @property
    def _starts(self) -> np.ndarray:
        return self.uses_of.indptr[1:-1]

    def counts(self, rows, uses) -> tuple[np.ndarray, int]:
        """Uses of words as items, and slot ends, when templates are used so often."""
        return self.words - uses @ self.uses_of[rows], int(uses @ self.slots[rows])

    def parse(self, rows, uses, threads) -> np.ndarray:
        """Uses of the templates on the cheapest parses, under the costs of these uses."""
        rules, costs, limits, prices = self.rules(rows, uses)
        bounds = sentence_bounds(self.ids, threads)

        def work(start: int, stop: int) -> np.ndarray:
            found = np.zeros(costs.size + rows.size + 1, dtype=np.int64)
            count_uses(self.ids[start:stop], rules, costs, prices, limits, found)
            return found

        with ThreadPoolExecutor(threads) as pool:
            shares = list(pool.map(work, bounds[:-1], bounds[1:]))
        return np.sum(shares, axis=0)[costs.size : -1]

    def shown(self, found: GrammarBits, ids) -> GrammarBits:
        """The same with fillers and examples from these sentences."""
        place = {parts: row for row, parts in enumerate(self.parts)}
        rows = np.array([place[parts] for parts in found.templates.parts], dtype=np.int64)
        arguments = self.rules(rows, found.templates.count)
        fillers = np.empty((ids.size, 3), dtype=np.int32)
        spans = np.zeros((rows.size, 2), dtype=np.int64)
        rules, costs, limits, prices = arguments
        used = read_slots(ids, rules, costs, prices, limits, fillers, spans)
        names = tuple(
            tuple(tuple(self.names[i] for i in slot) for slot in one)
            for one in _commonest(fillers[:used], self.slots[rows])
        )
        examples = (tuple(self.names[i] for i in ids[a:b]) for a, b in spans.tolist())
        templates = replace(found.templates, fillers=names, examples=tuple(examples))
        return replace(found, templates=templates)

    def rules(self, rows, uses) -> tuple[Rules, np.ndarray, tuple[int, int], np.ndarray]:
        """What the parser needs: the templates, costs of words, longest spans, two prices."""
        words, slots = self.counts(rows, uses)
        total = np.log2(words.sum() + uses.sum() + slots + self.sentences)
        # A word that templates have taken over has the cost of one use.
        word_costs = np.append(total - np.log2(np.maximum(words, 1)), total) + TIE
        costs = total - np.log2(np.maximum(uses, 1)) + TIE
        slot_end = total - math.log2(max(slots, 1))
        rules = build_rules([self.parts[row] for row in rows], self.place, costs)
        limits, prices = (LONGEST_SLOT, LONGEST_ITEM), np.array([slot_end, 0.0])
        return rules, word_costs, limits, prices

    def paying(self, rows, uses) -> tuple[np.ndarray, np.ndarray]:
        """The templates that save more than they cost; without one, others may save more."""
        while rows.size:
            keep = self.savings(rows, uses) > 0
            if keep.all():
                break
            rows, uses = rows[keep], uses[keep]
        return rows, uses

    def savings(self, rows, uses) -> np.ndarray:
        """Bits that the text and the codebook would grow by without each template."""
        words, slots = self.counts(rows, uses)
        total = words.sum() + uses.sum() + slots + self.sentences
        length, ends = self.length[rows], self.slots[rows]
        grown = _f(total + uses * (length - ends - 1)) - _f(total)
        less = _f(uses) + _f(slots) - _f(slots - uses * ends)
        cells = self.uses_of[rows].tocoo()
        now = words[cells.coords[1]]
        change = _f(now + cells.data * uses[cells.coords[0]]) - _f(now)
        more = np.bincount(cells.coords[0], change, rows.size)
        return grown + less - more - self.spelling[rows] - 0.5 * math.log2(total) / self.share

    def bits(self, rows, uses) -> GrammarBits:
        """Bits of the text when templates are used so often, and of the templates."""
        words, slots = self.counts(rows, uses)
        counts = np.concatenate([words, uses, [slots, self.sentences]])
        sent = parameter_bits(np.count_nonzero(self.words) + rows.size, int(counts.sum()))
        order = np.argsort(-uses, kind="stable")
        templates = Templates(tuple(self.parts[i] for i in rows[order]), uses[order])
        codebook = math.fsum(self.spelling[rows]) + sent
        return GrammarBits(templates, words, slots, unigram_bits(counts), codebook)


def _commonest(fillers, slots) -> list[list[list[int]]]:
    """The words that most often fill each slot of each template."""
    found: list[list[list[int]]] = [[[] for _ in range(count)] for count in slots.tolist()]
    rows, counts = np.unique(fillers, axis=0, return_counts=True)
    for i in np.argsort(-counts, kind="stable").tolist():
        template, slot, word = rows[i].tolist()
        if len(found[template][slot]) < FILLERS:
            found[template][slot].append(word)
    return found


def _f(x):
    x = np.maximum(np.asarray(x, dtype=np.float64), 0.0)
    return x * np.log2(np.maximum(x, 1.0))
