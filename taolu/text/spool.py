"""Copies of what can be read only once: standard input and pipes.

A corpus is read again in every pass, so a stream is copied to a temporary file first; the copy
goes when the process ends.
"""

import atexit
import errno
import shutil
import tempfile
from pathlib import Path
from typing import BinaryIO

from taolu.errors import CorpusError

COPIED_AT_ONCE = 1 << 22


def spool(stream: BinaryIO, name: str) -> Path:
    """Returns a file with all that comes out of a stream.

    Args:
        stream: The stream, read to its end.
        name: Its name, for messages; `stream_name` gives it back.

    Raises:
        CorpusError: The disk is full.
        OSError: The stream cannot be read.

    Example:
        >>> import io
        >>> path = spool(io.BytesIO(b"text"), "<pipe>")
        >>> path.read_bytes(), stream_name(path)
        (b'text', '<pipe>')
    """
    copy = tempfile.NamedTemporaryFile(prefix="taolu-stdin-", suffix=".txt", delete=False)  # noqa: SIM115
    path = Path(copy.name)
    _NAMES[path] = name
    try:
        with copy:
            shutil.copyfileobj(stream, copy, COPIED_AT_ONCE)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise
        raise CorpusError(
            f"{path.parent}: disk full while copying {name}. Make room there, or name another "
            "folder in the environment variable TMPDIR."
        ) from error
    return path


def stream_name(path: Path) -> str:
    """Returns the name of a file for messages: of a copy, that of its stream."""
    return _NAMES.get(path, str(path))


class _Names(dict[Path, str]):
    """The copies and their names; they are removed when the process ends."""

    def clean(self) -> None:
        while self:
            self.popitem()[0].unlink(missing_ok=True)


_NAMES = _Names()
atexit.register(_NAMES.clean)
