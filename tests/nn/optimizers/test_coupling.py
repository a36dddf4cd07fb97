"""MomentumLRCoupler: the friction stays while the learning rate changes."""

import keras
import numpy as np
import pytest
from keras import ops

from taolu.nn.optimizers.coupling import MomentumLRCoupler
from taolu.nn.optimizers.dynamics import couple, friction_of, heavy_ball, nesterov
from taolu.nn.optimizers.half_nesterov import HalfNesterov
from taolu.nn.optimizers.lookahead import Lookahead
from taolu.nn.optimizers.wrapper import members

SGD = keras.optimizers.SGD
Scheduler = keras.callbacks.LearningRateScheduler


def number(value):
    return float(ops.convert_to_numpy(value))


class Record(keras.callbacks.Callback):
    """Rate and momentum of every epoch."""

    def on_train_begin(self, logs=None):
        self.seen = []

    def on_epoch_begin(self, epoch, logs=None):
        *_, plain = members(self.model.optimizer)
        self.seen.append((number(plain.learning_rate), number(plain.momentum)))


def train(optimizer, callbacks, epochs=3):
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile(optimizer, "mse")
    record = Record()
    x, y = np.ones((4, 2)), np.ones((4, 1))
    model.fit(x, y, epochs=epochs, batch_size=2, callbacks=[*callbacks, record], verbose=0)
    return record.seen


def quarter(epoch):
    return 0.16 / 4**epoch


# The rule


def test_a_quarter_of_the_rate_halves_the_distance_of_the_momentum_from_one():
    assert couple(0.9, 0.25) == pytest.approx(0.95, abs=1e-12)
    assert couple(0.9, 1.0) == pytest.approx(0.9, abs=1e-12)
    assert couple(couple(0.9, 0.3), 0.2) == pytest.approx(couple(0.9, 0.06), abs=1e-12)
    assert couple(0.5, 100.0) == 0.0


@pytest.mark.parametrize("ratio", [0.25, 0.5, 2.0])
def test_the_friction_of_nesterovs_form_stays_exactly(ratio):
    # momentum = 1 - friction step, rate = step^2.
    friction = (1 - 0.9) / 0.1**0.5
    assert (1 - couple(0.9, ratio)) / (ratio * 0.1) ** 0.5 == pytest.approx(friction, rel=1e-12)


@pytest.mark.parametrize("momentum", [0.9, 0.99])
def test_the_friction_of_the_leapfrog_stays_to_a_known_factor(momentum):
    new = couple(momentum, 0.25)
    before, after = friction_of(0.1, momentum)[0], friction_of(0.025, new)[0]
    assert after / before == pytest.approx(((1 + momentum) / (1 + new)) ** 0.5, rel=1e-12)
    assert (abs(after / before - 1) < 0.01) == (momentum == 0.99)


def fitted_friction(path):
    """Twice the rate at which the peaks of a damped swing shrink, fitted to the path."""
    x, t = path.position, path.times
    peak = np.flatnonzero((np.abs(x[1:-1]) > np.abs(x[:-2])) & (np.abs(x[1:-1]) >= np.abs(x[2:])))
    # The top between the samples: a parabola through three of them.
    a, b, c = (np.abs(x[peak + shift]) for shift in (0, 1, 2))
    height = b - (c - a) ** 2 / (8 * (a - 2 * b + c))
    return -2 * np.polyfit(t[peak + 1], np.log(height), 1)[0]


@pytest.mark.parametrize("ratio", [0.25, 0.5, 2.0])
@pytest.mark.parametrize("method", [heavy_ball, lambda *a: nesterov(*a, reach=0.5)])
def test_the_friction_fitted_to_a_swing_stays_within_one_per_cent(method, ratio, figure):
    rate, momentum = 1e-4, 0.995
    before = fitted_friction(method(lambda x: x, 1.0, rate, momentum, 4000))
    after = fitted_friction(method(lambda x: x, 1.0, ratio * rate, couple(momentum, ratio), 6000))
    alone = fitted_friction(method(lambda x: x, 1.0, ratio * rate, momentum, 6000))
    assert before == pytest.approx(0.005 / 0.01, rel=0.02)
    figure("friction after coupling, relative change", abs(after / before - 1))
    assert after == pytest.approx(before, rel=0.01)
    assert alone == pytest.approx(before / ratio**0.5, rel=0.02)  # without the rule


# The callback


def test_the_momentum_follows_the_rate():
    seen = train(HalfNesterov(0.16, momentum=0.9), [Scheduler(quarter), MomentumLRCoupler()])
    np.testing.assert_allclose(seen, [(0.16, 0.9), (0.04, 0.95), (0.01, 0.975)], rtol=1e-5)


def test_a_compiled_step_of_sgd_takes_the_new_momentum():
    options = {"momentum": 0.9, "nesterov": True}
    seen = train(SGD(0.16, **options), [Scheduler(quarter), MomentumLRCoupler()], epochs=2)
    np.testing.assert_allclose(seen, [(0.16, 0.9), (0.04, 0.95)], rtol=1e-5)
    weights = []
    for optimizer in (SGD(0.16, **options), HalfNesterov(0.16, 0.9, reach=1.0)):
        keras.utils.set_random_seed(0)
        model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
        model.compile(optimizer, "mse")
        callbacks = [Scheduler(quarter), MomentumLRCoupler()]
        model.fit(np.ones((4, 2)), np.ones((4, 1)), epochs=3, callbacks=callbacks, verbose=0)
        weights.append(model.get_weights())
    for ours, theirs in zip(*weights, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)


def test_it_reaches_through_wrappers():
    wrapped = Lookahead(HalfNesterov(0.16, momentum=0.9))
    seen = train(wrapped, [Scheduler(quarter), MomentumLRCoupler()], epochs=2)
    np.testing.assert_allclose(seen, [(0.16, 0.9), (0.04, 0.95)], rtol=1e-5)


def test_a_warm_up_needs_a_reference():
    warm = keras.optimizers.schedules.PolynomialDecay(0.0, 4, 0.16)
    with pytest.raises(ValueError, match=r"`reference` must be a learning rate above 0.*: 0.0"):
        train(HalfNesterov(warm), [MomentumLRCoupler()])
    coupler = MomentumLRCoupler(reference=0.16, momentum=0.9)
    seen = train(HalfNesterov(warm, momentum=0.5), [coupler])
    np.testing.assert_allclose(
        seen, [(0.0, 1.0), (0.08, 1 - 0.1 * 0.5**0.5), (0.16, 0.9)], rtol=1e-5
    )


@pytest.mark.parametrize("optimizer", [SGD(0.1), keras.optimizers.Adam(0.1)])
def test_an_optimizer_without_momentum_is_refused(optimizer):
    with pytest.raises(ValueError, match=r"needs an optimizer with momentum. Received: optimizer="):
        train(optimizer, [MomentumLRCoupler()], epochs=1)


def test_wrong_arguments_of_the_rule_are_named():
    with pytest.raises(ValueError, match=r"`momentum` must be in \[0, 1\]. Received: momentum=2"):
        couple(2, 1.0)
    with pytest.raises(ValueError, match=r"`ratio` must be at least 0. Received: ratio=-1"):
        couple(0.9, -1)
