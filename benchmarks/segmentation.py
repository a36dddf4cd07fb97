"""How well do words learned from raw text cut sentences whose words people have marked?

    python benchmarks/segmentation.py [--dev] [--ablation] [--subsets] [--test]

A lexicon is mined from raw text without a single label and cuts the gold sentences, spaces
removed. Word F1 counts spans; the two-part total of the text mined, in bits per character, stands
beside it. `--dev` scores the gold all choices were made on, SXU news and Weibo; `--ablation` adds
the steps to the lexicon one by one, `--subsets` varies the text; `--test` scores the SIGHAN 2005
tests of PKU and MSR, which no choice may look at. Test sentences of some length that stand in the
raw text are left out of it. Data sets are read from the folder TAOLU_DATA.
"""

import argparse
import time

import numpy as np
from corpora import CLASSICAL, GOLD_DEV, GOLD_TEST, MODERN, gold_lines, heading, raw_lines, table

from taolu.mine.cut import Segmenter
from taolu.mine.discover import discover
from taolu.mine.lexicon import Lexicon, fit_lexicon, learn_lexicon, saved_bits
from taolu.mine.span_score import score_words
from taolu.text.corpus import Corpus
from taolu.text.encode import EncodedText, encode
from taolu.text.normalize import split_sentences

THREADS = 2
LONG = 10  # characters of a test sentence that is left out of the text mined
SMALL = ["天气 预报 说 明天 天气 好 。", "看 天气 预报 ， 明天 好 。", "明天 去 北京 。"]
SUBSETS = {
    "pd1998 only": ("pd1998",),
    "news, encyclopedia, abstracts": (
        *("pd1998", "msra", "people", "headlines", "titles", "abstracts", "cmrc", "squad"),
        *("cluener", "resume"),
    ),
    "without reviews": tuple(name for name in MODERN if name != "reviews"),
    "without questions": tuple(name for name in MODERN if name != "questions"),
    "with classical text": (*MODERN, *CLASSICAL),
}


class Bench:
    """Gold segmentations, and the table of those who try to match them."""

    def __init__(self, gold: dict[str, list[list[str]]]):
        self.gold = gold
        self.rows: list[tuple] = []

    def score(self, name: str, cut_lines, *more) -> None:
        row: list = [name, *more]
        for words in self.gold.values():
            found = score_words(words, cut_lines(["".join(line) for line in words]))
            row += [found.precision, found.recall, found.f1]
        self.rows.append(tuple(row))
        print("... " + "  ".join(map(str, row)), flush=True)

    def lexicon(self, name: str, lexicon: Lexicon, text: EncodedText, start: float) -> None:
        seconds = time.perf_counter() - start
        bits = lexicon.bits(text)
        more = (len(lexicon.words), *bits, sum(bits), f"{seconds:.0f}")
        self.score(name, segmenter(lexicon, text).cut_lines, *more)

    def table(self) -> str:
        head = ["method", "words", "text", "codebook", "total", "s"]
        for name in self.gold:
            head += [f"{name} P", "R", "F1"]
        return table(head, self.rows)


def segmenter(lexicon: Lexicon, text: EncodedText) -> Segmenter:
    used = np.flatnonzero(lexicon.character_counts)
    names = [*lexicon.words, *(text.alphabet.characters[i] for i in used)]
    counts = np.append(lexicon.counts, lexicon.character_counts[used])
    return Segmenter(dict(zip(names, counts.tolist(), strict=True)), text.sentences, THREADS)


def mined(text: EncodedText, arguments, margin: float | None = None) -> Lexicon:
    """Returns the lexicon of the whole climb, with the setting of the command line."""
    seed: tuple = ((), None)
    if arguments.seed:
        found = discover(text, measure=False, threads=THREADS)
        words = fit_lexicon(text, found.word, found.count, threads=THREADS)
        seed = (words.words, words.counts)
    return learn_lexicon(
        text,
        *seed,
        margin=arguments.margin if margin is None else margin,
        min_count=arguments.min_count,
        max_length=arguments.max_length,
        threads=THREADS,
    )


