"""Gradients of any order against closed forms, on nests, frozen and tied Variables; errors."""

import keras
import numpy as np
import pytest
from keras import layers, ops

from taolu.nn.differentiate import BACKEND, grad, override, value_and_grad, without_gradients

X = np.array([1.0, 2.0, 3.0], "float32")

pytestmark = pytest.mark.usefixtures("fast_compile")


def array(x):
    return np.asarray(ops.convert_to_numpy(x))


def variable(value, **arguments):
    return keras.Variable(np.asarray(value, "float32"), **arguments)


def compiled(f):
    """`f` as one program where that is faster to run once: operation by operation, JAX is slow."""
    if BACKEND != "jax":
        return f
    import jax

    return jax.jit(f)


def cube(x):
    return ops.sum(x**3)


def normal(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


# orders


def test_the_first_derivative_of_a_cube_with_respect_to_a_tensor():
    value, gradient = value_and_grad(cube, X)
    assert float(array(value)) == 36.0
    np.testing.assert_allclose(array(gradient), 3 * X**2)


def test_the_second_and_third_derivative_with_respect_to_a_tensor():
    def first(x):
        return grad(cube, x)

    def second(x):
        return grad(lambda y: ops.sum(first(y)), x)

    np.testing.assert_allclose(array(second(X)), 6 * X)
    np.testing.assert_allclose(array(grad(lambda x: ops.sum(second(x)), X)), [6, 6, 6])


def test_three_orders_with_respect_to_a_variable():
    w = variable(X)

    def first():
        return grad(lambda: cube(w), w)

    def second():
        return grad(lambda: ops.sum(first()), w)

    np.testing.assert_allclose(array(first()), 3 * X**2)
    np.testing.assert_allclose(array(second()), 6 * X)
    np.testing.assert_allclose(array(grad(lambda: ops.sum(second()), w)), [6, 6, 6])


def test_orders_mix_variables_and_tensors():
    # d/dw |d/dx (w x)^2|^2 = d/dw 4 w^4 x^2 = 16 w^3 x^2, and its derivative by x is 32 w^3 x.
    w = variable(2.0)

    def by_w(x):
        return grad(lambda: grad(lambda y: (w * y) ** 2, x) ** 2, w)

    assert float(array(by_w(3.0))) == pytest.approx(16 * 8 * 9)
    assert float(array(grad(by_w, 3.0))) == pytest.approx(32 * 8 * 3)


def test_the_value_of_an_inner_gradient_counts_in_the_outer_one():
    # f + |f'|^2 with f = w^3: derivative 3 w^2 + 36 w^3.
    w = variable(2.0)

    def penalised():
        value, gradient = value_and_grad(lambda: w**3, w)
        return value + gradient**2

    assert float(array(grad(penalised, w))) == pytest.approx(12 + 36 * 8)


def test_a_hessian_vector_product_is_that_of_the_full_hessian():
    a, v = normal(4, 4), normal(4, seed=1)
    symmetric = a + a.T

    def energy(x):
        return 0.5 * ops.sum(x * ops.matmul(symmetric, x)) + ops.sum(x**4)

    x = normal(4, seed=2)
    product = compiled(lambda y: grad(lambda z: ops.sum(ops.multiply(grad(energy, z), v)), y))(x)
    np.testing.assert_allclose(array(product), (symmetric + np.diag(12 * x**2)) @ v, rtol=1e-5)


def test_the_gradient_penalty_of_a_linear_critic_in_closed_form():
    # D(x) = x a + b: the gradient by x is a everywhere, so the penalty is (|a| - 1)^2, and its
    # gradient 2 (|a| - 1) a / |a|, that by b zero.
    critic = layers.Dense(1)
    critic.build((None, 3))
    a = np.array([[3.0], [0.0], [4.0]], "float32")
    critic.kernel.assign(a)

    def penalty():
        slopes = grad(lambda x: ops.sum(critic(x)), normal(5, 3))
        return ops.mean((ops.sqrt(ops.sum(slopes**2, axis=-1)) - 1) ** 2)

    f = compiled(lambda: value_and_grad(penalty, critic.trainable_variables))
    value, (by_kernel, by_bias) = f()
    assert float(array(value)) == pytest.approx(16.0, rel=1e-6)
    np.testing.assert_allclose(array(by_kernel), 8 * a / 5, rtol=1e-6)
    np.testing.assert_array_equal(array(by_bias), [0.0])


def test_the_gradient_penalty_of_a_quadratic_model_in_closed_form():
    # E(x) = x' A x / 2, its slope s = S x with S = (A + A')/2; P = mean |s|^2 = mean x' S^2 x;
    # dP/dA = mean (S x x' + x x' S).
    a, x = normal(3, 3), normal(6, 3, seed=1)
    matrix = variable(a)

    def penalty():
        energy = lambda y: 0.5 * ops.sum(ops.matmul(y, matrix) * y)  # noqa: E731
        return ops.mean(ops.sum(grad(energy, x) ** 2, axis=-1))

    s, outer = (a + a.T) / 2, x.T @ x / len(x)
    np.testing.assert_allclose(
        array(compiled(lambda: grad(penalty, matrix))()),
        s @ outer + outer @ s,
        rtol=1e-4,
        atol=1e-5,
    )


def test_the_second_derivative_passes_through_attention():
    # The fused kernels of torch have none. Truth: central differences in double precision.
    def attend(q, k, v, library):
        if library is np:
            s = np.einsum("btd,bsd->bts", q, k) / np.sqrt(q.shape[-1])
            p = np.exp(s - s.max(-1, keepdims=True))
            return np.einsum("bts,bsd->btd", p / p.sum(-1, keepdims=True), v)
        q, k, v = (ops.expand_dims(ops.convert_to_tensor(t), 2) for t in (q, k, v))
        return ops.dot_product_attention(q, k, v)[:, :, 0]

    q, k, v, u = (normal(1, 3, 2, seed=i) for i in range(4))
    energy = lambda t: ops.sum(attend(t, k, v, ops) ** 2)  # noqa: E731
    product = compiled(lambda s: grad(lambda t: ops.sum(ops.multiply(grad(energy, t), u)), s))(q)

    def slope(t):
        flat, e = t.astype("float64"), 1e-4
        out = np.zeros_like(flat)
        for i in np.ndindex(flat.shape):
            d = np.zeros_like(flat)
            d[i] = e
            out[i] = (attend(flat + d, k, v, np) ** 2 - attend(flat - d, k, v, np) ** 2).sum()
        return out / (2 * e)

    numeric = (slope(q + 1e-3 * u) - slope(q - 1e-3 * u)) / 2e-3
    np.testing.assert_allclose(array(product), numeric, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("kind", ["batch", "layer", "rms"])
def test_the_second_derivative_of_normalisations(kind, request):
    # Truth: the same formula in plain operations. On TensorFlow `tf.nn.moments` stops the gradient
    # of the mean inside the variance, which is zero at first order but not at second.
    if BACKEND == "tensorflow" and kind != "rms":
        reason = "tf.nn.moments has no right second derivative"
        request.node.add_marker(pytest.mark.xfail(strict=True, reason=reason))
    x, u, w = (normal(6, 4, seed=i) for i in range(3))
    layer = {
        "batch": layers.BatchNormalization(epsilon=1e-3),
        "layer": layers.LayerNormalization(epsilon=1e-3),
        "rms": layers.RMSNormalization(epsilon=1e-3),
    }[kind]
    layer.build(x.shape)
    axis, arguments = (0, {"training": True}) if kind == "batch" else (-1, {})

    def plain(t):
        centred = t if kind == "rms" else t - ops.mean(t, axis=axis, keepdims=True)
        return centred / ops.sqrt(ops.mean(centred**2, axis=axis, keepdims=True) + 1e-3)

    def product(normalise, s):
        def energy(t):
            return ops.sum(ops.multiply(normalise(t) ** 3, u))

        return grad(lambda t: ops.sum(ops.multiply(grad(energy, t), w)), s)

    found, truth = compiled(
        lambda s: (product(lambda t: layer(t, **arguments), s), product(plain, s))
    )(x)
    np.testing.assert_allclose(array(found), array(truth), rtol=1e-3, atol=1e-3)


# nests


def test_a_nest_of_tensors_gives_a_nest_of_gradients():
    nest = {"a": X, "b": [np.float32(2.0), (X + 1,)]}
    gradient = grad(lambda n: ops.sum(n["a"] ** 2) * n["b"][0] + ops.sum(n["b"][1][0]), nest)
    np.testing.assert_allclose(array(gradient["a"]), 4 * X)
    assert float(array(gradient["b"][0])) == 14.0
    assert isinstance(gradient["b"][1], tuple)
    np.testing.assert_allclose(array(gradient["b"][1][0]), [1, 1, 1])


def test_a_nest_of_variables_gives_a_nest_of_gradients():
    nest = {"a": variable(2.0), "b": [variable(3.0)]}
    gradient = grad(lambda: nest["a"] ** 2 * nest["b"][0], nest)
    assert float(array(gradient["a"])) == 12.0
    assert float(array(gradient["b"][0])) == 4.0


def test_auxiliary_results_come_back_in_their_nest():
    w = variable(3.0)
    aux = {"square": None, "list": [1, "text", None]}

    def f():
        return w**2, {**aux, "square": w * w}

    (value, found), gradient = value_and_grad(f, w, has_aux=True)
    assert (float(array(value)), float(array(gradient))) == (9.0, 6.0)
    assert float(array(found["square"])) == 9.0
    assert found["list"] == aux["list"]
    assert float(array(grad(f, w, has_aux=True)[1]["square"])) == 9.0


@pytest.mark.parametrize("by", ["tensor", "variable"])
def test_what_was_computed_before_is_a_constant_inside(by):
    # y = w^2 is made outside the inner function, so that one's slope by w is y alone; and the
    # derivative of w y = w^3 is taken outside.
    w = variable(3.0)

    def outer(v):
        y = v**2
        return grad(lambda: y * v, w) if by == "variable" else grad(lambda t: y * t, v)

    if by == "variable":
        assert float(array(grad(lambda: outer(w), w))) == 6.0
        assert float(array(outer(w))) == 9.0
    else:
        assert float(array(grad(outer, 3.0))) == 6.0
        assert float(array(outer(3.0))) == 9.0


def test_an_auxiliary_result_is_a_constant_afterwards():
    w = variable(3.0)
    with without_gradients():
        (_, square), _ = value_and_grad(lambda: (w**2, w**2), w, has_aux=True)
    assert float(array(grad(lambda: square * w, w))) == 9.0


# which variables


def test_what_f_does_not_use_has_gradient_zero():
    used, unused = variable(X), variable([[1.0, 2.0]])
    gradients = grad(lambda: cube(used), [used, unused])
    np.testing.assert_array_equal(array(gradients[1]), [[0.0, 0.0]])
    np.testing.assert_array_equal(array(grad(lambda x: ops.sum(used), X)), [0.0, 0.0, 0.0])
    np.testing.assert_array_equal(array(grad(lambda: 1.5, [unused])[0]), [[0.0, 0.0]])


def test_a_frozen_variable_has_a_gradient_too():
    w = variable(X, trainable=False)
    np.testing.assert_allclose(array(grad(lambda: cube(w), w)), 3 * X**2)
    second = grad(lambda: ops.sum(grad(lambda: cube(w), w)), w)
    np.testing.assert_allclose(array(second), 6 * X)


def test_writes_inside_stay_when_a_frozen_variable_is_differentiated():
    w, count = variable(2.0, trainable=False), variable(0.0, trainable=False)

    def f():
        count.assign_add(1.0)
        return w**2

    assert float(array(grad(f, w))) == 4.0
    assert float(array(count)) == 1.0


def test_a_variable_listed_twice_has_its_full_gradient_twice():
    w = variable(3.0)
    assert [float(array(g)) for g in grad(lambda: w**2, [w, w])] == [6.0, 6.0]


def test_an_embedding_has_a_dense_gradient():
    table = layers.Embedding(5, 2)
    table.build((None, 3))
    ids = np.array([[1, 1, 4]])
    gradient = grad(lambda: ops.sum(table(ids)), table.embeddings)
    assert tuple(gradient.shape) == (5, 2)
    np.testing.assert_array_equal(array(gradient)[:, 0], [0, 2, 0, 0, 1])
    # and a second derivative: sum of squares of the rows' gradients of sum(e^2) is 4 sum e^2
    penalty = lambda: ops.sum(grad(lambda: ops.sum(table(ids) ** 2), table.embeddings) ** 2)  # noqa: E731
    counts = np.array([0, 2, 0, 0, 1])[:, None]
    np.testing.assert_allclose(
        array(compiled(lambda: grad(penalty, table.embeddings))()),
        8 * counts**2 * array(table.embeddings),
        rtol=1e-6,
    )


def test_no_gradient_flows_through_a_write():
    w, state = variable(3.0), variable(1.0, trainable=False)

    def f():
        state.assign(w * 2)
        return w * state  # 2 w * w in value, but the state is a constant

    value, gradient = value_and_grad(f, w)
    assert (float(array(value)), float(array(gradient))) == (18.0, 6.0)


def test_gradients_inside_a_layer_are_of_full_precision_under_autocast():
    # Under mixed precision a layer reads bfloat16 copies; the gradient belongs to the original.
    class Sloped(layers.Layer):
        def build(self, shape):
            self.w = self.add_weight(shape=(), initializer="ones")

        def call(self, x):
            return grad(lambda: ops.cast(self.w, "float32") ** 2, self.w)

    layer = Sloped(dtype="mixed_bfloat16")
    slope = layer(np.ones((1, 1), "float32"))
    assert keras.backend.standardize_dtype(slope.dtype) == "float32"
    assert float(array(slope)) == 2.0


@pytest.mark.parametrize("stock", [False, True])
def test_a_layer_may_differentiate_inside_a_functional_model(stock):
    # The output is dE/dx with E = sum a x^3 / 3; so the loss mean (a x^2)^2 has slope by a
    # mean 2 a x^4: one step of descent takes a from 1 to 1 - 0.1 * 2 * mean x^4.
    class Slope(layers.Layer):
        def build(self, shape):
            self.a = self.add_weight(shape=(), initializer="ones")

        def call(self, x):
            return grad(lambda y: ops.sum(self.a * y**3) / 3, x)

    inputs = keras.Input((3,))
    layer = Slope()
    model = keras.Model(inputs, layer(inputs))
    if stock:  # the train step of Keras differentiates through the inner gradient
        model.compile(keras.optimizers.SGD(0.1), "mse")
        model.train_on_batch(X[None], 0 * X[None])
        assert float(array(layer.a)) == pytest.approx(1 - 0.2 * np.mean(X**4), rel=1e-5)
    np.testing.assert_allclose(
        model.predict(X[None], verbose=0), float(array(layer.a)) * X[None] ** 2, rtol=1e-5
    )


def test_a_gradient_by_a_replaced_variable_is_taken_at_the_new_value():
    w = variable(2.0)
    with override([(w, 5.0)]):
        assert float(array(grad(lambda: w**2, w))) == 10.0
        second = grad(lambda: grad(lambda: w**3, w), w)
        assert float(array(second)) == 30.0


def test_the_result_can_be_differentiated_by_the_engine_outside():
    w = variable(2.0)
    if BACKEND == "jax":
        import jax

        slope = jax.grad(lambda x: grad(lambda y: w.value * y**3, x))(3.0)
    elif BACKEND == "torch":
        import torch

        x = torch.tensor(3.0, requires_grad=True)
        (slope,) = torch.autograd.grad(grad(lambda y: w.value * y**3, x), [x])
    else:
        import tensorflow as tf

        x = tf.constant(3.0)
        with tf.GradientTape() as tape:
            tape.watch(x)
            inner = grad(lambda y: w * y**3, x)
        slope = tape.gradient(inner, x)
    assert float(array(slope)) == pytest.approx(2 * 6 * 3.0)


# errors


@pytest.mark.parametrize(
    ("f", "wrt", "error", "message"),
    [
        (lambda x: x**2, X, ValueError, r"float scalar.*Received: shape \(3,\), dtype float32"),
        (lambda x: ops.argmax(x), X, ValueError, r"float scalar.*Received: shape \(\), dtype int"),
        (lambda x: None, X, TypeError, "must return a scalar. Received: NoneType"),
        (lambda x: (ops.sum(x), x), X, TypeError, "must return a scalar. Received: tuple"),
        (lambda x: 0.0, [], ValueError, "at least one Variable or tensor.*Received: an empty nest"),
        (lambda x: 0.0, {"a": []}, ValueError, "Received: an empty nest"),
        (lambda x: 0.0, np.array([1, 2]), ValueError, "must be float. Received: dtype int"),
        (lambda x: 0.0, [X, None], TypeError, "Variables or tensors. Received: None"),
        (lambda x: 0.0, [object()], TypeError, "Variables or tensors. Received: <object"),
    ],
)
def test_what_cannot_be_differentiated_is_told(f, wrt, error, message):
    with pytest.raises(error, match=message):
        value_and_grad(f, wrt)


def test_variables_and_tensors_do_not_mix():
    with pytest.raises(TypeError, match=r"not both\. Received: 1 Variables among 2 leaves"):
        grad(lambda: 0.0, [variable(1.0), X])


def test_an_integer_variable_has_no_gradient():
    with pytest.raises(ValueError, match=r"must be float\. Received: dtype int32"):
        grad(lambda: 0.0, keras.Variable(1, dtype="int32", trainable=False))


def test_has_aux_wants_a_pair():
    with pytest.raises(TypeError, match=r"the pair \(scalar, auxiliary\). Received"):
        value_and_grad(cube, X, has_aux=True)


def test_a_variable_without_a_value_is_told():
    with keras.StatelessScope():
        w = keras.Variable("zeros", shape=(2,))
        with pytest.raises(ValueError, match=r"build the layer first\. Received: variable"):
            grad(lambda: ops.sum(w), w)
