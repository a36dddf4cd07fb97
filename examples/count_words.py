"""Count words: split at whitespace by compiled code, or by any function in several processes.

python examples/count_words.py [FILE ...]
"""

import sys
import tempfile
from pathlib import Path

from taolu.count.parallel import parallel_map
from taolu.count.words import count_words

TEXT = "知之 为 知之 ， 不知 为 不知 ， 是 知 也 。\n学 而 时习 之 ， 不亦 说 乎 ？\n"


def cut_pairs(line: str) -> list[str]:
    """A tokenizer of one's own, at the top level so that a worker can import it."""
    text = "".join(line.split())
    return [text[start : start + 2] for start in range(len(text) - 1)]


def parse(line: str) -> int:
    return int(line)


def show(title: str, counts: dict[str, int]) -> None:
    best = " ".join(f"{word}:{count}" for word, count in list(counts.items())[:8])
    print(f"{title}: {sum(counts.values())} in all, {len(counts)} distinct: {best}")


def main(names: list[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        sample = Path(folder, "sample.txt")
        sample.write_text(TEXT * 1000, encoding="utf-8")
        paths = [Path(name) for name in names] or [sample]
        # Threads are enough here: compiled code does not hold the interpreter lock.
        show("words", count_words(paths, workers=2))
        # Two processes, each with one share of the files, merged once.
        show("pairs", count_words(paths, cut_pairs, workers=2, min_count=2))
    # The map below it: in order, read only as far ahead as asked, and bad items told, not lost.
    bad: list[str] = []
    lines = ["1", "2", "three", "4"]
    numbers = parallel_map(parse, lines, workers=2, on_error=lambda line, error: bad.append(line))
    print(f"numbers: {list(numbers)}, not numbers: {bad}")


if __name__ == "__main__":
    main(sys.argv[1:])
