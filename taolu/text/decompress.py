"""Plain bytes out of compressed files, read a piece at a time.

A file that was cut off in the middle is an error, never a shorter text.
"""

import bz2
import gzip
import io
import lzma
from pathlib import Path
from typing import Any, BinaryIO

from taolu.errors import CorpusError

COMPRESSED_SUFFIXES = (".gz", ".xz", ".bz2", ".zst")


def decompressed(path: Path, raw: BinaryIO) -> Any:
    """Returns a stream of the plain bytes of an open file; its suffix names the compression.

    Args:
        path: Name of the file.
        raw: The file, open for reading bytes.

    Raises:
        CorpusError: The file ends in `.zst` and the package zstandard is not installed.

    Example:
        >>> decompressed(Path("a.gz"), io.BytesIO(gzip.compress(b"text"))).read()
        b'text'
    """
    suffix = path.suffix.lower()
    if suffix == ".gz":
        return gzip.GzipFile(fileobj=raw)
    if suffix == ".xz":
        return lzma.LZMAFile(raw)
    if suffix == ".bz2":
        return bz2.BZ2File(raw)
    if suffix == ".zst":
        try:
            import zstandard
        except ImportError:
            raise CorpusError(
                f"{path}: reading .zst needs the package zstandard: pip install 'taolu[zstd]'."
            ) from None
        return io.BufferedReader(_Frames(raw, zstandard))
    return raw


class _Frames(io.RawIOBase):
    """Reads `.zst` files; zstandard's own reader takes a file cut off in the middle for whole."""

    CHUNK_BYTES = 1 << 12  # small, because a few bytes may stand for a block of 128 kB

    def __init__(self, raw: BinaryIO, zstandard: Any):
        self.raw, self.zstandard = raw, zstandard
        self.frame: Any = None
        self.unread, self.ready = b"", memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self.ready:
            chunk = self.unread or self.raw.read(self.CHUNK_BYTES)
            if not chunk and self.frame is not None:
                raise EOFError("the compressed file ends too early")
            if not chunk:
                return 0
            self._decompress(chunk)
        count = min(len(buffer), len(self.ready))
        buffer[:count] = self.ready[:count]
        self.ready = self.ready[count:]
        return count

    def _decompress(self, chunk: bytes) -> None:
        if self.frame is None:
            self.frame = self.zstandard.ZstdDecompressor().decompressobj()
        try:
            self.ready = memoryview(self.frame.decompress(chunk))
        except self.zstandard.ZstdError as error:
            raise OSError(str(error)) from error
        self.unread = self.frame.unused_data
        if self.frame.eof:
            self.frame = None
