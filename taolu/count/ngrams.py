"""Exact counts of character n-grams of every order at once, of texts larger than memory.

The n characters from each position on, packed into one number, are sorted; equal neighbours are
one n-gram and neighbours with a common start are its prefixes, so one pass over the sorted numbers
counts all orders. A text too long for memory is taken in chunks, each of which leaves a sorted run
on disk, and the merged runs give the same stream.
"""

import os
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from taolu._kernel import kernel
from taolu.count.chunks import NgramJob, Progress
from taolu.count.memory import parse_bytes
from taolu.count.packing import Packing, pack_one, unpack
from taolu.count.prefixes import Table
from taolu.text.alphabet import Alphabet
from taolu.text.corpus import Corpus, Source
from taolu.text.encode import EncodedText, encode

MAX_ORDER = 8
ITEMS = 1 << 16


@dataclass(frozen=True, eq=False)
class NgramCounts:
    """The n-grams of a text and how often each occurs.

    Keys of one order are sorted, so n-grams with a common start are neighbours. A key packs
    id + 1 of each character into `packing.bits` bits, the first character highest; as long as
    that fits 64 bits a key is one number, else `packing.width` characters make a word of it.

    Attributes:
        alphabet: The characters.
        order: Highest order counted.
        total: Number of characters counted, the same for all orders.
        min_count: Rows with a lower count were left out.
        packing: How keys are written.
        keys: Sorted keys of order 1, 2, ...; uint64 (rows,) or (rows, words).
        counts: Their counts, int64 (rows,).
    """

    alphabet: Alphabet
    order: int
    total: int
    min_count: int
    packing: Packing
    keys: tuple[np.ndarray, ...]
    counts: tuple[np.ndarray, ...]

    @property
    def bits(self) -> int:
        """Bits of one character in a key."""
        return self.packing.bits

    def size(self, order: int) -> int:
        """Returns the number of distinct n-grams of an order."""
        return self.rows(order)[1].size

    def rows(self, order: int) -> Table:
        """Returns the keys and the counts of an order.

        Raises:
            ValueError: The order was not counted.
        """
        if not 1 <= order <= self.order:
            raise ValueError(
                f"`order` must be from 1 to {self.order}, the orders that were counted. "
                f"Received: order={order!r}."
            )
        return self.keys[order - 1], self.counts[order - 1]

    def count(self, ngram: str) -> int:
        """Returns how often an n-gram occurs; 0 if never, or less than `min_count` times.

        Raises:
            ValueError: The n-gram is empty or longer than `order`.
        """
        self.rows(len(ngram))
        ids = self.alphabet.encode(ngram)
        if (ids < 0).any():
            return 0
        return int(self.counts_of(pack_one(ids, self.packing)[None], len(ngram))[0])

    def counts_of(self, keys: np.ndarray, order: int) -> np.ndarray:
        """Returns the counts of n-grams of one order by their keys, int64 (size,); 0 if absent.

        A binary search for each key: sorted keys are found fastest.

        Args:
            keys: Keys, uint64 (size,) or (size, words).
            order: Their order.
        """
        table, counts = self.rows(order)
        words = self.packing.words_of(order)
        found = np.zeros(len(keys), dtype=np.int64)
        wanted = np.ascontiguousarray(keys, dtype=np.uint64).reshape(-1, words)
        _find(wanted, table.reshape(-1, words), counts, found)
        return found

    def strings(self, order: int, rows=slice(None)) -> list[str]:
        """Returns n-grams of one order as strings.

        Args:
            order: The order.
            rows: Which rows of its table: a slice, row numbers or a mask.
        """
        codes = self.alphabet.codes[unpack(self.rows(order)[0][rows], order, self.packing)]
        text = codes.tobytes().decode("utf-32-le", "surrogatepass")
        return [text[start : start + order] for start in range(0, len(text), order)]

    def items(self, order: int) -> Iterator[tuple[str, int]]:
        """Yields every n-gram of an order with its count, in the order of the keys."""
        counts = self.rows(order)[1]
        for start in range(0, counts.size, ITEMS):
            rows = slice(start, start + ITEMS)
            yield from zip(self.strings(order, rows), counts[rows].tolist(), strict=True)

    def top(self, order: int, k: int) -> list[tuple[str, int]]:
        """Returns the `k` most frequent n-grams of an order; among equals, the first keys."""
        counts = self.rows(order)[1]
        k = max(0, min(k, counts.size))
        least = np.partition(counts, counts.size - k)[counts.size - k] if k else 0
        rows = np.flatnonzero(counts >= least) if k else np.empty(0, dtype=np.int64)
        rows = rows[np.argsort(-counts[rows], kind="stable")][:k]
        return list(zip(self.strings(order, rows), counts[rows].tolist(), strict=True))


