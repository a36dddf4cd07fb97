"""Momentum as a ball that rolls downhill: orders, friction, noise, stability.

python examples/optimizer_dynamics.py [PAGE.html]

Gradient descent is Euler's method, momentum the leapfrog; what holds for integrators holds for
them. With a file name the pictures are written to one page.
"""

import sys

import numpy as np

from taolu.nn.optimizers import dynamics as move
from taolu.nn.optimizers.diffusion import kramers, langevin, stationary_density, temperature
from taolu.nn.optimizers.stability import convergence_factor, stability_region
from taolu.report.dynamics import law_chart, region_chart, trajectory_chart, write_dynamics_report

HESSIAN = np.array([0.1, 2.0])


def gradient(x):
    return x


def orders() -> None:
    """Errors at time 2 on x^2 / 2, where the truth is known."""
    print("step        descent    ratio    leapfrog    ratio")
    last = None
    for n in (10, 20, 40, 80):
        descent = move.euler(gradient, 1.0, 2 / n, n).position[-1] - np.exp(-2)
        ball = move.leapfrog(gradient, 1.0, 0.0, friction=0.0, step=2 / n, steps=n)
        errors = np.abs([descent, ball.position[-1] - np.cos(2)])
        ratios = ["", ""] if last is None else [f"{r:.2f}" for r in last / errors]
        print(f"{2 / n:5.3f} {errors[0]:13.6f} {ratios[0]:>8} {errors[1]:11.6f} {ratios[1]:>8}")
        last = errors


def friction() -> None:
    rate, momentum = 0.1, 0.9
    slower = move.couple(momentum, 0.25)
    print(
        f"\nrate {rate} and momentum {momentum}: friction {move.friction_of(rate, momentum)[0]:.4f}"
    )
    for new in (slower, momentum):
        found = move.friction_of(rate / 4, new)[0]
        print(f"a quarter of the rate with momentum {new:.2f}: friction {found:.4f}")
    for pair in ((0.01, 0.0), (0.01, 0.9)):
        print(f"rate x curvature {pair[0]}, momentum {pair[1]}: x {convergence_factor(*pair):.4f}")


def noise(rng) -> np.ndarray:
    start = np.zeros(20_000)
    options = {"noise": 1.0, "rng": rng, "every": 100}
    print("\nvariance on x^2 / 2 with noise 1     found    exact")
    found = langevin(gradient, start, step=0.02, steps=600, **options).position[2:].var()
    print(f"Langevin                          {found:8.4f} {temperature(1.0):8.4f}")
    for slow in (0.5, 2.0):
        walk = kramers(gradient, start, friction=slow, step=0.1, steps=600, **options)
        exact = temperature(1.0, slow)
        print(f"Kramers, friction {slow}             {walk.position[2:].var():8.4f} {exact:8.4f}")
    wells = {"noise": 1.0, "step": 0.01, "steps": 800, "rng": rng, "every": 100}
    return langevin(lambda x: 2 * x * (x**2 - 1), rng.normal(size=20_000), **wells).position[2:]


def charts(walkers):
    start = [4.0, 1.0]
    paths = {
        "梯度下降": move.euler(lambda x: HESSIAN * x, start, 0.4, 40),
        "动量 0.8": move.heavy_ball(lambda x: HESSIAN * x, start, 0.4, 0.8, 40),
        "平衡 Nesterov": move.nesterov(lambda x: HESSIAN * x, start, 0.4, 0.8, 40, reach=0.5),
    }
    paths = {name: path.position for name, path in paths.items()}
    yield trajectory_chart(
        paths, lambda x: (HESSIAN * x**2).sum(axis=1), "轨迹", "同一个起点，四十步。"
    )
    grid = np.linspace(-2.2, 2.2, 221)
    heats = {"exp(−2L/σ²)": temperature(1.0), "exp(−L/σ²)，少了 2": 1.0}
    laws = {n: stationary_density(lambda x: (x**2 - 1) ** 2 / 2, grid, h) for n, h in heats.items()}
    yield law_chart(walkers, laws, grid, "稳态", "两万个点在双井里；文章的公式少了系数 2。")
    for name, reach in (("动量", 0.0), ("平衡 Nesterov", 0.5), ("Nesterov", 1.0)):
        region = stability_region(np.linspace(0.01, 4.4, 220), np.linspace(0, 1, 161), reach)
        yield region_chart(region, f"收敛区域：{name}", "黑线之内收敛；颜色越深，每步缩得越多。")


def main(names) -> None:
    orders()
    friction()
    walkers = noise(np.random.default_rng(0))
    if names:
        write_dynamics_report(list(charts(walkers)), names[0], "小球怎样滚下山")
        print(f"\nwrote {names[0]}")


if __name__ == "__main__":
    main(sys.argv[1:])
