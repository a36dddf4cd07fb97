"""Sorted runs on disk, merged into one sorted stream in bounded memory.

A run is what one chunk of text gives: rows of a key and its count, in ascending order. Keys taken
from every run at regular steps cut the range of keys into parts, none of which holds more rows
than fit; the part of each run is then mapped into memory and the parts are merged two by two.
"""

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from taolu._kernel import kernel
from taolu.count.memory import write_array

MAX_RUNS = 256  # open at the same time; more are merged in rounds


@dataclass(frozen=True)
class Run:
    """A file of sorted rows.

    Attributes:
        path: The file.
        rows: Number of rows.
        columns: Words of a row: those of the key, then the count.
    """

    path: Path
    rows: int
    columns: int

    def open(self) -> np.ndarray:
        """Returns the rows, uint64 (rows, columns), read from disk where they are touched."""
        shape = (self.rows, self.columns)
        if not self.rows:
            return np.empty(shape, dtype=np.uint64)
        # "c": kernels see an ordinary array, and the file cannot change.
        return np.asarray(np.memmap(self.path, dtype=np.uint64, mode="c", shape=shape))


def write_run(path: Path, pieces: Iterable[np.ndarray], columns: int) -> Run:
    """Writes sorted rows to a file.

    Raises:
        TaoluError: The disk is full; names the folder.
    """
    rows = 0
    with path.open("wb") as file:
        for piece in pieces:
            write_array(file, piece, path.parent)
            rows += len(piece)
    return Run(path, rows, columns)


def merge_runs(runs: Sequence[Run], memory: int) -> Iterator[np.ndarray]:
    """Yields the rows of all runs in ascending order, counts of equal keys added.

    Runs are deleted when they are used up.

    Args:
        runs: Runs in one folder, with the same columns; at least one.
        memory: Bytes that the merge may take.

    Yields:
        Rows, uint64 (rows, columns).
    """
    # A part is held twice while it is merged: before the last merge and after.
    rows = max(1, memory // (2 * 8 * runs[0].columns))
    runs = list(runs)
    rounds = 0
    while len(runs) > MAX_RUNS:
        group, runs = runs[:MAX_RUNS], runs[MAX_RUNS:]
        path = group[0].path.with_suffix(f".merged{rounds}")
        runs.append(write_run(path, _merge(group, rows), group[0].columns))
        rounds += 1
    yield from _merge(runs, rows)


def _merge(runs: Sequence[Run], rows: int) -> Iterator[np.ndarray]:
    arrays = [run.open() for run in runs]
    borders = [_borders(array, _cuts(arrays, rows)) for array in arrays]
    for part in range(len(borders[0]) - 1):
        parts = [
            array[border[part] : border[part + 1]]
            for array, border in zip(arrays, borders, strict=True)
        ]
        yield _merge_all([part for part in parts if len(part)] or parts[:1])
    for run in runs:
        run.path.unlink()


def _cuts(arrays: Sequence[np.ndarray], rows: int) -> list[tuple[int, ...]]:
    """Returns keys between which no more than about `rows` rows lie, ascending."""
    # j steps of s rows fit between two cuts, and each run adds less than one step at the border.
    step = max(1, rows // (2 * len(arrays)))
    samples = np.concatenate([array[step - 1 :: step, :-1] for array in arrays])
    samples = samples[np.lexsort(samples.T[::-1])]
    every = max(1, rows // (2 * step))
    return sorted({tuple(key) for key in samples[every - 1 :: every].tolist()})


def _borders(array: np.ndarray, cuts: list[tuple[int, ...]]) -> list[int]:
    def key(row: int) -> tuple[int, ...]:
        return tuple(array[row, :-1].tolist())

    places = range(len(array))
    return [0, *(bisect_left(places, cut, key=key) for cut in cuts), len(array)]


def _merge_all(parts: list[np.ndarray]) -> np.ndarray:
    while len(parts) > 1:
        pairs = [parts[at : at + 2] for at in range(0, len(parts), 2)]
        parts = [_merge_pair(*pair) if len(pair) == 2 else pair[0] for pair in pairs]
    return parts[0]


def _merge_pair(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    rows = np.empty((len(one) + len(other), one.shape[1]), dtype=np.uint64)
    return rows[: _merge_rows(one, other, rows)]


@kernel
def _merge_rows(one, other, rows):
    columns, words = rows.shape[1], rows.shape[1] - 1
    i, j, used = 0, 0, 0
    while i < one.shape[0] or j < other.shape[0]:
        order = 0  # -1: take from `one`, 1: from `other`, 0: equal keys
        if i == one.shape[0]:
            order = 1
        elif j == other.shape[0]:
            order = -1
        else:
            word = 0
            while word < words - 1 and one[i, word] == other[j, word]:
                word += 1
            order = int(one[i, word] > other[j, word]) - int(one[i, word] < other[j, word])
        if order == 1:
            for column in range(columns):
                rows[used, column] = other[j, column]
            j += 1
        else:
            for column in range(columns):
                rows[used, column] = one[i, column]
            i += 1
        if order == 0:
            rows[used, words] += other[j, words]
            j += 1
        used += 1
    return used
