"""How fast are words and character n-grams counted, and what do more processes really bring?

    python benchmarks/counting.py [--text FILE ...] [--mb 100] [--repeat 5] [--only words]

Every run is a fresh process, and the methods take turns, so that neither memory nor a warm cache
nor a busy minute of the machine favours one. Times are wall-clock seconds, the median; they start
after the imports and end with the counts in a `dict` (n-grams: in arrays). Efficiency is the
speed-up over the plain loop, divided by the cores used. All methods of a table must agree.

Without `--text` (words: segmented text; n-grams and jieba: any text) a corpus is drawn with a fixed
seed from the data sets in the folder TAOLU_DATA: their sentences, in random order, repeatedly.
Polars and DuckDB split at the single space only; the file made here holds no other whitespace.
"""

import argparse
import json
import lzma
import os
import platform
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from importlib.metadata import version
from itertools import chain, islice
from pathlib import Path

import numpy as np

from taolu.count.ngrams import count_ngrams
from taolu.count.packing import Packing, pack
from taolu.count.parallel import parallel_map
from taolu.count.sorting import fold, sort_keys
from taolu.count.words import count_words
from taolu.text.corpus import Corpus
from taolu.text.encode import encode
from taolu.text.normalize import to_nfc

BATCH = 1000
PROCESSES = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
SEGMENTED = ("cws_pd1998/folds1-4.txt.xz", "cws_multi/sxu_train.txt.xz")
HEADLINES = "cls_nlpcc2017_headlines/train.word.xz"
WORD_LISTS = ("cws_sighan2005/msr_training_words.utf8.xz", "lexicons/jieba_dict_small.txt.xz")


# Words. A method takes the path and returns the counts.


def split_words(line: str) -> list[str]:
    """The same words as `str.split`, but any function to `count_words`: nothing is compiled."""
    return line.split()


def lines_of(path: str) -> Iterator[str]:
    with Path(path).open(encoding="utf-8") as file:
        yield from file


def batches_of(path: str) -> Iterator[list[str]]:
    lines = lines_of(path)
    while batch := list(islice(lines, BATCH)):
        yield batch


