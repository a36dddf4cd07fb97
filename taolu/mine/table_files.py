"""Tables as readable files: tab-separated lines below a line of column names."""

import math
from pathlib import Path

import numpy as np

from taolu.errors import CodebookError


def write_table(path: Path, columns, rows) -> None:
    """Writes rows of values as tab-separated lines below a line of column names."""
    with path.open("w", encoding="utf-8", newline="\n") as file:
        file.write("\t".join(columns) + "\n")
        for row in rows:
            file.write("\t".join(_text(value) for value in row) + "\n")


def read_table(path: Path, columns) -> list[list[str]]:
    """Returns the rows of a tab-separated file with exactly these columns.

    Raises:
        CodebookError: The file is missing, its columns differ, or a row is too short or long.
    """
    try:
        lines = path.read_text(encoding="utf-8").removesuffix("\n").split("\n")
    except OSError as error:
        raise CodebookError(f"{path}: cannot be read ({error.strerror}).") from error
    except UnicodeDecodeError:
        raise CodebookError(f"{path}: not valid UTF-8.") from None
    if lines[0].split("\t") != list(columns):
        raise CodebookError(
            f"{path}, line 1: the columns must be {', '.join(columns)}. Received: {lines[0]!r}."
        )
    rows = [line.split("\t") for line in lines[1:]]
    for number, row in enumerate(rows, start=2):
        if len(row) != len(columns):
            raise CodebookError(
                f"{path}, line {number}: needs {len(columns)} columns. Received: {len(row)}."
            )
    return rows


def _text(value) -> str:
    if isinstance(value, float | np.floating):
        return "" if math.isnan(value) else repr(float(value))
    if isinstance(value, bool | np.bool_):
        return "yes" if value else "no"
    return str(value)


def number(text: str, dtype, path: Path, line: int):
    """Returns the number a cell holds; an empty one is nan.

    Raises:
        CodebookError: It is no number.
    """
    try:
        return int(np.int64(int(text))) if dtype is np.int64 else float(text or "nan")
    except (ValueError, OverflowError):
        raise CodebookError(f"{path}, line {line}: {text!r} is not a number.") from None
