"""Templates of a codebook as a readable file.

Each line of `templates.tsv` is a template, its words and slots between spaces; its uses on the
cheapest parses; and the words that most often fill each slot alone, the slots between ` / `. A word
that could be taken for a mark has a backslash before it.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from taolu.errors import CodebookError
from taolu.mine.table_files import number, read_table
from taolu.mine.templates import Templates, read_template

TEMPLATE_COLUMNS = ("template", "count", "fillers")
BETWEEN = "/"


def template_rows(templates: Templates) -> Iterator[tuple[str, int, str]]:
    """Yields the lines of templates."""
    fillers = templates.fillers or ((),) * len(templates)
    for text, count, slots in zip(templates.text, templates.count.tolist(), fillers, strict=True):
        lists = (" ".join(map(_escaped, words)) for words in slots)
        yield text, count, f" {BETWEEN} ".join(lists).strip()


def templates_from(path: Path, about: dict[str, Any] | None) -> Templates | None:
    """Returns the templates of a file, or None where there are none.

    Args:
        path: The file.
        about: What `meta.json` says of them, checked by `describes_templates`.

    Raises:
        CodebookError: The file is missing or damaged.
    """
    if about is None:
        return None
    parts, counts, fillers = [], [], []
    for line, (text, count, words) in enumerate(read_table(path, TEMPLATE_COLUMNS), 2):
        try:
            parts.append(read_template(text))
        except ValueError as error:
            raise CodebookError(f"{path}, line {line}: {error}") from None
        counts.append(number(count, np.int64, path, line))
        slots: list[list[str]] = [[]]
        for word in words.split():
            if word == BETWEEN:
                slots.append([])
            else:
                slots[-1].append(word[1:] if word == "\\" + BETWEEN else word)
        holes = parts[-1].count(None)
        if len(slots) != max(1, holes) or counts[-1] < 1:
            raise CodebookError(
                f"{path}, line {line}: needs a count of at least 1 and words for {holes} slots. "
                f"Received: {counts[-1]}, words for {len(slots)} slots."
            )
        fillers.append(tuple(map(tuple, slots[:holes])))
    examples = tuple(map(tuple, about["examples"]))
    if len(set(parts)) < len(parts) or len(examples) != len(parts):
        raise CodebookError(
            f"{path}: needs each of {len(examples)} templates once. Received: {len(parts)} lines."
        )
    return Templates(tuple(parts), np.array(counts, dtype=np.int64), tuple(fillers), examples)


def describes_templates(about: Any) -> bool:
    """Says whether this is what `meta.json` may say of templates."""
    return about is None or (
        isinstance(about, dict)
        and isinstance(about.get("examples"), list)
        and all(isinstance(example, list) for example in about["examples"])
    )


def _escaped(word: str) -> str:
    return "\\" + word if word == BETWEEN else word
