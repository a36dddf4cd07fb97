"""Word lists of other tools: read a user's dictionary, hand our words on.

A dictionary is a text file with one word a line, whatever follows it after a space or tab (jieba
writes `word count tag`); lines that start with `#` are comments.
"""

import csv
import io
import json
import os
from collections.abc import Callable
from pathlib import Path

from taolu.errors import CorpusError
from taolu.mine.codebook import WORD_COLUMNS, Words
from taolu.text.corpus import Corpus
from taolu.text.files import replacing
from taolu.text.normalize import to_nfc


def read_dictionary(path: str | os.PathLike[str], *, encoding: str = "utf-8") -> frozenset[str]:
    """Returns the words of a dictionary file.

    Args:
        path: One word a line; what follows a space or tab is not read. May be compressed.
        encoding: Its encoding.

    Raises:
        CorpusError: The file cannot be read, or holds no word.
    """
    lines = Corpus.of(path, encoding=encoding).lines()
    words = (line.split(None, 1)[0] for line in lines if line.strip() and line[0] != "#")
    found = frozenset(to_nfc(word) for word in words)
    if not found:
        raise CorpusError(f"{path}: the dictionary holds no word. One word a line is expected.")
    return found


def to_jieba(words: Words) -> str:
    """Returns the words of two characters or more as a jieba user dictionary: `word count`."""
    rows = zip(words.word, words.count.tolist(), strict=True)
    return "".join(f"{word} {count}\n" for word, count in rows if len(word) > 1)


def to_csv(words: Words) -> str:
    """Returns the table as CSV with a header; missing values are empty."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(WORD_COLUMNS)
    for word in words:
        row = words.row(word)
        writer.writerow(["" if value != value else value for value in row.values()])
    return text.getvalue()


def to_json(words: Words) -> str:
    """Returns the table as a JSON list of objects; missing values are null."""
    rows = (words.row(word) for word in words)
    clean = [{k: None if v != v else v for k, v in row.items()} for row in rows]
    return json.dumps(clean, ensure_ascii=False, indent=1) + "\n"


WRITERS: dict[str, Callable[[Words], str]] = {
    ".txt": to_jieba,
    ".dict": to_jieba,
    ".csv": to_csv,
    ".json": to_json,
}


def write_words(words: Words, path: str | os.PathLike[str]) -> None:
    """Writes the words in the form the file name asks for, whole or not at all.

    Args:
        words: The words.
        path: `.txt` or `.dict` for a jieba user dictionary, `.csv`, `.json`.

    Raises:
        ValueError: The name ends in none of these.
    """
    path = Path(path)
    if path.suffix not in WRITERS:
        raise ValueError(
            f"`path` must end in {', '.join(WRITERS)} (a jieba dictionary, CSV or JSON). "
            f"Received: {str(path)!r}."
        )
    with replacing(path) as file:
        file.write(WRITERS[path.suffix](words))
