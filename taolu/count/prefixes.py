"""Counts of every order out of one sorted stream of the longest runs.

In sorted order all runs that share a prefix are neighbours, so a prefix is counted by one number:
how many runs had gone by when it began. When it ends, the difference is its count, and the row is
handed on if it reaches `min_count`: after exact counting, never before.
"""

import itertools
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO

import numpy as np

from taolu._kernel import kernel
from taolu.count.memory import write_array
from taolu.count.packing import Packing

STEP_ROWS = 1 << 15  # fits the cache

Table = tuple[np.ndarray, np.ndarray]


class PrefixTables:
    """The counted runs of each order, as tables of sorted keys and their counts.

    Args:
        packing: How the runs are written.
        first: Lowest order to keep.
        min_count: Rows with a lower count are left out.
        folder: Above `memory` bytes in all, the tables lie there, in nameless temporary files
            that vanish when the last array on them does.
        memory: Bytes the tables may take before that.
    """

    def __init__(self, packing: Packing, first: int, min_count: int, folder: Path, memory: int):
        self.packing, self.first, self.memory, self.size = packing, first, memory, 0
        orders = range(first, packing.order + 1)
        self.columns = [
            (_Column(folder, np.uint64, packing.words_of(order)), _Column(folder, np.int64, 1))
            for order in orders
        ]
        self.places = packing.places()
        self.numbers = np.array([first, min_count, packing.bits], dtype=np.int64)
        self.last = np.zeros((1, packing.words), dtype=np.uint64)
        self.starts = np.zeros(packing.order + 1, dtype=np.int64)
        shape = (len(orders), STEP_ROWS, packing.words)
        self.keys = np.empty(shape, dtype=np.uint64)
        self.counts = np.empty(shape[:2], dtype=np.int64)

    def count(self, stream: Iterable[np.ndarray]) -> int:
        """Reads the whole stream; returns how many runs it held, each as often as it counts.

        Args:
            stream: Pieces of sorted rows, uint64 (rows, words) with each row counting one, or
                (rows, words + 1) with the count behind the key.
        """
        total = 0
        for piece in stream:
            total = self._read(piece, total)
        # A key that no text has ends every prefix.
        self._read(np.zeros((1, self.packing.words), dtype=np.uint64), total)
        return total

    def tables(self) -> list[Table]:
        """Returns the keys and counts of each order from `first`, and forgets them.

        Keys are uint64 (rows,), or (rows, words) where they take several words; counts int64.
        """
        columns, self.columns = self.columns, []
        return [(keys.whole(), counts.whole()) for keys, counts in columns]

    def close(self) -> None:
        """Removes the tables that were not handed out."""
        for column in itertools.chain(*self.columns):
            column.close()

    def _read(self, piece: np.ndarray, total: int) -> int:
        if not len(piece):
            return total
        # Each row is compared with the one before it; that of the first is in another piece.
        before = np.zeros((2, piece.shape[1]), dtype=np.uint64)
        before[0, : self.packing.words], before[1] = self.last, piece[0]
        total = self._close(before, total)
        for start in range(0, len(piece) - 1, STEP_ROWS - 1):
            total = self._close(piece[start : start + STEP_ROWS], total)
        self.last = piece[-1:, : self.packing.words].copy()
        return total

    def _close(self, rows: np.ndarray, total: int) -> int:
        """Reads all rows but the first; returns how many runs have gone by after them."""
        words = self.packing.words
        passed = np.arange(total - 1, total + len(rows), dtype=np.int64)
        if rows.shape[1] > words:
            np.cumsum(rows[1:, words], out=passed[2:])
            passed[2:] += total
        used = np.zeros(len(self.columns), dtype=np.int64)
        _close(rows, passed, self.places, self.numbers, self.starts, self.keys, self.counts, used)
        spill = self.size <= self.memory
        for index, (keys, counts) in enumerate(self.columns):
            keys.append(self.keys[index, : used[index], : keys.words])
            counts.append(self.counts[index, : used[index], None])
            self.size += int(used[index]) * 8 * (keys.words + 1)
        if spill and self.size > self.memory:
            for column in itertools.chain(*self.columns):
                column.spill()
        return int(passed[-1])


class _Column:
    """A growing array, in memory or, from `spill` on, in a temporary file."""

    def __init__(self, folder: Path, dtype: type, words: int):
        self.folder, self.words = folder, words
        self.array: np.ndarray = np.empty((0, words), dtype)
        self.used = 0
        self.file: BinaryIO | None = None

    def append(self, rows: np.ndarray) -> None:
        if self.file is not None:
            write_array(self.file, rows, self.folder)
            return
        used = self.used + len(rows)
        if used > len(self.array):
            # Large arrays grow in place where the system can move pages: no second copy.
            self.array.resize((max(used, len(self.array) * 3 // 2), self.words), refcheck=False)
        self.array[self.used : used] = rows
        self.used = used

    def spill(self) -> None:
        file = tempfile.TemporaryFile(prefix="taolu-ngrams-", dir=self.folder)  # noqa: SIM115
        self.file, rows, self.array = file, self.array[: self.used], self.array[:0].copy()
        write_array(self.file, rows, self.folder)

    def close(self) -> None:
        if self.file is not None:
            self.file.close()

    def whole(self) -> np.ndarray:
        if self.file is not None and self.file.tell():
            # "c": an ordinary array to every reader, and the file cannot change.
            array = np.asarray(np.memmap(self.file, dtype=self.array.dtype, mode="c"))
        else:
            array = self.array
            array.resize((self.used, self.words), refcheck=False)
        self.close()  # the map has a handle of its own
        return array.reshape(-1) if self.words == 1 else array.reshape(-1, self.words)


@kernel
def _close(rows, passed, places, numbers, starts, keys, counts, used):
    """Hands on every prefix that ends in `rows`, order by order, without a branch to mispredict.

    Where a prefix ends so do its extensions: the ends of one order are among those of the next.
    """
    first, min_count = numbers[0], numbers[1]
    mask = (np.uint64(1) << np.uint64(numbers[2])) - np.uint64(1)
    ends = np.arange(1, rows.shape[0])
    size = ends.size
    for order in range(starts.size - 1, first - 1, -1):
        row, place, shift = order - first, places[order, 0], np.uint64(places[order, 1])
        start, found, kept = starts[order], 0, 0
        for index in range(size):
            end = ends[index]
            ends[found] = end
            change = (rows[end, place] ^ rows[end - 1, place]) >> shift
            for word in range(place):
                change |= rows[end, word] ^ rows[end - 1, word]
            found += change != np.uint64(0)
        size = found
        order_keys, order_counts = keys[row], counts[row]
        for index in range(size):
            end = ends[index]
            count = passed[end] - start
            start = passed[end]
            key = rows[end - 1, place] >> shift
            for word in range(place):
                order_keys[kept, word] = rows[end - 1, word]
            order_keys[kept, place] = key
            order_counts[kept] = count
            # A zero is no character: the run was cut short before this order.
            kept += (count >= min_count) & (key & mask != np.uint64(0))
        starts[order] = start
        used[row] = kept
