"""Vectors that were learned elsewhere, out of files: NumPy's or those of word2vec."""

import os
import zipfile
from itertools import islice
from pathlib import Path

import numpy as np

from taolu.errors import CorpusError
from taolu.text.corpus import Corpus


def read_vectors(path: str | os.PathLike[str]) -> dict[str, np.ndarray]:
    """Returns the vector of each character in a file; longer words are left out.

    Args:
        path: `.npz` with the arrays `words`, text (words,), and `vectors`, float (words, width), as
            `learn` writes it; or text, plain or compressed, in which each line is a word and its
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
    try:
        with np.load(path, allow_pickle=False) as archive:
            words, vectors = archive["words"], archive["vectors"]
    except KeyError:
        raise CorpusError(f"{path}: needs the arrays `words` and `vectors`.") from None
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise CorpusError(f"{path}: no NumPy archive ({error}).") from None
    if words.ndim != 1 or vectors.ndim != 2 or len(words) != len(vectors):
        raise CorpusError(
            f"{path}: `words` must be (words,) and `vectors` (words, width). "
            f"Received: {words.shape} and {vectors.shape}."
        )
    if not np.isfinite(vectors).all():
        raise CorpusError(f"{path}: `vectors` holds numbers that are not finite.")
    known = zip(words.tolist(), vectors.astype(np.float32), strict=True)
    return {word: vector for word, vector in known if len(word) == 1}


def _from_text(path: Path) -> dict[str, np.ndarray]:
    lines = Corpus((path,)).lines()
    first = list(islice(lines, 1))
    header = bool(first) and len(first[0].split()) == 2
    found: dict[str, np.ndarray] = {}
    width = int(first[0].split()[1]) if header and first[0].split()[1].isdigit() else 0
    for number, line in enumerate([*([] if header else first), *lines], 2 if header else 1):
        fields = line.rstrip().split(" ")
        if len(fields) < 2:
            continue
        width = width or len(fields) - 1
        try:
            vector = np.array(fields[1:], dtype=np.float32)
        except ValueError:
            vector = np.empty(0, dtype=np.float32)
        if len(vector) != width or not np.isfinite(vector).all():
            raise CorpusError(
                f"{path}, line {number}: must be a word and {width} numbers. "
                f"Received: {line[:40]!r}."
            )
        if len(fields[0]) == 1:
            found[fields[0]] = vector
    return found
