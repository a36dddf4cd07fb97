"""Step control: the formulas against the frameworks, their limits, and what a path tells."""

import keras
import numpy as np
import pytest
from keras import ops

from taolu.nn.optimizers.dynamics import euler
from taolu.nn.optimizers.step_control import adam, rmsprop, scalar_rmsprop, step_control

RNG = np.random.default_rng(0)
START = RNG.normal(size=6) / 4  # near zero float32 forgets less
CURVATURE = np.array([0.1, 0.5, 1.0, 2.0, 5.0, 10.0])
METHODS = {"rmsprop": rmsprop, "scalar_rmsprop": scalar_rmsprop, "adam": adam}


def gradient(x):
    return CURVATURE * x


def given(gradients):
    """A gradient that does not depend on the place: the next of a list."""
    rows = iter(gradients.astype("float64"))
    return lambda _: next(rows)


RANDOM = RNG.normal(size=(200, 6)).astype("float32")


# The frameworks


def keras_path(optimizer):
    variable, path = keras.Variable(START.astype("float32")), [START]
    for row in RANDOM:
        optimizer.apply([ops.convert_to_tensor(row)], [variable])
        path.append(np.array(ops.convert_to_numpy(variable)))
    return np.stack(path)


def optax_path(transform):
    position = START.astype("float32")
    state, path = transform.init(position), [position]
    for row in RANDOM:
        updates, state = transform.update(row, state, position)
        position = position + np.asarray(updates)
        path.append(position)
    return np.stack(path)


def test_rmsprop_is_that_of_keras_and_optax(figure):
    ours = rmsprop(given(RANDOM), START, 0.001, 200, rho=0.9, epsilon=1e-3)
    theirs = keras_path(keras.optimizers.RMSprop(0.001, rho=0.9, epsilon=1e-3))
    figure("RMSprop, 200 steps, beside Keras and optax", np.abs(ours - theirs).max())
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-6)
    optax = pytest.importorskip("optax")
    transform = optax.rmsprop(0.001, decay=0.9, eps=1e-3, eps_in_sqrt=True)
    theirs = optax_path(transform)
    figure("RMSprop, 200 steps, beside Keras and optax", np.abs(ours - theirs).max())
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-6)
    outside = optax_path(optax.rmsprop(0.001, decay=0.9, eps=1e-3, eps_in_sqrt=False))
    assert np.abs(ours - outside).max() > 1e-4  # epsilon inside and outside are not the same


def test_adam_is_that_of_keras_and_optax(figure):
    ours = adam(given(RANDOM), START, 0.001, 200, epsilon=1e-7)
    theirs = keras_path(keras.optimizers.Adam(0.001))
    figure("Adam, 200 steps, beside Keras and optax", np.abs(ours - theirs).max())
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-6)
    optax = pytest.importorskip("optax")
    # Optax adds epsilon after the correction of v, so compare with almost none.
    ours = adam(given(RANDOM), START, 0.001, 200, epsilon=1e-20)
    theirs = optax_path(optax.adam(0.001, eps=1e-20))
    figure("Adam, 200 steps, beside Keras and optax", np.abs(ours - theirs).max())
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-6)


def test_the_place_of_epsilon_matters_fifty_fold():
    # The guide's example: a gradient of 1e-4 and an epsilon of 1e-4.
    inside = rmsprop(lambda x: np.array([1e-4]), [0.0], 1.0, 1, rho=0.0, epsilon=1e-4)
    outside = adam(lambda x: np.array([1e-4]), [0.0], 1.0, 1, beta_1=0.0, beta_2=0.0, epsilon=1e-4)
    assert outside[1, 0] / inside[1, 0] == pytest.approx(50, rel=0.01)


# Limits and invariants


def test_without_memory_only_signs_are_left():
    path = rmsprop(gradient, START, 0.01, 20, rho=0.0, epsilon=0.0)
    x = START
    for row in path[1:]:
        x = x - 0.01 * np.sign(CURVATURE * x)
        np.testing.assert_allclose(row, x, rtol=0, atol=1e-15)
    variable = keras.Variable(START.astype("float32"))
    plain = keras.optimizers.RMSprop(0.01, rho=0.0, epsilon=0.0)
    plain.apply([ops.convert_to_tensor(gradient(START).astype("float32"))], [variable])
    np.testing.assert_allclose(np.array(ops.convert_to_numpy(variable)), path[1], atol=1e-7)


@pytest.mark.parametrize("factor", [1e-3, 7.0, 1e4])
@pytest.mark.parametrize("method", METHODS)
def test_the_scale_of_the_loss_means_nothing_without_epsilon(method, factor):
    plain = METHODS[method](gradient, START, 0.01, 100, epsilon=0.0)
    scaled = METHODS[method](lambda x: factor * gradient(x), START, 0.01, 100, epsilon=0.0)
    np.testing.assert_allclose(scaled, plain, rtol=0, atol=1e-10)


def test_the_scalar_step_points_along_the_gradient_and_is_as_long():
    g = np.array([3.0, 4.0])
    vector = rmsprop(lambda x: g, [0.0, 0.0], 1.0, 1, rho=0.0, epsilon=0.0)[1]
    scalar = scalar_rmsprop(lambda x: g, [0.0, 0.0], 1.0, 1, rho=0.0, epsilon=0.0)[1]
    np.testing.assert_allclose(scalar, -g / np.sqrt(12.5), atol=1e-12)
    assert np.linalg.norm(scalar) == pytest.approx(np.linalg.norm(vector))
    path = scalar_rmsprop(gradient, START, 0.01, 50)
    moves, slopes = np.diff(path, axis=0), gradient(path[:-1])
    cosines = (moves * -slopes).sum(axis=1) / np.linalg.norm(moves, axis=1)
    np.testing.assert_allclose(cosines / np.linalg.norm(slopes, axis=1), 1, atol=1e-7)


