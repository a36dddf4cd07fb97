"""How many bits does a dictionary save on pages it has not read?

    python benchmarks/held_out.py [--text FILE] [--margins 0 2 3.3]

The first two thirds of a book's lines are learned, the last third is scored: bits per character
under smoothed models, summed over all cuts, with an escape to any Unicode code point. Beside it
stands the ledger of the learned part, codebook charged, and the ledger's total where the whole
book is learned and nothing held out. Without `--text` the book is 红楼梦 from the data sets in the
folder TAOLU_DATA.
"""

import argparse
from pathlib import Path

from corpora import heading, stored_lines, table

from taolu.mine.learn import learn
from taolu.mine.score import UnigramModel, score_text
from taolu.text.corpus import Corpus

BOOK = "text_novels/红楼梦.txt.xz"
SMALL = ["天气预报说明天天气好。", "看天气预报，明天好。", "天气好，明天去北京。", "北京天气好吗？"]


def lines_of(arguments) -> list[str]:
    if arguments.small:
        return SMALL * 30
    if arguments.text:
        return Path(arguments.text).read_text(encoding="utf-8").splitlines()
    return [line for line in stored_lines(BOOK) if line.strip()]


def rows_of(lines: list[str], margins: list[float]):
    cut = len(lines) * 2 // 3
    rest = Corpus.from_lines(lines[cut:])
    for margin in margins:
        part, whole = (
            learn(Corpus.from_lines(some), margin=margin) for some in (lines[:cut], lines)
        )
        if margin == margins[0]:
            plain = UnigramModel(part.characters, part.sentences)
            yield row_of("characters", "characters", plain, part, whole, rest)
        yield row_of(f"lexicon, margin {margin:g}", "lexicon", part.model, part, whole, rest)


def row_of(name: str, step: str, model: UnigramModel, part, whole, rest: Corpus) -> tuple:
    steps, all_steps = (
        {found.step: found for found in (*book.ledger, *book.ledger.tried)}
        for book in (part, whole)
    )
    found = steps[step]
    [score] = score_text(rest, {name: model})
    bits = (found.text, found.codebook, found.total, score.bits_per_character)
    return name, found.learned, *bits, all_steps[step].total


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--text", help="a book, one paragraph a line")
    parser.add_argument("--margins", type=float, nargs="+", default=[0.0, 1.0, 2.0, 3.3])
    parser.add_argument("--small", action="store_true", help="a made text, to try the script")
    arguments = parser.parse_args()
    lines = lines_of(arguments)
    print(heading())
    head = ("model", "learned", "text", "codebook", "total", "held out", "whole book, total")
    print(table(head, rows_of(lines, arguments.margins)))


if __name__ == "__main__":
    main()
