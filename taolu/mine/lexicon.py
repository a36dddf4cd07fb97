"""The minimum-entropy dictionary: the words under which a text takes the fewest bits.

A text of T units costs `T log T - sum c log c` bits under the counts c of its units. Joining two
neighbours into a word lowers T and sharpens the counts, but the word must then be spelled once in
the codebook. The climb goes both ways until the two-part total stops falling:

    segment   cut the text the cheapest way, count the units, again (hard EM)
    prune     longest first, drop a word whose uses cost less when its parts describe them
    merge     add the joins of neighbouring units that pay for their spelling

The change of a join or a drop is computed exactly from counts, not from pointwise mutual
information, of which it is the sum over all uses.
"""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

from taolu.bits.codelength import CODE_POINT_BITS, Step, parameter_bits, unigram_bits
from taolu.chain.lattice import exact_costs, fill_paths
from taolu.chain.trie import NEVER, Trie, build_trie, word_edges
from taolu.mine.neighbours import neighbours
from taolu.mine.prune import Rule, demands, prune
from taolu.text.alphabet import code_points
from taolu.text.encode import EncodedText

LONGEST = 64  # most that may be asked for; nothing that long is a word
MOST_ROUNDS = 30
SETTLING_WORK = 1 << 31  # characters read again at most until counts stop changing
ENOUGH = 1e-4  # bits per character a round must save to be followed by another

Tick = Callable[[], None]


@dataclass(frozen=True)
class Lexicon:
    """Words with their uses on the best path of one text.

    Attributes:
        words: Words of two characters or more, each used at least once.
        counts: Uses of each word, int64 (words,).
        character_counts: Uses of each single character as a unit, int64 (alphabet,).
        settled: True when cutting the text again gives the same counts.
    """

    words: tuple[str, ...]
    counts: np.ndarray
    character_counts: np.ndarray
    settled: bool

    def step(self, name: str, text: EncodedText) -> Step:
        """Returns the ledger line of this lexicon on the text it was learned from."""
        return Step(name, len(self.words), *self.bits(text))

    def bits(self, text: EncodedText) -> tuple[float, float]:
        """Returns the bits per character of the text and of the codebook."""
        used = np.concatenate([self.counts, self.character_counts])
        used = np.append(used[used > 0], text.sentences)
        spelling = spelling_bits(self.words, text)
        codebook = [
            alphabet_bits(text),
            math.fsum(spelling),
            parameter_bits(used.size - 1, int(used.sum())),
        ]
        return unigram_bits(used) / text.characters, math.fsum(codebook) / text.characters


def character_step(text: EncodedText) -> Step:
    """Returns the ledger line of the plain character unigram."""
    bits = unigram_bits(np.append(text.counts, text.sentences))
    return Step(
        "characters",
        len(text.alphabet),
        bits / text.characters,
        alphabet_bits(text) / text.characters,
    )


def alphabet_bits(text: EncodedText) -> float:
    """Returns the bits of the alphabet and of the character frequencies that spell words."""
    size = len(text.alphabet)
    return CODE_POINT_BITS * size + parameter_bits(size, text.characters + text.sentences)


def spelling_bits(words: Iterable[str], text: EncodedText) -> np.ndarray:
    """Returns the bits to spell each word under the character unigram, with an end mark.

    The end mark has the frequency of the end of a sentence.
    """
    words = list(words)
    letters, offsets = _letters(words, text)
    cost, end = _character_bits(text)
    sums = np.concatenate([[0.0], np.cumsum(cost[letters])])
    return sums[offsets[1:]] - sums[offsets[:-1]] + end


def merge_change(count, first, second, total, *, same=False):
    """Returns the exact change of `T log2 T - sum c log2 c` when neighbours become one unit.

    With f(x) = x log2 x and n joins of units used a and b times,
    `f(T - n) - f(T) + f(a) - f(a - n) + f(b) - f(b - n) - f(n)`; divided by -T it is the F_ab of
    the article in bits per unit. Arrays broadcast.

    Args:
        count: Joins, n.
        first: Uses of the left unit before, a.
        second: Uses of the right unit before, b.
        total: Units before, T.
        same: True where both are the same unit; it then loses two uses a join.

    Returns:
        Bits; negative where the text gets shorter.

    References:
        Su Jianlin, 最小熵原理（二）：词库构建, 2018.

    Example:
        >>> float(merge_change(50, 50, 50, 100))  # abab...: one unit is left, nothing to say
        -100.0
    """
    left = np.where(same, _f(first) - _f(first - 2 * count), _f(first) - _f(first - count))
    right = np.where(same, 0.0, _f(second) - _f(second - count))
    return _f(total - count) - _f(total) + left + right - _f(count)


