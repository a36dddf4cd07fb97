"""Text in files, streamed a block of whole lines at a time and read again as often as needed.

A corpus is files, folders, standard input or lines in memory; plain or compressed (`.gz`, `.xz`,
`.bz2`, `.zst`); UTF-8 or a named encoding. It never holds more than one block, so its memory does
not grow with the text. Every error names the file and, where it applies, the line.
"""

import codecs
import lzma
import os
import stat
import sys
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import BinaryIO

from taolu.errors import CorpusError
from taolu.text.decompress import COMPRESSED_SUFFIXES, decompressed
from taolu.text.spool import spool, stream_name

TEXT_SUFFIXES = (".txt", ".text", ".md", ".utf8")
BLOCK_BYTES = 1 << 22
STREAM_BYTES = 1 << 18
LINES_BYTES = 1 << 18  # the strings of a larger block would not stay in the cache
MAX_LINE_BYTES = 32 << 20
STANDARD_INPUT = "-"

Source = str | os.PathLike[str]
Read = Callable[[], bytes]


@dataclass(frozen=True)
class Block:
    """Whole lines of one file.

    Attributes:
        data: UTF-8 bytes; every line ends with a line feed but perhaps the last of a file.
        path: Name of the file, for messages.
        line: Number of the first line in its file, from 1.
        position: Bytes of the corpus, as stored, read so far; at most `Corpus.size`.
    """

    data: bytes
    path: str
    line: int
    position: int

    def decode(self) -> str:
        """Returns the text of the block.

        Raises:
            CorpusError: The bytes are not valid UTF-8; names the line.
        """
        try:
            return self.data.decode("utf-8")
        except UnicodeDecodeError as error:
            line = self.line + self.data.count(b"\n", 0, error.start)
            raise _not_encoded(self.path, line, "utf-8") from None


