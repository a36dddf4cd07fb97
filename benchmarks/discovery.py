"""How fast are new words found in 100 MB of raw text?

    python benchmarks/discovery.py [--text FILE] [--mb 100] [--repeat 5] [--peer COMMAND]

Every run is a fresh process and the methods take turns; times are medians of wall-clock seconds
from the file to the table of words, start and imports of Python left out; memory is the peak of
the process. The cold start is a first run with an empty cache of compiled code, imports counted.
"Loaded" runs have read another text before, so that compiled code is in memory. `--peer` times
another program beside: a command in which TEXT and OUT stand for the files; its whole run is timed.
SmoothNLP, slow and hungry, gets the first 2 MB: compare MB/s. Without `--text` the text is drawn
from the data sets in the folder TAOLU_DATA, over again where they are short.
"""

import argparse
import json
import os
import resource
import shlex
import statistics
import subprocess
import sys
import tempfile
import time
from importlib import import_module
from itertools import islice
from pathlib import Path

from corpora import MODERN, heading, raw_lines, table, write_text

SLICE_BYTES = 2_000_000
FIRST_LINES = 10_000
MIN_COUNT = 32
SMALL = ["天气预报说明天天气好。", "看天气预报，明天好。", "天气好，明天去北京。"] * 200


def taolu_words(path: str, threads: int, measure: bool) -> int:
    from taolu.mine.discover import discover

    return len(discover(path, min_count=MIN_COUNT, measure=measure, threads=threads))


def smoothnlp_words(path: str) -> int:
    from smoothnlp.algorithm.phrase import extract_phrase

    with Path(path).open(encoding="utf-8") as file:
        lines = file.read(SLICE_BYTES // 3).split("\n")
    return len(extract_phrase(lines, top_k=100_000, min_freq=MIN_COUNT, min_n=2, max_n=4))


METHODS = {
    "taolu, 1 thread": lambda path: taolu_words(path, 1, False),
    "taolu, 2 threads": lambda path: taolu_words(path, 2, False),
    "taolu, loaded, 1 thread": lambda path: taolu_words(path, 1, False),
    "taolu, loaded, 2 threads": lambda path: taolu_words(path, 2, False),
    "taolu, measured, 1 thread": lambda path: taolu_words(path, 1, True),
    "taolu, measured, 2 threads": lambda path: taolu_words(path, 2, True),
    "SmoothNLP, first 2 MB": smoothnlp_words,
}


def one_run(method: str, path: str) -> None:
    """Runs in a process of its own; prints what it measured."""
    # Imported before the clock starts.
    import_module("taolu.mine.discover" if method[:5] == "taolu" else "smoothnlp.algorithm.phrase")
    if ", loaded" in method:
        with tempfile.NamedTemporaryFile(suffix=".txt") as first:
            with Path(path).open("rb") as file:
                first.writelines(islice(file, FIRST_LINES))
            first.flush()
            METHODS[method](first.name)
    start = time.perf_counter()
    words = METHODS[method](path)
    seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000
    print(json.dumps({"seconds": seconds, "words": words, "peak": peak}))


def run(method: str, path: Path, environment: dict[str, str] | None = None) -> dict:
    command = [sys.executable, __file__, "--one", method, "--text", str(path)]
    environment = {**os.environ, **(environment or {})}
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def run_peer(command: str, path: Path, scratch: Path) -> dict:
    out = scratch / "peer.txt"
    names = {"TEXT": str(path), "OUT": str(out)}
    words = [names.get(word, word) for word in shlex.split(command)]
    start = time.perf_counter()
    subprocess.run(words, stdout=subprocess.DEVNULL, check=True)
    seconds = time.perf_counter() - start
    lines = out.read_text(encoding="utf-8").count("\n") if out.exists() else ""
    return {"seconds": seconds, "words": lines, "peak": float("nan")}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--text", help="a UTF-8 text")
    parser.add_argument("--mb", type=float, default=100, help="size of the text drawn")
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--peer", help="a command with the words TEXT and OUT")
    parser.add_argument("--no-smoothnlp", action="store_true")
    parser.add_argument("--small", action="store_true", help="a made text, to try the script")
    parser.add_argument("--one", choices=METHODS, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        one_run(arguments.one, arguments.text)
        return
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        path = Path(arguments.text) if arguments.text else scratch / "text.txt"
        if not arguments.text:
            lines = SMALL if arguments.small else raw_lines(MODERN)
            write_text(path, lines, 0.1 if arguments.small else arguments.mb)
        compare(arguments, path, scratch)


def cold_start(method: str, path: Path, scratch: Path) -> str:
    start = time.perf_counter()
    first = run(method, path, {"NUMBA_CACHE_DIR": str(scratch / "cache")})
    seconds = time.perf_counter() - start
    return f" Cold start: {seconds:.1f} s, {first['seconds']:.1f} s without start and imports."


def compare(arguments, path: Path, scratch: Path) -> None:
    methods = list(METHODS)[: -1 if arguments.no_smoothnlp else None]
    cold = "" if arguments.small else cold_start(methods[0], path, scratch)
    found: dict[str, list[dict]] = {name: [] for name in methods}
    # A first turn, not counted, fills the caches.
    for turn in range(0 if arguments.small else -1, arguments.repeat):
        for name in methods:
            result = run(name, path)
            found[name] += [result] if turn >= 0 else []
        if arguments.peer:
            result = run_peer(arguments.peer, path, scratch)
            found.setdefault("peer", []).extend([result] if turn >= 0 else [])
    size = path.stat().st_size / 1e6
    packages = () if arguments.no_smoothnlp else ("smoothnlp",)
    print(heading(*packages))
    print(f"{size:.0f} MB, at least {MIN_COUNT} uses; medians of {arguments.repeat}.{cold}\n")
    rows = []
    for name, results in found.items():
        seconds = [result["seconds"] for result in results]
        some = min(size, SLICE_BYTES / 1e6) if name.startswith("Smooth") else size
        middle = statistics.median(seconds)
        peak = statistics.median(result["peak"] for result in results)
        speed = f"{some / middle:.1f}"
        rows.append((name, middle, min(seconds), max(seconds), speed, results[0]["words"], peak))
    head = ("method", "seconds", "least", "most", "MB/s", "words", "peak MB")
    print(
        table(
            head,
            [
                (n, *(f"{v:.2f}" for v in t[:3]), *t[3:5], f"{t[5]:.0f}".replace("nan", ""))
                for n, *t in rows
            ],
        )
    )


if __name__ == "__main__":
    main()
