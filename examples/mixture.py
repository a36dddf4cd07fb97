"""EM: half of the story is hidden, and two easy steps in turn find it.

python examples/mixture.py [PAGE.html]

Coins nobody wrote down, two Gaussians under one heap, topics of documents. With a file name the
climb and the ellipses are drawn on one page.
"""

import math
import sys

import numpy as np

from taolu.fit import PLSA, GaussianMixture, em
from taolu.report.charts import write_charts
from taolu.report.fit import convergence_chart, mixture_chart

HEADS = np.array([8.0, 7.0, 2.0])  # of ten tosses each


def e_step(bias):
    """Which coin was it? The log-likelihood, and p(coin | round)."""
    likelihoods = bias ** HEADS[:, None] * (1 - bias) ** (10 - HEADS[:, None]) / 2
    evidence = likelihoods.sum(axis=1)
    return np.log(evidence).sum(), likelihoods / evidence[:, None]


def m_step(shares, bias):
    """How biased are they, if it was like that?"""
    return HEADS @ shares / (10 * shares.sum(axis=0))


def coins():
    print("two coins, thirty tosses      bias of each        bits")
    trace = []
    result = em(
        np.array([0.6, 0.4]),
        e_step,
        m_step,
        tolerance=1e-9,
        callback=lambda turn, mean, bias: trace.append((turn, mean, bias)),
    )
    for turn, mean, bias in [*trace[:3], trace[-1]]:
        bits = -mean / math.log(2)
        print(f"after iteration {turn:3}       {bias[0]:.4f} {bias[1]:.4f}     {bits:.2f}")
    return result.log_likelihoods


def heap():
    rng = np.random.default_rng(0)
    turn = np.array([[2.0, 0.0], [1.5, 0.5]])
    parts = rng.normal(size=(300, 2)), rng.normal(size=(200, 2)) @ turn.T + [4, 4]
    x = np.concatenate(parts)
    print("\ncomponents   bits/point   with parameters")
    for k in (1, 2, 3):
        model = GaussianMixture(k, tol=1e-6, max_iter=500, n_init=3, random_state=0).fit(x)
        charged = model.bic(x) / 2 / math.log(2)
        print(f"{k:10}   {model.bits(x) / len(x):10.4f}   {charged / len(x):15.4f}")
    return GaussianMixture(2, random_state=0).fit(x), x


def documents():
    words = ["球", "队", "赛", "股", "市", "价", "的"]
    sport, money = [5, 4, 4, 0, 0, 0, 3], [0, 0, 0, 5, 4, 4, 3]
    counts = np.random.default_rng(0).poisson(
        [sport] * 20 + [money] * 20 + [np.mean([sport, money], 0)] * 5
    )
    model = PLSA(2, n_init=3, random_state=0).fit(counts)
    print()
    for topic in model.components_:
        order = np.argsort(-topic, kind="stable")[:4]
        print("topic:", "  ".join(f"{words[w]} {topic[w]:.2f}" for w in order))
    print("a new document on both:", np.sort(model.transform([[2, 2, 2, 2, 2, 2, 3]])[0]).round(2))


def main(names) -> None:
    climb = coins()
    best, x = heap()
    documents()
    if names:
        charts = [
            convergence_chart(climb, "两枚硬币", "每一轮都不变长。", "三十次投掷的比特 bits"),
            mixture_chart(best, x, heading="一堆点", note="一倍与两倍标准差。"),
        ]
        write_charts(names[0], "有一半故事没写出来", charts, ("从最大似然到 EM", "what EM found"))
        print(f"\nwrote {names[0]}")


if __name__ == "__main__":
    main(sys.argv[1:])
