"""New words: strings that hold together more than chance and stand as units in the text.

1. Count all n-grams up to an order, each order exactly; keep those that are frequent and cohesive
   (`mine.measure`) as the set G.
2. Join: n-grams of G that overlap glue their characters together; cut where nothing glues. This
   is a union of spans, not maximum matching: a doubt is settled in favour of joining.
3. Count the segments; drop rare ones.
4. Backtrack: joining can build what was never cohesive as a whole. A segment no longer than the
   order must stand in G itself; of a longer one every n-gram must.

Counts are exact at every order: pruning long n-grams before deriving the short ones, as a known
implementation does, under-counts the short ones and biases cohesion.
"""

import math
from collections.abc import Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from taolu._kernel import kernel
from taolu.chain.trie import Trie, build_trie, longest_marked, word_edges
from taolu.count.ngrams import NgramCounts, count_ngrams
from taolu.count.packing import unpack
from taolu.count.runs import runs
from taolu.mine.codebook import Words
from taolu.mine.measure import Measures, cohesions, measure_words
from taolu.text.corpus import Corpus
from taolu.text.encode import EncodedText, Progress, encode, sentence_bounds

THRESHOLDS = (0.0, 2.0, 4.0, 6.0)
HASH_MASK = (1 << 62) - 1
HASHES_AT_ONCE = 1 << 26  # bounds the memory of counting segments, 8 bytes each


def discover(
    source,
    *,
    min_count: int | None = None,
    cohesion: Sequence[float] = THRESHOLDS,
    known: Collection[str] = (),
    measure: bool = True,
    memory: int | str = "2GB",
    workers: int = 1,
    threads: int = 1,
    progress: Progress | None = None,
) -> Words:
    """Returns the words found in raw text, the most useful first.

    Words rank by what they save times how freely they stand: count times cohesion times the
    smaller branching entropy. Words of `known` come after all new ones.

    Args:
        source: A path, several paths, a `Corpus` or an `EncodedText`.
        min_count: Fewest occurrences; by default from 4 to 32 with the size of the text.
        cohesion: Least cohesion in nats for n-grams of 1, 2, ... characters; its length is the
            order of the n-grams, 2 to 8. The first is not used.
        known: Words of the user's dictionary.
        measure: Measure cohesion and branching entropies of the words in one more pass; without,
            these columns are nan and words rank by count.
        memory: Bound on the memory of counting, such as "2GB".
        workers: Worker processes for counting.
        threads: Threads for all other passes over the text.
        progress: Called as `progress(done, size)`.

    Raises:
        CorpusError: The text cannot be read.
        ValueError: An argument is out of range.

    Example:
        >>> text = Corpus.from_lines(["我爱北京", "北京好", "他去北京", "好北京我去"] * 8)
        >>> discover(text, min_count=8, cohesion=(0, 1)).word
        ('北京',)

    References:
        Su Jianlin, 更快更好的新词发现, 2019; 基于切分的新词发现, 2017.
    """
    order = len(cohesion)
    if not 2 <= order <= 8:
        raise ValueError(
            "`cohesion` must give one threshold for each order, for 2 to 8 orders. "
            f"Received: {tuple(cohesion)}."
        )
    text = source if isinstance(source, EncodedText) else encode(Corpus.of(source), progress)
    if min_count is None:
        min_count = default_min_count(text.characters)
    counts = count_ngrams(
        text, order, min_count=min_count, keep=text.words_only, memory=memory, workers=workers
    )
    glue = cohesive_ngrams(text, counts, cohesion)
    words, uses = join(text, glue, min_count, threads=threads)
    measures = measure_words(text, words, threads=threads) if measure else _unmeasured(len(words))
    return _ranked(words, uses, measures, frozenset(known))


def default_min_count(characters: int) -> int:
    """Returns the fewest occurrences that make a word worth a look in a text of that size.

    Example:
        >>> default_min_count(20_000), default_min_count(490_000), default_min_count(10**8)
        (4, 8, 32)
    """
    return min(32, max(4, round(characters / 61_250)))


@dataclass(frozen=True)
class Glue:
    """The set G: frequent, cohesive n-grams.

    Attributes:
        trie: The n-grams.
        marked: True for the nodes where one ends, bool (nodes,).
        order: Longest n-gram.
    """

    trie: Trie
    marked: np.ndarray
    order: int