def tally(lines: Iterable[str]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for line in lines:
        for word in line.split():
            counts[word] = counts.get(word, 0) + 1
    return counts


def tokens_of(lines: list[str]) -> list[str]:
    return [word for line in lines for word in line.split()]


def add(total, counts):
    for word, count in counts.items():
        total[word] = total.get(word, 0) + count


def batched(path):
    total = {}
    for batch in batches_of(path):
        add(total, tally(batch))
    return total


def tokens_back(path):
    total = {}
    for words in parallel_map(tokens_of, batches_of(path), 2, ordered=False):
        for word in words:
            total[word] = total.get(word, 0) + 1
    return total


def batches_back(path):
    total = {}
    for counts in parallel_map(tally, batches_of(path), 2, ordered=False):
        add(total, counts)
    return total


def polars_words(path):
    import polars as pl

    lines = pl.scan_csv(path, has_header=False, separator="\x01", quote_char=None)
    words = lines.select(pl.all().str.split(" ").explode().alias("word"))
    table = words.group_by("word").len().collect(engine="streaming")
    return dict(zip(table["word"].to_list(), table["len"].to_list(), strict=True))


def duckdb_words(path):
    import duckdb

    query = f"""select word, count(*) from (select unnest(string_split(line, ' ')) word from
        read_csv('{path}', columns={{'line': 'VARCHAR'}}, header=false, delim='\x01', quote='',
        escape='', strict_mode=false)) group by word"""
    return dict(duckdb.connect(config={"threads": 2}).execute(query).fetchall())


WORDS: dict[str, tuple[int, Callable]] = {
    "dict, one loop": (1, lambda path: tally(lines_of(path))),
    "Counter": (1, lambda path: Counter(chain.from_iterable(map(str.split, lines_of(path))))),
    "dict per batch, merged": (1, batched),
    "2 processes, tokens sent back": (2, tokens_back),
    "2 processes, dict per batch": (2, batches_back),
    "Polars, 2 threads": (2, polars_words),
    "DuckDB, 2 threads": (2, duckdb_words),
    "count_words, any function": (1, lambda path: count_words(path, split_words)),
    "the same, workers=2": (2, lambda path: count_words(path, split_words, workers=2)),
    "count_words": (1, count_words),
    "count_words, workers=2": (2, lambda path: count_words(path, workers=2)),
}


# Words found by a slow tokenizer.


def cut_words(line: str) -> list[str]:
    import jieba

    jieba.setLogLevel("ERROR")
    return jieba.lcut(line.removesuffix("\n"), HMM=False)


SLOW: dict[str, tuple[int, Callable]] = {
    "Counter, jieba": (
        1,
        lambda path: Counter(chain.from_iterable(map(cut_words, lines_of(path)))),
    ),
    "count_words, jieba": (1, lambda path: count_words(path, cut_words)),
    "count_words, jieba, workers=2": (2, lambda path: count_words(path, cut_words, workers=2)),
}


# N-grams. A method takes the path and the packed keys, and returns how many distinct ones.


def counter_keys(path, keys):
    counts = Counter()
    for sentence in Corpus.of(path).sentences():
        for run in to_nfc(sentence).split():
            counts.update(run[i : i + 4] for i in range(len(run)))
    return len(counts)


def ours_keys(path, keys):
    # Rows come a piece at a time, as for DuckDB, which does not hand out its rows either.
    distinct, last = 0, None
    for rows in fold(sort_keys(keys.reshape(-1, 1), Packing(15, 4, 4))):
        # A key on the border of two pieces comes twice.
        distinct += len(rows) - int(rows[0, 0] == last)
        last = rows[-1, 0]
    return distinct


def polars_keys(path, keys):
    import polars as pl

    return pl.DataFrame({"key": keys}).group_by("key").len().height


def duckdb_keys(path, keys):
    import duckdb
    import pyarrow

    packed = pyarrow.table({"key": keys})  # noqa: F841 - named in the query
    query = "select count(*) from (select key, count(*) from packed group by key)"
    return duckdb.connect(config={"threads": 1}).execute(query).fetchone()[0]


NGRAMS: dict[str, tuple[int, Callable]] = {
    "Counter on strings, from the file": (1, counter_keys),
    "np.unique": (1, lambda path, keys: np.unique(keys, return_counts=True)[0].size),
    "Polars group_by": (1, polars_keys),
    "DuckDB group by": (1, duckdb_keys),
    "ours: sort, fold": (1, ours_keys),
}
ORDERS: dict[str, tuple[int, Callable]] = {
    "count_ngrams, order=4, from the file": (1, lambda path, _: count_ngrams(path, 4)),
    "count_ngrams, order=8, min_count=8": (1, lambda path, _: count_ngrams(path, 8, min_count=8)),
    "the same, workers=2": (2, lambda path, _: count_ngrams(path, 8, min_count=8, workers=2)),
}

TABLES = {"words": WORDS, "slow": SLOW, "ngrams": NGRAMS, "orders": ORDERS}


def packed_keys(path: Path) -> np.ndarray:
    """Returns the run of up to four characters from every position on, as counted by all."""
    text, empty = encode(Corpus.of(path)), np.empty(0, dtype=np.uint64)
    size = len(text.alphabet)
    codes = np.arange(1, size + 1, dtype=np.uint64)
    return np.ascontiguousarray(
        pack(text.ids, codes, text.ids.size, Packing.of(size, 4), empty)[:, 0]
    )


# One run in this process; and the table of many runs, each in another.


def run(table: str, method: str, path: str) -> dict:
    func = TABLES[table][method][1]
    arguments = [path] if table in ("words", "slow") else [path, np.load(path + ".npy")]
    os.environ["POLARS_MAX_THREADS"] = str(TABLES[table][method][0])
    for module in {"Po": ["polars"], "Du": ["duckdb", "pyarrow"]}.get(method[:2], []):
        __import__(module)
    if table == "slow":
        cut_words("词")  # its dictionary; workers load their own, inside the time
    used, start = cpu_seconds(), time.perf_counter()
    result = func(*arguments)
    wall, used = time.perf_counter() - start, cpu_seconds() - used
    own, child = (resource.getrusage(who).ru_maxrss / 1000 for who in PROCESSES)
    if isinstance(result, dict):
        result.pop("", None)
        result = (len(result), sum(result.values()))
    check = result if isinstance(result, int | tuple) else None
    workers = TABLES[table][method][0]
    return {"wall": wall, "cpu": used, "mb": own + child * workers, "check": check}


def cpu_seconds() -> float:
    both = (resource.getrusage(who) for who in PROCESSES)
    return sum(usage.ru_utime + usage.ru_stime for usage in both)


def measure(table: str, path: Path, repeat: int) -> None:
    rounds: dict[str, list[dict]] = {method: [] for method in TABLES[table]}
    for turn in range(repeat + 1):
        for method, runs in rounds.items():
            command = [sys.executable, __file__, "--run", table, method, str(path)]
            done = subprocess.run(command, stdout=subprocess.PIPE, check=True)
            # The first turn fills the caches of the compiler and of the disk.
            if turn or repeat == 1:
                runs.append(json.loads(done.stdout))
        if repeat == 1:
            break
    checks = {json.dumps(run["check"]) for runs in rounds.values() for run in runs}
    if len(checks) > 1:
        raise SystemExit(f"The methods disagree: {checks}.")
    report(table, path, rounds, checks.pop())


def report(table: str, path: Path, rounds: dict[str, list[dict]], check: str) -> None:
    size = path.stat().st_size / 1e6
    runs = len(rounds[min(rounds)])
    print(f"\n{table}: {size:.0f} MB; [distinct, all] = {check}; median of {runs}\n")
    print("| method | wall s | cpu s | MB / s | speed-up | cores | efficiency | peak MB |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    first = None
    for method, runs in rounds.items():
        wall, cpu, peak = (statistics.median(r[k] for r in runs) for k in ("wall", "cpu", "mb"))
        first = first or wall
        cores = TABLES[table][method][0]
        gain = first / wall
        print(
            f"| {method} | {wall:.2f} | {cpu:.2f} | {size / wall:.1f} | {gain:.2f} | {cores} "
            f"| {gain / cores:.2f} | {peak:.0f} |"
        )


# Texts.


def read(name: str) -> list[str]:
    folder = os.environ.get("TAOLU_DATA")
    if not folder:
        raise SystemExit("Name a text (--text FILE), or the folder of data sets in TAOLU_DATA.")
    with lzma.open(Path(folder, name), "rt", encoding="utf-8") as file:
        return [" ".join(line.split()) for line in file]


def segmented_lines() -> list[str]:
    """Sentences of newspapers and headlines, and two dictionaries, which bring rare words."""
    lines = [line for name in SEGMENTED for line in read(name)]
    lines += [line.partition(" ")[2] for line in read(HEADLINES)]
    words = [line.split()[0] for name in WORD_LISTS for line in read(name) if line]
    random.Random(0).shuffle(words)
    return lines + [" ".join(words[start : start + 20]) for start in range(0, len(words), 20)]


def raw_lines() -> list[str]:
    novels = sorted(Path(os.environ.get("TAOLU_DATA", ""), "text_novels").glob("*.xz"))
    lines = [line for path in novels for line in read(f"text_novels/{path.name}")]
    return lines + ["".join(line.split()) for name in SEGMENTED for line in read(name)]


def write(path: Path, lines: list[str], megabytes: float) -> Path:
    left, rng = megabytes * 1e6, random.Random(0)
    with path.open("wb") as file:
        while left > 0:
            rng.shuffle(lines)
            for line in lines:
                left -= file.write(line.encode() + b"\n")
                if left <= 0:
                    break
    return path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--text", nargs="+", help="texts, in place of TAOLU_DATA")
    parser.add_argument("--mb", type=float, default=100, help="size of the text")
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--only", choices=("words", "slow", "ngrams"))
    parser.add_argument("--run", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.run:
        print(json.dumps(run(*options.run)))
        return
    print("`python benchmarks/counting.py", " ".join(sys.argv[1:]) + "`;", platform.platform())
    packages = ("numpy", "numba", "polars", "duckdb", "pyarrow", "jieba")
    print(
        f"Python {platform.python_version()}, " + ", ".join(f"{p} {version(p)}" for p in packages)
    )
    given = list(Corpus.of(options.text).lines()) if options.text else None
    with tempfile.TemporaryDirectory(prefix="taolu-benchmark-") as folder:
        place = Path(folder, "text.txt")
        if options.only in (None, "words"):
            measure("words", write(place, given or segmented_lines(), options.mb), options.repeat)
        if options.only in (None, "slow"):
            measure("slow", write(place, given or raw_lines(), options.mb / 20), options.repeat)
        if options.only in (None, "ngrams"):
            np.save(f"{write(place, given or raw_lines(), options.mb)}.npy", packed_keys(place))
            measure("ngrams", place, options.repeat)
            measure("orders", place, options.repeat)


if __name__ == "__main__":
    main()
