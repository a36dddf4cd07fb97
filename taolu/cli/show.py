"""`taolu show`: look at what was learned."""

import sys
import webbrowser
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from taolu.cli.options import BOOK_HELP
from taolu.errors import TaoluError

if TYPE_CHECKING:
    from taolu.mine.codebook import Codebook, Words

LONGEST_SENTENCE = 200  # words; ways are listed by functions that call each other


def show(
    book: Annotated[Path, typer.Argument(metavar="BOOK", help=BOOK_HELP)],
    top: Annotated[
        int | None,
        typer.Option(
            min=0, help="How many words, templates and groups; default 20, and 10 with --near."
        ),
    ] = None,
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
    near: Annotated[
        str | None, typer.Option(metavar="WORD", help="The words used most like this one.")
    ] = None,
    parse: Annotated[
        str | None,
        typer.Option(metavar="SENTENCE", help="How words and templates make up this sentence."),
    ] = None,
    ways: Annotated[
        int, typer.Option(min=1, max=50, help="With --parse: so many ways, the cheapest first.")
    ] = 1,
    html: Annotated[bool, typer.Option("--html", help="Write the report and open it.")] = False,
) -> None:
    """Look at a codebook: words, templates, groups, the report.

    Also: export its words, find the words most like one, put a sentence together.

    \b
    Examples:
      taolu show novel.taolu
      taolu show novel.taolu --search 老 --top 50
      taolu show novel.taolu --new --export new-words.txt
      taolu show novel.taolu --near 宝玉 --top 5
      taolu show novel.taolu --parse 黛玉听了，笑道：“知道了。” --ways 3
      taolu show novel.taolu --html
    """
    _check(near, parse, ways, export, html)

    import numpy as np

    from taolu.mine.codebook import Codebook

    loaded = Codebook.load(book)
    if html:
        from taolu.report.codebook import write_report

        page = book / "report.html"
        write_report(loaded, page)
        sys.stdout.write(f"{page}\n")
        webbrowser.open(page.resolve().as_uri())
    elif near is not None:
        _show_near(loaded, book, near.strip(), 10 if top is None else top)
    elif parse is not None:
        _show_parse(loaded, book, parse, ways)
    else:
        chosen = [
            len(word) > 1 and search in word and not (new and known)
            for word, known in zip(loaded.words.word, loaded.words.known, strict=True)
        ]
        words = loaded.words.select(np.array(chosen, dtype=bool))
        if export is not None:
            _export(words, export)
        else:
            said = f" with {search!r}" if search else ""
            _show_tables(loaded, words, said, 20 if top is None else top, bool(search or new))


def _show_tables(loaded: "Codebook", words: "Words", said: str, top: int, only_words: bool) -> None:
    from taolu.cli.tables import print_groups, print_ledger, print_templates, print_words

    print_ledger(loaded.ledger)
    print_words(words.select(range(min(top, len(words)))))
    sys.stdout.write(f"{len(words):,} words of two characters or more{said}\n")
    if loaded.templates is not None and not only_words:
        print_templates(loaded.templates, top)
    if loaded.groups is not None and not only_words:
        print_groups(loaded.groups, top)


def _check(near, parse, ways, export, html) -> None:
    """Makes sure that what was asked for goes together."""
    asked = {"--near": near, "--parse": parse, "--export": export, "--html": html or None}
    given = [name for name, value in asked.items() if value is not None]
    if len(given) > 1:
        raise typer.BadParameter(f"choose one of {' and '.join(given)}", param_hint=given[-1])
    if ways > 1 and parse is None:
        raise typer.BadParameter("goes with --parse", param_hint="--ways")


def _show_near(loaded: "Codebook", book: Path, word: str, top: int) -> None:
    from taolu.cli.tables import print_near
    from taolu.mine.word_vectors import UnknownWordError

    if loaded.vectors is None:
        raise TaoluError(
            f"{book}: holds no vectors. `taolu learn TEXT -o {book}` again makes them."
        )
    try:
        print_near(loaded.vectors, word, max(1, top))
    except UnknownWordError as error:
        raise TaoluError(f"{book}: {error}") from None


def _show_parse(loaded: "Codebook", book: Path, sentence: str, ways: int) -> None:
    from taolu.cli.trees import print_parse

    if loaded.templates is None:
        # A book that has vectors was looked through for templates.
        why = (
            "as none saved what it costs. More text may have some."
            if loaded.vectors is not None
            else f"it is older than they are. `taolu learn TEXT -o {book}` again looks for some."
        )
        raise TaoluError(f"{book}: holds no templates, {why}")
    words = loaded.segmenter.cut(sentence)
    if not 1 <= len(words) <= LONGEST_SENTENCE:
        raise TaoluError(
            f"--parse takes a sentence of 1 to {LONGEST_SENTENCE} words. "
            f"Received: {len(words)} words."
        )
    alone = loaded.parser.alone(words)
    for bits, parse in loaded.parser.best(words, ways):
        print_parse(parse, f"{bits:.2f} bits; {alone:.2f} word by word")


def _export(words, path: Path) -> None:
    from taolu.mine.dictionary import write_words

    try:
        write_words(words, path)
    except OSError as error:
        raise TaoluError(f"{path}: cannot be written ({error.strerror}).") from error
    sys.stdout.write(f"{path}: {len(words):,} words\n")
