"""A step written once: equal to stock Keras, compiled once, on every policy, and its errors."""

import keras
import numpy as np
import pytest
from keras import layers, ops

from taolu.nn.differentiate import BACKEND, StepModel, grad, override, value_and_grad

pytestmark = pytest.mark.usefixtures("fast_compile")


def array(x):
    return np.array(ops.convert_to_numpy(x))


def normal(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


X = normal(32, 4)
Y = X[:, :1] * 2 + 0.1


class Plain(StepModel):
    """What `fit` does, in our words."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.runs = 0

    def objective(self, x, y, weight):
        prediction = self(x, training=True)
        return self.compute_loss(x, y, prediction, weight), prediction

    def step(self, data):
        self.runs += 1
        x, y, weight = keras.utils.unpack_x_y_sample_weight(data)
        variables = self.trainable_variables
        (loss, prediction), gradients = self.value_and_grad(
            lambda: self.objective(x, y, weight), variables, has_aux=True
        )
        self.update(gradients, variables)
        return self.record(loss, x, y, prediction, weight)


class Penalised(layers.Layer):
    def call(self, x):
        self.add_loss(0.01 * ops.mean(ops.cast(x, "float32") ** 2))
        return x


def network(kind, dtype=None, dropout=0.3, rich=True):
    """Weights and masks depend on nothing but the arguments."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input((4,))
    x = layers.Dense(8, activation="tanh", kernel_regularizer="l2" if rich else None, dtype=dtype)(
        inputs
    )
    if rich:
        x = layers.BatchNormalization(dtype=dtype)(Penalised(dtype=dtype)(x))
    x = layers.Dropout(dropout, seed=3, dtype=dtype)(x)
    return kind(inputs, layers.Dense(1, dtype="float32" if dtype else None)(x))


def train(model, epochs=3, weight=None, **compiled):
    optimizer = compiled.pop("optimizer", keras.optimizers.Adam(0.05))
    model.compile(optimizer, "mse", metrics=["mae"], **compiled)
    arguments = {"batch_size": 8, "shuffle": False, "verbose": 0, "sample_weight": weight}
    return model.fit(X, Y, epochs=epochs, **arguments).history


def assert_equal_models(a, b, **tolerance):
    for v, w in zip(a.variables, b.variables, strict=True):
        np.testing.assert_allclose(array(v), array(w), **tolerance)


def small(kind):
    """Two dense layers, where speed matters more than variety."""
    return network(kind, dropout=0, rich=False)


# stock fit


def test_a_plain_step_is_stock_fit():
    # dropout, batch normalisation, an added loss, a regularizer, metrics, weights
    weight = np.linspace(0, 1, 32, dtype="float32")
    ours, stock = network(Plain), network(keras.Model)
    history, truth = train(ours, weight=weight), train(stock, weight=weight)
    assert set(history) == set(truth) == {"loss", "mae"}
    for name in truth:
        np.testing.assert_allclose(history[name], truth[name], rtol=1e-6)
    assert_equal_models(ours, stock, rtol=1e-5, atol=1e-6)
    assert ours.evaluate(X, Y, verbose=0) == pytest.approx(stock.evaluate(X, Y, verbose=0))


def test_single_batches_train_and_test_as_in_stock_keras():
    ours, stock = small(Plain), small(keras.Model)
    for model in (ours, stock):
        model.compile(keras.optimizers.SGD(0.1, global_clipnorm=0.1), "mse")
    for call in ("train_on_batch", "train_on_batch", "test_on_batch"):
        assert getattr(ours, call)(X[:8], Y[:8]) == pytest.approx(
            getattr(stock, call)(X[:8], Y[:8])
        )
    assert_equal_models(ours, stock, rtol=1e-5, atol=1e-6)


def test_accumulation_and_averages_do_as_in_stock_fit():
    ours, stock = small(Plain), small(keras.Model)
    for model in (ours, stock):
        options = {"gradient_accumulation_steps": 2, "use_ema": True, "ema_momentum": 0.5}
        train(model, epochs=2, optimizer=keras.optimizers.SGD(0.1, momentum=0.5, **options))
    assert_equal_models(ours, stock, rtol=1e-5, atol=1e-6)


def test_accumulation_over_a_whole_epoch_is_one_big_batch():
    # mean squared error of equal batches: their mean gradient is that of the union
    many, one = small(Plain), small(Plain)
    many.compile(keras.optimizers.SGD(0.1, gradient_accumulation_steps=4), "mse")
    one.compile(keras.optimizers.SGD(0.1), "mse")
    many.fit(X, Y, batch_size=8, shuffle=False, verbose=0)
    one.fit(X, Y, batch_size=32, shuffle=False, verbose=0)
    assert_equal_models(many, one, rtol=1e-5, atol=1e-6)


@pytest.mark.skipif(BACKEND == "torch", reason="Keras allows one step per execution on torch")
def test_several_steps_per_execution_train_the_same():
    one, three = small(Plain), small(Plain)
    train(one)
    train(three, steps_per_execution=3)  # does not divide the four batches
    assert_equal_models(one, three, rtol=1e-5, atol=1e-6)


@pytest.mark.skipif(BACKEND == "torch", reason="torch is eager, and compiles for minutes")
def test_a_step_runs_eagerly_and_compiled():
    eager, compiled = small(Plain), small(Plain)
    losses = train(eager, epochs=1, run_eagerly=True)["loss"]
    assert losses == pytest.approx(train(compiled, epochs=1, jit_compile=True)["loss"], rel=1e-5)
    assert eager.runs == 4


def test_fit_traces_the_step_once():
    model = small(Plain)
    train(model, epochs=1)
    first = model.runs
    # TensorFlow makes the variables of the metrics in a first trace, as in stock Keras
    assert first == {"jax": 1, "tensorflow": 2, "torch": 4}[BACKEND]
    model.fit(X, Y, batch_size=8, epochs=5, verbose=0)
    assert model.runs == (24 if BACKEND == "torch" else first)


def test_a_smaller_last_batch_costs_at_most_one_more_trace():
    model = small(Plain)
    model.compile("sgd", "mse")
    model.fit(X[:20], Y[:20], batch_size=8, epochs=3, verbose=0)
    assert model.runs == {"jax": 2, "tensorflow": 1, "torch": 9}[BACKEND]


# precision


def test_mixed_bfloat16_is_stock_fit():
    policy = "mixed_bfloat16"
    ours, stock = (network(kind, policy, rich=False) for kind in (Plain, keras.Model))
    history, truth = train(ours), train(stock)
    np.testing.assert_allclose(history["loss"], truth["loss"], rtol=1e-6)
    assert {v.dtype for v in ours.trainable_variables} == {"float32"}


@pytest.fixture
def half_precision():
    keras.config.set_dtype_policy("mixed_float16")
    yield
    keras.config.set_dtype_policy("float32")


class Small(Plain):
    """A loss so small that float16 flushes its gradients to zero unless they are scaled."""

    factor = 1e-8

    def objective(self, x, y, weight):
        loss, prediction = super().objective(x, y, weight)
        return loss * self.factor, prediction


@pytest.mark.usefixtures("half_precision")
def test_mixed_float16_trains_as_float32_does():
    # Truth: the same step in float32. SGD, so that the size of the gradient shows.
    def trained(dtype, optimizer):
        keras.config.set_dtype_policy(dtype)
        model = small(Small)
        before = [array(v) for v in model.trainable_variables]
        history = train(model, epochs=2, optimizer=optimizer)
        pairs = zip(model.trainable_variables, before, strict=True)
        return [array(v) - start for v, start in pairs], history

    descent = [keras.optimizers.SGD(0.1 / Small.factor) for _ in range(2)]
    scaled = keras.optimizers.LossScaleOptimizer(descent[0], initial_scale=2.0**24)
    moves, history = trained("mixed_float16", scaled)
    assert int(array(scaled.iterations)) == 8
    truth, losses = trained("float32", descent[1])
    np.testing.assert_allclose(history["loss"], losses["loss"], rtol=1e-2)
    for move, expected in zip(moves, truth, strict=True):
        np.testing.assert_allclose(move, expected, rtol=0.05, atol=5e-3)
    assert max(np.abs(move).max() for move in truth) > 0.1


@pytest.mark.usefixtures("half_precision")
def test_mixed_float16_scales_without_being_asked():
    model = small(Plain)
    model.compile("sgd", "mse")
    assert isinstance(model.optimizer, keras.optimizers.LossScaleOptimizer)


@pytest.mark.usefixtures("half_precision")
def test_a_step_whose_gradient_overflows_is_left_out():
    model = small(Plain)
    scale = keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(0.1), initial_scale=2.0**40)
    model.compile(scale, "mse")
    before = [array(v) for v in model.trainable_variables]
    losses = [model.train_on_batch(X[:8], Y[:8]) for _ in range(2)]
    assert losses[0] == losses[1] > 0
    for v, value in zip(model.trainable_variables, before, strict=True):
        np.testing.assert_array_equal(array(v), value)
    assert float(array(scale.dynamic_scale)) == 2.0**38
    assert int(array(scale.iterations)) == 0


