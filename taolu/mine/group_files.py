"""Groups of words as a readable file.

Each line of `groups.tsv` is the path of a word, such as 2:1:5 for the fifth word of the first group
in the second, the word, and how often it is visited. Lines are in the order of their paths.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from taolu.errors import CodebookError
from taolu.mine.groups import WordGroups
from taolu.mine.table_files import number, read_table

GROUP_COLUMNS = ("path", "word", "flow")


def group_rows(groups: WordGroups) -> Iterator[tuple[str, str, float]]:
    """Yields the lines of groups."""
    groups = groups.in_order()
    before, place = None, 0
    for numbers, word, flow in zip(groups.paths.tolist(), groups.words, groups.flow, strict=True):
        path = [step + 1 for step in numbers if step >= 0]
        place = place + 1 if path == before else 1
        before = path
        yield ":".join(map(str, [*path, place])), word, flow


def groups_from(path: Path, about: dict[str, Any] | None) -> WordGroups | None:
    """Returns the groups of a file, or None where there are none.

    Args:
        path: The file.
        about: What `meta.json` says of them, checked by `describes_groups`.

    Raises:
        CodebookError: The file is missing or damaged.
    """
    if about is None:
        return None
    rows = read_table(path, GROUP_COLUMNS)
    steps = [_steps(row[0], path, line) for line, row in enumerate(rows, 2)]
    depth = max(map(len, steps), default=0)
    if not about["level"] <= depth or len({row[1] for row in rows}) < max(1, len(rows)):
        raise CodebookError(
            f"{path}: needs {about['level']} levels of groups, and each word once. "
            f"Received: {depth} levels, {len(rows)} lines."
        )
    paths = np.full((len(rows), depth), -1, dtype=np.int32)
    for row, numbers in zip(paths, steps, strict=True):
        row[: len(numbers)] = numbers
    flow = np.array([number(row[2], np.float64, path, line) for line, row in enumerate(rows, 2)])
    words = tuple(row[1] for row in rows)
    return WordGroups(words, paths, flow, about["codelength"], about["level"])


def _steps(text: str, path: Path, line: int) -> list[int]:
    steps = [number(step, np.int64, path, line) - 1 for step in text.split(":")]
    if len(steps) < 2 or not 0 <= min(steps) <= max(steps) < 2**31:
        raise CodebookError(
            f"{path}, line {line}: the path of a word must be like 1:1, whole numbers from 1. "
            f"Received: {text!r}."
        )
    return steps[:-1]


def describes_groups(about: Any) -> bool:
    """Says whether this is what `meta.json` may say of groups."""
    # A codebook of an older version, or one whose groups did not pay, says nothing of them.
    return about is None or (
        isinstance(about, dict)
        and isinstance(about.get("level"), int)
        and about["level"] >= 0
        and isinstance(about.get("codelength"), int | float)
    )
