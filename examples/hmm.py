"""A hidden Markov model: what was seen, what may lie behind it, and how few bits say so.

python examples/hmm.py [PAGE.html]

Three days and two hidden states by hand; a die that is swapped in secret, found without labels; and
words out of places in words. With a file name the climb and the states are drawn on one page.
"""

import math
import sys

import numpy as np

from taolu.chain import forward, hmm_chain, k_best
from taolu.fit import HMM
from taolu.mine.hmm_segmenter import HMMSegmenter
from taolu.report.charts import write_charts
from taolu.report.fit import convergence_chart, states_chart

START = [0.6, 0.4]
TRANSITION = [[0.7, 0.3], [0.4, 0.6]]
EMISSION = np.array([[0.5, 0.4, 0.1], [0.1, 0.3, 0.6]])


def three_days():
    chain = hmm_chain(START, TRANSITION, np.log(EMISSION[:, [0, 1, 2]].T))
    found = forward(chain.scores, chain.transitions, start=chain.start)
    bits = -found.log_partition / math.log(2)
    print(f"probability {math.exp(found.log_partition):.5f}, {bits:.2f} bits")
    print("state 0 on each day", found.marginals[:, 0].round(3))
    best = k_best(chain.scores, chain.transitions, 3, start=chain.start)
    for path, score in zip(best.paths, best.scores, strict=True):
        print("path", path, f"{math.exp(score):.5f}")


def secret_die(rng):
    """A fair die, and a loaded one that is swapped in for a while; nobody tells when."""
    fair, loaded = np.full(6, 1 / 6), np.array([0.1, 0.1, 0.1, 0.1, 0.1, 0.5])
    hidden = [0]
    while len(hidden) < 10_000:
        hidden.append(hidden[-1] ^ (rng.random() < (0.05, 0.1)[hidden[-1]]))
    rolls = np.array([rng.choice(6, p=(fair, loaded)[state]) for state in hidden])
    model = HMM(2, n_init=5, tol=1e-6, max_iter=500, random_state=0).fit(rolls)
    loaded_state = int(model.emissionprob_[:, 5].argmax())
    states = model.predict(rolls) == loaded_state
    alone, n = HMM(1, max_iter=1).fit(rolls), len(rolls)
    print("\nsix from the loaded die:", model.emissionprob_[loaded_state, 5].round(2))
    print("ends of five starts:", model.start_log_likelihoods_.round(4))
    print(f"rolls named rightly: {np.mean(states == np.array(hidden)):.2f}")
    for name, one in (("one state", alone), ("two states", model)):
        charged = one.bic(rolls) / 2 / math.log(2)
        print(f"{name}: {one.bits(rolls) / n:.4f} bits a roll, {charged / n:.4f} with parameters")
    return model, rolls


def places_in_words():
    lines = ["我们 爱 北京", "北京 人 爱 天津", "你们 去 天津", "他 爱 我们", "天津 人 去 北京"]
    segmenter = HMMSegmenter.from_lines(line.split() for line in lines * 4)
    for text in ("他们爱北京", "你去天津"):
        print(" ".join(segmenter.cut(text)), f"{segmenter.bits(text):.2f} bits")


def main(names) -> None:
    three_days()
    model, rolls = secret_die(np.random.default_rng(0))
    print()
    places_in_words()
    if names:
        some = slice(0, 120)
        charts = [
            convergence_chart(
                model.log_likelihoods_, "学会一枚骰子", "每一轮都不变长。", "每次投掷的比特 bits"
            ),
            states_chart(
                model.predict_proba(rolls[some]),
                model.predict(rolls[some]),
                [f"六点 {p:.2f}" for p in model.emissionprob_[:, 5]],
                (rolls[some] + 1).tolist(),
                "被换掉的骰子",
                "颜色是每一次属于各个状态的概率，线是最可能的路径。",
            ),
        ]
        write_charts(names[0], "看不见的状态", charts, ("隐马尔可夫模型", "HMM"))
        print(f"\nwrote {names[0]}")


if __name__ == "__main__":
    main(sys.argv[1:])
