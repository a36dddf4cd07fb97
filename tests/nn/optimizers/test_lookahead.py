"""Lookahead: exact numbers, agreement with others, nothing lost by saving or skipped steps."""

import keras
import numpy as np
import pytest
from keras import ops

from taolu.nn.optimizers.lookahead import Lookahead
from taolu.nn.optimizers.slow_weights import SlowWeights
from taolu.nn.optimizers.wrapper import members

SGD, Adam = keras.optimizers.SGD, keras.optimizers.Adam
RNG = np.random.default_rng(0)
GRADIENTS = RNG.normal(size=(200, 3, 2)).astype("float32")
START = RNG.normal(size=(3, 2)).astype("float32")
TEN_STEPS = [0.44068355, 0.88136709]


def array(value):
    return np.array(ops.convert_to_numpy(value))


def walk(optimizer, gradients=GRADIENTS, start=START):
    """The weights after each of the steps."""
    variable = keras.Variable(start, name="weight")
    path = []
    for gradient in gradients:
        optimizer.apply([ops.convert_to_tensor(gradient)], [variable])
        path.append(array(variable))
    return np.stack(path)


def adam_oracle(gradients, start, rate=0.001, period=5, part=0.5, state="maintain"):
    """Lookahead over Adam in plain NumPy, double precision."""
    fast, m, v, t = start.astype("float64"), 0.0, 0.0, 0
    slow, kept = fast, (m, v)
    path = []
    for n, g in enumerate(gradients.astype("float64"), start=1):
        m, v, t = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g**2, t + 1
        step = rate * np.sqrt(1 - 0.999**t) / (1 - 0.9**t)
        fast = fast - step * m / (np.sqrt(v) + 1e-7)
        if n % period == 0:
            slow = fast = slow + part * (fast - slow)
            if state == "reset":
                m, v, t = 0.0, 0.0, 0
            if state == "interpolate":
                m, v = kept[0] + part * (m - kept[0]), kept[1] + part * (v - kept[1])
                kept = m, v
        path.append(fast)
    return np.stack(path)


def small_model(optimizer, seed=0, **options):
    keras.utils.set_random_seed(seed)
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2, name="only")])
    model.compile(optimizer, "mse", **options)
    return model


def data(rows=28):
    rng = np.random.default_rng(1)
    return rng.normal(size=(rows, 3)).astype("float32"), rng.normal(size=(rows, 2)).astype(
        "float32"
    )


def fit(model, epochs=1, **options):
    x, y = data()
    return model.fit(x, y, batch_size=4, epochs=epochs, shuffle=False, verbose=0, **options)


def same(one, other):
    """Equal to the last bit."""
    return all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


# Worked example


def test_ten_steps_on_the_sum_of_squares(figure):
    weight = keras.Variable(np.array([1.0, 2.0], "float32"))
    optimizer = Lookahead(SGD(0.1), period=5, rate=0.5)
    for _ in range(10):
        optimizer.apply([2 * ops.convert_to_tensor(weight)], [weight])
    figure("Lookahead over SGD, ten steps, beside SPEC", np.abs(array(weight) - TEN_STEPS).max())
    np.testing.assert_allclose(array(weight), TEN_STEPS, rtol=0, atol=1e-7)
    # Five steps keep 0.8^5 of the way, and half of that is taken: 0.66384 a cycle.
    assert array(weight)[0] == pytest.approx(0.66384**2, abs=1e-6)


# Oracles


@pytest.mark.parametrize("state", ["maintain", "reset", "interpolate"])
def test_adam_inside_follows_the_plain_formula(state):
    path = walk(Lookahead(Adam(0.001), 5, 0.5, state))
    np.testing.assert_allclose(path, adam_oracle(GRADIENTS, START, state=state), rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("period", "part", "reset"), [(5, 0.5, False), (3, 0.8, True), (1, 0.3, False)]
)
def test_it_agrees_with_optax(period, part, reset, figure):
    optax = pytest.importorskip("optax")
    # Keras adds epsilon before the bias correction of v, optax after it: so almost none.
    fast = optax.adam(0.001, eps=1e-20)
    transform = optax.lookahead(fast, period, part, reset_state=reset)
    # float32 rounds less near zero; torch rounds Adam otherwise in the eighth digit.
    start = START / (100 if keras.backend.backend() == "torch" else 10)
    params = optax.LookaheadParams.init_synced(start)
    state, path = transform.init(params), []
    for gradient in GRADIENTS:
        updates, state = transform.update(gradient, state, params)
        params = optax.apply_updates(params, updates)
        path.append(np.array(params.fast))
    mode = "reset" if reset else "maintain"
    ours = walk(Lookahead(Adam(0.001, epsilon=1e-20), period, part, mode), start=start)
    figure("Lookahead over Adam, 200 steps, beside optax", np.abs(ours - np.stack(path)).max())
    np.testing.assert_allclose(ours, np.stack(path), rtol=0, atol=1e-7)


