"""Word vectors in files: the text and binary formats of word2vec, and NPZ.

    .npz    arrays `words` (unicode), `vectors` (float32), `counts` (int64) where known, and those
            of pieces of words; nothing is pickled
    .txt    a line with the numbers of words and of numbers a word, then a line for each word: the
            word and its numbers, separated by single spaces (`.vec` is the same)
    .bin    the same first line, then each word in UTF-8, a space, its numbers as float32, smallest
            byte first, and a line feed

Numbers in text have nine digits, which is enough to give each float32 back. Files of other
programs are read too. A file appears whole or not at all.
"""

import os
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from taolu.errors import CodebookError
from taolu.mine.subwords import PieceVectors, Subwords
from taolu.text.files import replacing, replacing_bytes

if TYPE_CHECKING:
    from taolu.mine.word_vectors import WordVectors

SUFFIXES = (".npz", ".txt", ".vec", ".bin")
SUBWORD_FIELDS = ("least", "most", "buckets", "mean")
LONGEST_WORD = 1 << 16  # bytes; a longer one is no word but a sign of another format
READ_AT_ONCE = 1 << 22


def write_vectors(found: "WordVectors", path: str | os.PathLike[str]) -> None:
    """Writes word vectors in the format that the suffix names.

    Only NPZ keeps counts and pieces of words.

    Raises:
        ValueError: The suffix is of no known format, or a word holds whitespace, which the formats
            of word2vec have no place for.

    Example:
        >>> import tempfile, pathlib
        >>> from taolu.mine.word_vectors import WordVectors
        >>> path = pathlib.Path(tempfile.mkdtemp()) / "few.txt"
        >>> write_vectors(WordVectors(("上", "下"), [[1, 2], [3, 4]]), path)
        >>> path.read_text(encoding="utf-8")
        '2 2\\n上 1 2\\n下 3 4\\n'
        >>> read_vectors(path)["下"]
        array([3., 4.], dtype=float32)
    """
    path = Path(path)
    if _suffix(path) == ".npz":
        _write_npz(found, path)
        return
    for word in found.words:
        if word.split() != [word]:
            raise ValueError(
                f"`path` must end in .npz where a word is empty or holds whitespace. "
                f"Received: {path.name}, the word {word!r}."
            )
    if path.suffix == ".bin":
        with replacing_bytes(path) as file:
            file.write(f"{len(found)} {found.width}\n".encode())
            for word, row in zip(found.words, found.vectors.astype("<f4"), strict=True):
                file.write(word.encode() + b" " + row.tobytes() + b"\n")
        return
    line = "%s" + " %.9g" * found.width + "\n"
    with replacing(path) as text:
        text.write(f"{len(found)} {found.width}\n")
        for word, row in zip(found.words, found.vectors, strict=True):
            text.write(line % (word, *row.tolist()))


def read_vectors(path: str | os.PathLike[str]) -> "WordVectors":
    """Returns the word vectors of a file, in the format that its suffix names.

    Raises:
        CodebookError: The file cannot be read, or breaks a rule of its format; names the line, or
            in binary files the word.
        ValueError: The suffix is of no known format.
    """
    path = Path(path)
    kind = {".npz": _read_npz, ".bin": _read_binary}.get(_suffix(path), _read_text)
    try:
        return kind(path)
    except OSError as error:
        raise CodebookError(f"{path}: cannot be read ({error.strerror or error}).") from error


def _suffix(path: Path) -> str:
    if path.suffix not in SUFFIXES:
        raise ValueError(f"`path` must end in {', '.join(SUFFIXES)}. Received: {path.name!r}.")
    return path.suffix


def _write_npz(found: "WordVectors", path: Path) -> None:
    arrays: dict[str, Any] = {
        "words": np.array(found.words, dtype=np.str_),
        "vectors": found.vectors,
    }
    if found.counts is not None:
        arrays["counts"] = found.counts
    if found.pieces is not None:
        kind = [int(getattr(found.pieces.subwords, name)) for name in SUBWORD_FIELDS]
        arrays["piece_rule"] = np.array(kind, dtype=np.int64)
        arrays["piece_buckets"] = found.pieces.buckets
        arrays["piece_vectors"] = found.pieces.vectors
    with replacing_bytes(path) as file:
        np.savez(file, **arrays)


def _read_npz(path: Path) -> "WordVectors":
    try:
        with path.open("rb") as raw, np.load(raw, allow_pickle=False) as file:
            arrays = dict(file)
    except (EOFError, ValueError, zipfile.BadZipFile) as error:
        raise CodebookError(f"{path}: not in the NPZ format. Received: {error}.") from error
    for name, kind in (("words", "U"), ("vectors", "f")):
        if name not in arrays or arrays[name].dtype.kind != kind:
            came = f"`{name}` of {arrays[name].dtype}" if name in arrays else f"{sorted(arrays)}"
            raise CodebookError(
                f"{path}: needs the arrays `words`, of strings, and `vectors`, of floats. "
                f"Received: {came}."
            )
    pieces = None
    if "piece_rule" in arrays:
        least, most, buckets, mean = arrays["piece_rule"].tolist()
        rule = Subwords(least, most, buckets, bool(mean))
        pieces = PieceVectors(rule, arrays["piece_buckets"], arrays["piece_vectors"])
    words = tuple(arrays["words"].tolist())
    return _checked(path, words, arrays["vectors"], arrays.get("counts"), pieces)


