"""Tables in the terminal."""

import os
import sys
from collections.abc import Collection, Iterable, Sequence

from rich.box import HEAVY_HEAD
from rich.console import Console, JustifyMethod
from rich.table import Table

from taolu.bits.codelength import Ledger
from taolu.mine.codebook import Words
from taolu.mine.groups import WordGroups
from taolu.mine.templates import Templates
from taolu.mine.word_vectors import WordVectors

WIDTH_IN_FILES = 120


def console() -> Console:
    """Returns a console on standard output, wide enough for tables where nobody sets a width."""
    width = None if sys.stdout.isatty() or "COLUMNS" in os.environ else WIDTH_IN_FILES
    # No markup: a file named `[bold].txt` is printed as it is.
    return Console(width=width, highlight=False, markup=False, emoji=False)


def print_table(
    title: str, columns: Iterable[str], rows: Iterable[Sequence[str]], left: Collection[str] = ()
) -> None:
    """Prints a table below its title; nothing is ever cut off, on a narrow terminal it folds.

    Args:
        title: The line above it.
        columns: Names of the columns; the first holds names, the others numbers.
        rows: Their cells; a row whose name stands in brackets is dimmed.
        left: More columns that hold names.
    """
    table = Table(box=HEAVY_HEAD, header_style="bold")
    for place, name in enumerate(columns):
        justify: JustifyMethod = "right" if place and name not in left else "left"
        table.add_column(name, justify=justify, overflow="fold")
    for row in rows:
        table.add_row(*row, style="dim" if row[0].startswith("(") else None)
    out = console()
    out.print(title, style="italic", soft_wrap=True)
    out.print(table)


def print_ledger(ledger: Ledger) -> None:
    """Prints the steps taken and tried, in bits per character."""
    rows, before = [], None
    for step in ledger:
        saved = "" if before is None else f"{before - step.total:.4f}"
        rows.append([step.step, f"{step.learned:,}", *_bits(step), saved])
        before = step.total
    rows += [[f"({s.step}: tried)", f"{s.learned:,}", *_bits(s), ""] for s in ledger.tried]
    names = ("step", "learned", "text", "codebook", "total", "saved")
    print_table("ledger 账本: bits per character", names, rows)


def print_words(words: Words) -> None:
    """Prints words with their statistics."""
    names = ["word", "count", "cohesion", "left\nentropy", "right\nentropy", "saved\nbits"]
    # Without a single known word there was no dictionary to be new against.
    marks = bool(words.known.any())
    rows = []
    for word in words:
        row = words.row(word)
        measures = [row[name] for name in ("cohesion", "left_entropy", "right_entropy")]
        cells = [f"{row['count']:,}", *map(_number, measures), f"{row['saved_bits']:,.0f}"]
        rows.append([word, *cells, *([("yes" if row["known"] else "new")] if marks else [])])
    print_table("words 词", [*names, *(["known"] if marks else [])], rows, left=["known"])


def print_groups(groups: WordGroups, top: int, words: int = 10) -> None:
    """Prints the most visited groups of words, each with its most visited words.

    Args:
        groups: The groups.
        top: How many groups.
        words: How many words of each.
    """
    rows = []
    for group, flow in list(zip(groups, groups.flows.tolist(), strict=True))[:top]:
        rows.append([" ".join(group[:words]), f"{len(group):,}", f"{100 * flow:.1f}%"])
    names = ("most used", "words", "share")
    print_table(f"groups 词群: {len(groups):,}, by their share of the text", names, rows)


def print_templates(templates: Templates, top: int, fillers: int = 6) -> None:
    """Prints the most used templates, each with the words that often fill its slots.

    Args:
        templates: The templates with their uses, the most used first.
        top: How many templates.
        fillers: How many words of each slot.
    """
    some = templates.select(range(min(top, len(templates))))
    columns = some.text, some.count.tolist(), some.fillers or ((),) * len(some)
    rows = []
    for text, count, slots in zip(*columns, strict=True):
        words = " / ".join(" ".join(slot[:fillers]) for slot in slots)
        rows.append([text, f"{count:,}", words])
    title = f"templates 模版: {len(templates):,}, by their uses"
    print_table(title, ("template", "uses", "often in the slots"), rows, ["often in the slots"])


def print_near(vectors: WordVectors, word: str, top: int) -> None:
    """Prints the words whose vectors are most similar to that of a word.

    Raises:
        UnknownWordError: The word has no vector.
    """
    counts = {}
    if vectors.counts is not None:
        counts = dict(zip(vectors.words, vectors.counts.tolist(), strict=True))
    names = ["word", "cosine", *(["count"] if counts else [])]
    rows = []
    for other, cosine in vectors.most_similar(word, top=top):
        rows.append([other, f"{cosine:.4f}", *([f"{counts[other]:,}"] if counts else [])])
    print_table(f"near 近邻: {word}", names, rows)


def _bits(step) -> list[str]:
    return [f"{step.text:.4f}", f"{step.codebook:.4f}", f"{step.total:.4f}"]


def _number(value: float) -> str:
    return "" if value != value else f"{value:.2f}"
