"""Files that appear whole or not at all."""

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, TextIO


@contextlib.contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[TextIO]:
    """Yields a text file that takes the name `path` only when all of it is written.

    Args:
        path: The final name; an older file of that name stays until then.

    Example:
        >>> import tempfile, pathlib
        >>> folder = pathlib.Path(tempfile.mkdtemp())
        >>> with replacing(folder / "a.txt") as file:
        ...     _ = file.write("好")
        >>> (folder / "a.txt").read_text(encoding="utf-8")
        '好'
    """
    with _replacing(path, "w", encoding="utf-8", newline="\n") as file:
        yield file


@contextlib.contextmanager
def replacing_bytes(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """Yields a file of bytes that takes the name `path` only when all of it is written.

    Args:
        path: The final name; an older file of that name stays until then.
    """
    with _replacing(path, "wb") as file:
        yield file


@contextlib.contextmanager
def _replacing(path: str | os.PathLike[str], mode: str, **options) -> Iterator[Any]:
    path = Path(path)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
    try:
        with os.fdopen(handle, mode, **options) as file:
            yield file
        # A temporary file is private; a result gets the permissions any new file would.
        mask = os.umask(0)
        os.umask(mask)
        Path(name).chmod(0o666 & ~mask)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