def cohesive_ngrams(text: EncodedText, counts: NgramCounts, cohesion: Sequence[float]) -> Glue:
    """Returns the n-grams whose weakest cut reaches the threshold of their order.

    Args:
        text: The text.
        counts: Its n-grams, all orders cut at the same count.
        cohesion: Threshold in nats for each order.
    """
    orders = range(2, counts.order + 1)
    ids = [unpack(counts.rows(n)[0], n, counts.packing) for n in orders]
    letters = np.concatenate([part.ravel() for part in ids])
    lengths = np.repeat(list(orders), [len(part) for part in ids])
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    trie = build_trie(letters, offsets, len(text.alphabet))
    # Every part of a frequent n-gram is frequent, so each has a node with its exact count.
    uses = np.zeros(trie.size, dtype=np.int64)
    uses[: trie.alphabet] = text.counts
    uses[trie.nodes] = np.concatenate([counts.rows(n)[1] for n in orders])
    values = cohesions(uses, float(counts.total), word_edges(trie, letters, offsets))
    kept = values >= np.asarray(cohesion, dtype=np.float64)[lengths - 1]
    letters, offsets = letters[np.repeat(kept, lengths)], np.append(0, np.cumsum(lengths[kept]))
    trie = build_trie(letters, offsets, len(text.alphabet))
    marked = np.zeros(trie.size, dtype=np.bool_)
    marked[trie.nodes] = True
    return Glue(trie, marked, counts.order)


def join(
    text: EncodedText, glue: Glue, min_count: int, *, threads: int = 1
) -> tuple[list[str], np.ndarray]:
    """Returns the words that joining and backtracking leave, with the number of their segments.

    Args:
        text: The text.
        glue: The cohesive n-grams.
        min_count: Fewest segments that make a word.
        threads: Threads that share the text.
    """
    longest = longest_marked(
        text.ids, text.alphabet.classes, glue.trie, glue.marked, threads=threads
    )
    spans, uses = _frequent_segments(text.ids, longest, min_count, threads=threads)
    kept = (spans[:, 1] - spans[:, 0] > 1) & _stand(spans, longest, glue.order)
    return _strings(text, spans[kept]), uses[kept]


def _frequent_segments(ids, longest, least: int, *, mask: int = HASH_MASK, threads: int = 1):
    """Where each frequent segment first stands, int64 (segments, 2), and its uses.

    Equal segments are found by sorting hashes, a share of the hashes at a time; letters are then
    compared, and were two different segments to share a hash, no hash is trusted.
    """
    shares = 1 + ids.size // HASHES_AT_ONCE
    bounds = sentence_bounds(ids, threads)
    places = list(pairwise(bounds))
    parts = []
    with ThreadPoolExecutor(len(places)) as pool:
        for share in range(shares):

            def hashes_of(place, share=share):
                part = ids[slice(*place)], longest[slice(*place)], mask, share, shares
                size = part[0].size
                if shares > 1:
                    size = _hash_segments(*part, np.empty(0, dtype=np.int64))
                hashes = np.empty(size, dtype=np.int64)
                return hashes[: _hash_segments(*part, hashes)]

            hashes = np.concatenate(list(pool.map(hashes_of, places)))
            hashes.sort()
            values, _ = runs(hashes, least)

            def count(place, values=values):
                spans = np.full((values.size, 2), -1, dtype=np.int64)
                uses = np.zeros(values.size, dtype=np.int64)
                clash = _count_segments(ids, longest, mask, values, np.array(place), spans, uses)
                return clash, spans, uses

            counted = list(pool.map(count, places))
            spans, uses = counted[0][1], np.sum([uses for _, _, uses in counted], axis=0)
            for _, more, _ in counted[1:]:
                spans = np.where(spans < 0, more, spans)
            if any(clash for clash, _, _ in counted) or _differ(ids, [c[1] for c in counted]):
                return _frequent_slowly(ids, longest, least)
            parts.append((spans, uses))
    return tuple(np.concatenate(column) for column in zip(*parts, strict=True))


def _differ(ids, firsts: list[np.ndarray]) -> bool:
    """Whether two threads took different segments for the same."""
    one = firsts[0]
    return any(
        i >= 0 and k >= 0 and not np.array_equal(ids[i:j], ids[k:m])
        for other in firsts[1:]
        for (i, j), (k, m) in zip(one.tolist(), other.tolist(), strict=True)
    )


def _strings(text: EncodedText, spans: np.ndarray) -> list[str]:
    """The characters of spans of a text."""
    sizes = spans[:, 1] - spans[:, 0]
    ends = np.cumsum(sizes)
    at = np.arange(ends[-1] if ends.size else 0) + np.repeat(spans[:, 0] - ends + sizes, sizes)
    letters = text.alphabet.codes[text.ids[at]].tobytes().decode("utf-32-le")
    bounds = [0, *ends.tolist()]
    return [letters[i:j] for i, j in pairwise(bounds)]


