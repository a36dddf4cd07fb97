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
from dataclasses import dataclass

import numpy as np

from taolu._kernel import kernel
from taolu.chain.trie import Trie, build_trie, longest_marked, word_edges
from taolu.count.ngrams import NgramCounts, count_ngrams
from taolu.count.packing import unpack
from taolu.mine.codebook import Words
from taolu.mine.measure import cohesions, measure_words
from taolu.text.corpus import Corpus
from taolu.text.encode import EncodedText, Progress, encode

THRESHOLDS = (0.0, 2.0, 4.0, 6.0)
HASH_MASK = (1 << 62) - 1


def discover(
    source,
    *,
    min_count: int | None = None,
    cohesion: Sequence[float] = THRESHOLDS,
    known: Collection[str] = (),
    entropy: bool = True,
    memory: int | str = "2GB",
    workers: int = 1,
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
        entropy: Measure branching entropies too; without, their columns are nan and words rank
            by count times cohesion.
        memory: Bound on the memory of counting, such as "2GB".
        workers: Worker processes for counting.
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
    words, uses = join(text, glue, min_count)
    return _table(text, words, uses, frozenset(known), entropy)


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
        trie: All frequent n-grams.
        marked: True for the nodes of cohesive ones, bool (nodes,).
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
    marked = np.zeros(trie.size, dtype=np.bool_)
    marked[trie.nodes[values >= np.asarray(cohesion, dtype=np.float64)[lengths - 1]]] = True
    return Glue(trie, marked, counts.order)


def join(text: EncodedText, glue: Glue, min_count: int) -> tuple[list[str], list[int]]:
    """Returns the words that joining and backtracking leave, with the number of their segments.

    Args:
        text: The text.
        glue: The cohesive n-grams.
        min_count: Fewest segments that make a word.
    """
    classes = text.alphabet.classes
    longest = longest_marked(text.ids, classes, glue.trie, glue.marked)
    begins, sizes, hashes = _segment(text.ids, longest, HASH_MASK)
    # Sorting hashes groups equal segments; letters are then compared, so no collision is counted.
    hashes_sorted = np.sort(hashes)
    starts = np.flatnonzero(np.diff(hashes_sorted, prepend=-1))
    frequent = np.diff(starts, append=hashes_sorted.size) >= min_count
    values = hashes_sorted[starts[frequent]]
    first = np.full(values.size, -1, dtype=np.int64)
    uses = np.zeros(values.size, dtype=np.int64)
    if _count_segments(text.ids, begins, sizes, hashes, values, first, uses):
        return _join_slowly(text, glue, begins, sizes, min_count)
    spans = [(begins[i], begins[i] + sizes[i]) for i in first]
    found = [text.ids[i:j] for i, j in spans]
    kept = [i for i, ids in enumerate(found) if _stands(ids, glue)]
    return [text.alphabet.decode(found[i]) for i in kept], uses[kept].tolist()


def _join_slowly(text, glue: Glue, begins, sizes, min_count: int) -> tuple[list[str], list[int]]:
    """The same without hashes, for the day two different segments share one."""
    seen: dict[tuple[int, ...], int] = {}
    for begin, size in zip(begins.tolist(), sizes.tolist(), strict=True):
        ids = tuple(text.ids[begin : begin + size].tolist())
        seen[ids] = seen.get(ids, 0) + 1
    kept = [ids for ids, n in seen.items() if n >= min_count and _stands(ids, glue)]
    return [text.alphabet.decode(ids) for ids in kept], [seen[ids] for ids in kept]


def _stands(ids, glue: Glue) -> bool:
    """Whether a segment is a word: a pair or less, or cohesive in all its n-grams."""
    size = min(len(ids), glue.order)
    return size < 3 or all(
        glue.trie.marks(ids[i : i + size], glue.marked) for i in range(len(ids) - size + 1)
    )


def _table(text, words, uses, known: frozenset[str], entropy: bool) -> Words:
    long = [i for i, word in enumerate(words) if len(word) > 1]
    names, count = [words[i] for i in long], np.array([uses[i] for i in long], dtype=np.int64)
    measures = measure_words(text, names, entropy=entropy)
    left, right = measures.left_entropy, measures.right_entropy
    freedom = np.minimum(left, right) if entropy else 1.0
    saved = count * measures.cohesion / math.log(2.0)
    flags = np.array([name in known for name in names], dtype=bool)
    table = Words(tuple(names), count, measures.cohesion, left, right, saved, flags)
    return table.select(np.lexsort((names, -saved * freedom, flags)))


@kernel
def _segment(ids, longest, mask):
    """Returns begin, size and hash of the segments that joining leaves."""
    begins = np.empty(ids.size, dtype=np.int64)
    sizes = np.empty(ids.size, dtype=np.int32)
    hashes = np.empty(ids.size, dtype=np.int64)
    used = 0
    i = 0
    while i < ids.size:
        if ids[i] < 0:
            i += 1
            continue
        stop = i + 1
        value = np.int64(0)
        j = i
        while j < stop:
            stop = max(stop, j + longest[j])
            # 31 bits times 31 bits: no product overflows.
            value = ((value & 0x7FFFFFFF) * 1640531527) ^ (value >> 31) ^ (ids[j] + 1)
            j += 1
        begins[used] = i
        sizes[used] = stop - i
        hashes[used] = (value ^ (value >> 29)) & mask
        used += 1
        i = stop
    return begins[:used], sizes[:used], hashes[:used]


@kernel
def _count_segments(ids, begins, sizes, hashes, values, first, uses):
    """Counts segments whose hash is in `values`; returns the number of collisions."""
    bits = 4
    while (1 << bits) < 4 * values.size:
        bits += 1
    slots = np.full(1 << bits, -1, dtype=np.int64)
    mask = (1 << bits) - 1
    for row in range(values.size):
        slot = values[row] & mask
        while slots[slot] >= 0:
            slot = (slot + 1) & mask
        slots[slot] = row
    collisions = 0
    for segment in range(begins.size):
        slot = hashes[segment] & mask
        while slots[slot] >= 0 and values[slots[slot]] != hashes[segment]:
            slot = (slot + 1) & mask
        row = slots[slot]
        if row < 0:
            continue
        if first[row] < 0:
            first[row] = segment
        same = sizes[segment] == sizes[first[row]]
        for k in range(sizes[segment]):
            if not same:
                break
            same = ids[begins[segment] + k] == ids[begins[first[row]] + k]
        if same:
            uses[row] += 1
        else:
            collisions += 1
    return collisions
