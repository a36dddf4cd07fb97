"""`taolu cut`: segment text with a codebook."""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer


def cut(
    text: Annotated[
        str, typer.Argument(help="A file, a folder, or - for standard input.")
    ] = "-",
    book: Annotated[
        Path | None, typer.Option("--with", help="The codebook, a folder that learn wrote.")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON object a line, with offsets into the line.")
    ] = False,
    tags: Annotated[
        bool, typer.Option("--tags", help="Every character with its tag: B M E of a word, S alone.")
    ] = False,
    encoding: Annotated[str, typer.Option(help="Encoding of the text.")] = "utf-8",
    max_line: Annotated[str, typer.Option(help="Longest line; a longer one is an error.")] = "32MB",
    threads: Annotated[int | None, typer.Option(help="Threads; default all cores.")] = None,
) -> None:
    """Cut text into words: one line out for each line in, words one space apart.

    Whitespace of the input separates words and is not printed; every other character comes out
    unchanged.

    Example: echo 苹果的颜色是什么呢 | taolu cut --with novel.taolu
    """
    import os

    from taolu.count.memory import parse_bytes
    from taolu.mine.codebook import Codebook
    from taolu.text.corpus import STANDARD_INPUT, Corpus

    if book is None:
        raise typer.BadParameter("name a codebook; `taolu learn TEXT` makes one.", param_hint="--with")
    if as_json and tags:
        raise typer.BadParameter("choose one of --json and --tags.", param_hint="--tags")
    segmenter = Codebook.load(book).segmenter.on_threads(threads or os.cpu_count() or 1)
    # Standard input is read as it comes where the system has a name for it.
    name = "/dev/stdin" if text == STANDARD_INPUT and Path("/dev/stdin").exists() else text
    corpus = Corpus((name,), encoding=encoding, max_line_bytes=parse_bytes(max_line))
    write = sys.stdout.buffer.write
    for block in corpus.blocks():
        lines = block.decode()
        if as_json:
            write("".join(_json(line, segmenter) for line in _lines(lines)).encode())
        elif tags:
            words = segmenter.cut_lines(_lines(lines))
            write("".join(f"{' '.join(map(_tagged, line))}\n" for line in words).encode())
        else:
            write(segmenter.spaced(lines).removesuffix("\n").encode() + b"\n")
    sys.stdout.buffer.flush()


def _lines(text: str) -> list[str]:
    return text.removesuffix("\n").split("\n")


def _json(line: str, segmenter) -> str:
    spans = segmenter.spans(line)
    words = [{"word": line[i:j], "start": i, "end": j} for i, j in spans]
    return json.dumps({"words": words}, ensure_ascii=False) + "\n"


def _tagged(word: str) -> str:
    tags = "S" if len(word) == 1 else "B" + "M" * (len(word) - 2) + "E"
    return " ".join(f"{character}/{tag}" for character, tag in zip(word, tags, strict=True))
