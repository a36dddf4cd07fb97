"""`taolu train TASK`: from labelled text to a model folder."""

import contextlib
import sys
from pathlib import Path
from typing import Annotated

import typer

from taolu.cli.options import Encoding, load_networks
from taolu.errors import CorpusError

train = typer.Typer(rich_markup_mode=None)


@train.callback(invoke_without_command=True)
def _train(context: typer.Context) -> None:
    """Train a model folder on labelled text.

    `taolu train TASK --help` shows what data a task wants.
    """
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


@train.command()
def tag(
    data: Annotated[
        list[str],
        typer.Argument(
            metavar="DATA", help="Labelled files, all in one layout; .gz .xz .bz2 .zst as they are."
        ),
    ],
    dev: Annotated[
        list[str] | None,
        typer.Option(
            "--dev", help="Labelled file that chooses the epoch; default a tenth of DATA."
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Model folder to write; default DATA.model."),
    ] = None,
    head: Annotated[
        str, typer.Option(help="softmax, memm, bi-memm, crf, or pointer for nested spans.")
    ] = "crf",
    encoder: Annotated[
        str, typer.Option(help="convolution (fastest), recurrent or transformer.")
    ] = "convolution",
    book: Annotated[
        Path | None,
        typer.Option(
            "--with",
            metavar="BOOK",
            help="A codebook that learn wrote: its words become features of each character.",
        ),
    ] = None,
    start: Annotated[
        Path | None,
        typer.Option(
            metavar="MODEL", help="Begin from this model folder: its ids, shape and weights."
        ),
    ] = None,
    mixed: Annotated[
        bool, typer.Option("--mixed", help="Words of the codebook also get vectors of their own.")
    ] = False,
    vectors: Annotated[
        Path | None,
        typer.Option(help="Vectors of characters: .npz (words, vectors) or word2vec text."),
    ] = None,
    scheme: Annotated[
        str, typer.Option(help="Tags to learn, such as BIO; default BMES, with O for entities.")
    ] = "",
    width: Annotated[int, typer.Option(min=1, help="Width of the encoder.")] = 128,
    depth: Annotated[int, typer.Option(min=0, help="Its layers; 0 for its default.")] = 0,
    dropout: Annotated[float, typer.Option(help="Share of units dropped in training.")] = 0.4,
    epochs: Annotated[int, typer.Option(min=1, help="Most passes through DATA.")] = 15,
    patience: Annotated[
        int, typer.Option(min=1, help="Epochs without a better F1 after which it stops.")
    ] = 4,
    learning_rate: Annotated[float, typer.Option(help="Highest rate of Adam.")] = 2e-3,
    batch: Annotated[
        int,
        typer.Option(
            min=0, metavar="CHARACTERS", help="Characters of a batch; 0: by size of DATA."
        ),
    ] = 0,
    longest: Annotated[
        int, typer.Option(min=16, help="Characters read at once; longer sentences are split.")
    ] = 256,
    seed: Annotated[int, typer.Option(min=0, help="Same seed, same model.")] = 0,
    repair: Annotated[
        bool, typer.Option("--repair", help="Read tags that break a rule as conlleval does.")
    ] = False,
    comment: Annotated[str, typer.Option(help="Leave out lines that begin with this.")] = "",
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on where a killed training stopped.")
    ] = False,
    encoding: Encoding = "utf-8",
) -> None:
    """Train a tagger: words or entities out of raw characters.

    DATA is one of these; which one, and which tagging scheme, is found out and printed:

    \b
      columns   one character a line, its tag last; a blank line ends a sentence
                  在 O
                  北 B-LOC
                  京 I-LOC
                (BIO, IOB1, BMES, BMESO, BIOES, BILOU)
      words     one sentence a line, words between spaces:  我 爱 北京
      JSON      one object a line:
                  {"text": "在北京", "entities":
                   [{"start": 1, "end": 3, "label": "LOC"}]}

    The model folder appears when training is done. Until then, what is needed to go on lies in
    MODEL.partial: after a kill, give the same command with --resume, and the result is the same.

    \b
    Examples:
      taolu train tag train.bio --dev dev.bio -o ner.model
      taolu train tag words.txt --with news.taolu -o cut.model
      taolu predict ner.model text.txt
      taolu score test.bio --with ner.model --gold
    """
    load_networks()
    from taolu.cli.exits import Stopped
    from taolu.cli.progress import training
    from taolu.cli.tag_tables import print_tagger
    from taolu.mine.codebook import Codebook
    from taolu.tasks import TagSettings, train_tagger
    from taolu.tasks.vectors import read_vectors
    from taolu.text.tagged import read_tagged

    settings = TagSettings(
        encoder=encoder,
        head=head,
        scheme=scheme,
        width=width,
        depth=depth,
        dropout=dropout,
        mixed=mixed,
        epochs=epochs,
        patience=patience,
        learning_rate=learning_rate,
        batch_characters=batch,
        longest=longest,
        seed=seed,
    )
    folder = output or _output(data[0])
    known = Codebook.load(book) if book else None
    corpora = []
    for names in (data, dev):
        if names:
            corpora.append(read_tagged(names, repair=repair, encoding=encoding, comment=comment))
            sys.stderr.write(f"{', '.join(names)}: {corpora[-1]}\n")
    try:
        with training() as tell:
            tagger = train_tagger(
                corpora[0],
                folder,
                dev=corpora[1] if dev else None,
                settings=settings,
                book=known,
                vectors=read_vectors(vectors) if vectors else None,
                start=start,
                resume=resume,
                report=tell,
            )
    except Stopped as stop:
        stop.hint = f"interrupted; to go on after the last whole epoch, add --resume ({folder})."
        raise
    print_tagger(tagger.metrics, f"{folder}: on {'--dev' if dev else 'held-out sentences'}")
    sys.stdout.write(
        f"\n{folder}/  model.keras  metrics.json  report.html\nnext: taolu predict {folder} TEXT\n"
    )


def _output(data: str) -> Path:
    if data == "-":
        raise typer.BadParameter("name the model folder", param_hint="--output")
    path = Path(data)
    with contextlib.suppress(ValueError):
        while path.suffix:
            path = path.with_suffix("")
    if not path.name:
        raise CorpusError(f"{data}: no name for the model folder can be made of it (-o).")
    return path.with_name(path.name + ".model")