def ablation(bench: Bench, text: EncodedText, arguments) -> None:
    """Adds a row for each step of the way."""
    start = time.perf_counter()
    bench.lexicon("characters", fit_lexicon(text, ()), text, start)
    start = time.perf_counter()
    found = discover(text, measure=False, threads=THREADS)
    bench.lexicon("new words, uses of joining", joined(found, text), text, start)
    lexicon = fit_lexicon(text, found.word, found.count, threads=THREADS)
    bench.lexicon("+ hard EM", lexicon, text, start)
    for _ in range(3):
        kept = np.flatnonzero(saved_bits(lexicon, text) > 0)
        words = [lexicon.words[i] for i in kept]
        lexicon = fit_lexicon(text, words, lexicon.counts[kept], threads=THREADS)
    bench.lexicon("+ words must pay", lexicon, text, start)
    for margin in arguments.margins:
        start = time.perf_counter()
        lexicon = mined(text, arguments, margin)
        bench.lexicon(f"+ merges, margin {margin:g}", lexicon, text, start)


def joined(found, text: EncodedText) -> Lexicon:
    """The lexicon of discovery as it stands: characters keep the uses that no word takes."""
    letters = text.alphabet.encode("".join(found.word))
    weights = np.repeat(found.count, [len(word) for word in found.word])
    taken = np.bincount(letters, weights, minlength=len(text.alphabet)).astype(np.int64)
    rest = np.maximum(text.counts - taken, 1)
    return Lexicon(found.word, found.count, rest, settled=False)


def mined_text(names, gold: dict[str, list[list[str]]], small: bool) -> EncodedText:
    """The raw text, without lines that hold a long sentence of the gold."""
    lines = [line.replace(" ", "") for line in SMALL * 30] if small else raw_lines(names)
    sentences = {
        s for words in gold.values() for line in words for s in split_sentences("".join(line))
    }
    known = {sentence for sentence in sentences if len(sentence) >= LONG}
    kept = lines if small else [s for s in lines if known.isdisjoint(split_sentences(s))]
    print(f"... {len(kept):,} lines; {len(lines) - len(kept):,} with gold sentences left out")
    return encode(Corpus.from_lines(kept))


def jieba_rows(bench: Bench) -> None:
    import jieba

    jieba.setLogLevel("ERROR")
    for name, hmm in [("jieba, HMM off", False), ("jieba, HMM on", True)]:
        empty = ("", "", "", "", "")
        bench.score(name, lambda lines, h=hmm: [jieba.lcut(s, HMM=h) for s in lines], *empty)


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--dev", action="store_true", help="SXU and Weibo (the default)")
    parser.add_argument("--test", action="store_true", help="PKU and MSR: once, when all is chosen")
    parser.add_argument("--ablation", action="store_true", help="the steps, one by one")
    parser.add_argument("--subsets", action="store_true", help="other selections of text")
    parser.add_argument("--classical", action="store_true", help="add classical text")
    parser.add_argument("--corpora", nargs="+", default=list(MODERN), metavar="NAME")
    parser.add_argument("--margin", type=float, default=3.3)
    parser.add_argument("--margins", type=float, nargs="+", default=[0, 1, 2, 3.3, 4])
    parser.add_argument("--min-count", type=int, default=3)
    parser.add_argument("--max-length", type=int, default=6)
    parser.add_argument("--seed", action="store_true", help="start from discovered words")
    parser.add_argument("--small", action="store_true", help="a made text, to try the script")
    arguments = parser.parse_args()
    arguments.corpora += CLASSICAL if arguments.classical else ()
    return arguments


def main() -> None:
    arguments = options()
    gold = GOLD_TEST if arguments.test else GOLD_DEV
    made = {"made": [line.split() for line in SMALL]}
    bench = Bench(made if arguments.small else {n: gold_lines(path) for n, path in gold.items()})
    text = mined_text(arguments.corpora, bench.gold, arguments.small)
    start = time.perf_counter()
    bench.lexicon(f"lexicon, margin {arguments.margin:g}", mined(text, arguments), text, start)
    if arguments.ablation:
        ablation(bench, text, arguments)
    for name, corpora in SUBSETS.items() if arguments.subsets else ():
        other = mined_text(corpora, bench.gold, arguments.small)
        start = time.perf_counter()
        bench.lexicon(name, mined(other, arguments), other, start)
    jieba_rows(bench)
    print(heading("jieba"))
    print(f"{text.characters:,} characters of raw text.\n")
    print(bench.table())


if __name__ == "__main__":
    main()
