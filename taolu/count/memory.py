"""How much memory a count may take, and what happens when the disk that takes the rest is full."""

import errno
import re
from pathlib import Path
from typing import BinaryIO

import numpy as np

from taolu.errors import TaoluError

_AMOUNT = re.compile(r"\s*(\d+(?:\.\d+)?)\s*(|[KMGT]|[KMGT]I)B?\s*", re.IGNORECASE)
_POWERS = {"": 0, "K": 1, "M": 2, "G": 3, "T": 4}


def parse_bytes(amount: int | str) -> int:
    """Returns an amount of memory in bytes.

    Args:
        amount: Bytes, or text such as `"2GB"`, `"500 MB"`, `"1.5GiB"`.

    Raises:
        ValueError: The amount is not positive or cannot be read.

    Example:
        >>> parse_bytes("2GB"), parse_bytes("1.5 KiB"), parse_bytes(64)
        (2000000000, 1536, 64)
    """
    size = 0
    if isinstance(amount, int | np.integer) and not isinstance(amount, bool):
        size = int(amount)
    elif isinstance(amount, str) and (match := _AMOUNT.fullmatch(amount)):
        unit = match[2].upper()
        base = 1024 if unit.endswith("I") else 1000
        size = int(float(match[1]) * base ** _POWERS[unit[:1]])
    if size < 1:
        raise ValueError(
            '`memory` must be a positive number of bytes, or text such as "2GB" or "500MB". '
            f"Received: memory={amount!r}."
        )
    return size


def write_array(file: BinaryIO, array: np.ndarray, folder: Path) -> None:
    """Writes an array at the end of a scratch file.

    Raises:
        TaoluError: The disk is full or fails; names the folder.
    """
    try:
        file.write(np.ascontiguousarray(array).data.cast("B") if array.size else b"")
        file.flush()
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        reason = "disk full" if full else f"cannot be written ({error.strerror})"
        raise TaoluError(
            f"{folder}: {reason} while counting n-grams. Make room there or pass another `folder` "
            "(the environment variable TMPDIR names the default one)."
        ) from error
