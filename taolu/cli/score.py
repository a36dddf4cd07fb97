"""`taolu score`: bits per character of held-out text, or agreement with a gold segmentation."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from taolu.cli.tables import console


def score(
    text: Annotated[str, typer.Argument(help="A file, a folder, or - for standard input.")],
    books: Annotated[
        list[Path] | None, typer.Option("--with", help="A codebook; may be given several times.")
    ] = None,
    gold: Annotated[
        bool,
        typer.Option("--gold", help="TEXT is gold: words one space apart. Prints word P/R/F1."),
    ] = False,
    encoding: Annotated[str, typer.Option(help="Encoding of the text.")] = "utf-8",
) -> None:
    """Score codebooks on text they have not seen.

    Bits per character: probabilities are smoothed, with an escape to any Unicode code point, and
    summed over all cuts of a sentence. The row `characters` is the plain character unigram of the
    first codebook's text.

    Example: taolu score rest.txt --with novel.taolu;  taolu score gold.txt --with novel.taolu --gold
    """
    from rich.table import Table

    from taolu.errors import CorpusError
    from taolu.mine.codebook import Codebook
    from taolu.mine.score import UnigramModel, score_text, score_words
    from taolu.text.corpus import Corpus

    if not books:
        raise typer.BadParameter("name a codebook; `taolu learn TEXT` makes one.", param_hint="--with")
    loaded = {str(book): Codebook.load(book) for book in books}
    corpus = Corpus((text,), encoding=encoding)
    if gold:
        lines = [line.split() for line in corpus.lines() if line.strip()]
        if not lines:
            raise CorpusError(f"{text}: the text is empty. There is nothing to score.")
        table = Table(title=f"{text}: words", title_justify="left")
        table.add_column("codebook")
        for name in ("precision", "recall", "F1"):
            table.add_column(name, justify="right")
        for name, book in loaded.items():
            cut = book.segmenter.cut_lines(["".join(words) for words in lines])
            found = score_words(lines, cut)
            table.add_row(name, *(f"{v:.4f}" for v in (found.precision, found.recall, found.f1)))
        console().print(table)
        return
    first = next(iter(loaded.values()))
    models = {"characters": UnigramModel(first.characters, first.sentences)}
    models |= {name: book.model for name, book in loaded.items()}
    scores = score_text(corpus, models)
    if not scores[0].characters:
        raise CorpusError(f"{text}: the text is empty. There is nothing to score.")
    table = Table(title=f"{text}: held-out bits per character", title_justify="left")
    for name in ("model", "bits/character"):
        table.add_column(name, justify="left" if name == "model" else "right")
    for row in scores:
        table.add_row(row.model, f"{row.bits_per_character:.4f}")
    console().print(table)
    sys.stdout.write(f"{scores[0].characters:,} characters, {scores[0].sentences:,} sentences\n")
