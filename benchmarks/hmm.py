"""How fast are hidden Markov models beside hmmlearn and jieba, and how well do they cut?

    python benchmarks/hmm.py [--repeat 5]

Learning: Baum-Welch with four states over 400,000 characters in 40 to a sequence, ten iterations
from the same start. Decoding: the words of a million characters of Chinese runs, by jieba's trained
model in jieba and in taolu; both return Python strings, and they must be the same. All take turns,
after a first run to load and compile; times are medians. Quality: word F1 on the test set of PKU.
Real data comes from the folder TAOLU_DATA; `--small` is for the tests.
"""

import argparse
import re
import statistics
import time
import warnings

import numpy as np
from corpora import folder, gold_lines, heading, segmented, stored_lines, table

from taolu.fit import HMM
from taolu.mine.hmm_segmenter import HMMSegmenter
from taolu.mine.span_score import score_words

TRAIN, TEST = "cws_pd1998/folds1-4.txt.xz", "cws_sighan2005/pku_test_gold.utf8.xz"
TRAINED = "weights_jieba_hmm/finalseg_hmm.json.xz"
SMALL = [
    ["今天", "天气", "很", "好"],
    ["我们", "去", "北京", "大学"],
    ["他", "说", "的", "确实", "在理"],
]
STATES, STEPS, ITERATIONS = 4, 40, 10


def learners(small: bool):
    """Methods that learn from the same start; each returns its mean log-likelihood."""
    from hmmlearn.hmm import CategoricalHMM

    text = "".join("".join(words) for words in SMALL) * 40 if small else "".join(segmented(TRAIN))
    text = text[: 400_000 // STEPS * STEPS] if not small else text[: len(text) // STEPS * STEPS]
    codes, x = np.unique(np.frombuffer(text.encode("utf-32-le"), np.uint32), return_inverse=True)
    lengths = np.full(x.size // STEPS, STEPS)
    rng = np.random.default_rng(0)
    start = rng.dirichlet(np.ones(STATES))
    transition = rng.dirichlet(np.ones(STATES), STATES)
    emission = rng.dirichlet(np.ones(codes.size), STATES)

    def ours(threads):
        given = {
            "startprob_init": start,
            "transmat_init": transition,
            "emissionprob_init": emission,
        }
        model = HMM(STATES, **given, max_iter=ITERATIONS, tol=0, threads=threads)
        return model.fit(x, lengths=lengths)

    def hmmlearn(implementation):
        options = {
            "n_iter": ITERATIONS,
            "tol": -np.inf,
            "init_params": "",
            "n_features": codes.size,
        }
        model = CategoricalHMM(STATES, implementation=implementation, **options)
        model.startprob_, model.transmat_ = start.copy(), transition.copy()
        model.emissionprob_ = emission.copy()
        return model.fit(x[:, None], lengths)

    methods = {
        "hmmlearn `CategoricalHMM`": lambda: hmmlearn("log"),
        'hmmlearn, `implementation="scaling"`': lambda: hmmlearn("scaling"),
        "taolu `HMM`, 1 thread": lambda: ours(1),
        "taolu `HMM`, 2 threads": lambda: ours(2),
    }
    return methods, x.size * ITERATIONS


def decoders(small: bool):
    """Methods that cut the same runs of Chinese characters."""
    warnings.simplefilter("ignore")  # jieba is old
    from jieba import finalseg

    text = (
        "".join("".join(words) + "，" for words in SMALL) * 40
        if small
        else "".join(segmented(TRAIN))
    )
    runs = re.findall("[\u4e00-\u9fd5]+", text)
    sizes = np.cumsum([len(run) for run in runs])
    runs = runs[: int(np.searchsorted(sizes, 1_000_000)) + 1]
    cut = vars(finalseg)["__cut"]
    if small:
        model = HMMSegmenter.from_lines(SMALL)
        return {"taolu, 1 thread": lambda: model.cut_lines(runs)}, sum(map(len, runs))
    model = HMMSegmenter.load(folder() / TRAINED)
    two = model.on_threads(2)
    methods = {
        "jieba `finalseg`": lambda: [list(cut(run)) for run in runs],
        "taolu `HMMSegmenter`, 1 thread": lambda: model.cut_lines(runs),
        "taolu `HMMSegmenter`, 2 threads": lambda: two.cut_lines(runs),
    }
    return methods, sum(map(len, runs))


def timed(methods, work: int, repeat: int, same):
    seconds = {name: [] for name in methods}
    results = {name: method() for name, method in methods.items()}
    for _ in range(repeat):
        for name, method in methods.items():
            start = time.perf_counter()
            method()
            seconds[name].append(time.perf_counter() - start)
    first = next(iter(methods))
    for name in methods:
        middle = statistics.median(seconds[name])
        ratio = statistics.median(a / b for a, b in zip(seconds[first], seconds[name], strict=True))
        yield (
            name,
            f"{middle:.3f}",
            f"{work / middle / 1e6:.2f}",
            f"{ratio:.1f}",
            same(results[first], results[name]),
        )


def apart(one, other) -> str:
    return f"{abs(one.transmat_ - other.transmat_).max():.1e}"


def unlike(one, other) -> int:
    return sum(a != b for a, b in zip(one, other, strict=True))


def quality():
    """Word precision, recall and F1 on the test set of PKU."""
    warnings.simplefilter("ignore")
    import jieba

    jieba.setLogLevel(60)
    gold = gold_lines(TEST)
    lines = ["".join(words) for words in gold]
    text = (line.replace("[", "").replace("]", "").split() for line in stored_lines(TRAIN))
    learned = HMMSegmenter.from_lines(w for w in text if w and not w[0].startswith("#fold"))
    trained = HMMSegmenter.load(folder() / TRAINED)
    cuts = {
        "HMM counted on People's Daily 1998": learned.cut_lines(lines),
        "HMM of jieba, alone": trained.cut_lines(lines),
        "jieba with its dictionary, HMM off": [jieba.lcut(line, HMM=False) for line in lines],
        "jieba with its dictionary, HMM on": [jieba.lcut(line) for line in lines],
    }
    for name, cut in cuts.items():
        found = score_words(gold, cut)
        yield name, found.precision, found.recall, found.f1


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--repeat", type=int, default=5, help="turns (default 5)")
    parser.add_argument(
        "--small", action="store_true", help="a made text; no data, no decoding peer"
    )
    arguments = parser.parse_args()
    print(heading("hmmlearn", "jieba"))
    head = ("seconds", "M/s", "times as fast")
    methods, work = learners(arguments.small)
    rows = timed(methods, work, arguments.repeat, apart)
    print(table(("learning", *head, "transitions apart"), rows), flush=True)
    methods, work = decoders(arguments.small)
    rows = timed(methods, work, arguments.repeat, unlike)
    print("\n" + table(("decoding", *head, "runs cut otherwise"), rows), flush=True)
    if not arguments.small:
        print("\n" + table(("words", "precision", "recall", "F1"), quality()))


if __name__ == "__main__":
    main()
