"""The structure of a sentence, learned from raw words: what can stand alone is a phrase.

What fills the slot of a template is a phrase, and a phrase can be a text of its own: it begins as
the pieces between two marks begin, and ends as they end. And words that keep each other company are
in one phrase. Three kinds of templates, all counted in raw text, say so of the words from a to b
with c after them:

    [piece begins] a [X]      what opens   begin(a) = ln P(begins | a, next) / P(begins)
    [X] b [piece ends]        what closes  end(b)   = ln P(ends | b, previous) / P(ends)
    a [X] b                   what joins   join(a, b) = ln (n_ab + 3) / (expected n_ab + 3)

    score(a ... b) = begin(a) / 2 + end(b) + join(a, b) - join(b, c) - ln(length)

What a word was seen too rarely to tell, the words of its group do (`groups_from_vectors`). A tree
is as likely as exp(sum of scores), and the brackets that most trees agree on are drawn. Nothing
says which way a language branches: the weights are the same for all, and the counts do.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from taolu.count.pairs import PairCounts, count_pairs
from taolu.mine.groups import WordGroups, groups_from_vectors
from taolu.mine.piece_edges import PieceEdges, look_up
from taolu.mine.span_chart import agreed_brackets, bracket_shares
from taolu.mine.template_parse import Parse
from taolu.mine.templates import END, WINDOW, number_words
from taolu.mine.transitions import count_transitions
from taolu.mine.vectors import context_vectors

LEAST_USES = 2  # of a word that has a group
LEAST_SHARE = 0.4
# Set on 500 sentences each of English and Chinese; what most changes the result is that beginnings
# count for less than ends.
OPENING = 0.5
JOIN_SMOOTHING = 3.0


@dataclass(frozen=True)
class Structure:
    """What raw text says about phrases.

    Attributes:
        words: The words, as they come in the text.
        groups: Group of each word, then that of a word never seen, int64 (words + 1,).
        opening: How often words begin a piece.
        closing: How often they end one: the same of the text read backwards.
        pairs: How often words stand near each other, by first and then second word.
        window: Farthest that they do.
    """

    words: tuple[str, ...]
    groups: np.ndarray
    opening: PieceEdges
    closing: PieceEdges
    pairs: PairCounts
    window: int

    @cached_property
    def _place(self) -> dict[str, int]:
        return {word: i for i, word in enumerate(self.words)}

    @cached_property
    def _pair_names(self) -> np.ndarray:
        return self.pairs.first.astype(np.int64) * len(self.words) + self.pairs.second

    @cached_property
    def _margins(self) -> tuple[np.ndarray, np.ndarray]:
        """Pairs that each word is the first of, and the second of; the last row is of no word."""
        size, count = len(self.words) + 1, self.pairs.count
        first = np.bincount(self.pairs.first, count, size)
        return first, np.bincount(self.pairs.second, count, size)

    def parse(self, words: Sequence[str], *, least: float = LEAST_SHARE) -> Parse:
        """Returns the tree of a sentence: each bracket is a template, with the brackets inside it.

        Takes time of the third power of the number of words.

        Args:
            words: The words of the sentence, at least one.
            least: Share of all trees, by weight, that a bracket has to be above: 0 gives trees of
                two, more gives fewer and surer brackets.

        Raises:
            ValueError: There are no words, or `least` is out of range.

        Example:
            >>> lines = ["猫 在 家", "狗 在 家", "猫 看 狗", "狗 看 猫", "在 家", "看 狗", "看 猫"]
            >>> structure = learn_structure(line.split() for line in lines * 5)
            >>> str(structure.parse("猫 在 家".split()))
            '[猫 {[在 家]}]'
        """
        words = _checked(words)
        if not 0 <= least < 1:
            raise ValueError(f"`least` must lie in 0 to 1. Received: least={least}.")
        brackets = agreed_brackets(bracket_shares(self.scores(words)), least)
        inner = [bracket for bracket in brackets if bracket != (0, len(words))]
        return _inside(words, inner, 0, len(words))

    def scores(self, words: Sequence[str]) -> np.ndarray:
        """Returns the score of each bracket, nats, float64 (words + 1, words + 1).

        Row: its first word. Column: the word after its last. Brackets of fewer than two words
        have no meaning.

        Raises:
            ValueError: There are no words.
        """
        words = _checked(words)
        ids = np.array([self._place.get(word, -1) for word in words], dtype=np.int64)
        groups = self.groups[ids]  # that of a word never seen is the last one
        joins = self._joins(ids)
        n = ids.size
        places = np.arange(n + 1)
        scores = -np.log(np.maximum(1, places - places[:, None]).astype(np.float64))
        scores[:n, 1:] += joins + OPENING * self.opening.evidence(ids, groups)[:, None]
        scores[:, 1:] += self.closing.evidence(ids[::-1], groups[::-1])[::-1]
        scores[:, 1:n] -= np.diagonal(joins, 1)
        return scores

    def _joins(self, ids) -> np.ndarray:
        """How much the row's word and a later one, the column's, keep company, (words, words)."""
        joins = np.zeros((ids.size, ids.size))
        left, right = (margin[ids] for margin in self._margins)
        for distance in range(1, min(self.window, ids.size - 1) + 1):
            first, second = ids[:-distance], ids[distance:]
            # A word never seen has margins of zero, and its pairs a name that is not found.
            names = np.where(second < 0, -1, first * len(self.words) + second)
            count = look_up(self._pair_names, self.pairs.count, names)
            chance = left[:-distance] * right[distance:] / max(1, self.pairs.total)
            rows = np.arange(names.size)
            joins[rows, rows + distance] = np.log(
                (count + JOIN_SMOOTHING) / (chance + JOIN_SMOOTHING)
            )
        return joins


def learn_structure(
    pieces: Iterable[Sequence[str]],
    *,
    groups: WordGroups | None = None,
    window: int = WINDOW,
    rng=0,
) -> Structure:
    """Returns what pieces of raw text say about phrases.

    Time and memory are linear in the text, but for the groups, which compare all words used twice.

    Args:
        pieces: The words of each piece, between two marks; sentences that are whole will do, but
            every comma tells where a phrase begins and ends.
        groups: Words of a kind; by default, those of similar company.
        window: Farthest that words keep each other company, words.
        rng: Seed, or NumPy generator, of the groups.

    Raises:
        ValueError: There are no words, or an argument is out of range.

    References:
        Su Jianlin, 最小熵原理（三）：“飞象过河”之句模版和语言结构, 2018. Klein, Manning, A
        generative constituent-context model for improved grammar induction, 2002. Seginer, Fast
        unsupervised incremental parsing, 2007. Ponvert, Baldridge, Erk, Simple unsupervised
        grammar induction from raw text with cascaded finite state models, 2011. Goodman, Parsing
        algorithms and metrics, 1996.
    """
    lines = [tuple(piece) for piece in pieces if len(piece)]
    ids, words = number_words(lines)
    if not words:
        raise ValueError("`pieces` must hold at least one word. Received: none.")
    if groups is None:
        groups = _groups(lines, rng)
    # The group of the words that are in none comes first, and of those never seen too.
    numbers = np.zeros(len(words) + 1, dtype=np.int64)
    if groups is not None:
        place = {word: i for i, word in enumerate(words)}
        for word, number in zip(groups.words, groups.numbers.tolist(), strict=True):
            if word in place:
                numbers[place[word]] = number + 1
    pairs = count_pairs(ids, len(words), window=window)
    ids = ids.astype(np.int64)
    backwards = np.append(ids[:-1][::-1], END)
    opening, closing = PieceEdges.count(ids, numbers), PieceEdges.count(backwards, numbers)
    return Structure(tuple(words), numbers, opening, closing, pairs, window)


def _groups(lines, rng) -> WordGroups | None:
    transitions = count_transitions(lines)
    used = int((transitions.uses >= LEAST_USES).sum())
    if not used:
        return None
    rng = np.random.default_rng(rng)
    vectors = context_vectors(transitions.counts, used, rng=rng)
    return groups_from_vectors(transitions.words[:used], vectors, rng=rng)


def _checked(words: Sequence[str]) -> tuple[str, ...]:
    if not len(words):
        raise ValueError("`words` must hold at least one word. Received: none.")
    return tuple(words)


def _inside(words, brackets: list[tuple[int, int]], start: int, stop: int) -> Parse:
    """The template of a bracket; takes what is inside it off the front of the list."""
    parts: list[str | None] = []
    inside = []
    at = start
    while at < stop:
        if brackets and brackets[0][0] == at and brackets[0][1] <= stop:
            bracket = brackets.pop(0)
            inside.append(_inside(words, brackets, *bracket))
            parts.append(None)
            at = bracket[1]
        else:
            parts.append(words[at])
            at += 1
    return Parse(words[start:stop], tuple(parts), tuple(inside))