@pytest.mark.usefixtures("half_precision")
def test_a_fixed_loss_scale_is_taken_out_again():
    ours, plain = (small(Plain), small(Plain))
    for model, factor in ((ours, 256.0), (plain, None)):
        optimizer = keras.optimizers.SGD(0.1, loss_scale_factor=factor)
        train(model, epochs=1, optimizer=optimizer, auto_scale_loss=False)
    assert_equal_models(ours, plain, rtol=1e-2, atol=1e-3)


@pytest.mark.usefixtures("half_precision")
def test_scaled_gradients_have_their_true_size():
    model = small(Plain)
    model.compile("sgd", "mse")
    model.optimizer.build(model.trainable_variables)
    ones = ops.convert_to_tensor(np.ones(2, "float16"))

    def f(t):  # 1e-4 * 2e-4 is 2e-8, below what float16 can hold (6e-8)
        return ops.sum(ops.cast(t * 1e-4, "float32")) * 2e-4

    value, gradient = model.value_and_grad(f, ones)
    assert keras.backend.standardize_dtype(gradient.dtype) == "float32"
    np.testing.assert_allclose(array(gradient), [2e-8, 2e-8], rtol=2e-3)
    assert float(array(value)) == pytest.approx(4e-8, rel=2e-3)
    np.testing.assert_array_equal(array(grad(f, ones)), [0.0, 0.0])


