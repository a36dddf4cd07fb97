"""`taolu score`: bits per character of held-out text, or agreement with gold words and spans."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from taolu.cli.exits import say
from taolu.cli.options import Encoding, MaxLine, is_model, load_networks, size_of
from taolu.errors import CorpusError

if TYPE_CHECKING:
    from taolu.mine.codebook import Codebook
    from taolu.text.corpus import Corpus


def score(
    text: Annotated[
        str, typer.Argument(metavar="TEXT", help="A file, a folder, or - for standard input.")
    ],
    books: Annotated[
        list[Path] | None,
        typer.Option(
            "--with",
            metavar="BOOK|MODEL",
            help="A folder that learn or train wrote. May be given several times.",
        ),
    ] = None,
    gold: Annotated[
        bool,
        typer.Option(
            "--gold",
            help="TEXT is gold: words one space apart, or for a MODEL any labelled text that train "
            "takes. Prints P/R/F1.",
        ),
    ] = False,
    repair: Annotated[
        bool, typer.Option("--repair", help="Read gold tags that break a rule as conlleval does.")
    ] = False,
    comment: Annotated[str, typer.Option(help="Leave out lines that begin with this.")] = "",
    encoding: Encoding = "utf-8",
    max_line: MaxLine = "32MB",
) -> None:
    """Score codebooks and models on text they have not seen.

    Bits per character: probabilities are smoothed, with an escape to any Unicode code point, and
    summed over all cuts of a sentence. Two rows say what the first codebook would be worth with
    less: `characters` is the plain character unigram of its text; `hmm` is a hidden Markov model of
    places in words (alone, beginning, inside, ending), learned from its words.

    \b
    Examples:
      taolu score rest.txt --with novel.taolu --with news.taolu
      taolu score gold.txt --with novel.taolu --gold
      taolu score test.bio --with ner.model --gold
    """
    if not books:
        raise typer.BadParameter(
            "name a codebook; `taolu learn TEXT` makes one", param_hint="--with"
        )
    longest = size_of(max_line, "--max-line")

    from taolu.mine.codebook import Codebook
    from taolu.text.corpus import Corpus

    models = [book for book in books if is_model(book)]
    if models and not gold:
        raise typer.BadParameter(
            f"{models[0]} marks spans: it scores with --gold", param_hint="--with"
        )
    loaded = {str(book): Codebook.load(book) for book in books if book not in models}
    corpus = Corpus((text,), encoding, longest)
    if loaded or not models:
        (_score_words if gold else _score_text)(text, corpus, loaded)
    for model in models:
        _score_model(text, corpus, model, repair, comment)


def _score_model(text: str, corpus: "Corpus", folder: Path, repair: bool, comment: str) -> None:
    load_networks()
    from taolu.cli.tag_tables import print_spans
    from taolu.tasks.tagger import Tagger
    from taolu.text.tagged import read_tagged

    tagger = Tagger.load(folder)
    sentences = read_tagged(corpus, repair=repair, comment=comment)
    strange = sorted(sentences.labels.keys() - set(tagger.target.labels))
    if strange:
        say(f"{folder} does not know {', '.join(strange)}: it finds none of these spans.")
    found = tagger.predict(sentence.text for sentence in sentences)
    print_spans(tagger.score(sentences, found), f"{text}: {folder}")


def _score_words(text: str, corpus: "Corpus", books: "dict[str, Codebook]") -> None:
    from taolu.cli.tables import print_table
    from taolu.mine.span_score import score_words

    lines = [line.split() for line in corpus.lines() if line.strip()]
    _check(bool(lines), text)
    rows = []
    for name, book in books.items():
        cut = book.segmenter.cut_lines(["".join(words) for words in lines])
        found = score_words(lines, cut)
        rows.append((name, *(f"{v:.4f}" for v in (found.precision, found.recall, found.f1))))
    print_table(f"{text}: words", ("codebook", "precision", "recall", "F1"), rows)
    sys.stdout.write(f"{sum(map(len, lines)):,} words, {len(lines):,} lines\n")


def _score_text(text: str, corpus: "Corpus", books: "dict[str, Codebook]") -> None:
    from taolu.cli.tables import print_table
    from taolu.mine.score import TextModel, UnigramModel, score_text

    first = next(iter(books.values()))
    plain = UnigramModel(first.characters, first.sentences)
    models: dict[str, TextModel] = {"characters": plain, "hmm": first.hmm}
    scores = score_text(corpus, models | {name: book.model for name, book in books.items()})
    _check(scores[0].characters > 0, text)
    rows = [(row.model, f"{row.bits_per_character:.4f}") for row in scores]
    print_table(f"{text}: held-out bits per character", ("model", "bits/character"), rows)
    sys.stdout.write(f"{scores[0].characters:,} characters, {scores[0].sentences:,} sentences\n")


def _check(anything: bool, text: str) -> None:
    if not anything:
        raise CorpusError(f"{text}: the text is empty. There is nothing to score.")
