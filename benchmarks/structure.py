"""How well are the phrases of a sentence found from raw words?

    python benchmarks/structure.py [--set tuning|test] [--whole-lines] [--least 0.4]

Two treebanks, the same settings for both: the samples of Sinica (Chinese) and of the Penn treebank
(English). The test is the trees of 500 sentences of three words or more, drawn at random; the
structure is learned from the words of the other sentences, in lower case, cut at punctuation,
without tags or trees; `--whole-lines` does not cut. Settings were chosen on the trees of 500
others, the tuning set; what is learned for it is learned from the rest.

Empty nodes and punctuation are dropped from gold trees, then brackets of one word, and a bracket
counts once. The bracket of a whole sentence, which nothing can miss, does not count, but for the
columns "with whole". P, R and F1 are over the brackets of all sentences, "by sentence" is the mean
F1 of sentences with brackets. Random trees split each span at a random place, ten seeds. "Gold, by
twos" adds what splits flat brackets: no tree of two can do better. Real data comes from the folder
TAOLU_DATA; `--small` is for the tests.
"""

import argparse
import lzma
import random
import re
import statistics
import time
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from corpora import folder, heading, table

from taolu.mine.structure import LEAST_SHARE, Structure, learn_structure
from taolu.mine.template_parse import TemplateParser
from taolu.mine.templates import mine_templates

PTB = "treebank_nltk/ptb_sample_wsj_0001-0159.mrg.xz"
SINICA = "treebank_nltk/sinica_treebank.zip"
MARK_TAGS = {",", ".", ":", "``", "''", "-LRB-", "-RRB-"}
MARKS = {*MARK_TAGS, "--", "-", "...", ";", "?", "!", "`", "'", "-LCB-", "-RCB-"}
MARKS |= set("、－．，。：；？！…")
SENTENCES, SEEDS = 500, 10

SMALL = """
(S (NP (DT the) (NN cat)) (VP (VBD sat) (PP (IN on) (NP (DT the) (NN mat)))) (. .))
(S (NP (DT the) (NN dog)) (VP (VBD saw) (NP (DT a) (NN cat))) (. .))
(S (NP (DT a) (NN man)) (VP (VBD sat) (PP (IN on) (NP (DT a) (NN dog)))) (. .))
""".strip()

Span = tuple[int, int]


@dataclass(frozen=True)
class Sentence:
    """The words of a sentence, its gold brackets, and the words of its pieces between marks."""

    words: tuple[str, ...]
    brackets: frozenset[Span]
    pieces: tuple[tuple[str, ...], ...]


def sentence(leaves: list[tuple[str, bool]], brackets: list[Span]) -> Sentence:
    """Drops leaves that are no words, and what is left of a bracket when it is too short."""
    pieces: list[list[str]] = [[]]
    before = [0]
    for word, kept in leaves:
        before.append(before[-1] + kept)
        if word in MARKS:
            pieces.append([])
        elif kept:
            pieces[-1].append(word)
    words = tuple(word for word, kept in leaves if kept)
    moved = {(before[start], before[stop]) for start, stop in brackets}
    spans = frozenset((start, stop) for start, stop in moved if stop - start > 1)
    return Sentence(words, spans, tuple(tuple(piece) for piece in pieces if piece))


def penn(text: str) -> Iterator[Sentence]:
    """Trees of the Penn treebank: (S (NP (DT the) (NN cat)) ...), in brackets once more or not."""
    leaves: list[tuple[str, bool]] = []
    brackets: list[Span] = []
    open_at: list[int] = []
    for found in re.finditer(r"\(([^\s()]+) ([^\s()]+)\)|\(|\)", text):
        tag, word = found.groups()
        if tag:
            if tag != "-NONE-":
                leaves.append((word.lower(), tag not in MARK_TAGS))
        elif found.group() == "(":
            open_at.append(len(leaves))
        else:
            brackets.append((open_at.pop(), len(leaves)))
            if not open_at:
                yield sentence(leaves, brackets)
                leaves, brackets = [], []


def sinica(text: str) -> Iterator[Sentence]:
    """Trees of Sinica, one a line: #1:1.[7] S(agent:NP(Head:Nh:我)|Head:V:來)#mark."""
    for line in text.splitlines():
        leaves: list[tuple[str, bool]] = []
        brackets: list[Span] = []
        open_at: list[int] = []
        for part in re.findall(r"[^()|]+|[()]", line.split(" ", 1)[1].rsplit("#", 1)[0]):
            if part == "(":
                leaves.pop()  # the name of the bracket
                open_at.append(len(leaves))
            elif part == ")":
                brackets.append((open_at.pop(), len(leaves)))
            else:
                word = part.rsplit(":", 1)[-1].strip().lower()
                leaves.append((word, word not in MARKS))
        if leaves:
            yield sentence(leaves, brackets)


def treebanks(small: bool) -> dict[str, list[Sentence]]:
    if small:
        return {"small": list(penn(SMALL)) * 20}
    with lzma.open(folder() / PTB, "rt", encoding="utf-8") as file:
        english = file.read()
    with zipfile.ZipFile(folder() / SINICA) as file:
        chinese = file.read("sinica_treebank/parsed").decode("utf-8")
    return {"Sinica": list(sinica(chinese)), "PTB": list(penn(english))}


