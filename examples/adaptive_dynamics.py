"""Adaptive rates as step control: how long a step is, and what the axes have to do with it.

python examples/adaptive_dynamics.py [PAGE.html]

RMSprop bounds the length of a step: of every coordinate (vector), or of the whole (scalar), which
keeps the direction of the gradient. With a file name the paths are drawn on one page.
"""

import sys

import numpy as np

from taolu.nn.optimizers.dynamics import euler
from taolu.nn.optimizers.step_control import adam, rmsprop, scalar_rmsprop, step_control
from taolu.report.dynamics import trajectory_chart, write_dynamics_report

CURVATURES = np.array([1e4, 1.0])
START = np.array([1e-2, 1.0])


def turned(angle):
    """Hessian and start of the parabola with curvatures 1e4 and 1, turned by an angle."""
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return turn @ np.diag(CURVATURES) @ turn.T, turn @ START


def steps_to(path, hessian, part=1e-3):
    """The first step with this part of the first loss."""
    loss = np.einsum("ti,ij,tj->t", path, hessian, path)
    below = np.flatnonzero(loss <= part * loss[0])
    return str(below[0]) if len(below) else f"> {len(path) - 1}"


def directions() -> None:
    print("a gradient of (3, 4), no memory: the step of")
    for method in (rmsprop, scalar_rmsprop):
        step = -method(lambda x: np.array([3.0, 4.0]), [0.0, 0.0], 1.0, 1, rho=0.0, epsilon=0.0)[1]
        print(f"  {method.__name__:<15} {step.round(3)}, length {np.linalg.norm(step):.4f}")


def starts() -> None:
    print("\nthe first step of a gradient of 2, in learning rates")
    for rho in (0.9, 0.99):
        plain = rmsprop(lambda x: np.array([2.0]), [0.0], 1.0, 1, rho=rho, epsilon=0.0)
        fixed = adam(lambda x: np.array([2.0]), [0.0], 1.0, 1, beta_2=rho, epsilon=0.0)
        print(f"  memory {rho}: RMSprop {-plain[1, 0]:.2f}, Adam {-fixed[1, 0]:.2f}")


def axes() -> None:
    print("\nsteps to a thousandth of the loss, curvatures 10000 and 1")
    print("                            on the axes     turned by 45 degrees")
    rows = {
        "descent, 1/L": lambda g, x: euler(g, x, 1e-4, 32_000).position,
        "RMSprop, vector": lambda g, x: rmsprop(g, x, 5e-4, 20_000),
        "RMSprop, scalar": lambda g, x: scalar_rmsprop(g, x, 1e-4, 20_000),
    }
    for name, run in rows.items():
        cells = []
        for angle in (0.0, np.pi / 4):
            hessian, start = turned(angle)
            cells.append(steps_to(run(lambda x, h=hessian: h @ x, start), hessian))
        print(f"  {name:<21} {cells[0]:>15} {cells[1]:>20}")


def control(hessian, start):
    paths = {
        "梯度下降": euler(lambda x: hessian @ x, start, 0.09, 60).position,
        "RMSprop": rmsprop(lambda x: hessian @ x, start, 0.1, 60),
        "标量 RMSprop": scalar_rmsprop(lambda x: hessian @ x, start, 0.1, 60),
    }
    print("\ncurvatures 20 and 1, sixty steps, bound 0.2: too long, longest, worst local error")
    lengths = {}
    for name, path in paths.items():
        judged = step_control(lambda x: hessian @ x, path, bound=0.2)
        worst = judged.lengths.max(), judged.errors.max()
        print(f"  {judged.too_long.sum():2d} {worst[0]:8.3f} {worst[1]:8.3f}  {name}")
        lengths[name] = judged.lengths
    return paths, lengths


def main(names) -> None:
    directions()
    starts()
    axes()
    hessian = np.diag([20.0, 1.0])
    paths, lengths = control(hessian, np.array([1.0, 3.0]))
    if names:
        loss = trajectory_chart(paths, lambda x: np.einsum("pi,ij,pj->p", x, hessian, x), "轨迹")
        steps = trajectory_chart(lengths, heading="每一步走多远", note="限度是 0.2。", value="长度")
        write_dynamics_report([loss, steps], names[0], "不让一步走得太远")
        print(f"\nwrote {names[0]}")


if __name__ == "__main__":
    main(sys.argv[1:])
