"""`taolu cut`: segment text with a codebook.

Files are cut a block of lines at a time by several threads; what comes through a pipe or is typed
is cut as it comes.
"""

import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import lru_cache
from json.encoder import encode_basestring
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from taolu.cli.options import BOOK_HELP, Encoding, MaxLine, size_of
from taolu.errors import CorpusError

if TYPE_CHECKING:
    from taolu.mine.cut import Segmenter
    from taolu.text.corpus import Block

BLOCK_BYTES = 1 << 20
MOST_THREADS = 8  # beyond, reading and writing are what takes the time


def cut(
    text: Annotated[
        str,
        typer.Argument(
            metavar="TEXT",
            help="A file, a folder, or - for standard input (the default).",
            show_default=False,
        ),
    ] = "-",
    book: Annotated[Path | None, typer.Option("--with", metavar="BOOK", help=BOOK_HELP)] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON object a line, with offsets into the line.")
    ] = False,
    tags: Annotated[
        bool, typer.Option("--tags", help="Every character with its tag: B M E of a word, S alone.")
    ] = False,
    encoding: Encoding = "utf-8",
    max_line: MaxLine = "32MB",
    threads: Annotated[
        int | None, typer.Option(min=1, help="Threads; default all cores, 8 at most.")
    ] = None,
) -> None:
    """Cut text into words, one line out for each line in.

    Words come out one space apart. Whitespace of the input separates words and is not printed;
    every other character comes out unchanged. The output is UTF-8.

    \b
    Examples:
      taolu cut other.txt --with novel.taolu > words.txt
      echo 苹果的颜色是什么呢 | taolu cut --with novel.taolu
      taolu cut other.txt --with novel.taolu --json | head -1
    """
    if book is None:
        raise typer.BadParameter(
            "name a codebook; `taolu learn TEXT` makes one", param_hint="--with"
        )
    if as_json and tags:
        raise typer.BadParameter("choose one of --json and --tags", param_hint="--tags")
    longest = size_of(max_line, "--max-line")

    from taolu.count.parallel import available_cores
    from taolu.mine.codebook import Codebook
    from taolu.text.corpus import STANDARD_INPUT, Corpus

    segmenter = Codebook.load(book).segmenter
    form = _as_json if as_json else _as_tags if tags else _as_words

    def work(block: "Block") -> bytes:
        return form(block.decode(), segmenter).encode()

    write = sys.stdout.buffer.write
    if text == STANDARD_INPUT:
        if sys.stdin.isatty():
            sys.stderr.write("Type or paste text; Ctrl-D on an empty line ends.\n")
        for block in Corpus((), encoding, longest).stream(sys.stdin.buffer, "<stdin>"):
            write(work(block))
            sys.stdout.buffer.flush()
        return
    blocks = Corpus((text,), encoding, longest).blocks(BLOCK_BYTES)
    for cut_block in _in_order(work, blocks, threads or min(available_cores(), MOST_THREADS)):
        write(cut_block)
    sys.stdout.buffer.flush()


def _in_order(
    work: Callable[["Block"], bytes], blocks: Iterable["Block"], threads: int
) -> Iterator[bytes]:
    """Yields `work(block)` in order, computed by threads; only few blocks are held at a time."""
    waiting: deque[Future[bytes]] = deque()
    with ThreadPoolExecutor(threads) as pool:
        for job in _jobs(pool, work, blocks):
            waiting.append(job)
            if len(waiting) > threads + 1:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def _jobs(pool: ThreadPoolExecutor, work, blocks: Iterable["Block"]) -> Iterator[Future[bytes]]:
    try:
        for block in blocks:
            yield pool.submit(work, block)
    except CorpusError as error:
        # In its place: the lines before it come out first, and an error in them is told first.
        job: Future[bytes] = Future()
        job.set_exception(error)
        yield job


def _as_words(text: str, segmenter: "Segmenter") -> str:
    return segmenter.spaced(text).removesuffix("\n") + "\n"


def _as_tags(text: str, segmenter: "Segmenter") -> str:
    # From words one space apart: the segmenter's strings are not made for several threads.
    lines = _as_words(text, segmenter).removesuffix("\n").split("\n")
    return "".join(f"{' '.join(map(_tagged, line.split(' '))) if line else ''}\n" for line in lines)


@lru_cache(1 << 16)
def _tagged(word: str) -> str:
    tags = "S" if len(word) == 1 else "B" + "M" * (len(word) - 2) + "E"
    return " ".join(f"{character}/{tag}" for character, tag in zip(word, tags, strict=True))


def _as_json(text: str, segmenter: "Segmenter") -> str:
    spans = iter([*segmenter.spans(text), (len(text), len(text) + 1)])
    begin, end = next(spans)
    out, start = [], 0
    for line in text.removesuffix("\n").split("\n"):
        words, stop = [], start + len(line)
        while end <= stop:
            word = encode_basestring(text[begin:end])
            words.append(f'{{"word": {word}, "start": {begin - start}, "end": {end - start}}}')
            begin, end = next(spans)
        out.append(f'{{"words": [{", ".join(words)}]}}\n')
        start = stop + 1
    return "".join(out)