def parts(
    trees: list[Sentence], size: int, tune: bool = False
) -> tuple[list[Sentence], list[Sentence]]:
    """The sentences to bracket, and those to learn from, which are neither these nor the test."""
    order = [i for i, tree in enumerate(trees) if len(tree.words) >= 3]
    random.Random(0).shuffle(order)
    chosen = order[size : 2 * size] if tune else order[:size]
    left_out = {*chosen, *order[:size]}
    others = [tree for i, tree in enumerate(trees) if i not in left_out]
    return [trees[i] for i in sorted(chosen)], others


def right(n: int) -> set[Span]:
    return {(start, n) for start in range(n - 1)}


def left(n: int) -> set[Span]:
    return {(0, stop) for stop in range(2, n + 1)}


def random_tree(n: int, rng: random.Random) -> set[Span]:
    found, todo = set(), [(0, n)]
    while todo:
        start, stop = todo.pop()
        if stop - start > 1:
            middle = rng.randrange(start + 1, stop)
            found.add((start, stop))
            todo += [(start, middle), (middle, stop)]
    return found


def by_twos(n: int, gold: frozenset[Span]) -> set[Span]:
    """A tree of two that has all the gold brackets; what is flat splits to the right."""
    return gold | {
        (start, stop)
        for top, stop in {*gold, (0, n)}
        for start in range(top, stop - 1)
        if not any(a < start < b < stop or start < a < stop < b for a, b in gold)
    }


def score(trees: list[Sentence], guesses: list[set[Span]], whole: bool) -> tuple[float, ...]:
    """Precision, recall, F1 over all brackets, and the mean F1 of sentences, in percent."""
    hits = guessed = real = 0
    single = []
    for tree, guess in zip(trees, guesses, strict=True):
        top = {(0, len(tree.words))}
        gold = tree.brackets | top if whole else tree.brackets - top
        guess = guess | top if whole else guess - top
        both = len(gold & guess)
        hits, guessed, real = hits + both, guessed + len(guess), real + len(gold)
        if gold:
            single.append(200 * both / (len(gold) + len(guess)))
    shares = (100 * hits / max(1, n) for n in (guessed, real))
    return *shares, 200 * hits / (guessed + real), statistics.fmean(single)


def multiword(parse) -> set[Span]:
    return {span for span in parse.spans() if span[1] - span[0] > 1}


def methods(
    structure: Structure, parser: TemplateParser, least: float
) -> dict[str, Callable[[Sentence], set[Span]]]:
    return {
        "left-branching": lambda tree: left(len(tree.words)),
        "right-branching": lambda tree: right(len(tree.words)),
        "templates, frequency only": lambda tree: multiword(parser.parse(tree.words)),
        "taolu `learn_structure`": lambda tree: multiword(structure.parse(tree.words, least=least)),
        "gold, by twos": lambda tree: by_twos(len(tree.words), tree.brackets),
    }


def rows(trees: list[Sentence], found: dict) -> Iterator[tuple[str, ...]]:
    for name, method in found.items():
        guesses = [method(tree) for tree in trees]
        yield name, score(trees, guesses, False), score(trees, guesses, True)
    runs = []
    for seed in range(SEEDS):
        rng = random.Random(seed)
        guesses = [random_tree(len(tree.words), rng) for tree in trees]
        runs.append([score(trees, guesses, whole) for whole in (False, True)])
    means = (
        [statistics.fmean(column) for column in zip(*side, strict=True)]
        for side in zip(*runs, strict=True)
    )
    yield "random", *means


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--set", choices=("tuning", "test"), default="test")
    parser.add_argument("--least", type=float, default=LEAST_SHARE)
    parser.add_argument("--whole-lines", action="store_true", help="do not cut at punctuation")
    parser.add_argument("--small", action="store_true")
    options = parser.parse_args()
    print(heading())
    head = ["method", "P", "R", "F1", "F1 by sentence", "F1 with whole", "by sentence with whole"]
    for name, trees in treebanks(options.small).items():
        size = 5 if options.small else SENTENCES
        chosen, others = parts(trees, size, options.set == "tuning")
        pieces = [
            piece
            for tree in others
            for piece in ([tree.words] if options.whole_lines else tree.pieces)
        ]
        start = time.perf_counter()
        structure = learn_structure(pieces)
        learned = time.perf_counter() - start
        counted = methods(structure, TemplateParser(mine_templates(pieces)), options.least)
        start = time.perf_counter()
        for tree in chosen:
            structure.parse(tree.words)
        parsed = time.perf_counter() - start
        words = sum(len(tree.words) for tree in others)
        print(
            f"{name}, {options.set} set: {len(chosen)} sentences, learned from {words} words of "
            f"{len(others)} others in {learned:.1f} s, parsed in {parsed:.1f} s\n"
        )
        cells = [
            (method, *(f"{v:.1f}" for v in (*plain, *whole[2:])))
            for method, plain, whole in rows(chosen, counted)
        ]
        print(table(head, sorted(cells, key=lambda row: float(row[3]))))
        print()


if __name__ == "__main__":
    main()
