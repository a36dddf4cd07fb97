"""A density without its normaliser, fitted by telling samples from noise; log Z comes for free.

python examples/noise_contrastive.py

G(x) = -a x^2 - b x^4 can be computed, the integral of e^G is never taken. Forgetting log k or log U
fits as well, and gives something else.
"""

import numpy as np
import scipy.integrate
import scipy.optimize

from taolu.nn.differentiate import value_and_grad  # before Keras, for which it chooses the backend
from taolu.nn.losses import noise_contrastive

# isort: split
from keras import ops

SAMPLES, K = 100_000, 5
LOG_U = -np.log(2 * np.pi) / 2  # of N(0, 1), at its middle


def density(x):
    return np.exp(-(x**2) - x**4 / 2)


def samples(rng, n):
    grid = np.linspace(-4, 4, 40_001)
    total = np.cumsum(density(grid))
    return np.interp(rng.random(n), total / total[-1], grid)


def fit(use_k: bool = True, use_noise: bool = True) -> np.ndarray:
    """Finds a, b and gamma from samples in the first column and K of noise beside each."""
    rng = np.random.default_rng(0)
    x = np.column_stack([samples(rng, SAMPLES), rng.normal(size=(SAMPLES, K))])
    # The loss takes off log k and log U; what is forgotten is added here, or not given.
    log_noise = (LOG_U - x**2 / 2) * use_noise - np.log(K) * (not use_k)
    square, noise = (ops.convert_to_tensor(part.astype("float32")) for part in (x**2, log_noise))

    def loss(theta):
        a, b, gamma = theta[0], theta[1], theta[2]
        log_p = -a * square - b * square**2 - gamma
        return ops.mean(noise_contrastive(log_p[:, 0], log_p[:, 1:], noise[:, 0], noise[:, 1:]))

    def with_slope(theta):
        found = value_and_grad(loss, ops.convert_to_tensor(theta.astype("float32")))
        return [ops.convert_to_numpy(part).astype("float64") for part in found]

    return scipy.optimize.minimize(with_slope, np.zeros(3), jac=True, method="L-BFGS-B").x


def main() -> None:
    log_z = np.log(scipy.integrate.quad(density, -8, 8)[0])
    rows = {
        "the truth": [1, 0.5, log_z],
        "NCE": fit(),
        "log k forgotten": fit(use_k=False),
        "  by theory": [1, 0.5, log_z + np.log(K)],
        "log U forgotten": fit(use_noise=False),
        "  by theory ": [1 - 0.5, 0.5, log_z + LOG_U],
    }
    print(f"{SAMPLES} samples, {K} of N(0, 1) to each\n{'':20}{'a':>8}{'b':>8}{'gamma':>8}")
    for name, numbers in rows.items():
        print(f"{name:20}" + "".join(f"{number:8.3f}" for number in numbers))


if __name__ == "__main__":
    main()
