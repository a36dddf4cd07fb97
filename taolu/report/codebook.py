"""A codebook as one HTML page that opens anywhere, without a network.

Python hands the page its numbers as JSON and nothing else; `codebook.js` draws them as text
nodes, so no word of the text can ever act as markup. Style, scripts and Plotly are written into
the file, and its content policy forbids the browser to fetch anything.
"""

import json
import math
import os
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING, Any

from plotly.offline import get_plotlyjs

from taolu.errors import CodebookError
from taolu.report.neighbours import describe_vectors
from taolu.report.patterns import describe_parses, describe_templates
from taolu.text.files import replacing

if TYPE_CHECKING:
    from taolu.mine.codebook import Codebook

ROW_LIMIT = 50_000  # rows of the word table; about 3 MB of JSON

GROUPS_SHOWN = 60
GROUP_WORDS = 40  # of each group

SCRIPTS = (
    "codebook.js",
    "words.js",
    "groups.js",
    "templates.js",
    "parses.js",
    "neighbours.js",
    "map.js",
    "charts.js",
)


def write_report(book: "Codebook", path: str | os.PathLike[str]) -> None:
    """Writes the page that shows a codebook: ledger, words, templates, groups, vectors, a passage.

    The page is written beside its final name and renamed, so it is whole or absent. It holds the
    `ROW_LIMIT` top-ranked words at most and says so when there are more.

    Args:
        book: The codebook; `meta` may name `sources`, `characters`, `created` and `options`.
        path: Name of the page; an older page of that name is replaced.

    Raises:
        CodebookError: The page cannot be written there.

    Example:
        >>> from taolu.mine.codebook import Codebook
        >>> write_report(Codebook.load("water.taolu"), "water.html")    # doctest: +SKIP
    """
    path = Path(path)
    page = _fill(_describe(book)).encode("utf-8", "replace").decode()
    try:
        with replacing(path) as file:
            file.write(page)
    except OSError as error:
        raise CodebookError(f"{path}: cannot be written ({error.strerror}).") from error


def _describe(book: "Codebook") -> dict[str, Any]:
    return {
        "meta": _meta(book),
        "ledger": {"steps": _steps(book.ledger.steps), "tried": _steps(book.ledger.tried)},
        "tally": _tally(book),
        "words": _table(book, range(min(len(book.words), ROW_LIMIT))),
        "passage": _passage(book),
        "groups": _groups(book),
        "templates": describe_templates(book),
        "parses": describe_parses(book),
        "vectors": describe_vectors(book),
    }


def _meta(book: "Codebook") -> dict[str, Any]:
    sources = book.meta.get("sources", ())
    return {
        "sources": [sources] if isinstance(sources, str) else [str(name) for name in sources],
        "characters": book.meta.get("characters", sum(book.characters.values())),
        "alphabet": len(book.characters),
        "sentences": book.sentences,
        "created": str(book.meta.get("created", "")),
        "version": str(book.meta.get("version", "")),
        "options": {str(k): str(v) for k, v in dict(book.meta.get("options") or {}).items()},
    }


def _steps(steps) -> list[dict[str, Any]]:
    return [
        {
            "step": s.step,
            "learned": int(s.learned),
            "text": _rounded(s.text, 8),
            "codebook": _rounded(s.codebook, 8),
            "total": _rounded(s.total, 8),
        }
        for s in steps
    ]


def _tally(book: "Codebook") -> dict[str, Any]:
    """Counts over the whole table, which may be longer than the rows shown."""
    long = [len(word) > 1 for word in book.words]
    new = sum(is_long and not known for is_long, known in zip(long, book.words.known, strict=True))
    return {
        "rows": len(long),
        "words": sum(long),
        # Without a single known word there was no dictionary to be new against.
        "new": int(new) if bool(book.words.known.any()) else None,
    }


def _table(book: "Codebook", rows) -> dict[str, list]:
    rows = list(rows)
    words = book.words.select(rows)
    columns = ("cohesion", "left_entropy", "right_entropy", "saved_bits")
    return {
        "word": list(words.word),
        "count": words.count.tolist(),
        **{name: [_rounded(v, 4) for v in getattr(words, name).tolist()] for name in columns},
        "known": [int(known) for known in words.known],
    }


def _groups(book: "Codebook") -> dict[str, Any] | None:
    """The most visited groups, the top module of each, and its most visited words."""
    groups = book.groups
    if groups is None or len(groups) < 2:
        return None
    module = dict(zip(groups.words, groups.paths[:, 0].tolist(), strict=True))
    visits = dict(zip(groups.words, groups.flow.tolist(), strict=True))
    shown = list(zip(groups, groups.flows.tolist(), strict=True))[:GROUPS_SHOWN]
    return {
        "groups": len(groups),
        "words": len(groups.words),
        "shown": [
            {
                "words": list(group[:GROUP_WORDS]),
                "size": len(group),
                # Words used often enough, beside the first, to stand for the group.
                "main": sum(visits[word] > 0.02 * visits[group[0]] for word in group[:4]),
                "share": _rounded(share, 6),
                "module": module[group[0]],
            }
            for group, share in shown
        ],
    }


def _passage(book: "Codebook") -> dict[str, Any]:
    """Sentences as lists of rows of a small table of their own: a word may be past the limit."""
    units = sorted({word for sentence in book.passage for word in sentence})
    place = {word: at for at, word in enumerate(units)}
    index = book.words.index
    learned = [word for word in units if word in index]
    table = _table(book, [index[word] for word in learned])
    return {
        "units": units,
        "row": [place[word] for word in learned],
        "count": table["count"],
        "saved_bits": table["saved_bits"],
        "known": table["known"],
        "sentences": [[place[word] for word in sentence] for sentence in book.passage],
    }


def _rounded(value: float, digits: int) -> float | int | None:
    """JSON knows neither nan nor infinity, and a whole number is shorter without its `.0`."""
    if not math.isfinite(value):
        return None
    number = float(f"{value:.{digits}g}")
    return int(number) if number.is_integer() else number


def _fill(data: dict[str, Any]) -> str:
    # `<` is the one character that could end the script element the JSON stands in.
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")
    return Template(_asset("codebook.html")).substitute(
        style=_asset("codebook.css"),
        script="\n".join(_asset(name) for name in SCRIPTS),
        plotly=get_plotlyjs(),
        data=text,
    )


def _asset(name: str) -> str:
    return files("taolu.report").joinpath(name).read_text(encoding="utf-8")