def _read_text(path: Path) -> "WordVectors":
    words: list[str] = []
    with path.open("rb") as file:
        size, width = _header(path, file.readline(1 << 12))
        vectors = _room(path, size, width)
        for number, data in enumerate(file, start=2):
            line = _decoded(data.rstrip(), f"{path}, line {number}")
            parts = line.split(" ")
            if len(words) == size or len(parts) != width + 1:
                rule = f"{size} words" if len(words) == size else f"a word and {width} numbers"
                raise CodebookError(
                    f"{path}, line {number}: the first line promises {rule}. "
                    f"Received: {len(parts)} parts, {line[:40]!r}."
                )
            try:
                vectors[len(words)] = list(map(float, parts[1:]))
            except ValueError as error:
                raise CodebookError(
                    f"{path}, line {number}: what follows the word must be numbers. "
                    f"Received: {error}."
                ) from None
            words.append(parts[0])
            if not np.isfinite(vectors[len(words) - 1]).all():
                raise _not_finite(f"{path}, line {number}", parts[0])
    if len(words) < size:
        raise _too_short(path, size, len(words))
    return _checked(path, tuple(words), vectors)


def _read_binary(path: Path) -> "WordVectors":
    words: list[str] = []
    with path.open("rb") as file:
        size, width = _header(path, file.readline(1 << 12))
        vectors = _room(path, size, width)
        rest, at = b"", 0
        for number in range(size):
            place = f"{path}, word {number + 1}"
            while (space := rest.find(b" ", at)) < 0 or len(rest) < space + 1 + 4 * width:
                if space < 0 and len(rest) - at > LONGEST_WORD:
                    raise CodebookError(
                        f"{place}: a word must be followed by a space. "
                        f"Received: {rest[at : at + 20]!r}, and so on."
                    )
                more = file.read(READ_AT_ONCE)
                if not more:
                    raise _too_short(path, size, number)
                rest, at = rest[at:] + more, 0
            # Some programs write no line feed after the numbers.
            words.append(_decoded(rest[at:space].lstrip(b"\n"), place))
            vectors[number] = np.frombuffer(rest, "<f4", width, space + 1)
            if not np.isfinite(vectors[number]).all():
                raise _not_finite(place, words[-1])
            at = space + 1 + 4 * width
        _no_more(path, rest[at:], file, size)
    return _checked(path, tuple(words), vectors)


def _header(path: Path, line: bytes) -> tuple[int, int]:
    parts = line.split()
    if len(parts) != 2 or not all(part.isdigit() for part in parts) or not int(parts[1]):
        raise CodebookError(
            f"{path}, line 1: must hold two numbers, how many words there are and how many numbers "
            f"a word. Received: {line[:40]!r}."
        )
    return int(parts[0]), int(parts[1])


def _room(path: Path, size: int, width: int) -> np.ndarray:
    # A word takes at least a letter, a space, and two bytes a number: no memory for mere promises.
    bytes_there = path.stat().st_size
    if size * (2 * width + 1) > bytes_there:
        raise CodebookError(
            f"{path}, line 1: {size} words of {width} numbers do not fit into {bytes_there} bytes. "
            f"Received: '{size} {width}'."
        )
    return np.empty((size, width), dtype=np.float32)


def _decoded(data: bytes, place: str) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        raise CodebookError(f"{place}: not valid UTF-8. Received: {data[:20]!r}.") from None


def _no_more(path: Path, rest: bytes, file: BinaryIO, size: int) -> None:
    rest = (rest + file.read(READ_AT_ONCE)).strip(b"\n")
    if rest:
        raise CodebookError(
            f"{path}: the first line promises {size} words, and more bytes follow them. "
            f"Received: {rest[:20]!r}."
        )


def _too_short(path: Path, size: int, words: int) -> CodebookError:
    return CodebookError(
        f"{path}: the first line promises {size} words. Received: {words}, then the file ends."
    )


def _not_finite(place: str, word: str) -> CodebookError:
    return CodebookError(
        f"{place}: numbers must be finite. Received: a NaN or an infinity, of {word!r}."
    )


def _checked(path: Path, words, vectors, counts=None, pieces=None) -> "WordVectors":
    from taolu.mine.word_vectors import WordVectors

    try:
        return WordVectors(words, vectors, counts, pieces)
    except ValueError as error:
        raise CodebookError(f"{path}: {error}") from error
