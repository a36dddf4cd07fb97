"""How fast is EM for a mixture of Gaussians, and what are topics worth on real text?

    python benchmarks/mixture.py [--rows 100000] [--repeat 5] [--topics]

Speed: the same data, the same start, the same number of iterations, and at the end the same
log-likelihood, which is checked. The methods take turns, after a first run to load and compile;
times are medians of whole calls of `fit`. scikit-learn uses the threads of its BLAS; set
OPENBLAS_NUM_THREADS=1 to compare one thread with one, and look at "cpu s" on a busy machine.

`--topics`: bits per character on passages of Chinese novels that were not trained on. Of each such
passage every second line, drawn by chance, is given, and the others are scored: what the model has
been told of the passage is paid for. Needs the folder TAOLU_DATA.
"""

import argparse
import statistics
import time
import warnings

import numpy as np
from corpora import found, heading, stored_lines, table
from scipy import sparse

from taolu.fit import PLSA, GaussianMixture, MultinomialMixture
from taolu.fit.gaussian import TYPES

FEATURES, COMPONENTS, ITERATIONS = 20, 10, 20
SENTENCES, PASSAGES = 20, 6000  # of a passage; in all
TOPICS = (5, 20, 80)


def drawn(rows: int) -> np.ndarray:
    rng = np.random.default_rng(0)
    centres = 1.5 * rng.normal(size=(COMPONENTS, FEATURES))
    return centres[rng.integers(COMPONENTS, size=rows)] + rng.normal(size=(rows, FEATURES))


def options(x: np.ndarray, kind: str) -> dict:
    eye = np.eye(FEATURES)
    precisions = {
        "full": np.stack([eye] * COMPONENTS),
        "tied": eye,
        "diag": np.ones((COMPONENTS, FEATURES)),
        "spherical": np.ones(COMPONENTS),
    }
    return {
        "covariance_type": kind,
        "weights_init": np.full(COMPONENTS, 1 / COMPONENTS),
        "means_init": x[:COMPONENTS].copy(),
        "precisions_init": precisions[kind],
        "max_iter": ITERATIONS,
        "tol": 0,
    }


def speed(rows: int, repeat: int):
    from sklearn.mixture import GaussianMixture as Peer

    x = drawn(rows)
    for kind in TYPES:
        same = options(x, kind)
        models = {
            f"{kind}: scikit-learn": Peer(COMPONENTS, **same),
            f"{kind}: taolu, 1 thread": GaussianMixture(COMPONENTS, threads=1, **same),
            f"{kind}: taolu, 2 threads": GaussianMixture(COMPONENTS, threads=2, **same),
        }
        times: dict[str, list[float]] = {name: [] for name in models}
        burnt: dict[str, list[float]] = {name: [] for name in models}
        for turn in range(repeat + 1):
            for name, model in models.items():
                start, cpu = time.perf_counter(), time.process_time()
                model.fit(x)
                if turn:
                    times[name].append(time.perf_counter() - start)
                    burnt[name].append(time.process_time() - cpu)
        scores = [model.score(x) for model in models.values()]
        assert max(scores) - min(scores) < 1e-9, scores
        base = statistics.median(next(iter(times.values())))
        for name, seconds in times.items():
            median = statistics.median(seconds)
            cpu = statistics.median(burnt[name])
            yield name, median, min(seconds), max(seconds), cpu, f"{base / median:.1f}"


def passages() -> list[list[str]]:
    """Twenty lines or sentences of a novel after one another, from all novels, shuffled."""
    every = []
    for name in found("text_novels/*.xz"):
        text = "\n".join(stored_lines(name))
        lines = [line.strip() for line in text.replace("。", "。\n").split("\n") if line.strip()]
        every += [lines[i : i + SENTENCES] for i in range(0, len(lines) - SENTENCES, SENTENCES)]
    order = np.random.default_rng(0).permutation(len(every))[:PASSAGES]
    return [every[i] for i in order]


def counted(texts: list[str], places: dict[str, int]) -> sparse.csr_array:
    pairs = [(row, places[c]) for row, text in enumerate(texts) for c in text if c in places]
    rows, columns = np.array(pairs).T
    shape = (len(texts), len(places))
    return sparse.csr_array((np.ones(len(rows)), (rows, columns)), shape)


def topics():
    texts = passages()
    places = {c: i for i, c in enumerate(sorted({c for lines in texts for c in "".join(lines)}))}
    cut = len(texts) * 9 // 10
    train = counted(["".join(lines) for lines in texts[:cut]], places)
    rng = np.random.default_rng(1)
    halves: list[list[str]] = [[], []]
    for lines in texts[cut:]:
        chosen = rng.permutation(len(lines)) % 2
        for half in (0, 1):
            halves[half].append(
                "".join(c for c, at in zip(lines, chosen, strict=True) if at == half)
            )
    given, scored = (counted(half, places) for half in halves)
    size = scored.sum()
    yield "unigram", 1, PLSA(1).fit(train).bits(scored) / size, ""
    for k in TOPICS:
        start = time.perf_counter()
        mixture = MultinomialMixture(k, random_state=0).fit(train)
        seconds = time.perf_counter() - start
        # p(scored | given) = p(both) / p(given)
        bits = mixture.bits(scored + given) - mixture.bits(given)
        yield "mixture of multinomials", k, bits / size, f"{seconds:.1f}"
    for k in TOPICS:
        start = time.perf_counter()
        model = PLSA(k, random_state=0, tol=1e-4).fit(train)
        seconds = time.perf_counter() - start
        yield "pLSA", k, model.bits(scored, given=given) / size, f"{seconds:.1f}"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--topics", action="store_true", help="bits on novels instead of speed")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")  # scikit-learn warns that twenty iterations are few
    print(heading("scipy", "scikit-learn"))
    if arguments.topics:
        print(table(("model", "components", "bits/char", "seconds"), topics()))
        return
    shape = f"{arguments.rows:,} rows, {FEATURES} features, {COMPONENTS} components"
    print(f"{shape}, {ITERATIONS} iterations; medians of {arguments.repeat}.\n")
    head = ("method", "seconds", "least", "most", "cpu s", "times scikit-learn")
    print(table(head, speed(arguments.rows, arguments.repeat)))


if __name__ == "__main__":
    main()
