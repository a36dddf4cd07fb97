"""`taolu learn`: mine text into a codebook."""

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from taolu.cli.options import Encoding, MaxLine, size_of
from taolu.errors import CodebookError

SHOWN_WORDS = 12
SHOWN_TEMPLATES = 8
SHOWN_GROUPS = 8
PACKED = (".gz", ".xz", ".bz2", ".zst")


def learn(
    texts: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="TEXT",
            help="Files, folders or - for standard input; .gz, .xz, .bz2 and .zst are read too. "
            "Without any, the bundled sample: the guide itself.",
            show_default=False,
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Folder to write; default TEXT.taolu."),
    ] = None,
    known: Annotated[
        Path | None,
        typer.Option(
            help="A dictionary you have (one word a line): its words rank after new ones."
        ),
    ] = None,
    margin: Annotated[
        float,
        typer.Option(
            min=0.0,
            help="Bits a word must save per use for each border it removes. 0: the shortest "
            "description; 3.3: words closest to a dictionary's, best for segmentation.",
        ),
    ] = 2.0,
    min_count: Annotated[
        int | None,
        typer.Option(min=1, help="Fewest uses of a discovered word; default 4 to 32 by size."),
    ] = None,
    max_length: Annotated[
        int, typer.Option(min=2, max=64, help="Longest word of the lexicon, in characters.")
    ] = 8,
    encoding: Encoding = "utf-8",
    max_line: MaxLine = "32MB",
    memory: Annotated[
        str, typer.Option(metavar="SIZE", help="Memory for counting; more goes to disk.")
    ] = "2GB",
    workers: Annotated[int, typer.Option(min=1, help="Worker processes for counting.")] = 1,
    threads: Annotated[
        int | None, typer.Option(min=1, help="Threads for the other passes; default all cores.")
    ] = None,
    report: Annotated[bool, typer.Option(help="Write report.html.")] = True,
) -> None:
    """Mine raw text into words, templates and groups.

    No labels are needed. Every step is a line of the ledger, in bits per character, and is kept
    only if it saves more than it costs. The folder TEXT.taolu holds words.tsv (the dictionary),
    templates.tsv (what its words do across gaps), groups.tsv (its words in groups), vectors.npz (a
    vector for each), ledger.tsv and tried.tsv, and report.html to look at. It appears when it is
    complete; an older codebook of that name is replaced, nothing else ever is.

    \b
    Examples:
      taolu learn novel.txt
      taolu learn news/ --known dictionary.txt -o news.taolu
      zcat dump.gz | taolu learn - -o dump.taolu
    """
    size = size_of(memory, "--memory"), size_of(max_line, "--max-line")
    output = output or _output(texts)

    from taolu.cli.progress import stages
    from taolu.cli.tables import print_groups, print_ledger, print_templates, print_words
    from taolu.mine.codebook import check_free
    from taolu.mine.dictionary import read_dictionary
    from taolu.mine.learn import learn as mine
    from taolu.mine.learn import sample
    from taolu.text.corpus import Corpus

    # Nobody should wait for a result that then cannot be written.
    check_free(output)
    _check_writable(output)
    words = read_dictionary(known) if known else frozenset()
    corpus = Corpus(tuple(texts), encoding, size[1]) if texts else sample()
    with stages(corpus.size) as tell:
        book = mine(
            corpus if texts else None,
            known=words,
            margin=margin,
            min_count=min_count,
            max_length=max_length,
            memory=size[0],
            workers=workers,
            threads=threads,
            report=tell,
        )
        tell("report", 0, 0)
        book.save(output, report=report)
    print_ledger(book.ledger)
    print_words(book.words.select(range(min(SHOWN_WORDS, len(book.words)))))
    if book.templates is not None:
        print_templates(book.templates, SHOWN_TEMPLATES)
    if book.groups is not None:
        print_groups(book.groups, SHOWN_GROUPS)
    some = {"templates.tsv": book.templates, "groups.tsv": book.groups, "vectors.npz": book.vectors}
    names = ["words.tsv", *(name for name, found in some.items() if found is not None)]
    names += ["ledger.tsv", "tried.tsv", *(["report.html"] if report else [])]
    sys.stdout.write(f"\n{output}/  {'  '.join(names)}\nnext: taolu cut TEXT --with {output}\n")


def _output(texts: list[str] | None) -> Path:
    """The folder a text's codebook goes to when nobody names one."""
    if not texts:
        return Path("sample.taolu")
    path = Path(texts[0])
    if texts[0] == "-" or (path.exists() and not path.is_file() and not path.is_dir()):
        # A pipe has no place of its own.
        return Path("stdin.taolu")
    if path.is_dir():
        return path.resolve().with_name(path.resolve().name + ".taolu")
    while path.suffix.lower() in PACKED:
        path = path.with_suffix("")
    return path.with_suffix(".taolu")


def _check_writable(output: Path) -> None:
    place = output.absolute().parent
    while not place.exists():
        place = place.parent
    if not place.is_dir() or not os.access(place, os.W_OK | os.X_OK):
        raise CodebookError(f"{output}: cannot be written, {place} takes no new files (-o).")