@pytest.mark.parametrize("rho", [0.9, 0.99])
def test_the_first_step_of_rmsprop_is_too_long_and_that_of_adam_is_not(rho):
    one = rmsprop(lambda x: np.array([2.0]), [0.0], 0.01, 1, rho=rho, epsilon=0.0)
    assert -one[1, 0] / 0.01 == pytest.approx(1 / np.sqrt(1 - rho))
    two = adam(lambda x: np.array([2.0]), [0.0], 0.01, 1, beta_2=rho, epsilon=0.0)
    assert -two[1, 0] / 0.01 == pytest.approx(1)


def test_where_the_gradient_is_zero_nothing_moves():
    path = rmsprop(lambda x: np.array([0.0, 1.0]), [1.0, 1.0], 0.1, 5, epsilon=0.0)
    np.testing.assert_array_equal(path[:, 0], 1.0)


# An ill-conditioned parabola


def steps_to(path, hessian, part=1e-3):
    """The first step at which the loss is this part of the first loss."""
    loss = np.einsum("ti,ij,tj->t", path, hessian, path) / 2
    below = np.flatnonzero(loss <= part * loss[0])
    return below[0] if len(below) else len(path)


def ill_conditioned(angle):
    """A parabola with curvatures 1e4 and 1, turned."""
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return turn @ np.diag([1e4, 1.0]) @ turn.T, turn @ np.array([1e-2, 1.0])


def rmsprop_steps(angle, rates, limit):
    hessian, start = ill_conditioned(angle)
    return min(steps_to(rmsprop(lambda x: hessian @ x, start, r, limit), hessian) for r in rates)


def test_per_coordinate_steps_beat_descent_on_axes_and_less_when_turned():
    hessian, start = ill_conditioned(0)
    path = euler(lambda x: hessian @ x, start, 1e-4, 32_000)  # a rate of 1 / L, which no axis sees
    plain = steps_to(path.position, hessian)
    straight = rmsprop_steps(0, (1e-3, 5e-4, 3e-4), 4000)
    turned = rmsprop_steps(np.pi / 4, (3e-4, 1e-4), 20_000)
    assert straight <= plain / 10
    assert plain / turned < plain / straight  # the advantage shrinks


def test_a_constant_rate_ends_in_a_swing_of_its_own_size():
    path = rmsprop(lambda x: x, [1.0], 0.01, 3000)
    assert 1e-3 < np.abs(path[-100:]).max() < 2e-2


# The diagnostic


def test_the_judgement_of_two_steps_by_hand():
    control = step_control(gradient=lambda x: 2 * x, positions=[[1.0], [0.0], [0.0]], bound=0.5)
    np.testing.assert_allclose(control.lengths, [1.0, 0.0])
    np.testing.assert_allclose(control.time_steps, [0.5, 0.0])
    # Euler lands on 0; Heun with the mean gradient (2 + 0) / 2 would land on 0.5.
    np.testing.assert_allclose(control.errors, [0.5, 0.0])
    assert control.too_long.tolist() == [True, False]


def test_the_error_is_that_between_euler_and_heun():
    step = 0.05
    path = euler(gradient, START, step, 10).position
    heun = path[:-1] - step * (gradient(path[:-1]) + gradient(path[1:])) / 2
    control = step_control(gradient, path, bound=1.0)
    np.testing.assert_allclose(control.errors, np.linalg.norm(path[1:] - heun, axis=1), atol=1e-14)
    np.testing.assert_allclose(control.time_steps, step, rtol=1e-12)
    # A quarter of the error for half of the step: the local error is of second order.
    finer = step_control(gradient, euler(gradient, START, step / 2, 1).position, bound=1.0)
    assert finer.errors[0] == pytest.approx(control.errors[0] / 4)


def test_scalar_control_keeps_every_step_at_the_bound():
    path = scalar_rmsprop(gradient, START, 0.01, 30, rho=0.0, epsilon=0.0)
    control = step_control(gradient, path, bound=0.01 * np.sqrt(6) * (1 + 1e-9))
    np.testing.assert_allclose(control.lengths, 0.01 * np.sqrt(6), rtol=1e-9)
    assert not control.too_long.any()
    slopes = np.linalg.norm(gradient(path[:-1]), axis=1)
    np.testing.assert_allclose(control.time_steps, 0.01 * np.sqrt(6) / slopes, rtol=1e-9)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: rmsprop(gradient, START, 0.0, 1), r"`rate` must be above 0. Received: rate=0.0"),
        (lambda: rmsprop(gradient, START, 0.1, 1, rho=1.0), r"`rho` .* Received: rho=1.0"),
        (lambda: adam(gradient, START, 0.1, 1, beta_2=1.0), r"`beta_2` .* Received: beta_2=1.0"),
        (lambda: adam(gradient, START, 0.1, 1, epsilon=-1), r"`epsilon` .* Received: epsilon=-1"),
        (
            lambda: step_control(gradient, [START], 0.1),
            r"\(steps \+ 1, width\). Received: .*\(1, 6\)",
        ),
        (lambda: step_control(gradient, [START] * 2, 0), r"`bound` must be above 0. Received: b"),
    ],
)
def test_wrong_arguments_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