def test_sgd_inside_agrees_with_optax_to_seven_digits():
    optax = pytest.importorskip("optax")
    transform = optax.lookahead(optax.sgd(0.1), sync_period=5, slow_step_size=0.5)
    params = optax.LookaheadParams.init_synced(np.array([1.0, 2.0], "float32"))
    state = transform.init(params)
    for _ in range(10):
        updates, state = transform.update(2 * params.fast, state, params)
        params = optax.apply_updates(params, updates)
    np.testing.assert_allclose(params.slow, TEN_STEPS, rtol=0, atol=1e-7)


# Invariants


@pytest.mark.parametrize("period", [5, 1])
@pytest.mark.parametrize(
    "settings",
    [{}, {"weight_decay": 0.1, "clipnorm": 1.0}, {"use_ema": True, "ema_overwrite_frequency": 3}],
    ids=["plain", "decay and clip", "averages"],
)
def test_a_rate_of_one_is_the_inner_optimizer_to_the_last_bit(period, settings):
    plain = walk(Adam(0.01, **settings), GRADIENTS[:23])
    ours = walk(Lookahead(Adam(0.01, **settings), period, 1.0), GRADIENTS[:23])
    np.testing.assert_array_equal(ours, plain)


def test_slow_weights_vary_less_than_fast_ones():
    # 2000 walkers on the noisy parabola x^2/2; the exact ratio stands in the module docstring.
    rate, period, part, walkers = 0.1, 5, 0.5, 2000
    rng = np.random.default_rng(2)
    weight = keras.Variable(np.zeros(walkers, "float32"))
    optimizer = Lookahead(SGD(rate), period, part)
    slow, fast = [], []
    for step in range(150):
        noise = rng.normal(size=walkers).astype("float32")
        last = array(weight)
        optimizer.apply([ops.convert_to_tensor(last + noise)], [weight])
        if step >= 100 and (step + 1) % period == 0:
            slow.append(array(weight))
            fast.append(last - rate * (last + noise))  # before it went back
    rho = 1 - rate
    ratio = part**2 * (1 - rho ** (2 * period)) / (1 - (1 - part + part * rho**period) ** 2)
    plain = rate**2 / (1 - rho**2)
    assert np.var(slow) < np.var(fast)
    assert ratio < 1
    assert np.var(slow) == pytest.approx(ratio * plain, rel=0.05)


@pytest.mark.slow
def test_slow_weights_vary_less_over_ten_thousand_steps():
    rng = np.random.default_rng(3)
    weight = keras.Variable(np.float32(0.0))
    optimizer = Lookahead(SGD(0.1))
    slow, fast = [], []
    for step, noise in enumerate(rng.normal(size=10_000).astype("float32")):
        before = array(weight)
        optimizer.apply([ops.convert_to_tensor(before + noise)], [weight])
        fast.append(before - np.float32(0.1) * (before + noise))
        if (step + 1) % 5 == 0:
            slow.append(array(weight))
    assert np.var(slow) < np.var(fast)


# Saving


def test_training_goes_on_bitwise_after_saving_in_the_middle_of_a_cycle(tmp_path):
    x, y = data(4)
    model = small_model(Lookahead(Adam(0.01), inner_state="interpolate"))
    for _ in range(7):
        model.train_on_batch(x, y)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert isinstance(loaded.optimizer, Lookahead)
    for _ in range(6):
        model.train_on_batch(x, y)
        loaded.train_on_batch(x, y)
    assert same(loaded.get_weights(), model.get_weights())
    assert same(map(array, loaded.optimizer.variables), map(array, model.optimizer.variables))


