"""The bytes of a file of links, and errors that name its lines."""

import codecs
import lzma
import os
import zlib
from dataclasses import dataclass
from pathlib import Path

from taolu.errors import CorpusError
from taolu.text.decompress import COMPRESSED_SUFFIXES, decompressed

MOST_CHARS_SHOWN = 60  # of a line in an error


@dataclass(frozen=True)
class Source:
    """A file, read.

    Attributes:
        path: Its name, for errors.
        data: Its bytes, decompressed, without a byte order mark.
        suffix: The last part of its name, without that of the compression, in small letters.
    """

    path: Path
    data: bytes
    suffix: str

    def text(self) -> str:
        """Returns the text of the file.

        Raises:
            CorpusError: It is not UTF-8; names the line.
        """
        try:
            return self.data.decode("utf-8")
        except UnicodeDecodeError as error:
            line = self.line(error.start)
            raise CorpusError(
                f"{self.path}, line {line}: not valid UTF-8. Save it as UTF-8."
            ) from None

    def line(self, offset: int) -> int:
        """Returns the number of the line that holds a byte, from 1."""
        return self.data.count(b"\n", 0, offset) + 1

    def fault(self, offset: int, rule: str) -> CorpusError:
        """Returns the error of the line that holds a byte, with that line.

        Args:
            offset: Of the byte.
            rule: A sentence.
        """
        begin = self.data.rfind(b"\n", 0, offset) + 1
        end = self.data.find(b"\n", offset)
        came = self.data[begin : end if end >= 0 else None].decode("utf-8", "replace").strip()
        if len(came) > MOST_CHARS_SHOWN:
            came = came[:MOST_CHARS_SHOWN] + "..."
        return CorpusError(f"{self.path}, line {self.line(offset)}: {rule} Received: {came!r}.")


def open_source(path: str | os.PathLike[str]) -> Source:
    """Returns a file, read and decompressed.

    Args:
        path: Its name; `.gz`, `.xz`, `.bz2` and `.zst` name a compression.

    Raises:
        CorpusError: It does not exist, cannot be read, or is damaged.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "a.tsv"
        >>> _ = path.write_text("a\\tb\\n")
        >>> open_source(path).data
        b'a\\tb\\n'
    """
    path = Path(path)
    inner = Path(path.stem) if path.suffix.lower() in COMPRESSED_SUFFIXES else path
    try:
        with path.open("rb") as raw:
            data = decompressed(path, raw).read()
    except FileNotFoundError:
        raise CorpusError(f"{path}: no such file.") from None
    except (OSError, EOFError, zlib.error, lzma.LZMAError) as error:
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise CorpusError(f"{path}: cannot be read ({reason}).") from error
    return Source(path, data.removeprefix(codecs.BOM_UTF8), inner.suffix.lower())
