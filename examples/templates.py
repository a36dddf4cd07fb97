"""Templates of log lines: what repeats, what varies, and which of it pays.

python examples/templates.py
"""

import random

import numpy as np

from taolu.mine.template_grammar import best_grammar
from taolu.mine.template_parse import TemplateParser
from taolu.mine.templates import Templates, mine_templates, number_words

SHAPES = [
    "user {name} logged in from {place} after {number} attempts",
    "disk {device} is {number} percent full",
    "could not open {path} : permission denied",
    "request for {path} took {number} ms",
    "{name} was added to group {group} by {name}",
]
FILLINGS = {
    "name": [f"user{i}" for i in range(40)],
    "place": [f"10.0.0.{i}" for i in range(60)],
    "number": [str(i) for i in range(90)],
    "device": ["sda", "sdb", "nvme0", "nvme1"],
    "path": [f"/srv/file{i}" for i in range(80)],
    "group": ["admins", "guests", "staff"],
}


def lines(count: int, seed: int = 0) -> list[list[str]]:
    rng = random.Random(seed)
    made = []
    for _ in range(count):
        words = rng.choice(SHAPES).split()
        made.append([rng.choice(FILLINGS[w[1:-1]]) if w[0] == "{" else w for w in words])
    return made


def main() -> None:
    log = lines(2000)
    found = mine_templates(log, window=4, min_pmi=0.5, min_count=50)
    print("templates, and in how many lines they are:")
    for text, count in list(zip(found.text, found.count.tolist(), strict=True))[: len(SHAPES)]:
        print(f"{count:5}  {text}")

    best = best_grammar(*number_words(log), min_count=50)[0]
    slots = zip(best.templates.text, best.templates.fillers, strict=True)
    print("\nwhat fills the slots of those that pay:")
    for text, fillers in list(slots)[:3]:
        print(f"  {text}:", " | ".join(" ".join(words[:4]) for words in fillers))

    parser = TemplateParser(found)
    print("\na new line:", parser.parse(["disk", "sdz", "is", "101", "percent", "full"]))

    article = ["[X] 呢", "[X] 是 什么", "[X] 的 [X]", "[X] 和 [X]"]
    parts = [tuple(None if p == "[X]" else p for p in text.split()) for text in article]
    parser = TemplateParser(Templates(tuple(parts), np.ones(4)))
    for sentence in ("苹果 的 颜色 是 什么 呢", "雪梨 和 苹果 和 香蕉 的 颜色 是 什么"):
        print(parser.parse(sentence.split()))


if __name__ == "__main__":
    main()
