"""HalfNesterov: the variables of the framework against those of the method, and its two ends."""

import keras
import numpy as np
import pytest
from keras import ops

from taolu.nn.optimizers.dynamics import nesterov
from taolu.nn.optimizers.half_nesterov import HalfNesterov

SGD = keras.optimizers.SGD
RNG = np.random.default_rng(0)
START = RNG.normal(size=(2, 3)).astype("float32")
CURVATURE = np.array([[1.0, 0.5, 3.0], [0.1, 2.0, 1.5]], "float32")


def walk(optimizer, steps=200, start=START, curvature=CURVATURE):
    """Positions on the parabola sum(curvature x^2) / 2, the first one included."""
    variable = keras.Variable(start)
    path = [start]
    for _ in range(steps):
        optimizer.apply([ops.convert_to_tensor(curvature * path[-1])], [variable])
        path.append(np.array(ops.convert_to_numpy(variable)))
    return np.stack(path)


def test_the_exact_number_of_twenty_steps():
    # The specification's figure for Nesterov's method in the variable of the framework.
    path = walk(HalfNesterov(0.1, 0.9, reach=1.0), 20, np.float32(1.0), np.float32(1.0))
    assert path[-1] == pytest.approx(0.11997223969476, abs=1e-6)


@pytest.mark.parametrize("reach", [0.0, 0.5, 1.0])
def test_the_model_holds_the_point_ahead(reach):
    path = walk(HalfNesterov(0.1, 0.9, reach))
    theirs = nesterov(lambda x: CURVATURE * x, START, 0.1, 0.9, 200, reach)
    ahead = theirs.position + reach * 0.9 * theirs.velocity * 0.1**0.5
    np.testing.assert_allclose(path, ahead, rtol=0, atol=1e-6)


@pytest.mark.parametrize("full", [False, True])
def test_its_ends_are_the_sgd_of_keras(full):
    ours = walk(HalfNesterov(0.1, 0.9, reach=float(full)))
    theirs = walk(SGD(0.1, momentum=0.9, nesterov=full))
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-6)


def test_a_reach_of_one_is_the_nesterov_of_optax():
    optax = pytest.importorskip("optax")
    transform = optax.sgd(0.1, momentum=0.9, nesterov=True)
    position, path = START, [START]
    state = transform.init(position)
    for _ in range(200):
        updates, state = transform.update(CURVATURE * position, state, position)
        position = np.asarray(optax.apply_updates(position, updates))
        path.append(position)
    np.testing.assert_allclose(walk(HalfNesterov(0.1, 0.9, 1.0)), path, rtol=0, atol=1e-6)


def carried(optimizer, set_rate):
    """Displacement of the first step after the rate falls from 0.1 to 0.01, with no gradient."""
    variable = keras.Variable(np.float32(0.0))
    optimizer.apply([ops.ones(())], [variable])
    before = float(ops.convert_to_numpy(variable))
    set_rate(optimizer)
    optimizer.apply([ops.zeros(())], [variable])
    return float(ops.convert_to_numpy(variable)) - before


def test_a_changed_rate_leaves_the_old_displacement_as_in_keras():
    def lower(optimizer):
        optimizer.learning_rate = 0.01

    # 0.9 of the last displacement of 0.1: the old rate is inside it.
    assert carried(SGD(0.1, momentum=0.9), lower) == pytest.approx(-0.09, abs=1e-6)
    assert carried(HalfNesterov(0.1, 0.9, reach=0.0), lower) == pytest.approx(-0.09, abs=1e-6)


def test_pytorch_scales_the_carried_displacement_by_the_new_rate():
    torch = pytest.importorskip("torch")
    weight = torch.zeros((), requires_grad=True)
    optimizer = torch.optim.SGD([weight], lr=0.1, momentum=0.9)
    weight.grad = torch.ones(())
    optimizer.step()
    before = weight.item()
    optimizer.param_groups[0]["lr"] = 0.01
    weight.grad = torch.zeros(())
    optimizer.step()
    assert weight.item() - before == pytest.approx(-0.009, abs=1e-6)


def test_fit_save_and_load(tmp_path):
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    model.compile(HalfNesterov(0.1, clipnorm=1.0, weight_decay=0.01), "mse")
    x, y = RNG.normal(size=(8, 3)), RNG.normal(size=(8, 2))
    losses = model.fit(x, y, epochs=3, verbose=0).history["loss"]
    assert losses[2] < losses[0]
    model.optimizer.momentum = 0.5
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert loaded.optimizer.get_config() == model.optimizer.get_config()
    assert loaded.optimizer.get_config()["momentum"] == 0.5
    for one in (model, loaded):
        one.train_on_batch(x, y)
    for ours, theirs in zip(loaded.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("argument", ["momentum", "reach"])
def test_shares_outside_zero_and_one_are_named(argument):
    with pytest.raises(ValueError, match=rf"`{argument}` must be in \[0, 1\]. Received: .*=1.5"):
        HalfNesterov(0.1, **{argument: 1.5})
