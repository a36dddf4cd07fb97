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
LONG = 1 << 62  # marks the number of a segment too long to hold its letters
KEYS_AT_ONCE = 1 << 26  # bounds the memory of counting segments, at most 8 bytes each


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
    shape = _Shape(max(1, len(text.alphabet).bit_length()), glue.order)
    letters, sizes, uses = _frequent_segments(
        text.ids, longest, shape, min_count, threads=threads
    )
    codes = text.alphabet.codes[letters].tobytes().decode("utf-32-le")
    ends = np.cumsum(sizes).tolist()
    return [codes[i:j] for i, j in pairwise([0, *ends])], uses


@dataclass(frozen=True)
class _Shape:
    """How segments become numbers: short ones hold their letters, long ones only a hash.

    Attributes:
        bits: Bits of a letter.
        order: Longest n-gram of G.
        mask: Bits of the hash that are used.
    """

    bits: int
    order: int
    mask: int = LONG - 1

    @property
    def width(self) -> int:
        """Letters of the longest short segment."""
        return 61 // self.bits

    def numbers(self) -> np.ndarray:
        return np.array([self.bits, self.width, self.order, self.mask], dtype=np.int64)


def _frequent_segments(ids, longest, shape: _Shape, least: int, *, threads: int = 1):
    """Letters end to end, sizes and uses of the segments that are frequent and stand.

    Equal segments are found by sorting their numbers, a share at a time. The letters of long ones
    are then compared; were two different ones to share a hash, no hash is trusted.
    """
    shares = 1 + ids.size // KEYS_AT_ONCE
    places = list(pairwise(sentence_bounds(ids, threads)))
    parts = []
    with ThreadPoolExecutor(len(places)) as pool:
        for share in range(shares):

            def collect(place, share=share):
                return _collect(ids, longest, shape, place, (share, shares))

            keys, spans = zip(*pool.map(collect, places), strict=True)
            merged = np.concatenate(keys)
            merged.sort()
            values, uses = runs(merged, least)
            first = np.full((values.size, 2), -1, dtype=np.int64)
            rows = np.concatenate(spans)
            rows = rows[np.argsort(rows[:, 0], kind="stable")]
            if _place_long(ids, rows, values, first):
                return _frequent_slowly(ids, longest, shape, least)
            parts.append((*_spell(ids, shape.numbers(), values, first), uses))
    sizes, letters, uses = (np.concatenate(column) for column in zip(*parts, strict=True))
    return letters, sizes, uses


def _collect(ids, longest, shape: _Shape, place, share) -> tuple[np.ndarray, np.ndarray]:
    """Numbers of one share of the segments in one part of a text; number and span of long ones."""
    start, stop = place
    part = ids[start:stop], longest[start:stop], shape.numbers(), np.array(share, dtype=np.int64)
    # Room for every segment of two; untouched pages cost nothing.
    keys = np.empty((stop - start) // 2 + 1, dtype=np.int64)
    spans = np.empty(((stop - start) // (shape.width + 1) + 1, 3), dtype=np.int64)
    used, long = _segment_keys(*part, keys, spans)
    spans = spans[:long].copy()
    spans[:, 1:] += start
    return keys[:used], spans


def _frequent_slowly(ids, longest, shape: _Shape, least: int):
    """The same without hashes, for the day two different segments share one."""
    spans = _standing_segments(ids, longest, shape.numbers())
    seen: dict[bytes, int] = {}
    for start, stop in spans.tolist():
        name = ids[start:stop].tobytes()
        seen[name] = seen.get(name, 0) + 1
    kept = [(np.frombuffer(name, np.int32), n) for name, n in seen.items() if n >= least]
    letters = np.concatenate([np.empty(0, np.int32), *(name for name, _ in kept)])
    sizes = np.array([name.size for name, _ in kept], dtype=np.int64)
    return letters, sizes, np.array([n for _, n in kept], dtype=np.int64)


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
def _next_segment(ids, longest, shape, start):
    """Returns end and number of the segment of two characters or more that starts here.

    The number is -1 where it is no word.
    """
    bits, width, order, mask = shape
    stop = start + np.int64(longest[start])
    t = start + 1
    while t < stop:
        stop = max(stop, t + np.int64(longest[t]))
        t += 1
    size = stop - start
    if size >= 3:
        # Backtrack: every n-gram of the highest order, or the whole, must stand in G.
        least = min(order, size)
        for t in range(start, stop - least + 1):
            if longest[t] < least:
                return stop, np.int64(-1)
    value = np.int64(0)
    if size <= width:
        for t in range(start, stop):
            value = (value << bits) | (np.int64(ids[t]) + 1)
        return stop, value
    for t in range(start, stop):
        # 31 bits times 31 bits: no product overflows.
        value = ((value & 0x7FFFFFFF) * 1640531527) ^ (value >> 31) ^ (np.int64(ids[t]) + 1)
    return stop, ((value ^ (value >> 29)) & mask) | LONG


@kernel
def _standing_segments(ids, longest, shape):
    spans = np.empty((ids.size // 2 + 1, 2), dtype=np.int64)
    used = 0
    t = 0
    while t < ids.size:
        if longest[t] < 2:
            t += 1
            continue
        start = t
        t, key = _next_segment(ids, longest, shape, start)
        if key >= 0:
            spans[used, 0] = start
            spans[used, 1] = t
            used += 1
    return spans[:used]


@kernel
def _segment_keys(ids, longest, shape, share, keys, spans):
    """Collects the numbers of one share of the segments, and number, start, end of long ones."""
    used = long = 0
    t = 0
    while t < ids.size:
        if longest[t] < 2:
            # A separator, or a character that nothing glues to the next.
            t += 1
            continue
        start = t
        t, key = _next_segment(ids, longest, shape, start)
        if key < 0 or (share[1] > 1 and key % share[1] != share[0]):
            continue
        keys[used] = key
        used += 1
        if key >= LONG:
            spans[long, 0] = key
            spans[long, 1] = start
            spans[long, 2] = t
            long += 1
    return used, long


@kernel
def _place_long(ids, rows, values, first):
    """Fills where each long segment first stands, from rows sorted by number; counts clashes."""
    clashes = 0
    row = 0
    for at in range(rows.shape[0]):
        while row < values.size and values[row] < rows[at, 0]:
            row += 1
        if row == values.size or values[row] != rows[at, 0]:
            continue
        start, size = rows[at, 1], rows[at, 2] - rows[at, 1]
        if first[row, 0] < 0:
            first[row, 0] = start
            first[row, 1] = start + size
        same = first[row, 1] - first[row, 0] == size
        for k in range(size):
            if not same:
                break
            same = ids[start + k] == ids[first[row, 0] + k]
        clashes += not same
    return clashes


@kernel
def _spell(ids, shape, keys, spans):
    """Returns sizes and letters of the segments, short ones unpacked, long ones looked up."""
    bits = shape[0]
    sizes = np.empty(keys.size, dtype=np.int64)
    for row in range(keys.size):
        sizes[row] = spans[row, 1] - spans[row, 0]
        if keys[row] < LONG:
            sizes[row] = 0
            key = keys[row]
            while key > 0:
                sizes[row] += 1
                key >>= bits
    letters = np.empty(sizes.sum(), dtype=np.int32)
    end = 0
    for row in range(keys.size):
        start, end = end, end + sizes[row]
        key = keys[row]
        for at in range(end - 1, start - 1, -1):
            if keys[row] < LONG:
                letters[at] = (key & ((1 << bits) - 1)) - 1
                key >>= bits
            else:
                letters[at] = ids[spans[row, 0] + at - start]
    return sizes, letters
