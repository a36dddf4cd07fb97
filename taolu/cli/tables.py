"""Tables in the terminal."""

import os
import sys

from rich.console import Console
from rich.table import Table

from taolu.bits.codelength import Ledger
from taolu.mine.codebook import Words

WIDTH_IN_FILES = 120


def console() -> Console:
    """Returns a console on standard output, wide enough for tables where nobody sets a width."""
    width = None if sys.stdout.isatty() or "COLUMNS" in os.environ else WIDTH_IN_FILES
    return Console(width=width, highlight=False)


def print_ledger(ledger: Ledger) -> None:
    """Prints the steps taken and tried, in bits per character."""
    table = Table(title="ledger 账本 (bits per character)", title_justify="left")
    table.add_column("step")
    for name in ("learned", "text", "codebook", "total", "saved"):
        table.add_column(name, justify="right")
    before = None
    for step in ledger:
        saved = "" if before is None else f"{before - step.total:.4f}"
        table.add_row(step.step, f"{step.learned:,}", *_bits(step), saved)
        before = step.total
    for step in ledger.tried:
        table.add_row(f"({step.step}: tried)", f"{step.learned:,}", *_bits(step), "", style="dim")
    console().print(table)


def print_words(words: Words) -> None:
    """Prints words with their statistics."""
    table = Table(title="words 词", title_justify="left")
    table.add_column("word", overflow="fold")
    for name in ("count", "cohesion", "left entropy", "right entropy", "saved bits"):
        table.add_column(name, justify="right")
    marks = bool(words.known.any())
    if marks:
        table.add_column("known")
    for word in words:
        row = words.row(word)
        cells = [f"{row['count']:,}", *(_number(row[n]) for n in ("cohesion", "left_entropy"))]
        cells += [_number(row["right_entropy"]), f"{row['saved_bits']:,.0f}"]
        table.add_row(word, *cells, *([("yes" if row["known"] else "new")] if marks else []))
    console().print(table)


def _bits(step) -> list[str]:
    return [f"{step.text:.4f}", f"{step.codebook:.4f}", f"{step.total:.4f}"]


def _number(value: float) -> str:
    return "" if value != value else f"{value:.2f}"