def fit_lexicon(
    text: EncodedText,
    words: Iterable[str],
    counts: Iterable[int] | None = None,
    *,
    rounds: int = 12,
    threads: int = 1,
    tick: Tick | None = None,
) -> Lexicon:
    """Returns the words with the counts on which cutting and counting agree (hard EM).

    Each round cuts the text the cheapest way under the last counts and counts again; the bits of
    the text never rise. Words that are no longer used fall out.

    Args:
        text: The text.
        words: Words of two characters or more, spelled in the text's alphabet.
        counts: A first guess of their uses; by default one for each.
        rounds: Most rounds; fewer when the counts stop changing.
        threads: Threads that share the text.
        tick: Called after each pass over the text.
    """
    words = list(words)
    first = np.ones(len(words)) if counts is None else np.asarray(list(counts), dtype=np.float64)
    climb = _Climb(text, threads, tick)
    climb.use(words, first, text.counts)
    settled = climb.segment(rounds)
    return climb.lexicon(settled)


def learn_lexicon(
    text: EncodedText,
    seed: Iterable[str] = (),
    counts: Iterable[int] | None = None,
    *,
    margin: float = 0.0,
    max_length: int = 8,
    min_count: int = 2,
    threads: int = 1,
    tick: Tick | None = None,
) -> Lexicon:
    """Returns the dictionary under which the text and the dictionary together are shortest.

    Cost: a few dozen passes over the text, each linear in it.

    Args:
        text: The text.
        seed: Words to start from; none is needed, and longer ones than `max_length` are left out.
        counts: A first guess of the seeds' uses.
        margin: Bits a word must save per use for each border between characters that it removes,
            or what its place in the codebook costs, whichever is more; borders between words must
            save more (`prune.demands`). 0 is the shortest description; larger values give shorter
            words, closer to a dictionary's.
        max_length: Longest word in characters, 2 to 64.
        min_count: Fewest uses of a word.
        threads: Threads that share the text.
        tick: Called after each pass over the text.

    Raises:
        ValueError: An argument is out of range.
    """
    _check_options(margin, max_length, min_count)
    climb = _Climb(text, threads, tick)
    seed = list(seed)
    first = np.ones(len(seed)) if counts is None else np.asarray(list(counts), dtype=np.float64)
    short = np.array([len(word) <= max_length for word in seed], dtype=bool)
    climb.use([seed[i] for i in np.flatnonzero(short)], first[short], text.counts)
    climb.segment(2)
    best = climb.improve(margin, min_count)
    for _ in range(MOST_ROUNDS):
        climb.merge(margin, max_length, min_count)
        found = climb.improve(margin, min_count)
        gain = sum(best.bits(text)) - sum(found.bits(text))
        if gain > 0:
            best = found
        if gain < ENOUGH:
            break
    climb.use(best.words, best.counts, best.character_counts)
    return climb.lexicon(climb.segment(max(12, min(100, SETTLING_WORK // text.characters))))


def saved_bits(lexicon: Lexicon, text: EncodedText) -> np.ndarray:
    """Returns what each word saves, float64 (words,), in bits.

    The exact change of the text's bits were its uses described by the cheapest of its parts, less
    what the codebook pays for it: spelling and count.
    """
    climb = _Climb(text, 1, None)
    climb.use(lexicon.words, lexicon.counts, lexicon.character_counts)
    return climb.gains(margin=0.0, min_count=0, drop=False)


def _check_options(margin: float, max_length: int, min_count: int) -> None:
    if not margin >= 0:
        raise ValueError(f"`margin` must be at least 0 bits. Received: margin={margin}.")
    if not 2 <= max_length <= LONGEST:
        raise ValueError(
            f"`max_length` must lie in 2 to {LONGEST} characters. Received: {max_length}."
        )
    if min_count < 1:
        raise ValueError(f"`min_count` must be at least 1. Received: min_count={min_count}.")


class _Climb:
    """The words tried at the moment, as a trie, and the uses of every node."""

    def __init__(self, text: EncodedText, threads: int, tick: Tick | None):
        self.text, self.threads, self.tick = text, threads, tick or (lambda: None)
        self.alphabet = len(text.alphabet)
        self.path = np.empty(text.ids.size, dtype=np.int32)

    def use(self, words: Iterable[str], counts, character_counts) -> None:
        """Takes these words and this guess of their uses."""
        self.words = list(words)
        self.letters, self.offsets = _letters(self.words, self.text)
        self.trie: Trie = build_trie(self.letters, self.offsets, self.alphabet)
        self.spelling = spelling_bits(self.words, self.text)
        self.counts = np.zeros(self.trie.size, dtype=np.int64)
        self.counts[: self.alphabet] = character_counts
        self.counts[self.trie.nodes] = counts

    @property
    def total(self) -> int:
        return int(self.counts.sum()) + self.text.sentences

    def segment(self, rounds: int) -> bool:
        """Cuts and counts until nothing changes; says whether that point was reached."""
        for _ in range(rounds):
            costs = np.full(self.trie.size, NEVER)
            used = self.counts > 0
            total = math.log2(self.total)
            costs[: self.alphabet] = total
            costs[used] = total - np.log2(self.counts[used])
            costs = exact_costs(costs)
            ids, classes = self.text.ids, self.text.alphabet.classes
            counts = fill_paths(ids, classes, self.trie, costs, self.path, threads=self.threads)
            settled = np.array_equal(counts, self.counts)
            self.counts = counts
            self.tick()
            if settled:
                return True
        return False

    def improve(self, margin: float, min_count: int) -> Lexicon:
        """Cuts, drops what does not pay, cuts again.

        One pass each: more would not change the end, since the next round cuts again.
        """
        self.segment(1)
        self.gains(margin, min_count, drop=True)
        self.segment(1)
        return self.lexicon(settled=False)

    def gains(self, margin: float, min_count: int, *, drop: bool) -> np.ndarray:
        """Bits each word saves; with `drop`, words that save too little hand on their uses."""
        total = self.total
        need = self.spelling + parameter_bits(1, total)
        edges = word_edges(self.trie, self.letters, self.offsets)
        rule = Rule(total, margin, min_count, drop)
        gains, self.counts = prune(edges, self.trie.nodes, self.counts, need, rule)
        return gains

    def merge(self, margin: float, max_length: int, min_count: int) -> None:
        """Adds the joins of neighbours that pay; forgets words that fell out of use."""
        text = self.text
        names = np.array(
            [*self.text.alphabet.characters, *[""] * (self.trie.size - self.alphabet)], dtype=object
        )
        names[self.trie.nodes] = self.words
        lengths = np.ones(self.trie.size, dtype=np.int64)
        lengths[self.trie.nodes] = np.diff(self.offsets)
        spelling = np.zeros(self.trie.size)
        cost, end = _character_bits(self.text)
        spelling[: self.alphabet] = cost
        spelling[self.trie.nodes] = self.spelling - end
        found = dict(zip(self.words, self.counts[self.trie.nodes].tolist(), strict=True))
        for pairs, joins in neighbours(text.ids, text.alphabet.classes, self.path, min_count):
            left, right = pairs >> 32, pairs & 0xFFFFFFFF
            change = merge_change(
                joins, self.counts[left], self.counts[right], self.total, same=left == right
            )
            need = spelling[left] + spelling[right] + end + parameter_bits(1, self.total)
            length = lengths[left] + lengths[right]
            long_parts = (lengths[left] > 1).astype(np.int64) + (lengths[right] > 1)
            need = np.maximum(need, demands(margin, long_parts, length) * joins)
            good = np.flatnonzero((change + need < 0) & (length <= max_length))
            merged = names[left[good]] + names[right[good]]
            for word, count in zip(merged.tolist(), joins[good].tolist(), strict=True):
                found[word] = max(found.get(word, 0), count)
        found = {word: count for word, count in found.items() if count > 0}
        self.use(found, list(found.values()), self.counts[: self.alphabet].copy())

    def lexicon(self, settled: bool) -> Lexicon:
        uses = self.counts[self.trie.nodes]
        kept = np.flatnonzero(uses)
        words = tuple(self.words[i] for i in kept)
        return Lexicon(words, uses[kept], self.counts[: self.alphabet].copy(), settled)


def _letters(words: list[str], text: EncodedText) -> tuple[np.ndarray, np.ndarray]:
    """Character ids of all words end to end, and where each word starts."""
    letters = text.alphabet.table[code_points("".join(words))]
    offsets = np.cumsum([0, *map(len, words)], dtype=np.int64)
    if letters.size and letters.min() < 0:
        bad = next(w for w in words if text.alphabet.encode(w).min() < 0)
        raise ValueError(f"`words` must be spelled in the text's alphabet. Received: {bad!r}.")
    return letters, offsets


def _character_bits(text: EncodedText) -> tuple[np.ndarray, float]:
    """Bits of each character, and of the end mark, under the character unigram."""
    total = math.log2(text.characters + text.sentences)
    return total - np.log2(text.counts), total - math.log2(text.sentences)


def _f(count):
    """x log2 x, 0 at 0."""
    count = np.asarray(count, dtype=np.float64)
    return count * np.log2(np.maximum(count, 1.0))