@dataclass(frozen=True)
class Corpus:
    """Streams the text of files, again and again, in bounded memory.

    Args:
        sources: Files, folders (searched for `.txt`, `.text`, `.md`, `.utf8` and their compressed
            forms, in sorted order, hidden files left out) and `"-"` for standard input, which is
            copied to a temporary file so that it can be read again.
        encoding: Name of the encoding; a byte order mark at the start of a file is dropped.
        max_line_bytes: Longest line, in UTF-8 bytes. A longer one is taken for a mistake.
        lines_in_memory: Text in memory, read before `sources`.

    Raises:
        CorpusError: A source does not exist, cannot be read, or is a folder without text.
        TypeError: `sources` is one path; `Corpus.of` takes one.
        ValueError: `encoding` is unknown, or a line in memory is no valid Unicode text.

    Example:
        >>> corpus = Corpus.from_lines(["今天天气好。明天呢？", "也好"])
        >>> list(corpus.sentences())
        ['今天天气好。', '明天呢？', '也好']
    """

    sources: tuple[Source, ...] = ()
    encoding: str = "utf-8"
    max_line_bytes: int = MAX_LINE_BYTES
    lines_in_memory: tuple[str, ...] = ()
    paths: tuple[Path, ...] = field(init=False)
    size: int = field(init=False)

    def __post_init__(self) -> None:
        if isinstance(self.sources, str | os.PathLike):
            raise TypeError(
                "`sources` must be a tuple of paths; Corpus.of(path) takes one path. "
                f"Received: sources={self.sources!r}."
            )
        try:
            # `str.encode`, unlike `codecs.lookup`, turns down what is no text encoding (base64).
            "".encode(self.encoding)
            name = codecs.lookup(self.encoding).name
        except LookupError:
            raise ValueError(
                "`encoding` must name a text encoding Python knows, such as 'utf-8' or 'gb18030'. "
                f"Received: encoding={self.encoding!r}."
            ) from None
        object.__setattr__(self, "encoding", name)
        paths = tuple(path for source in self.sources for path in _files(source))
        size = sum(_size(path) for path in paths)
        size += sum(_utf8_size(line, n) for n, line in enumerate(self.lines_in_memory, 1))
        object.__setattr__(self, "paths", paths)
        object.__setattr__(self, "size", size)

    @classmethod
    def of(cls, source: "Corpus | Source | Iterable[Source]", **options) -> "Corpus":
        """Returns a corpus over a path, several paths, or a corpus itself."""
        if isinstance(source, Corpus):
            return source
        if isinstance(source, str | os.PathLike):
            return cls((source,), **options)
        return cls(tuple(source), **options)

    @classmethod
    def from_lines(cls, lines: Iterable[str]) -> "Corpus":
        """Returns a corpus over lines in memory."""
        if isinstance(lines, str):
            raise TypeError(
                "`lines` must be several strings, not one; pass text.splitlines(). "
                f"Received: a string of {len(lines)} characters."
            )
        return cls(lines_in_memory=tuple(lines))

    def blocks(self, block_bytes: int = BLOCK_BYTES) -> Iterator[Block]:
        """Yields the text as blocks of whole lines of about `block_bytes` each.

        Args:
            block_bytes: Bytes read at a time, at least 4: a byte order mark fits in.

        Raises:
            CorpusError: A file cannot be read, is damaged, is not in `encoding`, or holds a line
                longer than `max_line_bytes`. UTF-8 is checked by `Block.decode`, not here.
        """
        if block_bytes < 4:
            raise ValueError(
                f"`block_bytes` must be at least 4. Received: block_bytes={block_bytes}."
            )
        if self.lines_in_memory:
            data = "".join(f"{line}\n" for line in self.lines_in_memory).encode()
            yield Block(data, "<memory>", 1, self.size)
        done = 0
        for path in self.paths:
            yield from self._file_blocks(path, block_bytes, done)
            done += _size(path)

    def stream(self, source: BinaryIO, name: str) -> Iterator[Block]:
        """Yields the lines of a pipe as they come, for a reader that needs them only once.

        Args:
            source: A buffered stream of bytes, such as `sys.stdin.buffer`.
            name: Its name, for messages.

        Raises:
            CorpusError: As in `blocks`.

        Example:
            >>> import io
            >>> [block.data for block in Corpus().stream(io.BytesIO(b"one\\ntwo"), "<pipe>")]
            [b'one\\n', b'two']
        """
        read = getattr(source, "read1", source.read)
        try:
            yield from self._whole_lines(partial(read, STREAM_BYTES), name, lambda: 0)
        except OSError as error:
            raise _unreadable(name, error) from error

    def lines(self) -> Iterator[str]:
        """Yields every line without its line feed."""
        for block in self.blocks(LINES_BYTES):
            text = block.decode()
            yield from text.removesuffix("\n").split("\n")

    def sentences(self) -> Iterator[str]:
        """Yields every sentence that holds a character, stripped of outer whitespace."""
        # Imported here: workers that count words open corpora too, and need no NumPy.
        from taolu.text.normalize import split_sentences

        for line in self.lines():
            yield from split_sentences(line)

    def _file_blocks(self, path: Path, block_bytes: int, done: int) -> Iterator[Block]:
        name = stream_name(path)
        try:
            with path.open("rb") as raw, decompressed(path, raw) as stream:
                read = partial(stream.read, block_bytes)
                yield from self._whole_lines(read, name, lambda: done + raw.tell())
        except (OSError, EOFError, zlib.error, lzma.LZMAError) as error:
            raise _unreadable(name, error) from error

    def _whole_lines(self, read: Read, name: str, position: Callable[[], int]) -> Iterator[Block]:
        line, rest, decode = 1, b"", _Recoder(self.encoding, name)
        while True:
            chunk = read()
            # The rest holds no line feed, so the chunk begins on line `line`.
            data = rest + decode(chunk, line, last=not chunk)
            cut = data.rfind(b"\n") + 1 if chunk else len(data)
            rest = data[cut:]
            if cut:
                self._check_lines(data[:cut], name, line)
                yield Block(data[:cut], name, line, position())
                line += data.count(b"\n", 0, cut)
            if len(rest) > self.max_line_bytes:
                raise self._long_line(name, line)
            if not chunk:
                return

    def _check_lines(self, data: bytes, name: str, line: int) -> None:
        if len(data) <= self.max_line_bytes:
            return
        for offset, text in enumerate(data.split(b"\n")):
            if len(text) > self.max_line_bytes:
                raise self._long_line(name, line + offset)

    def _long_line(self, name: str, line: int) -> CorpusError:
        most = self.max_line_bytes
        size = f"{most / 1e6:.0f} MB" if most >= 10**6 else f"{most} bytes"
        return CorpusError(
            f"{name}, line {line}: longer than {size} without a line end. "
            "Break it into lines (for instance after 。), or raise `max_line_bytes` (--max-line)."
        )


