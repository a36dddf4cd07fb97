"""Vectors that were learned elsewhere, out of files: NumPy's or those of word2vec."""

import os
import re
import zipfile
import zlib
from itertools import islice
from pathlib import Path

import numpy as np

from taolu.errors import CorpusError
from taolu.text.corpus import Corpus

_GAP = re.compile("[ \t]+")  # other spaces, such as the ideographic one, may be words


def read_vectors(path: str | os.PathLike[str]) -> dict[str, np.ndarray]:
    """Returns the vector of each character in a file, float32 (width,); longer words are left out.

    Args:
        path: `.npz` with the arrays `words`, text (words,), and `vectors`, numbers (words, width),
            as `learn` writes it; or text, plain or compressed, in which each line is a word and its
            numbers, after a line with the number of words and the width that may be missing.

    Raises:
        CorpusError: The file cannot be read, holds other arrays, a line has another number of
            numbers, a number is not finite, or there is no character; names the line.

    Example:
        >>> import tempfile
        >>> file = Path(tempfile.mkdtemp()) / "v.txt"
        >>> _ = file.write_text("3 2\\n北 1 2\\n京 3 4\\n北京 5 6\\n", encoding="utf-8")
        >>> {word: vector.tolist() for word, vector in read_vectors(file).items()}
        {'北': [1.0, 2.0], '京': [3.0, 4.0]}
    """
    path = Path(path)
    found = _from_archive(path) if path.suffix == ".npz" else _from_text(path)
    if not found:
        raise CorpusError(f"{path}: holds no vector of a single character.")
    return found


def _from_archive(path: Path) -> dict[str, np.ndarray]:
    words, vectors = _arrays(path)
    if words.dtype.kind != "U" or vectors.dtype.kind not in "fiu":
        raise CorpusError(
            f"{path}: `words` must hold text and `vectors` numbers. "
            f"Received: {words.dtype} and {vectors.dtype}."
        )
    if words.ndim != 1 or vectors.ndim != 2 or len(words) != len(vectors) or not vectors.shape[1]:
        raise CorpusError(
            f"{path}: `words` must be (words,) and `vectors` (words, width). "
            f"Received: {words.shape} and {vectors.shape}."
        )
    with np.errstate(over="ignore"):
        vectors = vectors.astype(np.float32)
    if not np.isfinite(vectors).all():
        raise CorpusError(f"{path}: `vectors` holds numbers that are not finite in float32.")
    known = zip(words.tolist(), vectors, strict=True)
    return {word: vector for word, vector in known if len(word) == 1}


def _arrays(path: Path) -> tuple[np.ndarray, np.ndarray]:
    try:
        if not zipfile.is_zipfile(path):
            path.open("rb").close()  # says if it is not there at all
            raise CorpusError(f"{path}: is no NumPy archive (.npz).")
        # Pickled objects could run anything: they are never loaded.
        with np.load(path, allow_pickle=False) as archive:
            return archive["words"], archive["vectors"]
    except KeyError:
        raise CorpusError(f"{path}: needs the arrays `words` and `vectors`.") from None
    except OSError as error:
        raise CorpusError(f"{path}: cannot be read ({error.strerror or error}).") from None
    except (ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        reason = "it holds Python objects" if "allow_pickle" in str(error) else f"{error}"
        raise CorpusError(f"{path}: cannot be read ({reason}).") from None


def _from_text(path: Path) -> dict[str, np.ndarray]:
    lines = Corpus((path,)).lines()
    first = list(islice(lines, 1))
    header = [int(field) for line in first for field in line.split() if _is_count(field)]
    is_header = len(header) == 2 == len(first[0].split())
    width = header[1] if is_header else 0
    found: dict[str, np.ndarray] = {}
    for number, line in enumerate([*([] if is_header else first), *lines], 2 if is_header else 1):
        if not line.strip():
            continue
        word, *numbers = _GAP.split(line.rstrip())
        width = width or max(1, len(numbers))
        vector = _vector(numbers)
        if len(vector) != width or not np.isfinite(vector).all():
            shown = repr(line[:40])
            raise CorpusError(
                f"{path}, line {number}: must be a word and {width} "
                f"{'numbers' if width > 1 else 'number'}. Received: {shown}."
            )
        if len(word) == 1:
            found[word] = vector
    return found


def _is_count(field: str) -> bool:
    return field.isascii() and field.isdigit()


def _vector(numbers: list[str]) -> np.ndarray:
    """The numbers; nothing where one is none."""
    try:
        with np.errstate(over="ignore"):
            return np.array(numbers, dtype=np.float64).astype(np.float32)
    except ValueError:
        return np.empty(0, dtype=np.float32)
