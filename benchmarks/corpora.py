"""Raw text, gold segmentations and tables for the benchmarks.

The data sets lie in the folder that the environment variable TAOLU_DATA names.

Labels and markup are dropped, lines that are the same are kept once, and full-width digits and
letters become ASCII, in raw and gold text alike: the parts of the gold come in either width.
"""

import csv
import json
import lzma
import os
import platform
import random
import shlex
import sys
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from importlib.metadata import version
from pathlib import Path

# Digits and Latin letters only; punctuation is cut the same in any width.
NARROW = {0xFEE0 + code: code for code in range(0x21, 0x7F) if chr(code).isalnum()}

GOLD_DEV = {"SXU": "cws_multi/sxu_train.txt.xz", "Weibo": "cws_multi/wtb_train.conll.xz"}
GOLD_TEST = {
    "PKU": "cws_sighan2005/pku_test_gold.utf8.xz",
    "MSR": "cws_sighan2005/msr_test_gold.utf8.xz",
}


def folder() -> Path:
    """Returns the folder of the data sets; says what is missing where there is none."""
    name = os.environ.get("TAOLU_DATA")
    if not name or not Path(name).is_dir():
        sys.exit("The environment variable TAOLU_DATA must name the folder of the data sets.")
    return Path(name)


def stored_lines(name: str) -> list[str]:
    """Returns the lines of a file, decompressed."""
    with lzma.open(folder() / name, "rt", encoding="utf-8-sig", newline="\n") as file:
        return file.read().split("\n")


def segmented(name: str) -> list[str]:
    lines = (line for line in stored_lines(name) if not line.startswith("#fold"))
    words = (line.split("\t")[-1].replace("/%", "").split() for line in lines)
    return ["".join(line).replace("[", "").replace("]", "") for line in words]


def first_characters(*names: str) -> Iterator[str]:
    """Sentences of files with one character, and its tag, a line."""
    for name in names:
        sentence = ""
        for line in stored_lines(name):
            if not line.strip():
                yield sentence
                sentence = ""
            else:
                sentence += line[0]


def column(names: Iterable[str], *places: int, comma: bool = False) -> Iterator[str]:
    for name in names:
        lines = stored_lines(name)
        rows = csv.reader(lines) if comma else (line.split("\t") for line in lines)
        for row in rows:
            yield from (row[place] for place in places if -len(row) <= place < len(row))


def fields(names: Iterable[str], *keys: str) -> Iterator[str]:
    for name in names:
        for line in filter(str.strip, stored_lines(name)):
            record = json.loads(line)
            yield from (record[key] for key in keys if isinstance(record.get(key), str))


def passages(*names: str) -> Iterator[str]:
    """Contexts and questions of files in the SQuAD layout."""
    for name in names:
        for article in json.loads("\n".join(stored_lines(name)))["data"]:
            for passage in article["paragraphs"]:
                yield passage["context"]
                yield from (question["question"] for question in passage["qas"])


def found(pattern: str) -> list[str]:
    return sorted(str(path.relative_to(folder())) for path in folder().glob(pattern))


def novels() -> Iterator[str]:
    for name in found("text_novels/*.xz"):
        yield from stored_lines(name)


SIM = ("sim_lcqmc/dev.txt.xz",)
RESUME = ("ner_resume/train.char.bmes.xz", "ner_resume/dev.char.bmes.xz")
PAIRS = "mt_classical_modern/train_sixth.tsv.xz"

# Each name gives lines of raw text.
MODERN: dict[str, Callable[[], Iterable[str]]] = {
    "pd1998": partial(segmented, "cws_pd1998/folds1-4.txt.xz"),
    "msra": partial(first_characters, "ner_msra/train.bio.txt.xz"),
    "people": partial(first_characters, "ner_peoples_daily/dev.bio.txt.xz"),
    "resume": partial(first_characters, *RESUME),
    "headlines": partial(segmented, "cls_nlpcc2017_headlines/train.word.xz"),
    "titles": partial(column, ["cls_thucnews_titles/dev.txt.xz"], 0),
    "reviews": lambda: column(found("senti/*.csv.xz"), -1, comma=True),
    "questions": lambda: [
        *column(SIM, 0, 1),
        *column(found("sim_atec/*.xz"), 1, 2),
        *column(found("sim_bq_corpus/*.xz"), 0, 1, comma=True),
    ],
    "abstracts": lambda: column(found("summ_csl/*.xz"), 1),
    "cmrc": lambda: passages(*found("qa_cmrc2018/*.xz")),
    "squad": lambda: passages(*found("qa_squad2_dev_zh/*.xz")),
    "ocnli": lambda: fields(found("nli_ocnli/*.xz"), "sentence1", "sentence2"),
    "cluener": lambda: fields(found("ner_cluener/*.xz"), "text"),
    "entities": lambda: fields(found("el_ccks2019/*.xz"), "text"),
    "fewclue": lambda: fields(
        found("cls_fewclue/*/*.xz"), "sentence", "sentence1", "sentence2", "content", "abst"
    ),
    "modern": partial(column, [PAIRS], 2),
}
CLASSICAL: dict[str, Callable[[], Iterable[str]]] = {
    "classical": partial(column, [PAIRS], 1),
    "novels": novels,
}


def raw_lines(names: Iterable[str]) -> list[str]:
    """Returns the different lines of these corpora, in their order."""
    made = {**MODERN, **CLASSICAL}
    lines = (line for name in names for text in made[name]() for line in text.split("\n"))
    return list(dict.fromkeys(line.translate(NARROW).strip() for line in lines if line.strip()))


def gold_lines(name: str) -> list[list[str]]:
    """Returns the words of each sentence of a gold segmentation."""
    lines = stored_lines(name)
    if name.endswith(".conll.xz"):
        rows = "\n".join(line.split("\t")[1] if line.strip() else "" for line in lines)
        lines = [" ".join("".join(w.split()) for w in s.split("\n")) for s in rows.split("\n\n")]
    return [words for line in lines if (words := line.translate(NARROW).split())]


def write_text(path: Path, lines: list[str], megabytes: float, seed: int = 0) -> int:
    """Writes so many MB of lines, in random order, over again where they are short.

    Returns:
        Bytes written.
    """
    rng, written = random.Random(seed), 0
    with path.open("w", encoding="utf-8", newline="\n") as file:
        while written < megabytes * 1e6:
            for line in rng.sample(lines, len(lines)):
                written += len(line.encode()) + 1
                file.write(line + "\n")
                if written >= megabytes * 1e6:
                    break
    return written


def table(head: Iterable[str], rows: Iterable[Iterable[object]]) -> str:
    """Returns a markdown table; floats have four decimals."""
    head = list(head)
    lines = [head, ["---", *["---:"] * (len(head) - 1)]]
    lines += [[f"{v:.4f}" if isinstance(v, float) else str(v) for v in row] for row in rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def heading(*packages: str) -> str:
    """Returns the command line, the versions and the machine, to stand above a table."""
    names = ("numpy", "numba", *packages)
    versions = ", ".join(f"{name} {version(name)}" for name in names)
    command = shlex.join(["python", f"benchmarks/{Path(sys.argv[0]).name}", *sys.argv[1:]])
    python = f"Python {platform.python_version()}"
    return f"\n`{command}`\n\n{python}, {versions}; {os.cpu_count()} cores.\n"