def _frequent_slowly(ids, longest, least: int):
    """The same without hashes, for the day two different segments share one."""
    starts = np.flatnonzero(_segment_starts(ids, longest))
    seen: dict[bytes, list[int]] = {}
    for start, stop in zip(starts.tolist(), [*starts[1:].tolist(), ids.size], strict=True):
        while ids[stop - 1] < 0:
            stop -= 1
        row = seen.setdefault(ids[start:stop].tobytes(), [start, stop, 0])
        row[2] += 1
    rows = np.array([row for row in seen.values() if row[2] >= least], dtype=np.int64)
    rows = rows.reshape(-1, 3)
    return rows[:, :2], rows[:, 2]


def _unmeasured(size: int) -> Measures:
    nothing = np.full(size, math.nan)
    return Measures(np.zeros(size, dtype=np.int64), nothing, nothing, nothing)


def _ranked(names: list[str], count, measures: Measures, known: frozenset[str]) -> Words:
    left, right = measures.left_entropy, measures.right_entropy
    saved = count * measures.cohesion / math.log(2.0)
    score = np.where(np.isnan(saved), count, saved * np.minimum(left, right))
    flags = np.array([name in known for name in names], dtype=bool)
    table = Words(tuple(names), count, measures.cohesion, left, right, saved, flags)
    return table.select(np.lexsort((names, -score, flags)))


@kernel
def _stand(spans, longest, order):
    """Whether each segment is a word: short, or cohesive in all its n-grams."""
    stands = np.ones(spans.shape[0], dtype=np.bool_)
    for row in range(spans.shape[0]):
        size = min(order, spans[row, 1] - spans[row, 0])
        if size < 3:
            continue
        # An n-gram of the highest order is cohesive exactly where nothing longer starts.
        for t in range(spans[row, 0], spans[row, 1] - size + 1):
            if longest[t] < size:
                stands[row] = False
    return stands


@kernel
def _segment_end(ids, longest, start):
    """Returns the end of the segment that starts here, and its hash."""
    stop = start + 1
    value = np.int64(0)
    t = start
    while t < stop:
        stop = max(stop, t + np.int64(longest[t]))
        # 31 bits times 31 bits: no product overflows.
        value = ((value & 0x7FFFFFFF) * 1640531527) ^ (value >> 31) ^ (ids[t] + 1)
        t += 1
    return stop, value ^ (value >> 29)


@kernel
def _segment_starts(ids, longest):
    starts = np.zeros(ids.size, dtype=np.bool_)
    t = 0
    while t < ids.size:
        if ids[t] < 0:
            t += 1
            continue
        starts[t] = True
        t, _ = _segment_end(ids, longest, t)
    return starts


@kernel
def _hash_segments(ids, longest, mask, share, shares, hashes):
    """Collects the hashes of one share of the segments; into an empty array only counts them."""
    used = 0
    t = 0
    while t < ids.size:
        if ids[t] < 0:
            t += 1
            continue
        t, value = _segment_end(ids, longest, t)
        value &= mask
        if value % shares == share:
            if hashes.size:
                hashes[used] = value
            used += 1
    return used


@kernel
def _count_segments(ids, longest, mask, values, place, spans, uses):
    """Counts segments whose hash is in `values`; returns the number of collisions."""
    bits = 4
    while (1 << bits) < 4 * values.size:
        bits += 1
    last = (1 << bits) - 1
    slots = np.full(1 << bits, -1, dtype=np.int64)
    for row in range(values.size):
        slot = values[row] & last
        while slots[slot] >= 0:
            slot = (slot + 1) & last
        slots[slot] = row
    collisions = 0
    t = place[0]
    while t < place[1]:
        if ids[t] < 0:
            t += 1
            continue
        start = t
        t, value = _segment_end(ids, longest, start)
        value &= mask
        slot = value & last
        while slots[slot] >= 0 and values[slots[slot]] != value:
            slot = (slot + 1) & last
        row = slots[slot]
        if row < 0:
            continue
        if spans[row, 0] < 0:
            spans[row, 0] = start
            spans[row, 1] = t
        same = spans[row, 1] - spans[row, 0] == t - start
        for k in range(t - start):
            if not same:
                break
            same = ids[start + k] == ids[spans[row, 0] + k]
        if same:
            uses[row] += 1
        else:
            collisions += 1
    return collisions