def count_ngrams(
    source: EncodedText | Corpus | Source | Iterable[Source],
    order: int = 4,
    *,
    min_count: int = 1,
    keep: np.ndarray | None = None,
    memory: int | str = "2GB",
    workers: int = 1,
    threads: int = 1,
    folder: str | os.PathLike[str] | None = None,
    progress: Progress | None = None,
) -> NgramCounts:
    """Counts all character n-grams of orders 1 to `order`, exactly.

    An n-gram never crosses a sentence end, whitespace, or a character that is not kept. The
    result does not depend on `memory`, `workers` or `threads`. Cost: one sort of the positions.

    Args:
        source: An encoded text, a corpus, a path, or several paths.
        order: Highest order, from 1 to 8.
        min_count: n-grams that occur less often are left out, after exact counting.
        keep: True for the characters that n-grams are made of, bool (alphabet,); default all.
        memory: Bytes that counting may take beside the encoded text, as a number or as text like
            `"500MB"`. Beyond it chunks go to disk, and so does a result above a quarter of it.
        workers: Processes; each takes its part of `memory`.
        threads: Threads that share the sorting of a text that fits `memory`.
        folder: Where temporary files go; default the system's. All are removed in any case.
        progress: Called as `progress(done, size)`, with an arbitrary unit.

    Returns:
        The counts; an empty text gives empty tables.

    Raises:
        CorpusError: The source cannot be read.
        TaoluError: The disk is full; names the folder.
        WorkerError: A worker process died.
        ValueError: An argument is out of range.

    Example:
        >>> counts = count_ngrams(Corpus.from_lines(["天气好天气", "好天"]), order=3)
        >>> counts.total, counts.count("好天"), counts.count("气好天"), counts.count("气好")
        (7, 2, 1, 1)
        >>> counts.top(2, 2)
        [('天气', 2), ('好天', 2)]
    """
    for name, value in (("min_count", min_count), ("workers", workers), ("threads", threads)):
        if value < 1:
            raise ValueError(f"`{name}` must be at least 1. Received: {name}={value!r}.")
    if not 1 <= order <= MAX_ORDER:
        raise ValueError(f"`order` must be from 1 to {MAX_ORDER}. Received: order={order!r}.")
    room = parse_bytes(memory)
    place = Path(tempfile.gettempdir() if folder is None else folder)
    if not place.is_dir():
        raise ValueError(f"`folder` must be an existing folder. Received: folder={str(place)!r}.")
    text, progress = _read(source, progress)
    codes = _codes(len(text.alphabet), keep)
    packing = Packing.of(len(text.alphabet), order)
    with tempfile.TemporaryDirectory(prefix="taolu-count-", dir=place) as scratch:
        job = NgramJob(text.ids, codes, min_count, room, workers, threads, Path(scratch), progress)
        total, tables = job.all_orders(packing)
    keys, counts = zip(*tables, strict=True)
    return NgramCounts(text.alphabet, order, total, min_count, packing, keys, counts)


def _read(source, progress: Progress | None) -> tuple[EncodedText, Progress]:
    """Returns the text, and what is left of the progress: reading counts as half of the work."""
    report = progress or (lambda done, size: None)
    if isinstance(source, EncodedText):
        return source, report
    corpus = Corpus.of(source)
    text = encode(corpus, lambda done, size: report(done, 2 * size))
    return text, lambda done, size: report(
        corpus.size + corpus.size * done // max(1, size), 2 * corpus.size
    )


def _codes(size: int, keep: np.ndarray | None) -> np.ndarray:
    codes = np.arange(1, size + 1, dtype=np.uint64)
    if keep is None:
        return codes
    keep = np.asarray(keep)
    if keep.dtype != bool or keep.shape != (size,):
        raise ValueError(
            f"`keep` must be a bool array with one entry for each of the {size} characters. "
            f"Received: dtype {keep.dtype}, shape {keep.shape}."
        )
    return np.where(keep, codes, np.uint64(0))


@kernel
def _find(wanted, table, counts, found):
    for t in range(wanted.shape[0]):
        low, high = 0, table.shape[0]
        while low < high:
            middle = (low + high) // 2
            if _below(table, middle, wanted, t):
                low = middle + 1
            else:
                high = middle
        if low < table.shape[0] and not _below(wanted, t, table, low):
            found[t] = counts[low]


@kernel
def _below(one, i, other, j):
    for word in range(one.shape[1]):
        if one[i, word] != other[j, word]:
            return one[i, word] < other[j, word]
    return False
