"""From a text to the tables of its n-grams: chunks, sorted here or by workers, then one stream.

A chunk is a range of positions; an n-gram belongs to the chunk in which it starts, and a chunk
reads on past its end as far as its last n-gram reaches. So how the text is cut changes nothing.

An n-gram is at most as frequent as any part of it. So once the n-grams of one word (four
characters, for most alphabets) are counted, those of higher orders are looked for only where
every part reaches `min_count`: still exact, and a small fraction of the text.
"""

from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import cast

import numpy as np

from taolu.count.memory import write_array
from taolu.count.merge import Run, merge_runs, write_run
from taolu.count.packing import Packing, pack, table_size
from taolu.count.parallel import parallel_map
from taolu.count.prefixes import PrefixTables, Table
from taolu.count.sorting import fold, sort_keys

SAMPLE = 61  # every so manieth position shows how first characters are spread
MIN_CHUNK = 1 << 10  # positions; even the smallest memory is spent on chunks of this size

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class NgramJob:
    """One call of `count_ngrams`.

    Attributes:
        ids: The text, int32 (time,).
        codes: Id plus one, or 0 for a character that breaks n-grams, uint64 (alphabet,).
        min_count: Rows with a lower count are left out.
        memory: Bytes it may take.
        workers: Processes.
        threads: Threads, where the text needs no chunks.
        scratch: An empty folder, removed by the caller. Tables on disk lie in its parent.
        progress: Called as `progress(done, size)`, in positions.
    """

    ids: np.ndarray
    codes: np.ndarray
    min_count: int
    memory: int
    workers: int
    threads: int
    scratch: Path
    progress: Progress

    def all_orders(self, packing: Packing) -> tuple[int, list[Table]]:
        """Returns the number of characters and the table of each order."""
        if packing.words == 1 or self.min_count == 1:
            return self.orders(packing, 1, np.empty(0, dtype=np.uint64))
        half = replace(self, progress=lambda done, size: self.progress(done, 2 * size))
        total, low = half.orders(replace(packing, order=packing.width), 1, np.empty(0, np.uint64))
        half = replace(self, progress=lambda done, size: self.progress(size + done, 2 * size))
        common = low[-1][0]
        if not common.size:
            # Nothing of this length is frequent, so nothing longer is.
            half.progress(self.ids.size, self.ids.size)
            return total, low + _no_tables(packing)
        if 8 * table_size(common.size) * self.workers > self.memory // 4:
            common = common[:0]
        _, high = half.orders(packing, packing.width + 1, common)
        return total, low + high

    def orders(self, packing: Packing, first: int, common: np.ndarray) -> tuple[int, list[Table]]:
        """Returns how many runs there are, and the tables of the orders from `first` on."""
        folder, room = self.scratch.parent, self.memory // 4
        with closing(PrefixTables(packing, first, self.min_count, folder, room)) as tables:
            total = tables.count(self.stream(packing, common))
            return total, tables.tables()

    def stream(self, packing: Packing, common: np.ndarray) -> Iterator[np.ndarray]:
        """Yields all runs of the text, sorted, in pieces."""
        size = self.ids.size
        chunk = self.chunk(packing, common)
        chunks = _Chunks(self.ids, self.codes, packing, common)
        if chunk >= size:
            spans = self.spans()
            with ThreadPoolExecutor(len(spans)) as pool:
                # Spans of first characters, in order: one sorted stream, each read while the
                # next is still being sorted.
                yield from pool.map(lambda span: chunks.sort(0, size, span), spans)
            self.progress(size, size)
            return
        if self.workers > 1:
            ids = self.file("ids", np.asarray(self.ids, dtype=np.int32))
            chunks = _Chunks(ids, self.codes, packing, self.file("common", common))
        starts = range(0, size, chunk)
        tasks = ((at, min(at + chunk, size), self.scratch / f"{at}.run") for at in starts)
        runs = []
        found = parallel_map(chunks.write, tasks, self.workers)
        with closing(cast(Generator[Run, None, None], found)):
            for run in found:
                runs.append(run)
                self.progress(min(len(runs) * chunk, size), size)
        yield from merge_runs(runs, self.memory // 2)

    def spans(self) -> list[tuple[int, int]]:
        """Returns spans of first characters with about equal shares of the text, one a thread."""
        ids = self.ids[::SAMPLE]
        first = np.sort(self.codes[ids[ids >= 0]])
        first = first[first > 0]
        shares = range(1, self.threads) if first.size else ()
        cuts = {int(first[first.size * share // self.threads]) for share in shares}
        return list(pairwise([0, *sorted(cuts), 1 << 62]))

    def chunk(self, packing: Packing, common: np.ndarray) -> int:
        """Returns how many positions are sorted at a time."""
        # Of each position: its id, its key, and beside keys of several words a copy to sort into.
        position = 4 + 8 * packing.words * (1 if packing.words == 1 else 2)
        room = self.memory * 3 // 4 // self.workers - 8 * table_size(common.size)
        chunks = max(1, -(-self.ids.size * position // max(1, room)))
        if chunks > 1 or self.workers > 1:
            chunks = -(-chunks // self.workers) * self.workers
        return max(MIN_CHUNK, -(-self.ids.size // chunks))

    def file(self, name: str, array: np.ndarray) -> Path:
        """Returns a file that holds the array, for workers to map."""
        path = self.scratch / name
        with path.open("wb") as file:
            write_array(file, array, self.scratch)
        return path


@dataclass(frozen=True)
class _Chunks:
    """What it takes to sort a chunk of the text; sent to workers once.

    Attributes:
        ids: The whole text, or the file it lies in.
        codes: What a character is in a key.
        packing: How keys are written.
        common: As in `pack`; an array or the file it lies in.
    """

    ids: np.ndarray | Path
    codes: np.ndarray
    packing: Packing
    common: np.ndarray | Path

    def sort(self, start: int, stop: int, span: tuple[int, int] = (0, 1 << 62)) -> np.ndarray:
        """Returns the sorted keys of the runs that start in a chunk, uint64 (rows, words).

        Args:
            start: Start of the chunk.
            stop: Its end.
            span: Only runs whose first character has such a code.
        """
        ids = _loaded(self.ids, np.int32)[start : stop + self.packing.order - 1]
        # Copies where the system maps a file, so that kernels see one type of array.
        ids = np.require(ids, np.int32, ["C", "W"])
        common = np.require(_loaded(self.common, np.uint64), np.uint64, ["C", "W"])
        keys = pack(ids, self.codes, stop - start, self.packing, common, span)
        return sort_keys(keys, self.packing)

    def write(self, task: tuple[int, int, Path]) -> Run:
        """Leaves the counted keys of a chunk in a file."""
        start, stop, path = task
        return write_run(path, fold(self.sort(start, stop)), self.packing.words + 1)


def _loaded(array: np.ndarray | Path, dtype: type) -> np.ndarray:
    if isinstance(array, Path):
        empty = not array.stat().st_size
        return np.empty(0, dtype) if empty else np.memmap(array, dtype=dtype, mode="r")
    return array


def _no_tables(packing: Packing) -> list[Table]:
    orders = range(packing.width + 1, packing.order + 1)
    return [
        (np.empty((0, packing.words_of(n)), dtype=np.uint64), np.empty(0, dtype=np.int64))
        for n in orders
    ]
