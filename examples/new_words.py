"""New words in raw text: what holds together more than chance, with the numbers behind it.

python examples/new_words.py [FILE ...]

Without a file it reads the bundled sample. Words that a dictionary already has rank last; here
the dictionary is a few everyday words.
"""

import math
import sys

from taolu.count.ngrams import count_ngrams
from taolu.mine.discover import discover
from taolu.mine.learn import sample
from taolu.text.corpus import Corpus
from taolu.text.encode import encode

EVERYDAY = {"一个", "可以", "这个", "我们", "没有", "自己", "什么", "不是"}


def by_hand(counts, word: str) -> float:
    """Cohesion at its weakest cut: ln of count over chance."""
    cuts = [(word[:i], word[i:]) for i in range(1, len(word))]
    chances = [counts.count(left) * counts.count(right) / counts.total for left, right in cuts]
    return math.log(counts.count(word) / max(chances))


def main(names: list[str]) -> None:
    text = encode(Corpus.of(names) if names else sample())
    words = discover(text, known=EVERYDAY, threads=2)
    print(f"{text.characters} characters, {len(words)} words")
    print("word\tsegments\tcohesion\tleft entropy\tright entropy")
    for word in words.word[:15]:
        row = words.row(word)
        numbers = (row[name] for name in ("cohesion", "left_entropy", "right_entropy"))
        print(f"{word}\t{row['count']}\t" + "\t".join(f"{number:.2f}" for number in numbers))
    known = [word for word in words if words.row(word)["known"]]
    print(f"ranked last because known: {' '.join(known) or '-'}")

    # The same cohesion, from exact counts of all n-grams.
    counts = count_ngrams(text, 4, keep=text.words_only)
    short = [word for word in words if len(word) <= 4]
    for word in short[:3]:
        print(f"{word}: {by_hand(counts, word):.4f} = {words.row(word)['cohesion']:.4f} nats")

    # Lower thresholds find more; each order has its own.
    for cohesion in ((0, 1, 3, 5), (0, 2, 4, 6), (0, 4, 6, 8)):
        found = discover(text, cohesion=cohesion, measure=False, threads=2)
        print(f"cohesion from {cohesion[1:]} nats: {len(found)} words")


if __name__ == "__main__":
    main(sys.argv[1:])