@pytest.mark.skipif(BACKEND != "jax", reason="other backends may leave variables out")
def test_loss_scaling_on_jax_needs_all_variables():
    model = small(Plain)
    model.compile(keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(0.1)), "mse")
    model.optimizer.build(model.trainable_variables)
    first = model.trainable_variables[:1]
    with pytest.raises(ValueError, match=r"must be all those.*Received: 1 of 4"):
        model.update([first[0].value], first)


# evaluation


def test_measure_is_what_evaluate_runs():
    class Counted(Plain):
        def measure(self, data):
            x, _, _ = keras.utils.unpack_x_y_sample_weight(data)
            return self.record(ops.cast(ops.shape(x)[0], "float32"), x)

    model = small(Counted)
    model.compile("sgd")
    # 20 rows in batches of 8: the mean of 8, 8, 4 weighted by size
    assert model.evaluate(X[:20], batch_size=8, verbose=0) == pytest.approx((64 + 64 + 16) / 20)


def test_evaluate_leaves_the_model_alone_and_validation_works():
    model = network(Plain, rich=False)
    model.compile("sgd", "mse", metrics=["mae"])
    before = [array(v) for v in model.variables]
    loss = model.evaluate(X, Y, verbose=0)
    for v, value in zip(model.variables, before, strict=True):
        np.testing.assert_array_equal(array(v), value)
    history = model.fit(
        X, Y, batch_size=32, validation_data=(X, Y), epochs=1, verbose=0, shuffle=False
    ).history
    assert set(history) == {"loss", "mae", "val_loss", "val_mae"}
    assert history["val_loss"][0] != pytest.approx(loss[0])


