"""`taolu predict`: a model folder over lines of text."""

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from taolu.cli.options import Encoding, MaxLine, load_networks, size_of

if TYPE_CHECKING:
    from taolu.text.corpus import Block
    from taolu.text.layouts import Line

BLOCK_BYTES = 1 << 18


def predict(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="A folder that train wrote.")],
    text: Annotated[
        str,
        typer.Argument(
            metavar="INPUT",
            help="A file, a folder, or - for standard input (the default).",
            show_default=False,
        ),
    ] = "-",
    source: Annotated[
        str, typer.Option("--from", help="text, columns or json; found out by default.")
    ] = "",
    form: Annotated[
        str,
        typer.Option("--to", help="text, columns or json; default as INPUT, entities as json."),
    ] = "",
    encoding: Encoding = "utf-8",
    max_line: MaxLine = "32MB",
) -> None:
    """Find words or entities in text.

    Lines of text come out as words one space apart, or, of a model of entities, as JSON with
    offsets into the line. Lines of columns come out with one more column, the tag. JSON objects
    with a "text" come out with "entities", whose offsets count characters of that text, as it was.

    \b
    Examples:
      echo 他在北京大学工作 | taolu predict ner.model
      taolu predict cut.model novel.txt > words.txt
      taolu predict ner.model test.bio --to json
    """
    load_networks()
    from taolu.tasks.tag_lines import FORMS, read_items, writer_of
    from taolu.tasks.tagger import Tagger
    from taolu.text.corpus import STANDARD_INPUT, Corpus

    for option, value in (("--from", source), ("--to", form)):
        if value not in ("", *FORMS):
            raise typer.BadParameter(f"{value!r} is none of {', '.join(FORMS)}", param_hint=option)
    longest = size_of(max_line, "--max-line")
    tagger = Tagger.load(model)
    covers, scheme = tagger.target.covers, tagger.target.scheme
    if form == "text" and not covers:
        raise typer.BadParameter("entities come out as json or columns", param_hint="--to")
    if text == STANDARD_INPUT:
        if sys.stdin.isatty():
            sys.stderr.write("Type or paste text; Ctrl-D on an empty line ends.\n")
        blocks = Corpus((), encoding, longest).stream(sys.stdin.buffer, "<stdin>")
    else:
        blocks = Corpus((text,), encoding, longest).blocks(BLOCK_BYTES)
    for lines, found_form in _whole_texts(blocks, source):
        items = list(read_items(lines, found_form))
        spans = tagger.stream(item.text for item in items)
        to = form or (found_form if found_form != "text" or covers else "json")
        write = writer_of(to, covers, scheme)
        for item, found in zip(items, spans, strict=True):
            sys.stdout.write(write(item, found))
        sys.stdout.flush()


def _whole_texts(blocks: "Iterable[Block]", form: str) -> "Iterator[tuple[list[Line], str]]":
    """Yields lines that hold whole texts, as they come, and their form."""
    from taolu.tasks.tag_lines import detect_form
    from taolu.text.layouts import Line, ends_sentence

    rest: list[Line] = []
    for block in blocks:
        texts = block.decode().removesuffix("\n").split("\n")
        lines = [
            Line(block.path, number, text.removesuffix("\r"))
            for number, text in enumerate(texts, block.line)
        ]
        if not form and any(line.text.strip() for line in lines):
            form = detect_form(lines)
        rest += lines
        end = len(rest)
        if form == "columns":  # a text ends at a blank line; what was there before has none
            ends = (i for i in range(len(lines)) if ends_sentence(lines[-1 - i].text))
            end = next((end - i for i in ends), 0)
        if form and end:
            yield rest[:end], form
            rest = rest[end:]
    if rest:
        yield rest, form or "text"