class _Recoder:
    """Turns chunks of one encoding into UTF-8 bytes; UTF-8 itself passes through unread."""

    def __init__(self, encoding: str, name: str):
        self.encoding, self.name, self.first = encoding, name, True
        self.plain = encoding in ("utf-8", "utf-8-sig")
        self.decoder = codecs.getincrementaldecoder(encoding)("strict")

    def __call__(self, chunk: bytes, line: int, last: bool) -> bytes:
        data = chunk if self.plain else self._recode(chunk, line, last)
        if self.first and data:
            data, self.first = data.removeprefix(codecs.BOM_UTF8), False
        return data

    def _recode(self, chunk: bytes, line: int, last: bool) -> bytes:
        state = self.decoder.getstate()
        try:
            return self.decoder.decode(chunk, final=last).encode("utf-8")
        except UnicodeError as error:
            if isinstance(error, UnicodeDecodeError):
                # Bytes held back from the chunk before come first in what failed to decode.
                good = error.start - (len(error.object) - len(chunk))
                # Decoded again and counted then: in UTF-16 a byte 0x0A may be half of 上 (U+4E0A).
                self.decoder.setstate(state)
                line += self.decoder.decode(chunk[: max(good, 0)]).count("\n")
            raise _not_encoded(self.name, line, self.encoding) from None


def _not_encoded(name: str, line: int, encoding: str) -> CorpusError:
    other = "gb18030" if encoding == "utf-8" else "utf-8"
    return CorpusError(
        f"{name}, line {line}: not valid {encoding.upper()}. "
        f'Save it as UTF-8 or pass encoding="{other}" (--encoding {other}).'
    )


def _unreadable(name: str | Path, error: Exception) -> CorpusError:
    reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return CorpusError(f"{name}: cannot be read ({reason}).")


def _utf8_size(line: str, number: int) -> int:
    try:
        return len(line.encode()) + 1
    except UnicodeEncodeError as error:
        raise ValueError(
            "`lines_in_memory` must be valid Unicode text. "
            f"Received: {line[error.start]!r} alone, in line {number}."
        ) from None


def _files(source: Source) -> list[Path]:
    try:
        if source == STANDARD_INPUT:
            return [spool(sys.stdin.buffer, "<stdin>")]
        path = Path(source)
        if path.is_dir():
            return _text_files(path)
        if not path.exists():
            raise CorpusError(f"{path}: no such file or folder.")
        if not path.is_file():
            # A pipe, such as the shell's <(...), gives its text only once.
            with path.open("rb") as stream:
                return [spool(stream, str(path))]
        return [path]
    except OSError as error:
        raise _unreadable(Path(source), error) from error


def _text_files(folder: Path) -> list[Path]:
    def refuse(error: OSError) -> None:
        raise _unreadable(error.filename, error) from error

    found = []
    for root, folders, names in os.walk(folder, onerror=refuse):
        # A codebook folder that `learn` wrote beside the texts is no text.
        folders[:] = sorted(f for f in folders if not f.startswith(".") and f[-6:] != ".taolu")
        found += [Path(root, n) for n in sorted(names) if n[0] != "." and _is_text(n)]
    if not found:
        raise CorpusError(
            f"{folder}: the folder holds no text. Looked for files that end in "
            f"{', '.join(TEXT_SUFFIXES)}, also with {', '.join(COMPRESSED_SUFFIXES)}; "
            "name other files one by one."
        )
    return found


def _is_text(name: str) -> bool:
    path = Path(name.lower())
    inner = Path(path.stem) if path.suffix in COMPRESSED_SUFFIXES else path
    return inner.suffix in TEXT_SUFFIXES


def _size(path: Path) -> int:
    try:
        status = path.stat()
    except OSError as error:
        raise _unreadable(path, error) from error
    if not stat.S_ISREG(status.st_mode):
        # Opening a pipe in a folder could wait for ever for somebody to write into it.
        raise CorpusError(f"{path}: no ordinary file. Pipes are read when named themselves.")
    return status.st_size