# other steps


class Adversarial(Plain):
    """Fast gradient method on the embedding table, as an example of two passes."""

    def step(self, data):
        x, y, weight = keras.utils.unpack_x_y_sample_weight(data)
        variables = self.trainable_variables
        table = self.get_layer("token").embeddings

        def objective():
            return self.objective(x, y, weight)

        (loss, prediction), clean = self.value_and_grad(objective, variables, has_aux=True)
        slope = clean[[v is table for v in variables].index(True)]
        with override([(table, table + slope / (ops.norm(slope) + 1e-12))]):
            _, attacked = self.value_and_grad(objective, variables, has_aux=True)
        self.update([a + b for a, b in zip(clean, attacked, strict=True)], variables)
        return self.record(loss, x, y, prediction, weight)


def test_an_attacked_table_comes_back_and_takes_one_step():
    # One token, one linear unit: loss = e w. Clean slopes (w, e); the attack moves e by w/|w|, so
    # slopes there are (w, e + w/|w|); the step is their sum.
    inputs = keras.Input((1,), dtype="int32")
    table = layers.Embedding(3, 1, name="token")
    dense = layers.Dense(1, use_bias=False)
    model = Adversarial(inputs, layers.Flatten()(dense(table(inputs))))
    table.embeddings.assign([[5.0], [2.0], [7.0]])
    dense.kernel.assign([[-3.0]])
    model.compile(keras.optimizers.SGD(0.1), lambda y, prediction: prediction)
    loss = model.train_on_batch(np.array([[1]]), np.zeros((1, 1)))
    assert loss == pytest.approx(-6.0)
    np.testing.assert_allclose(array(table.embeddings), [[5.0], [2.0 + 0.6], [7.0]], rtol=1e-6)
    np.testing.assert_allclose(array(dense.kernel), [[-3.0 - 0.1 * (2 + 2 - 1)]], rtol=1e-6)


def test_all_passes_see_the_variables_before_the_update():
    # In a graph TensorFlow may update a Variable while one pass has yet to read it. Here neither
    # slope of e w depends on the Variable it updates, so nothing else keeps the order.
    class Twice(Plain):
        def step(self, data):
            x, y = data[:2]

            def objective():
                return self.objective(x, y, None)

            (loss, _), first = self.value_and_grad(objective, self.trainable_variables, True)
            _, second = self.value_and_grad(objective, self.trainable_variables, True)
            self.update(
                [a + b for a, b in zip(first, second, strict=True)], self.trainable_variables
            )
            return self.record(loss, x)

    inputs = keras.Input((1,), dtype="int32")
    table, dense = layers.Embedding(3, 1), layers.Dense(1, use_bias=False)
    model = Twice(inputs, layers.Flatten()(dense(table(inputs))))
    model.compile(keras.optimizers.SGD(0.1), lambda y, prediction: prediction)
    results = set()
    for _ in range(100):
        table.embeddings.assign([[5.0], [2.0], [7.0]])
        dense.kernel.assign([[-3.0]])
        loss = float(model.train_on_batch(np.array([[1]]), np.zeros((1, 1))))
        moved = array(table.embeddings)[1, 0].item(), array(dense.kernel).item()
        results.add(tuple(round(value, 4) for value in (loss, *moved)))
    assert results == {(-6.0, 2.6, -3.4)}


