"""`taolu learn`: mine text into a codebook."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from taolu.cli.progress import stages
from taolu.cli.tables import print_ledger, print_words


def learn(
    texts: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[TEXT]...",
            help="Files, folders or - for standard input; .gz, .xz and .zst are read as they are. "
            "Without any, the bundled sample: the guide itself.",
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Folder to write; default TEXT.taolu."),
    ] = None,
    known: Annotated[
        Path | None,
        typer.Option(help="A dictionary you have (one word a line): its words rank after new ones."),
    ] = None,
    margin: Annotated[
        float,
        typer.Option(
            help="Bits a word must save per use for each character beyond its first. 0: shortest "
            "description; 2.5: words closest to a dictionary's, best for segmentation."
        ),
    ] = 1.0,
    min_count: Annotated[
        int | None, typer.Option(help="Fewest uses of a discovered word; default 4 to 32 by size.")
    ] = None,
    max_length: Annotated[int, typer.Option(help="Longest word of the lexicon, 2 to 64.")] = 8,
    encoding: Annotated[str, typer.Option(help="Encoding of the text, such as gb18030.")] = "utf-8",
    max_line: Annotated[str, typer.Option(help="Longest line; a longer one is an error.")] = "32MB",
    memory: Annotated[str, typer.Option(help="Memory for counting; more goes to disk.")] = "2GB",
    workers: Annotated[int, typer.Option(help="Worker processes for counting.")] = 1,
    threads: Annotated[
        int | None, typer.Option(help="Threads for the other passes; default all cores.")
    ] = None,
    report: Annotated[bool, typer.Option(help="Write report.html.")] = True,
) -> None:
    """Mine raw text: a dictionary, and a ledger of what each step saved in bits per character.

    No labels are needed. The folder TEXT.taolu holds words.tsv (the dictionary), ledger.tsv and
    tried.tsv, and report.html to look at.

    Example: taolu learn novel.txt --known mydict.txt && taolu cut other.txt --with novel.taolu
    """
    from taolu.count.memory import parse_bytes
    from taolu.mine.codebook import check_free
    from taolu.mine.dictionary import read_dictionary
    from taolu.mine.learn import learn as mine
    from taolu.mine.learn import sample
    from taolu.text.corpus import Corpus

    output = output or _output(texts)
    # Nobody should wait for a result that then cannot be written.
    check_free(output)
    words = read_dictionary(known) if known else frozenset()
    corpus = (
        Corpus(tuple(texts), encoding=encoding, max_line_bytes=parse_bytes(max_line))
        if texts
        else sample()
    )
    with stages(corpus.size) as tell:
        book = mine(
            corpus,
            known=words,
            margin=margin,
            min_count=min_count,
            max_length=max_length,
            memory=memory,
            workers=workers,
            threads=threads,
            report=tell,
        )
        tell("report", 0, 0)
        book.save(output, report=report)
    print_ledger(book.ledger)
    print_words(book.words.select(range(min(12, len(book.words)))))
    names = "words.tsv  ledger.tsv  tried.tsv" + ("  report.html" if report else "")
    sys.stdout.write(f"\n{output}/  {names}\nnext: taolu cut TEXT --with {output}\n")


def _output(texts: list[str] | None) -> Path:
    if not texts:
        return Path("sample.taolu")
    if texts[0] == "-":
        return Path("stdin.taolu")
    path = Path(texts[0])
    if path.is_dir():
        return path.resolve().with_name(path.resolve().name + ".taolu")
    while path.suffix.lower() in (".gz", ".xz", ".zst"):
        path = path.with_suffix("")
    return path.with_suffix(".taolu")
