"""Integrators: their orders, the two forms of Nesterov, and agreement with the frameworks."""

import keras
import numpy as np
import pytest
from keras import ops
from scipy.integrate import solve_ivp

from taolu.nn.optimizers.dynamics import (
    euler,
    friction_of,
    heavy_ball,
    implicit_midpoint,
    leapfrog,
    momentum_of,
    nesterov,
)

LOSSES = {"parabola": lambda x: x, "quartic": lambda x: x**3}  # gradients
FRICTION, TIME, HALVINGS = 0.5, 2.0, (64, 128, 256, 512, 1024)


def first_order(gradient):
    """theta(TIME) of theta' = -grad L from 1."""
    return solve_ivp(lambda _, y: -gradient(y), (0, TIME), [1.0], rtol=1e-12, atol=1e-13).y[0, -1]


def second_order(gradient, velocity=0.0):
    """theta(TIME) of the ball with friction from 1."""

    def change(_, y):
        return [y[1], -FRICTION * y[1] - gradient(y[0])]

    return solve_ivp(change, (0, TIME), [1.0, velocity], rtol=1e-12, atol=1e-13).y[0, -1]


def order(method, truth):
    """The power of the step with which the error falls."""
    errors = [abs(float(method(TIME / n, n).position[-1]) - truth) for n in HALVINGS]
    return np.polyfit(np.log([TIME / n for n in HALVINGS]), np.log(errors), 1)[0]


# Worked examples


def test_euler_is_gradient_descent():
    path = euler(lambda x: 0.1 * x, 1.0, step=0.1, steps=100)
    assert path.position[-1] == pytest.approx(0.99**100, abs=1e-12)
    assert path.velocity[-1] == pytest.approx(-0.1 * path.position[-1])
    assert path.times[-1] == pytest.approx(10)


def test_momentum_outruns_descent_as_the_guide_says():
    path = heavy_ball(lambda x: 0.1 * x, 1.0, rate=0.1, momentum=0.9, steps=100)
    assert pytest.approx(0.366, abs=5e-4) == 0.99**100
    assert np.abs(path.position[90:]).max() < 0.03  # an amplitude of 0.9^50 = 0.005, and its phase


def test_both_forms_of_nesterov_give_the_exact_number():
    rate, momentum = 0.1, 0.9
    path = nesterov(lambda x: x, 1.0, rate, momentum, 20)
    ahead, v = 1.0, 0.0
    for n in range(20):
        v = momentum * v - rate * ahead
        ahead = ahead + momentum * v - rate * (ahead)
        position, displacement = path.position[n + 1], path.velocity[n + 1] * rate**0.5
        assert position + momentum * displacement == pytest.approx(ahead, abs=1e-14)
    assert ahead == pytest.approx(0.11997223969476, abs=1e-14)


@pytest.mark.parametrize("friction", [0.0, 0.5, 3.0])
def test_friction_and_momentum_are_two_names_of_one_thing(friction):
    rate, momentum = momentum_of(friction, 0.1)
    assert momentum == pytest.approx((1 - friction * 0.05) / (1 + friction * 0.05))
    assert rate == pytest.approx(0.01 / (1 + friction * 0.05))
    assert friction_of(rate, momentum) == pytest.approx((friction, 0.1))


# Orders


@pytest.mark.parametrize("loss", LOSSES)
def test_the_error_of_euler_is_of_first_order(loss, figure):
    gradient = LOSSES[loss]
    found = order(lambda step, n: euler(gradient, 1.0, step, n), first_order(gradient))
    figure("order of Euler", found)
    assert found == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize("velocity", [0.0, 1.0])
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("method", [leapfrog, implicit_midpoint])
def test_the_error_of_leapfrog_and_midpoint_is_of_second_order(method, loss, velocity, figure):
    gradient = LOSSES[loss]
    truth = second_order(gradient, velocity)

    def run(step, n):
        return method(gradient, 1.0, velocity, friction=FRICTION, step=step, steps=n)

    found = order(run, truth)
    figure(f"order of {method.__name__}", found)
    assert found == pytest.approx(2, abs=0.1)


def test_without_the_half_step_at_the_start_the_order_is_one():
    truth = second_order(LOSSES["parabola"])

    def run(step, n):
        return heavy_ball(LOSSES["parabola"], 1.0, *momentum_of(FRICTION, step), n)

    assert order(run, truth) == pytest.approx(1, abs=0.05)


