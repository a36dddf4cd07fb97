"""`taolu show`: look at what was learned."""

import sys
import webbrowser
from pathlib import Path
from typing import Annotated

import typer

from taolu.cli.options import BOOK_HELP
from taolu.errors import TaoluError


def show(
    book: Annotated[Path, typer.Argument(metavar="BOOK", help=BOOK_HELP)],
    top: Annotated[int, typer.Option(min=0, help="How many words.")] = 20,
    search: Annotated[str, typer.Option(help="Only words that contain this.")] = "",
    new: Annotated[
        bool, typer.Option("--new", help="Only words not in the known dictionary.")
    ] = False,
    export: Annotated[
        Path | None,
        typer.Option(
            help="Write all the words chosen to a file: .txt or .dict for a jieba user dictionary, "
            ".csv, .json."
        ),
    ] = None,
    html: Annotated[bool, typer.Option("--html", help="Write the report and open it.")] = False,
) -> None:
    """Look at a codebook, export its words, open its report.

    \b
    Examples:
      taolu show novel.taolu
      taolu show novel.taolu --search 老 --top 50
      taolu show novel.taolu --new --export new-words.txt
      taolu show novel.taolu --html
    """
    import numpy as np

    from taolu.cli.tables import print_groups, print_ledger, print_words
    from taolu.mine.codebook import Codebook
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
    elif export is not None:
        _export(words, export)
    else:
        print_ledger(loaded.ledger)
        print_words(words.select(range(min(top, len(words)))))
        chosen_by = f" with {search!r}" if search else ""
        sys.stdout.write(f"{len(words):,} words of two characters or more{chosen_by}\n")
        if loaded.groups is not None and not (search or new):
            print_groups(loaded.groups, top)


def _export(words, path: Path) -> None:
    from taolu.mine.dictionary import write_words

    try:
        write_words(words, path)
    except OSError as error:
        raise TaoluError(f"{path}: cannot be written ({error.strerror}).") from error
    sys.stdout.write(f"{path}: {len(words):,} words\n")