@pytest.mark.parametrize("state", ["maintain", "reset"])
def test_an_interrupted_fit_resumes_bitwise(tmp_path, state):
    schedule = keras.optimizers.schedules.ExponentialDecay(0.05, 4, 0.9)
    # Seven steps an epoch and cycles of five: every epoch ends inside a cycle.
    whole = small_model(Lookahead(Adam(schedule), inner_state=state))
    fit(whole, epochs=4)

    class Interrupt(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 2:
                raise KeyboardInterrupt

    def backup():
        return keras.callbacks.BackupAndRestore(str(tmp_path / "backup"))

    first = small_model(Lookahead(Adam(schedule), inner_state=state))
    with pytest.raises(KeyboardInterrupt):
        fit(first, epochs=4, callbacks=[backup(), Interrupt()])
    second = small_model(Lookahead(Adam(schedule), inner_state=state), seed=9)
    fit(second, epochs=4, callbacks=[backup()])
    assert same(second.get_weights(), whole.get_weights())
    assert int(second.optimizer.iterations) == 28


def test_weights_loaded_after_building_are_where_the_first_cycle_starts():
    model = small_model(Lookahead(SGD(0.0), rate=0.5))
    model.optimizer.build(model.trainable_variables)
    loaded = [np.full(w.shape, 7.0, "float32") for w in model.get_weights()]
    model.set_weights(loaded)
    x, y = data(4)
    for _ in range(5):
        model.train_on_batch(x, y)
    assert same(model.get_weights(), loaded)


@pytest.mark.parametrize("state", ["maintain", "reset", "interpolate"])
def test_the_configuration_comes_back(state):
    schedule = keras.optimizers.schedules.CosineDecay(0.1, 10)
    optimizer = Lookahead(SGD(schedule, momentum=0.9), 3, 0.25, state, name="calm")
    again = keras.optimizers.deserialize(keras.optimizers.serialize(optimizer))
    assert again.get_config() == optimizer.get_config()
    assert (again.period, again.rate, again.inner_state, again.name) == (3, 0.25, state, "calm")
    assert again.inner.momentum == 0.9


# Applied steps


def test_gathered_gradients_count_as_one_step():
    gathering = Lookahead(SGD(0.1, gradient_accumulation_steps=2), period=3)
    path = walk(gathering, GRADIENTS[:14])
    means = GRADIENTS[:14].reshape(7, 2, 3, 2).mean(axis=1)
    plain = walk(Lookahead(SGD(0.1), period=3), means)
    np.testing.assert_allclose(path[1::2], plain, rtol=0, atol=1e-6)
    np.testing.assert_array_equal(path[0], START)
    assert int(gathering.iterations) == 7


def step_with(optimizer, gradient, variable):
    """One step the way a train step takes it: Keras traces scaled optimizers on JAX."""
    if keras.backend.backend() != "jax":
        optimizer.apply([gradient], [variable])
        return
    state, weights = optimizer.variables, [variable]
    values = [v.value for v in state], [gradient], [v.value for v in weights]
    new_weights, new_state = optimizer.stateless_apply(*values)
    for target, value in zip([*weights, *state], [*new_weights, *new_state], strict=True):
        target.assign(value)


@pytest.mark.parametrize("outside", [False, True])
def test_a_step_that_loss_scaling_skips_does_not_count(outside):
    scaled = keras.optimizers.LossScaleOptimizer
    if outside:
        optimizer = scaled(Lookahead(SGD(0.1), period=2), initial_scale=4.0)
    else:
        optimizer = Lookahead(scaled(SGD(0.1), initial_scale=4.0), period=2)
    variable = keras.Variable(np.float32(1.0))
    optimizer.build([variable])
    scale, path = 4.0, []
    for gradient in (1.0, np.inf, 1.0, 1.0, 1.0):
        if np.isinf(gradient):
            step_with(optimizer, ops.convert_to_tensor(np.float32(gradient)), variable)
            scale /= 2  # the scale is halved, and the weight stays
        else:
            step_with(optimizer, ops.convert_to_tensor(np.float32(gradient * scale)), variable)
        path.append(float(array(variable)))
    np.testing.assert_allclose(path, [0.9, 0.9, 0.9, 0.8, 0.8], rtol=0, atol=1e-6)


@pytest.mark.parametrize("outside", [False, True])
def test_loss_scaling_changes_nothing_in_fit(outside):
    scaled = keras.optimizers.LossScaleOptimizer
    plain = small_model(Lookahead(Adam(0.01)))
    fit(plain, epochs=2)
    wrapped = scaled(Lookahead(Adam(0.01))) if outside else Lookahead(scaled(Adam(0.01)))
    model = small_model(wrapped)
    fit(model, epochs=2)
    for one, other in zip(model.get_weights(), plain.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-5)


def test_several_optimizers_inside_share_one_cycle():
    def choose(variable):
        return first if variable.name == "kernel" else second

    first, second = SGD(0.1), SGD(0.1)
    both = small_model(Lookahead(keras.optimizers.MultiOptimizer(choose), period=3))
    fit(both)
    one = small_model(Lookahead(SGD(0.1), period=3))
    fit(one)
    for a, b in zip(both.get_weights(), one.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-6)


# Schedules, reset, constraints


@pytest.mark.parametrize("state", ["maintain", "reset", "interpolate"])
def test_a_schedule_goes_on_over_the_cycles(state):
    schedule = keras.optimizers.schedules.PiecewiseConstantDecay([3, 7], [1.0, 0.1, 0.01])
    optimizer = Lookahead(SGD(schedule), period=2, rate=1.0, inner_state=state)
    path = walk(optimizer, np.ones((10, 1), "float32"), np.zeros(1, "float32"))
    steps = -np.diff(path[:, 0], prepend=0)
    np.testing.assert_allclose(steps, [1.0] * 4 + [0.1] * 4 + [0.01] * 2, rtol=1e-4)
    assert float(array(optimizer.learning_rate)) == pytest.approx(0.01)
    assert int(optimizer.iterations) == 10


def test_reset_starts_the_bias_correction_anew():
    # The first step of Adam is one learning rate long, whatever the gradient.
    optimizer = Lookahead(Adam(0.01), period=4, rate=1.0, inner_state="reset")
    path = walk(optimizer, np.array([[5.0], [-1.0], [2.0], [3.0], [-9.0]], "float32"), np.zeros(1))
    assert path[4, 0] - path[3, 0] == pytest.approx(0.01, rel=1e-4)


def test_reset_keeps_learning_rate_and_averages():
    optimizer = Lookahead(Adam(0.01, use_ema=True), period=2, inner_state="reset")
    walk(optimizer, np.ones((2, 1), "float32"), np.ones(1, "float32"))
    assert float(array(optimizer.learning_rate)) == pytest.approx(0.01)
    [average] = optimizer.inner._model_variables_moving_average
    assert float(array(average)[0]) > 0.5


def test_a_constraint_holds_for_the_mixed_weights():
    rng = np.random.default_rng(5)
    start = rng.normal(size=(4, 3)).astype("float32")
    start /= np.linalg.norm(start, axis=0)
    layer = keras.layers.Dense(3, kernel_constraint="unit_norm", use_bias=False)
    layer.build((None, 4))
    layer.kernel.assign(start)
    optimizer = Lookahead(SGD(1.0), period=2)
    for _ in range(2):
        gradient = rng.normal(size=(4, 3)).astype("float32")
        optimizer.apply([ops.convert_to_tensor(gradient)], [layer.kernel])
    np.testing.assert_allclose(np.linalg.norm(array(layer.kernel), axis=0), 1, atol=1e-5)


# Slow weights


def test_fit_ends_on_the_slow_weights():
    model, twin = small_model(Lookahead(SGD(0.1))), small_model(Lookahead(SGD(0.1)))
    x, y = data()
    fit(model)  # seven steps: one cycle of five, and two that are dropped
    twin.fit(x[:20], y[:20], batch_size=4, shuffle=False, verbose=0)  # the cycle alone
    assert same(model.get_weights(), twin.get_weights())


def test_fitting_twice_is_fitting_longer_when_cycles_end_with_the_epoch():
    options = {"period": 7, "inner_state": "interpolate"}
    once, twice = (small_model(Lookahead(Adam(0.01), **options)) for _ in range(2))
    fit(once, epochs=2)
    fit(twice)
    fit(twice)
    assert same(once.get_weights(), twice.get_weights())


def test_slow_weights_are_lent_and_given_back():
    variable = keras.Variable(START)
    optimizer = Lookahead(SGD(0.1), period=3)
    with optimizer.slow_weights():
        pass  # nothing is built yet
    optimizer.apply([ops.ones((3, 2))], [variable])
    fast = array(variable)
    with pytest.raises(ZeroDivisionError), optimizer.slow_weights():
        1 / (array(variable) - START).sum().item()  # the slow weights are where the walk began
    np.testing.assert_array_equal(array(variable), fast)


def test_validation_and_prediction_use_the_slow_weights():
    model = small_model(Lookahead(SGD(0.1)))
    x, y = data()
    history = fit(model, epochs=2, validation_data=(x, y), callbacks=[SlowWeights()])
    # `fit` ends on the weights that the last validation saw.
    assert history.history["val_loss"][-1] == pytest.approx(
        model.evaluate(x, y, verbose=0), rel=1e-6
    )
    model.train_on_batch(x, y)
    with model.optimizer.slow_weights():
        expected = model.predict(x, verbose=0)
    got = model.predict(x, verbose=0, callbacks=[SlowWeights()])
    np.testing.assert_array_equal(got, expected)
    assert not np.allclose(model.predict(x, verbose=0), expected)


def test_averages_win_at_the_end_where_the_inner_optimizer_keeps_them():
    model = small_model(Lookahead(SGD(0.1, use_ema=True, ema_momentum=0.5)))
    fit(model)
    averages = model.optimizer.inner._model_variables_moving_average
    assert same(model.get_weights(), map(array, averages))


# Errors


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"period": 0}, "`period` must be an integer of at least 1. Received: period=0"),
        ({"period": 2.5}, "Received: period=2.5"),
        ({"rate": 0.0}, r"`rate` must be in \(0, 1\]. Received: rate=0.0"),
        ({"rate": 1.5}, "Received: rate=1.5"),
        ({"inner_state": "keep"}, "`inner_state` must be one of .* Received: inner_state='keep'"),
        ({"clipnorm": 1.0}, "give it to `inner`. Received: {'clipnorm': 1.0}"),
        ({"gradient_accumulation_steps": 2}, "give it to `inner`"),
    ],
)
def test_wrong_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        Lookahead(SGD(0.1), **arguments)