def test_the_velocity_of_leapfrog_belongs_to_half_a_step_before():
    path = leapfrog(lambda x: x, 1.0, 0.0, friction=0.0, step=0.01, steps=300)
    np.testing.assert_allclose(path.velocity, -np.sin(path.times - 0.005), atol=1e-4)
    np.testing.assert_allclose(np.diff(path.position) / 0.01, path.velocity[1:], atol=1e-10)


def test_the_midpoint_keeps_the_energy_of_a_swing_without_friction():
    start, velocity = np.array([1.0, -0.5]), np.array([0.0, 2.0])
    curvature = np.array([1.0, 4.0])
    path = implicit_midpoint(
        lambda x: curvature * x, start, velocity, friction=0.0, step=0.3, steps=200
    )
    energy = (path.velocity**2 + curvature * path.position**2).sum(axis=1) / 2
    np.testing.assert_allclose(energy, energy[0], rtol=1e-12)


# The frameworks


def keras_path(optimizer, gradient, start, steps):
    variable, path = keras.Variable(start.astype("float32")), [start]
    for _ in range(steps):
        step = gradient(np.array(ops.convert_to_numpy(variable)))
        optimizer.apply([ops.convert_to_tensor(step.astype("float32"))], [variable])
        path.append(np.array(ops.convert_to_numpy(variable)))
    return np.stack(path)


CURVATURE, START = np.array([0.1, 1.0, 3.0]), np.array([1.0, -0.5, 0.3])


def test_descent_and_momentum_are_the_sgd_of_keras():
    def gradient(x):
        return CURVATURE * x

    plain = keras_path(keras.optimizers.SGD(0.1), gradient, START, 200)
    ball = keras_path(keras.optimizers.SGD(0.1, momentum=0.9), gradient, START, 200)
    ours = euler(gradient, START, 0.1, 200), heavy_ball(gradient, START, 0.1, 0.9, 200)
    np.testing.assert_allclose(ours[0].position, plain, rtol=0, atol=1e-6)
    np.testing.assert_allclose(ours[1].position, ball, rtol=0, atol=1e-6)


@pytest.mark.parametrize("library", ["keras", "optax"])
def test_nesterov_is_that_of_the_frameworks(library, figure):
    def gradient(x):
        return CURVATURE * x

    if library == "keras":
        sgd = keras.optimizers.SGD(0.1, momentum=0.9, nesterov=True)
        theirs = keras_path(sgd, gradient, START, 200)
    else:
        optax = pytest.importorskip("optax")
        transform = optax.sgd(0.1, momentum=0.9, nesterov=True)
        position = START.astype("float32")
        state, theirs = transform.init(position), [position]
        for _ in range(200):
            step = (CURVATURE * position).astype("float32")
            updates, state = transform.update(step, state, position)
            position = np.asarray(optax.apply_updates(position, updates))
            theirs.append(position)
    ours = nesterov(gradient, START, 0.1, 0.9, 200)
    ahead = ours.position + 0.9 * ours.velocity * 0.1**0.5
    figure("Nesterov, 200 steps, beside Keras and optax", np.abs(ahead - np.stack(theirs)).max())
    np.testing.assert_allclose(ahead, np.stack(theirs), rtol=0, atol=1e-6)


# Errors


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: euler(abs, 1.0, 0.0, 1), r"`step` must be above 0. Received: step=0.0"),
        (lambda: euler(abs, 1.0, 0.1, 0), r"`steps` must be an integer .* Received: steps=0"),
        (lambda: heavy_ball(abs, 1.0, -1.0, 0.9, 1), r"`rate` must be above 0. Received: rate=-1"),
        (lambda: heavy_ball(abs, 1.0, 0.1, 1.1, 1), r"`momentum` .* Received: momentum=1.1"),
        (lambda: nesterov(abs, 1.0, 0.1, -0.1, 1), r"`momentum` .* Received: momentum=-0.1"),
        (lambda: momentum_of(-1.0, 0.1), r"`friction` must be at least 0. Received: friction=-1"),
        (lambda: momentum_of(30.0, 0.1), r"`friction \* step` at most 2. Received: step=0.1"),
        (lambda: friction_of(0.0, 0.9), r"`rate` must be above 0. Received: rate=0"),
        (
            lambda: implicit_midpoint(lambda x: 500 * x, 1.0, 0.0, friction=0.0, step=0.5, steps=1),
            r"small enough for the midpoint equation to converge. Received: step=0.5",
        ),
    ],
)
def test_wrong_arguments_are_named(call, message):
    with np.errstate(over="ignore", invalid="ignore"), pytest.raises(ValueError, match=message):
        call()
