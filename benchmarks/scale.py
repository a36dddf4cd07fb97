"""How do time and memory of the whole climb grow with the text?

    python benchmarks/scale.py [--mb 10 50 250 500] [--text FILE]

Each size is learned once, in a process of its own, on all cores; CPU seconds are those of all
cores together, which a busy machine stretches less. Memory is the peak of that process and of its
children. The text is drawn from the data sets in the folder TAOLU_DATA; from the second round on
the characters of a tenth of its lines are shuffled (seeded), so that rare n-grams keep coming as
they do in real text. A stage lasts from its first report to the next stage's.
"""

import argparse
import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from corpora import MODERN, heading, raw_lines, table

SHUFFLED = 0.1
STAGES = ("read", "words", "lexicon", "templates", "groups", "measure")
SMALL = ["天气预报说明天天气好。", "看天气预报，明天好。", "天气好，明天去北京。"]


def endless(lines: list[str], seed: int = 0) -> Iterator[str]:
    rng = random.Random(seed)
    yield from lines
    while True:
        for line in rng.sample(lines, len(lines)):
            if rng.random() < SHUFFLED:
                yield "".join(rng.sample(line, len(line)))
            else:
                yield line


def write(path: Path, lines: list[str], megabytes: float) -> int:
    written = 0
    with path.open("w", encoding="utf-8", newline="\n") as file:
        for line in endless(lines):
            written += len(line.encode()) + 1
            file.write(line + "\n")
            if written >= megabytes * 1e6:
                break
    return written


def learn_one(path: str, memory: str) -> None:
    """Learns a file in a process of its own; prints what it measured."""
    from taolu.mine.learn import learn

    starts: dict[str, float] = {}
    peaks: dict[str, float] = {}

    def report(stage: str, done: int, size: int) -> None:
        stage = stage.split(":")[0]
        starts.setdefault(stage, time.perf_counter())
        peaks[stage] = peak()

    begin = time.perf_counter()
    book = learn(path, memory=memory, report=report)
    end = time.perf_counter()
    times = [starts.get(stage, end) for stage in STAGES]
    # Reading is first told of after the first block.
    times[0] = begin
    seconds = [b - a for a, b in zip(times, [*times[1:], end], strict=True)]
    memories = [peaks.get(stage, 0) for stage in STAGES]
    found = {"seconds": seconds, "total": end - begin, "memories": memories, "peak": peak()}
    words = sum(len(word) > 1 for word in book.words)
    print(json.dumps(found | {"words": words, "cpu": cpu_seconds()}))


def cpu_seconds() -> float:
    """Seconds of all cores so far: what a busy machine cannot stretch."""
    used = [resource.getrusage(side) for side in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(side.ru_utime + side.ru_stime for side in used)


def peak() -> float:
    """Most memory so far, in MB: this process, or the largest of its children."""
    sides = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    return sum(resource.getrusage(side).ru_maxrss for side in sides) / 1000


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--mb", type=float, nargs="+", default=[10, 50, 250, 500])
    parser.add_argument("--text", help="a UTF-8 text to draw lines from")
    parser.add_argument("--memory", default="2GB", help="bound on the memory of counting")
    parser.add_argument("--small", action="store_true", help="a made text, to try the script")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        learn_one(arguments.one, arguments.memory)
        return
    sizes = [0.02, 0.05] if arguments.small else arguments.mb
    rows, memories = measured(lines_of(arguments), sizes, arguments.memory)
    print(heading())
    print(f"Seconds of each stage, and MB/s in all; counting may use {arguments.memory}.\n")
    head = ("MB", *STAGES, "all", "MB/s", "CPU s", "MB/CPU s", "words", "peak MB")
    print(table(head, rows))
    print("\nPeak memory in MB by the last report of each stage:\n")
    print(table(("MB", *STAGES, "end"), memories))


def lines_of(arguments) -> list[str]:
    if arguments.small:
        return SMALL
    if arguments.text:
        return Path(arguments.text).read_text(encoding="utf-8").splitlines()
    lines = raw_lines(MODERN)
    # A small text must not be all of one kind.
    random.Random(0).shuffle(lines)
    return lines


def measured(lines: list[str], sizes: list[float], memory: str):
    rows, memories = [], []
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "text.txt"
        for megabytes in sizes:
            size = write(path, lines, megabytes) / 1e6
            command = [sys.executable, __file__, "--one", str(path), "--memory", memory]
            done = subprocess.run(command, stdout=subprocess.PIPE, check=True)
            found = json.loads(done.stdout.splitlines()[-1])
            rates = size / found["total"], found["cpu"], size / found["cpu"]
            seconds = (*found["seconds"], found["total"], *rates)
            name = f"{size:.0f}"
            rows.append(
                (name, *(f"{v:.1f}" for v in seconds), found["words"], round(found["peak"]))
            )
            memories.append((name, *map(round, found["memories"]), round(found["peak"])))
            print("... " + "  ".join(map(str, rows[-1])), flush=True)
    return rows, memories


if __name__ == "__main__":
    main()
