"""What a differentiated function or an override writes, reads and leaves alone."""

import threading

import keras
import numpy as np
import pytest
from keras import layers, ops

from taolu.nn.differentiate import (
    BACKEND,
    StepModel,
    grad,
    override,
    value_and_grad,
    without_gradients,
)

pytestmark = pytest.mark.usefixtures("fast_compile")


def array(x):
    return np.array(ops.convert_to_numpy(x))


def variable(value, **arguments):
    return keras.Variable(np.asarray(value, "float32"), **arguments)


def normal(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def compiled(f):
    """`f` as one program on JAX, which is slow operation by operation."""
    if BACKEND != "jax":
        return f
    import jax

    return jax.jit(f)


# what f writes


def test_each_gradient_draws_new_dropout_and_advances_the_seed():
    dropout, w, x = layers.Dropout(0.5, seed=1), variable(1.0), np.ones((4, 16), "float32")
    dropout.build(x.shape)

    def kept():
        return ops.sum(ops.multiply(dropout(w * x, training=True), normal(4, 16)))

    seeds, slopes = [], []
    for _ in range(3):
        slopes.append(float(array(grad(kept, w))))
        seeds.append(array(dropout.seed_generator.state).tolist())
    assert len(set(slopes)) == 3
    assert [second for _, second in seeds] == [1, 2, 3]


def test_a_nested_gradient_advances_the_seed_by_its_draws():
    generator, w = keras.random.SeedGenerator(1), variable(2.0)

    def noisy():
        return ops.sum(w**3 * keras.random.uniform((1,), seed=generator))

    def both():
        return noisy() + grad(noisy, w) ** 2  # two draws

    first = float(array(grad(both, w)))
    assert array(generator.state).tolist() == [1, 2]
    second = float(array(grad(both, w)))
    assert array(generator.state).tolist() == [1, 4]
    assert first != second


def test_the_same_seed_draws_the_same_inside_and_outside():
    def draw(generator):
        return keras.random.uniform((3,), seed=generator)

    inside, outside, w = (*(keras.random.SeedGenerator(7) for _ in range(2)), variable(np.ones(3)))
    slopes = grad(lambda: ops.sum(w * draw(inside)), w)
    np.testing.assert_array_equal(array(slopes), array(draw(outside)))


def test_batch_statistics_and_metrics_written_inside_stay():
    norm, mean, x = layers.BatchNormalization(momentum=0.5), keras.metrics.Mean(), normal(8, 2)
    norm.build(x.shape)

    def f():
        y = norm(x, training=True)
        mean.update_state(ops.sum(y) + 3.0)
        return ops.sum(y**2)

    value_and_grad(f, norm.trainable_variables)
    np.testing.assert_allclose(array(norm.moving_mean), 0.5 * x.mean(0), rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(array(norm.moving_variance), 0.5 + 0.5 * x.var(0), rtol=1e-5)
    assert float(array(mean.result())) == pytest.approx(3.0, abs=1e-5)


def test_writes_of_every_level_stay():
    w, counts = variable(2.0), [variable(0.0, trainable=False) for _ in range(3)]

    def level(i):
        counts[i].assign_add(1.0)
        return w**3 if i == 2 else w * grad(lambda: level(i + 1), w)

    grad(lambda: level(0), w)
    assert [float(array(count)) for count in counts] == [1.0, 1.0, 1.0]


# override


def test_a_block_sees_the_new_value_and_the_variable_keeps_its_own():
    w = variable(normal(3))
    before = array(w)
    with override([(w, w * 2)]):
        np.testing.assert_array_equal(array(w * 1), 2 * before)
        w.assign(np.zeros(3))
        np.testing.assert_array_equal(array(w * 1), np.zeros(3))
    np.testing.assert_array_equal(array(w), before)


def test_an_exception_leaves_everything_as_it_was():
    w, other = variable(1.0), variable(1.0)

    def fail():
        with override([(w, 2.0)]):
            w.assign(3.0)
            other.assign(3.0)
            raise RuntimeError("inside")

    with pytest.raises(RuntimeError, match="inside"):
        fail()
    assert (float(array(w)), float(array(other))) == (1.0, 1.0)
    with override([(w, 2.0)]):  # and nothing is left open
        assert float(array(w * 1)) == 2.0


def test_writes_to_other_variables_stay():
    w, other, generator = variable(1.0), variable(1.0), keras.random.SeedGenerator(1)
    with override([(w, 2.0)]):
        other.assign(w * 5)
        generator.next()
    assert float(array(other)) == 10.0
    assert array(generator.state).tolist() == [1, 1]


def test_blocks_nest_and_the_inner_one_wins():
    a, b = variable(1.0), variable(1.0)
    with override([(a, 2.0), (b, 3.0)]):
        with override([(a, 4.0)]):
            assert float(array(a * b)) == 12.0
            b.assign(5.0)
        assert float(array(a * b)) == 10.0
    assert float(array(a * b)) == 1.0


def test_gradients_flow_into_the_new_value():
    # f(w + d(w)) with d = w^2 inside: d/dw (w + w^2)^2 = 2 (w + w^2)(1 + 2 w); held constant: half
    w = variable(2.0)

    def through():
        with override([(w, w + w**2)]):
            return w**2

    def constant():
        d = ops.stop_gradient(w**2)
        with override([(w, w + d)]):
            return w**2

    assert float(array(grad(through, w))) == 2 * 6 * 5
    assert float(array(grad(constant, w))) == 2 * 6


def test_an_override_of_the_state_is_a_pass_without_a_trace():
    norm, dropout = layers.BatchNormalization(), layers.Dropout(0.5, seed=1)
    model = keras.Sequential([keras.Input((4,)), norm, dropout])
    x, state = normal(8, 4), model.non_trainable_variables
    assert len(state) == 3
    before = [array(v) for v in state]
    with override([(v, v.value) for v in state]):
        first = array(model(x, training=True))
        third = array(model(x, training=True))
    for v, value in zip(state, before, strict=True):
        np.testing.assert_array_equal(array(v), value)
    second = array(model(x, training=True))  # so this pass draws the mask of the first again
    np.testing.assert_array_equal(second, first)
    assert (third != first).any()
    assert all((array(v) != value).any() for v, value in zip(state, before, strict=True))


def test_a_layer_that_overrides_its_child_works_in_stock_keras():
    # On JAX the weights are not in the Variables while `fit` runs: the bias, which is not
    # replaced, must still be found. y = 2 w + b from w = b = 1; y^2 has slopes 4 y = 12, 2 y = 6.
    class Doubled(layers.Layer):
        def __init__(self):
            super().__init__()
            self.inner = layers.Dense(1, kernel_initializer="ones", bias_initializer="ones")

        def build(self, shape):
            self.inner.build(shape)

        def call(self, x):
            with override([(self.inner.kernel, self.inner.kernel * 2)]):
                return self.inner(x)

    inputs = keras.Input((1,))
    layer = Doubled()
    model = keras.Model(inputs, layer(inputs))
    one = np.ones((1, 1), "float32")
    assert model.predict(one, verbose=0).item() == 3.0
    model.compile(keras.optimizers.SGD(0.1), "mse")
    model.fit(one, 0 * one, verbose=0)
    assert array(layer.inner.kernel).item() == pytest.approx(1 - 1.2, abs=1e-6)
    assert array(layer.inner.bias).item() == pytest.approx(1 - 0.6, abs=1e-6)


def test_regularizers_see_both_replaced_and_other_variables():
    a, b = layers.Dense(1, use_bias=False), layers.Dense(1, use_bias=False)
    model = keras.Sequential([keras.Input((1,)), a, b])
    for layer in (a, b):
        layer.kernel.assign([[2.0]])
        layer.kernel.regularizer = keras.regularizers.L2(1.0)
    with override([(a.kernel, a.kernel + 1)]):
        assert [float(array(loss)) for loss in model.losses] == [9.0, 4.0]


def test_override_takes_variables_and_tensors_of_their_shape():
    with (
        pytest.raises(TypeError, match=r"pair Variables with tensors\. Received: 1\.0"),
        override([(1.0, 1.0)]),
    ):
        pass
    with (
        pytest.raises(ValueError, match=r"`variable.*` a tensor of its shape \(2,\).*shape \(3,\)"),
        override([(variable([1.0, 2.0]), np.zeros(3))]),
    ):
        pass


# losses of layers


class Penalised(layers.Layer):
    def call(self, x):
        self.add_loss(ops.mean(x**2))
        return x


def losses_model():
    inputs = keras.Input((1,))
    dense = layers.Dense(1, use_bias=False, kernel_initializer="ones", kernel_regularizer="l2")
    model = keras.Model(inputs, Penalised()(dense(inputs)))
    model.compile("sgd", "mse")
    return model, dense.kernel


@pytest.mark.parametrize("factor", [None, 2.0])
def test_added_losses_and_regularizers_count_in_compute_loss(factor):
    # kernel k, x = 3, y = 0: mse (3k)^2, added (3k)^2, regularizer 0.01 k^2; slope 2 * 18.01 k
    model, kernel = losses_model()
    x, y = np.full((2, 1), 3.0, "float32"), np.zeros((2, 1), "float32")
    k = factor or 1.0

    def objective():
        return model.compute_loss(x, y, model(x, training=True))

    def replaced():
        with override([(kernel, kernel * k)]):
            return objective()

    f = objective if factor is None else replaced
    value, gradient = compiled(lambda: value_and_grad(f, kernel))()
    assert float(array(value)) == pytest.approx(18.01 * k * k, rel=1e-6)
    assert array(gradient).item() == pytest.approx(2 * 18.01 * k * k, rel=1e-6)


def test_added_losses_made_before_count_inside():
    # mse (p - 0)^2 = 9, added 9, regularizer 0.01; the slope by p is that of the first alone
    model, kernel = losses_model()
    x, y = np.full((2, 1), 3.0, "float32"), np.zeros((2, 1), "float32")

    def objective():
        prediction = model(x, training=True)
        value, slope = value_and_grad(lambda p: model.compute_loss(x, y, p), prediction)
        return value + 100 * slope[0, 0] + 1e4 * ops.sum(model.losses)

    value = array(compiled(lambda: value_and_grad(objective, kernel))()[0])
    assert float(value) == pytest.approx(18.01 + 100 * 3 + 1e4 * 9.01, rel=1e-6)


# threads


def test_threads_do_not_disturb_each_other():
    # Each thread nests gradients over one shared Variable under an override of its own.
    shared, answers, failures = variable(1.0), {}, []
    start = threading.Barrier(4)

    def work(k):
        try:
            start.wait()
            for _ in range(5):
                with override([(shared, float(k))]):
                    second = grad(lambda: grad(lambda: shared**3, shared), shared)
                answers.setdefault(k, []).append(float(array(second)))
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(k,)) for k in range(1, 5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert answers == {k: [6.0 * k] * 5 for k in range(1, 5)}
    assert float(array(shared)) == 1.0


# recording


def test_a_loop_without_gradients_keeps_no_graph():
    w, x = variable(2.0), ops.convert_to_tensor(1.0)
    with without_gradients():
        for _ in range(3):
            x = x - 0.1 * grad(lambda y: w * y**2, x)
    assert float(x) == pytest.approx(0.6**3)
    assert not getattr(x, "requires_grad", False)


def test_a_train_step_keeps_no_graph():
    class Sampler(StepModel):
        def step(self, data):
            prediction = self(data[0], training=True)
            self.attached = getattr(prediction, "requires_grad", False)
            return self.record(0.0, data[0])

    model = Sampler(*(lambda i: (i, layers.Dense(1)(i)))(keras.Input((1,))))
    model.compile("sgd", run_eagerly=True)
    model.train_on_batch(np.ones((2, 1), "float32"))
    assert model.attached is False
