"""Dependence that correlation does not see, measured and tested with HSIC.

python examples/hsic.py

Five pairs of variables, each with a correlation, the HSIC of the article's last formula, the
unbiased one, and the p-values of two tests. Then the bias itself, on independent samples; and what
cheaper estimates make of a large sample.
"""

import numpy as np

from taolu.bits import (
    Gaussian,
    biased_hsic,
    block_hsic,
    hsic,
    hsic_gamma_test,
    hsic_permutation_test,
    incomplete_hsic,
    random_feature_hsic,
)

ONE = {"kernel_x": Gaussian(1.0), "kernel_y": Gaussian(1.0)}


def pairs(n: int, rng):
    """Two variables that share nothing, a line, or a shape."""
    x, other, noise = rng.normal(size=(3, n))
    angle = rng.uniform(0, 2 * np.pi, size=n)
    sign = rng.choice([-1, 1], size=n)
    yield "independent", x, other
    yield "line", x, x + 0.1 * noise
    yield "parabola", x, x**2 + 0.3 * noise
    yield "circle", np.cos(angle), np.sin(angle) + 0.1 * noise
    yield "cross", x, sign * x + 0.1 * noise


def compare(rng) -> None:
    n = 200
    print(f"{n} samples   correlation   article   unbiased   permutations   gamma")
    for name, x, y in pairs(n, rng):
        by_article = biased_hsic(x, y, **ONE) * n**2 / (n - 1) ** 2
        drawn = hsic_permutation_test(x, y, rng=rng, permutations=499, **ONE).p_value
        gamma = hsic_gamma_test(x, y, **ONE).p_value
        correlation = np.corrcoef(x, y)[0, 1]
        print(
            f"{name:11} {correlation:13.3f} {by_article:9.5f} {hsic(x, y, **ONE):10.5f}"
            f" {drawn:14.3f} {gamma:7.3f}"
        )


def bias(rng) -> None:
    """Means over independent draws: what divides by (n - 1)^2 is not free of bias."""
    print("\nindependent, mean of 400   n^-2      (n-1)^-2   unbiased")
    for n in (10, 50, 200):
        draws = [rng.normal(size=(2, n)) for _ in range(400)]
        biased = np.mean([biased_hsic(x, y, **ONE) for x, y in draws])
        unbiased = np.mean([hsic(x, y, **ONE) for x, y in draws])
        by_article = biased * n**2 / (n - 1) ** 2
        print(f"n = {n:<20} {biased:8.5f}   {by_article:8.5f}   {unbiased:8.5f}")


def cheaper(rng) -> None:
    x = rng.normal(size=100_000)
    y = x**2 + 0.3 * rng.normal(size=x.size)
    print(f"\nparabola                {'hsic':>9}")
    print(f"full, of 4000 samples   {hsic(x[:4000], y[:4000], **ONE):9.4f}")
    print(
        f"random features         {random_feature_hsic(x, y, rng=rng, frequencies=64, **ONE):9.4f}"
    )
    blocks = block_hsic(x, y, rng=rng, **ONE)
    print(f"blocks of 64            {blocks.statistic:9.4f} +- {blocks.standard_error:.4f}")
    print(f"100,000 quadruples      {incomplete_hsic(x, y, rng=rng, **ONE):9.4f}")


def main() -> None:
    rng = np.random.default_rng(0)
    compare(rng)
    bias(rng)
    cheaper(rng)


if __name__ == "__main__":
    main()
