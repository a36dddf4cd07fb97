"""`taolu show`: look at what was learned."""

import sys
import webbrowser
from pathlib import Path
from typing import Annotated

import typer

from taolu.cli.tables import print_ledger, print_words


def show(
    book: Annotated[Path, typer.Argument(help="A codebook, the folder that learn wrote.")],
    top: Annotated[int, typer.Option(help="How many words.")] = 20,
    search: Annotated[str, typer.Option(help="Only words that contain this.")] = "",
    new: Annotated[bool, typer.Option("--new", help="Only words not in the known dictionary.")] = False,
    export: Annotated[
        Path | None,
        typer.Option(
            help="Write all the words chosen to a file: .txt or .dict for a jieba user dictionary, "
            ".csv, .json."
        ),
    ] = None,
    html: Annotated[bool, typer.Option("--html", help="Write the report and open it.")] = False,
) -> None:
    """Show the ledger and the words of a codebook; export them; open the report.

    Example: taolu show novel.taolu --new --top 50 --export new-words.txt
    """
    import numpy as np

    from taolu.mine.codebook import Codebook
    from taolu.mine.dictionary import write_words
    from taolu.report.codebook import write_report

    loaded = Codebook.load(book)
    chosen = [
        len(word) > 1 and search in word and not (new and known)
        for word, known in zip(loaded.words.word, loaded.words.known, strict=True)
    ]
    words = loaded.words.select(np.array(chosen, dtype=bool))
    if html:
        page = book / "report.html"
        write_report(loaded, page)
        sys.stdout.write(f"{page}\n")
        webbrowser.open(page.resolve().as_uri())
        return
    if export is not None:
        write_words(words, export)
        sys.stdout.write(f"{export}: {len(words):,} words\n")
        return
    print_ledger(loaded.ledger)
    print_words(words.select(range(min(top, len(words)))))
    sys.stdout.write(f"{len(words):,} words of two characters or more\n")
