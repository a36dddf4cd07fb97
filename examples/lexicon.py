"""The minimum-entropy dictionary: what a word must save to be worth its place.

python examples/lexicon.py [FILE ...]

Without a file it reads the bundled sample. A text of T units costs T log T - sum c log c bits;
the dictionary is charged too, so the total tells what was learned and not just memorised.
"""

import sys

import numpy as np

from taolu.mine.cut import Segmenter
from taolu.mine.learn import sample
from taolu.mine.lexicon import character_step, learn_lexicon, merge_change, saved_bits
from taolu.text.corpus import Corpus
from taolu.text.encode import encode


def show(step) -> None:
    numbers = f"{step.text:8.4f} {step.codebook:8.4f} {step.total:8.4f}"
    print(f"{step.step:<14} {step.learned:>6} {numbers}")


def main(names: list[str]) -> None:
    # Ten joins of units used 12 and 15 times among 1000: chance would give 0.18.
    print(f"joining them changes the text by {merge_change(10, 12, 15, 1000):.1f} bits")

    text = encode(Corpus.of(names) if names else sample())
    print(
        f"\n{'step':<14} {'words':>6} {'text':>8} {'codebook':>8} {'total':>8}  bits per character"
    )
    show(character_step(text))
    # The margin asks for more than the word's own cost, and so for shorter words.
    found = {margin: learn_lexicon(text, margin=margin, threads=2) for margin in (0.0, 1.0, 2.5)}
    for margin, lexicon in found.items():
        show(lexicon.step(f"margin {margin}", text))

    lexicon = found[1.0]
    saved = saved_bits(lexicon, text)
    print("\nwords that save most, in bits")
    for row in np.argsort(-saved)[:12].tolist():
        print(f"{lexicon.words[row]}\t{lexicon.counts[row]} uses\t{saved[row]:.0f}")

    uses = dict(zip(lexicon.words, lexicon.counts.tolist(), strict=True))
    singles = zip(text.alphabet.characters, lexicon.character_counts.tolist(), strict=True)
    uses |= {character: count for character, count in singles if count}
    segmenter = Segmenter(uses, text.sentences)
    print("\n" + segmenter.spaced("最小熵原理告诉我们，学习就是用更少的比特描述同样的文字。"))


if __name__ == "__main__":
    main(sys.argv[1:])