def test_masked_predictions_keep_their_mask_for_the_metrics():
    def build(kind):
        keras.utils.set_random_seed(0)
        inputs = keras.Input((3,), dtype="int32")
        x = layers.Embedding(5, 2, mask_zero=True)(inputs)
        model = kind(inputs, layers.Dense(1)(x))
        model.compile("sgd", "mse", weighted_metrics=["mae"])
        return model

    x, y = np.array([[1, 2, 0], [3, 0, 0]]), np.arange(6, dtype="float32").reshape(2, 3, 1)
    weight = np.array([[1, 2, 3], [4, 5, 6]], "float32")
    ours, stock = (build(kind).train_on_batch(x, y, weight) for kind in (Plain, keras.Model))
    assert ours == pytest.approx(stock, rel=1e-6)


def test_the_functions_of_the_module_work_in_a_step_too():
    class Bare(Plain):
        def step(self, data):
            x, y = data
            loss, gradients = value_and_grad(
                lambda: self.compute_loss(x, y, self(x, training=True)), self.trainable_variables
            )
            self.optimizer.apply(gradients, self.trainable_variables)
            return self.record(loss, x)

    bare, plain = small(Bare), small(Plain)
    for model in (bare, plain):
        model.compile("sgd", "mse")
        model.fit(X, Y, batch_size=8, shuffle=False, verbose=0)
    assert_equal_models(bare, plain, rtol=1e-6, atol=1e-7)


# errors


def test_a_model_without_a_step_is_told():
    model = small(StepModel)
    model.compile("sgd", "mse")
    with pytest.raises(NotImplementedError, match=r"`StepModel` must define `step\(self, data\)`"):
        model.fit(X, Y, verbose=0)


def test_a_step_that_returns_no_logs_is_told():
    class Mute(StepModel):
        def step(self, data):
            return None

    model = small(Mute)
    model.compile("sgd", "mse")
    with pytest.raises(TypeError, match=r"`step` must return its logs, a dict.*Received: NoneType"):
        model.fit(X, Y, verbose=0)


def test_a_model_that_is_not_compiled_is_told():
    model = small(Plain)
    with pytest.raises(ValueError, match="compile"):
        model.fit(X, Y, verbose=0)
    with pytest.raises(ValueError, match=r"`compile` the model.*Received: optimizer=None"):
        model.value_and_grad(lambda x: ops.sum(x), X)
    with pytest.raises(ValueError, match=r"`compile` the model.*Received: optimizer=None"):
        model.update([], [])


@pytest.mark.skipif(BACKEND != "jax", reason="elsewhere Variables are live, and such writes happen")
def test_a_write_outside_the_model_is_told():
    stray = keras.Variable(0.0, name="stray")

    class Leaky(StepModel):
        def step(self, data):
            stray.assign_add(1.0)
            return self.record(0.0, data[0])

    model = small(Leaky)
    model.compile("sgd", "mse")
    with pytest.raises(ValueError, match=r"`step` may write only Variables.*Received.*stray"):
        model.fit(X, Y, verbose=0)


def test_a_gradient_by_an_input_in_a_step_needs_no_more():
    # the penalty of DEEP.md: the critic is linear, so the gradient by the input is its kernel
    class Smooth(StepModel):
        def step(self, data):
            x = data[0]

            def penalty():
                slopes = grad(lambda t: ops.sum(self(t, training=True)), x)
                return ops.mean(ops.sum(slopes**2, axis=-1))

            loss, gradients = self.value_and_grad(penalty, self.trainable_variables)
            self.update(gradients, self.trainable_variables)
            return self.record(loss, x)

    inputs = keras.Input((4,))
    model = Smooth(inputs, layers.Dense(1)(inputs))
    model.compile(keras.optimizers.SGD(0.25), "mse")
    kernel = array(model.trainable_variables[0])
    losses = [model.train_on_batch(X, Y) for _ in range(2)]  # each step halves the kernel
    assert losses == pytest.approx([(kernel**2).sum(), (kernel**2).sum() / 4], rel=1e-5)
