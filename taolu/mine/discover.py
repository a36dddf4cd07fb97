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

import contextlib
import math
from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from taolu.chain.trie import build_trie, word_edges
from taolu.count.ngrams import NgramCounts, count_ngrams
from taolu.count.packing import unpack
from taolu.mine.codebook import Words
from taolu.mine.join import Glue, join
from taolu.mine.measure import Measures, cohesions, measure_words
from taolu.text.corpus import Corpus
from taolu.text.encode import EncodedText, Progress, encode

THRESHOLDS = (0.0, 2.0, 4.0, 6.0)
LARGE_BYTES = 10_000_000  # a text that takes longer to read than code to load


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
        progress: Called as `progress(done, size)` while the text is read and counted.

    Raises:
        CorpusError: The text cannot be read.
        ValueError: An argument is out of range.

    Example:
        >>> places = "北京", "天安门"
        >>> lines = [a + b + c for a in "我你他在去看" for b in places for c in "好大美吧吗了"]
        >>> discover(Corpus.from_lines(lines), cohesion=(0, 2, 2)).word
        ('北京', '天安门')

    References:
        Su Jianlin, 更快更好的新词发现, 2019; 基于切分的新词发现, 2017.
    """
    order = len(cohesion)
    if not 2 <= order <= 8:
        raise ValueError(
            "`cohesion` must give one threshold for each order, for 2 to 8 orders. "
            f"Received: {tuple(cohesion)}."
        )
    source = source if isinstance(source, EncodedText) else Corpus.of(source)
    with _kernels_loaded(source, order, measure, threads):
        text, counted = _read(source, progress)
    if min_count is None:
        min_count = default_min_count(text.characters)
    counts = count_ngrams(
        text,
        order,
        min_count=min_count,
        keep=text.words_only,
        memory=memory,
        workers=workers,
        threads=threads,
        progress=counted,
    )
    glue = cohesive_ngrams(text, counts, cohesion)
    words, uses = join(text, glue, min_count, threads=threads)
    measures = measure_words(text, words, threads=threads) if measure else _unmeasured(len(words))
    return _ranked(words, uses, measures, frozenset(known))


@contextlib.contextmanager
def _kernels_loaded(source, order: int, measure: bool, threads: int) -> Iterator[None]:
    """Loads compiled code in a thread while a text is read, half a second that nobody waits for.

    The code is that of every later step; finding the words of a tiny text runs all of it.
    """
    if isinstance(source, EncodedText) or source.size < LARGE_BYTES:
        yield
        return
    tiny = encode(Corpus.from_lines(["天气好，天气", "天气"]))
    options: dict = {"cohesion": (0.0,) * order, "measure": measure, "threads": threads}
    with ThreadPoolExecutor(1) as pool:
        loading = pool.submit(discover, tiny, min_count=2, **options)
        yield
        loading.result()


def _read(source, progress: Progress | None) -> tuple[EncodedText, Progress | None]:
    """Returns the text, and what is left of the progress: reading counts as half of the work."""
    if isinstance(source, EncodedText) or progress is None:
        return (source if isinstance(source, EncodedText) else encode(source)), progress
    text = encode(source, lambda done, size: progress(done, 2 * size))
    return text, lambda done, size: progress(size + done, 2 * size)


def default_min_count(characters: int) -> int:
    """Returns the fewest occurrences that make a word worth a look in a text of that size.

    Example:
        >>> default_min_count(20_000), default_min_count(490_000), default_min_count(10**8)
        (4, 8, 32)
    """
    return min(32, max(4, round(characters / 61_250)))


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


def _unmeasured(size: int) -> Measures:
    nothing = np.full(size, math.nan)
    return Measures(np.zeros(size, dtype=np.int64), nothing, nothing, nothing)


def _ranked(names: list[str], count, measures: Measures, known: frozenset[str]) -> Words:
    left, right = measures.left_entropy, measures.right_entropy
    saved = count * measures.cohesion / math.log(2.0)
    score = np.where(np.isnan(saved), count, saved * np.minimum(left, right))
    flags = np.array([name in known for name in names], dtype=bool)
    table = Words(tuple(names), count, measures.cohesion, left, right, saved, flags)
    return table.select(np.lexsort((np.array(names, dtype=str), -score, flags)))
