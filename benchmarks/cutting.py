"""How fast is segmentation with a dictionary, and are the words right?

    python benchmarks/cutting.py [--text FILE] [--mb 5] [--repeat 5]

Both segmenters have the same words and frequencies, jieba's own dictionary, and return Python
strings; jieba runs without its HMM, which guesses words that are not in the dictionary. They take
turns, after a first run to load and compile; times are medians. Agreement is the share of places
between two characters at which both cut or neither does, first with jieba, then with a Viterbi in
plain Python that shares no code with taolu. Where jieba differs, it cuts numbers (3.5%) and
punctuation by other rules: between two Chinese characters the rules are the same. Without
`--text` the text is drawn from the data sets in the folder TAOLU_DATA.
"""

import argparse
import math
import re
import statistics
import tempfile
import time
import unicodedata
from functools import cache
from itertools import accumulate, pairwise
from pathlib import Path

from corpora import MODERN, heading, raw_lines, table, write_text

from taolu.mine.cut import Segmenter

SMALL = ["今天天气很好，我们去北京大学看iPhone15。", "卡拉OK涨了3.5%！", "他说的确实在理"]
SAME = 1e-9  # nats; sums added up in another order differ by less
DIGITS = "0-9０-９"
GLUED = re.compile(rf"(?<=[{DIGITS}])[.．](?=[{DIGITS}])|(?<=[{DIGITS}])[%％]")


@cache
def kind(character: str) -> str:
    """A letter or digit is "a", a Chinese character "w", anything else "o"."""
    category = unicodedata.category(character)
    if category in ("Lo", "Lm"):
        return "w"
    return "a" if category in ("Lu", "Ll", "Lt", "Nd") else "o"


def plain_viterbi(line: str, logs: dict[str, float], unknown: float, longest: int) -> list[str]:
    """The most probable words of a line without whitespace, in plain Python."""
    kinds = "".join(map(kind, line))
    inside = {i for i in range(1, len(line)) if kinds[i - 1 : i + 1] == "aa"}
    best, after = [0.0] * (len(line) + 1), [0] * (len(line) + 1)
    for i in reversed(range(len(line))):
        best[i], after[i] = logs.get(line[i], unknown) + best[i + 1], i + 1
        for j in range(i + 2, min(len(line), i + longest) + 1):
            if kinds[j - 1] == "o" or kinds[i] == "o":
                break
            if i not in inside and j not in inside and line[i:j] in logs:
                score = logs[line[i:j]] + best[j]
                if score >= best[i]:
                    best[i], after[i] = score, j
    cuts, i = set(), 0
    while i < len(line):
        cuts.add(i)
        i = after[i]
    cuts -= inside
    for match in GLUED.finditer(line):
        cuts -= {match.start(), match.end()} if match[0] in ".．" else {match.start()}
    places = [*sorted(cuts), len(line)]
    return [line[i:j] for i, j in pairwise(places)]


def agreement(lines: list[str], one: list[list[str]], other: list[list[str]]):
    """Shares of places with the same answer: all places, and those between Chinese characters."""
    same = [0, 0]
    places = [0, 0]
    for line, words, others in zip(lines, one, other, strict=True):
        here, there = (set(accumulate(map(len, part))) for part in (words, others))
        for i in range(1, len(line)):
            chinese = kind(line[i - 1]) == kind(line[i]) == "w"
            for at in (0, 1)[: 1 + chinese]:
                places[at] += 1
                same[at] += (i in here) == (i in there)
    return [f"{s:,} of {p:,} = {s / max(1, p):.6f}" for s, p in zip(same, places, strict=True)]


def timed(methods, repeat: int) -> dict[str, list[float]]:
    times: dict[str, list[float]] = {name: [] for name in methods}
    for turn in range(repeat + 1):
        for name, method in methods.items():
            start = time.perf_counter()
            method()
            if turn:
                times[name].append(time.perf_counter() - start)
    return times


def lines_of(arguments) -> list[str]:
    if arguments.small:
        found = SMALL * 20
    elif arguments.text:
        found = Path(arguments.text).read_text(encoding="utf-8").splitlines()
    else:
        with tempfile.TemporaryDirectory() as scratch:
            path = Path(scratch) / "text.txt"
            write_text(path, raw_lines(MODERN), arguments.mb)
            found = path.read_text(encoding="utf-8").splitlines()
    lines = (unicodedata.normalize("NFC", "".join(line.split())) for line in found)
    return [line for line in lines if line]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--text", help="a UTF-8 text")
    parser.add_argument("--mb", type=float, default=5, help="size of the text drawn")
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--characters", type=int, default=1_000_000, help="checked in plain Python")
    parser.add_argument("--small", action="store_true", help="a made text, to try the script")
    arguments = parser.parse_args()
    import jieba

    jieba.setLogLevel("ERROR")
    jieba.initialize()
    counts = {word: count for word, count in jieba.dt.FREQ.items() if count > 0}
    lines = lines_of(arguments)
    one = Segmenter(counts)
    two = one.on_threads(2)
    text = "\n".join(lines)
    methods = {
        "jieba, HMM off": lambda: [jieba.lcut(line, HMM=False) for line in lines],
        "taolu, `cut_lines`, 1 thread": lambda: one.cut_lines(lines),
        "taolu, `cut_lines`, 2 threads": lambda: two.cut_lines(lines),
        "taolu, `spaced`, 1 thread": lambda: one.spaced(text),
        "taolu, `spaced`, 2 threads": lambda: two.spaced(text),
    }
    times = timed(methods, arguments.repeat)
    size = len(text.encode()) / 1e6
    print(heading("jieba"))
    print(f"{size:.1f} MB, {len(counts):,} words; medians of {arguments.repeat}.\n")
    median = {name: statistics.median(seconds) for name, seconds in times.items()}
    base = median["jieba, HMM off"]
    head = ("method", "seconds", "least", "most", "MB/s", "times jieba")
    rows = [
        (name, t, min(times[name]), max(times[name]), f"{size / t:.1f}", f"{base / t:.1f}")
        for name, t in median.items()
    ]
    print(table(head, rows))
    print(f"\nPlaces that agree with taolu, over the first {arguments.characters:,} characters:\n")
    print(table(("", "all", "between Chinese characters"), compared(lines, one, counts, arguments)))


def compared(lines: list[str], segmenter: Segmenter, counts: dict[str, int], arguments):
    import jieba

    upto = sum(total < arguments.characters for total in accumulate(map(len, lines))) + 1
    lines = lines[:upto]
    words = segmenter.cut_lines(lines)
    yield "jieba, HMM off", *agreement(lines, words, [jieba.lcut(s, HMM=False) for s in lines])
    total = math.log(sum(counts.values()))
    logs = {word: math.log(count) - total for word, count in counts.items()}
    longest = max(map(len, logs))
    plain = [plain_viterbi(line, logs, -total, longest) for line in lines]
    yield "Viterbi in plain Python", *agreement(lines, words, plain)

    def same(one: list[str], other: list[str]) -> bool:
        scores = [math.fsum(logs.get(word, -total) for word in path) for path in (one, other)]
        return abs(scores[0] - scores[1]) < SAME

    chosen = [b if same(a, b) else a for a, b in zip(words, plain, strict=True)]
    yield "the same, equal probabilities apart", *agreement(lines, chosen, plain)


if __name__ == "__main__":
    main()