def test_the_inner_optimizer_must_be_one():
    with pytest.raises(TypeError, match=r"must be a Keras optimizer. Received: inner='adam'"):
        Lookahead("adam")


def test_reset_refuses_what_it_cannot_reset():
    variable = keras.Variable(START)
    used = Adam(0.01)
    used.apply([ops.ones((3, 2))], [variable])
    with pytest.raises(ValueError, match="must be fresh for inner_state='reset'"):
        Lookahead(used, inner_state="reset").build([variable])
    copying = keras.optimizers.ScheduleFreeAdamW(0.01)
    with pytest.raises(ValueError, match="must not remember the weights themselves"):
        Lookahead(copying, inner_state="reset").build([variable])


def test_two_loss_scales_are_refused():
    inside = Lookahead(keras.optimizers.LossScaleOptimizer(SGD(0.1)))
    with pytest.raises(ValueError, match=r"auto_scale_loss=False. Received"):
        keras.optimizers.LossScaleOptimizer(inside)


def test_the_first_step_needs_the_variables():
    with pytest.raises(ValueError, match="`trainable_variables` must be given at the first step"):
        Lookahead(SGD(0.1)).apply([ops.ones(())])


def test_the_callback_needs_a_lookahead():
    model = small_model(SGD(0.1))
    with pytest.raises(ValueError, match=r"trained by Lookahead. Received: optimizer='sgd"):
        model.predict(data(4)[0], verbose=0, callbacks=[SlowWeights()])


def test_members_are_listed_from_the_outside():
    plain = SGD(0.1)
    nested = keras.optimizers.LossScaleOptimizer(Lookahead(plain))
    assert [type(m).__name__ for m in members(nested)][:2] == ["LossScaleOptimizer", "Lookahead"]
    assert list(members(nested))[-1] is plain
