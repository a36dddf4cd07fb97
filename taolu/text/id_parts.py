"""Ids of a text that come a part at a time, in memory or, past a size, in a temporary file."""

import tempfile
from collections.abc import Iterator
from typing import IO, Literal

import numpy as np


class IdParts:
    """Arrays of ids end to end.

    Args:
        most_in_memory: Ids that are kept in memory; past it they go to a temporary file, which the
            operating system maps into memory.

    Example:
        >>> parts = IdParts(2)
        >>> for ids in ([1, 2], [3]):
        ...     parts.append(np.array(ids, dtype=np.int32))
        >>> parts.whole().tolist()
        [1, 2, 3]
    """

    def __init__(self, most_in_memory: int) -> None:
        self.most = most_in_memory
        self.arrays: list[np.ndarray] = []
        self.size = 0
        self.file: IO[bytes] | None = None

    def append(self, ids: np.ndarray) -> None:
        """Adds ids, int32 (any,), at the end; the array is kept, not copied."""
        self.size += ids.size
        self.arrays.append(ids)
        if self.file is None and self.size > self.most:
            self.file = tempfile.TemporaryFile(prefix="taolu-ids-")  # noqa: SIM115
        if self.file is not None:
            for array in self.arrays:
                self.file.write(array.data)
            self.arrays = []

    def parts(self, step: int) -> Iterator[np.ndarray]:
        """Yields the ids in order: the arrays as they came, or so many of the file at a time."""
        if self.file is None:
            yield from self.arrays
            return
        self.file.flush()
        mapped = np.memmap(self.file, dtype=np.int32, mode="r+")
        for start in range(0, self.size, step):
            yield mapped[start : start + step]

    def whole(self, mode: Literal["c", "r+"] = "c") -> np.ndarray:
        """Returns all ids as one array, int32 (size,), and takes no more.

        Args:
            mode: What writing to ids of a file changes: "c" this array only, in memory; "r+" the
                file. To compiled code either has the type of an array in memory.
        """
        if self.file is None:
            return np.concatenate([np.empty(0, np.int32), *self.arrays])
        # The mapping outlives the file, and goes when the last array on it goes.
        with self.file:
            self.file.flush()
            return np.asarray(np.memmap(self.file, dtype=np.int32, mode=mode))
