"""What templates do questions, reviews and a novel have, and are the fillers of a slot alike?

    python benchmarks/templates.py [questions|reviews|novel] [--top 50] [--slots 100]

The text is learned as `taolu learn` does, with the margin that cuts closest to a dictionary. Shown
are the most frequent templates of two words or more along links of the article's thresholds, each
counted once in a sentence; then the ledger, and what fills the slots of the templates that pay.

Fillers: of the slots most often filled by one word alone, the share of the commonest part of speech
(the one jieba's dictionary gives the word; words it does not know are left out) among the words
that fill it, each counted once (`types`) and as often as it fills the slot (`uses`). Beside it the
same after every filler is replaced by a random word of about its frequency in the text, mean of ten
draws. Real data comes from the folder TAOLU_DATA.
"""

import argparse
import random
import tempfile
from collections import Counter
from pathlib import Path

import numpy as np
from corpora import heading, raw_lines, stored_lines, table

import taolu
from taolu.mine.templates import mine_templates
from taolu.text.normalize import split_sentences

MARGIN = 3.3
LEAST_FILLERS = 10  # different words of a slot that is looked at
NEAR = 20  # words before and after one in the order of frequency that may stand for it
DRAWS = 10
INSIDE = "甲乙丙丁戊己庚辛壬癸子丑寅卯"  # what the slots of the made text hold


def made_lines(count: int = 3000) -> list[str]:
    """Sentences of many characters, in which eight pairs of words go together around a few."""
    rng = random.Random(0)
    pairs = list(zip("又一连越既或不虽", "又就也发且者而但", strict=True))
    lines = []
    for _ in range(count):
        words = rng.choices([chr(0x5400 + 7 * i) for i in range(300)], k=6)
        if rng.random() < 0.4:
            first, second = rng.choice(pairs)
            words[2:4] = [first, rng.choice(INSIDE), second]
        lines.append(" ".join(words))
    return lines


def lines_of(name: str) -> list[str]:
    return stored_lines("text_novels/红楼梦.txt.xz") if name == "novel" else raw_lines([name])


def tags() -> dict[str, str]:
    rows = (line.split() for line in stored_lines("lexicons/jieba_dict_small.txt.xz"))
    # The first letter: vn and vd are verbs that stand as nouns and adverbs.
    return {row[0]: row[2][0] for row in rows if len(row) == 3}


def slot_fillers(book, sentences) -> list[Counter[str]]:
    """The words that fill each slot alone, slots most often filled first."""
    found: dict[tuple, Counter[str]] = {}
    for words in sentences:
        todo = [book.parser.parse(words)]
        while todo:
            one = todo.pop()
            todo += one.inside
            for place, part in enumerate(one.inside if None in one.parts else ()):
                if len(part.words) == 1:
                    found.setdefault((one.parts, place), Counter())[part.words[0]] += 1
    return sorted(found.values(), key=lambda words: -words.total())


def likeness(words: Counter[str], tag: dict[str, str]) -> tuple[float, float]:
    """Share of the commonest tag, of different words and of their uses."""
    types, uses = Counter(tag[word] for word in words), Counter()
    for word, count in words.items():
        uses[tag[word]] += count
    return tuple(max(found.values()) / found.total() for found in (types, uses))


def purity(
    slots: list[Counter[str]], most: int, book, tag: dict[str, str]
) -> list[tuple[str, float, float, float]]:
    slots = [Counter({w: n for w, n in slot.items() if w in tag}) for slot in slots]
    slots = [slot for slot in slots if len(slot) >= LEAST_FILLERS][:most]
    known = [row for row in np.argsort(-book.words.count) if book.words.word[row] in tag]
    ranked = [book.words.word[row] for row in known]
    place = {word: at for at, word in enumerate(ranked)}
    rng = np.random.default_rng(0)

    def drawn(slot: Counter[str]) -> Counter[str]:
        other: Counter[str] = Counter()
        for word, count in slot.items():
            near = range(max(0, place[word] - NEAR), min(len(ranked), place[word] + NEAR + 1))
            free = [ranked[at] for at in near if ranked[at] not in other]
            other[free[rng.integers(len(free))]] = count
        return other

    ours = np.mean([likeness(slot, tag) for slot in slots], axis=0)
    chance = np.mean([likeness(drawn(slot), tag) for _ in range(DRAWS) for slot in slots], axis=0)
    names = (f"types, {len(slots)} slots", f"uses, {len(slots)} slots")
    return [(n, a, b, a - b) for n, a, b in zip(names, ours, chance, strict=True)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("text", nargs="?", default="questions")
    parser.add_argument("--top", type=int, default=50, help="templates shown (50)")
    parser.add_argument("--slots", type=int, default=100, help="slots looked at (100)")
    parser.add_argument("--small", action="store_true", help="a made text; no data")
    arguments = parser.parse_args()
    lines = made_lines() if arguments.small else lines_of(arguments.text)
    print(heading())
    with tempfile.TemporaryDirectory() as place:
        path = Path(place) / "text.txt"
        path.write_text("\n".join(lines), encoding="utf-8")
        book = taolu.learn(path, margin=MARGIN)
    sentences = [s for line in lines for s in split_sentences(line) if s.strip()]
    cut = list(book.segmenter.cut_lines(sentences))
    found = mine_templates(cut)
    shown = found.select(np.flatnonzero(~found.trivial)[: arguments.top])
    rows = zip(shown.text, shown.count.tolist(), strict=True)
    print(table(("template", "sentences"), rows), end="\n\n")
    steps = [*book.ledger, *book.ledger.tried]
    taken = ["yes"] * len(book.ledger) + ["no"] * len(book.ledger.tried)
    rows = [
        (s.step, s.learned, s.text, s.codebook, s.total, t)
        for s, t in zip(steps, taken, strict=True)
    ]
    print(table(("step", "learned", "text", "codebook", "total", "taken"), rows), end="\n\n")
    tag = {word: str(word in INSIDE) for word in book.words} if arguments.small else tags()
    rows = purity(slot_fillers(book, cut), arguments.slots, book, tag)
    print(table(("commonest part of speech", "fillers", "drawn", "difference"), rows))


if __name__ == "__main__":
    main()
