"""The signal report against matrices worked out by hand, and on networks known to be ill."""

import math

import keras
import numpy as np
import pytest
from keras import layers, ops

from taolu.nn.initializers import GeometricNormal, Orthogonal
from taolu.nn.signal import signal_report

pytestmark = pytest.mark.usefixtures("fast_compile")

X = np.random.default_rng(0).normal(size=(6, 5)).astype("float32")


def kernel(layer):
    return np.asarray(ops.convert_to_numpy(layer.kernel), "float64")


def spectrum(matrix):
    values = np.linalg.svd(matrix, compute_uv=False)
    return pytest.approx((values[-1], np.median(values), values[0]), rel=1e-4, abs=1e-6)


def numbers(found):
    return (found.smallest, found.median, found.largest)


def rms(x):
    x = np.asarray(x, "float64").reshape(len(x), -1)
    return np.sqrt(np.mean(np.sum(x**2, axis=1)))


def row(report, name):
    (found,) = [row for row in report.rows if row.name == name]
    return found


def difference_jacobian(function, x, step=1e-2):
    """Central differences at the first example, (outputs, inputs), from one call."""
    size = x[0].size
    steps = step * np.eye(size, dtype="float32").reshape(size, *x.shape[1:])
    out = np.asarray(ops.convert_to_numpy(function(np.concatenate([x[:1] + steps, x[:1] - steps]))))
    up, down = out.astype("float64").reshape(2, size, -1)
    return (up - down).T / (2 * step)


# By hand


def test_a_linear_chain_is_a_product_of_its_kernels():
    model = keras.Sequential(
        [keras.Input((5,), name="x"), layers.Dense(4, name="a"), layers.Dense(3, name="b")]
    )
    report = signal_report(model, X)
    a, b = kernel(model.layers[0]), kernel(model.layers[1])
    assert [(r.name, r.kind, r.shape) for r in report.rows] == [
        ("x", "Input", (5,)),
        ("a", "Dense", (4,)),
        ("b", "Dense", (3,)),
    ]
    assert report.examples == 6
    assert [r.forward for r in report.rows] == pytest.approx(
        [rms(X), rms(X @ a), rms(X @ a @ b)], rel=1e-5
    )
    assert report.rows[1].scale == pytest.approx(report.rows[1].forward / 2, rel=1e-6)
    assert numbers(row(report, "a").own) == spectrum(a)
    assert numbers(row(report, "b").own) == spectrum(b)
    assert numbers(row(report, "b").through) == spectrum(a @ b)
    assert report.rows[0].own is report.rows[0].through is None


def test_the_gradient_of_one_output_comes_back_through_the_transposed_kernels():
    model = keras.Sequential([keras.Input((5,)), layers.Dense(4), layers.Dense(1)])
    report = signal_report(model, X)  # a unit vector in one dimension is a sign
    a, b = kernel(model.layers[0]), kernel(model.layers[1])
    assert [r.backward for r in report.rows] == pytest.approx(
        [np.linalg.norm(a @ b), np.linalg.norm(b), 1], rel=1e-5
    )


def test_the_vector_at_the_outputs_is_of_length_one_over_all_of_them():
    x = keras.Input((5,))
    model = keras.Model(x, {"one": layers.Dense(4)(x), "two": layers.Dense(3)(x)})
    last = signal_report(model, X).rows[1:]
    assert math.hypot(*(r.backward for r in last)) == pytest.approx(1, rel=1e-6)


def test_a_residual_branch_adds_its_jacobian_to_the_identity():
    x = keras.Input((5,), name="x")
    branch = layers.Dense(5, name="branch")
    model = keras.Model(x, layers.Add(name="sum")([x, branch(x)]))
    report = signal_report(model, X)
    assert numbers(row(report, "sum").through) == spectrum(np.eye(5) + kernel(branch))
    assert numbers(row(report, "sum").own) == spectrum(np.hstack([np.eye(5), np.eye(5)]))


def test_a_layer_called_twice_has_two_rows():
    x = keras.Input((5,), name="x")
    twice = layers.Dense(5, name="twice")
    report = signal_report(keras.Model(x, twice(twice(x))), X)
    assert [r.name for r in report.rows] == ["x", "twice@0", "twice@1"]
    assert numbers(report.rows[-1].through) == spectrum(kernel(twice) @ kernel(twice))


def test_a_layer_that_does_nothing_has_a_row_of_its_own():
    model = keras.Sequential([keras.Input((5,)), layers.Dense(5), layers.Dropout(0.5)])
    report = signal_report(model, X)
    dense, dropout = report.rows[1:]
    assert numbers(dense.own) == spectrum(kernel(model.layers[0]))
    assert numbers(dropout.own) == pytest.approx((1, 1, 1), abs=1e-6)
    assert numbers(dropout.through) == numbers(dense.through)
    assert dropout.forward == dense.forward


def test_a_tensor_that_enters_a_call_twice_is_one_variable():
    x = keras.Input((5,), name="x")
    report = signal_report(keras.Model(x, layers.Multiply(name="square")([x, x])), X)
    assert numbers(row(report, "square").own) == spectrum(np.diag(2 * X[0]))


def test_every_output_of_a_call_has_a_row_and_a_jacobian():
    class Ends(layers.Layer):
        def call(self, x):
            return 2 * x[:, :2], 3 * x[:, 3:], ops.argmax(x, axis=-1)

    x = keras.Input((5,), name="x")
    two, three, _ = Ends(name="ends")(x)
    report = signal_report(keras.Model(x, [two, three]), X)
    assert [r.name for r in report.rows] == ["x", "ends", "ends:1"]
    assert numbers(row(report, "ends").own) == pytest.approx((2, 2, 2))
    assert numbers(row(report, "ends:1").own) == pytest.approx((3, 3, 3))


def masked(last=lambda h: h):
    """Ids, an embedding, a layer, and the mean over the real steps."""
    ids = keras.Input((4,), dtype="int32", name="ids")
    h = layers.Embedding(9, 3, mask_zero=True, name="embed")(ids)
    mix = layers.Dense(3, name="mix")
    return keras.Model(ids, last(mix(h))), mix


IDS = np.array([[1, 2, 0, 0], [3, 4, 5, 0]])


def test_ids_and_masks_have_no_row_and_the_chain_starts_at_the_embedding():
    model, mix = masked(layers.GlobalAveragePooling1D(name="mean"))
    report = signal_report(model, IDS)
    assert [r.name for r in report.rows] == ["embed", "mix", "mean"]
    assert report.rows[0].own is report.rows[0].through is None
    assert numbers(report.rows[1].through) == spectrum(np.kron(np.eye(4), kernel(mix)))
    # The first example has two real steps, so its mean is half of each of them.
    assert numbers(report.rows[2].own) == pytest.approx([0.5**0.5] * 3, rel=1e-5)
    assert numbers(report.rows[2].through) == spectrum(kernel(mix) * 0.5**0.5)


@pytest.mark.filterwarnings("ignore:Layer 'inner'")  # Keras: a model hands no mask on
def test_nested_models_are_looked_into_with_their_masks():
    inner_x = keras.Input((4, 3))
    inner = keras.Model(inner_x, layers.GlobalAveragePooling1D(name="mean")(inner_x), name="inner")
    model, _ = masked(inner)
    report = signal_report(model, IDS)
    assert [r.name for r in report.rows] == ["embed", "mix", "inner/mean"]
    assert report.rows[2].forward == pytest.approx(rms(ops.convert_to_numpy(model(IDS))), rel=1e-5)
    # Examples have two and three real steps: the gradient at each is 1/2 and 1/3 of a unit vector.
    assert report.rows[1].backward == pytest.approx(((1 / 2 + 1 / 3) / 2) ** 0.5, rel=1e-5)
    assert numbers(report.rows[2].own) == pytest.approx([0.5**0.5] * 3, rel=1e-5)


# Against differences


@pytest.mark.slow  # JAX compiles some two hundred small operations
def test_layers_with_time_agree_with_central_differences():
    x = keras.Input((3, 4), name="x")
    h = layers.Conv1D(4, 2, padding="same", activation="tanh", name="convolution")(x)
    h = layers.MultiHeadAttention(2, 2, name="attention")(h, h)  # one tensor, three times
    states = layers.SimpleRNN(4, return_sequences=True, return_state=True, unroll=True, name="rnn")
    model = keras.Model(x, ops.subtract(*(lambda all, last: (all[:, 0], last))(*states(h))))
    data = np.random.default_rng(1).normal(size=(2, 3, 4)).astype("float32")
    report = signal_report(model, data)
    assert row(report, "rnn:1").shape == (4,)
    for name, place in (("convolution", 0), ("attention", 0), ("rnn:1", 1), (None, 0)):
        made = keras.tree.flatten(
            model.get_layer(name.split(":")[0]).output if name else model.output
        )
        jacobian = difference_jacobian(keras.Model(x, made[place]), data)
        values = np.linalg.svd(jacobian, compute_uv=False)
        through = (row(report, name) if name else report.rows[-1]).through
        assert numbers(through) == pytest.approx(
            (values[-1], np.median(values), values[0]), abs=0.005 * values[0]
        )


# Networks known to be well or ill


def deep(initializer, activation="relu", depth=50, width=512):
    return keras.Sequential(
        [
            keras.Input((width,), name="x"),
            *(
                layers.Dense(width, activation=activation, kernel_initializer=initializer)
                for _ in range(depth)
            ),
        ]
    )


def test_fifty_layers_keep_lengths_with_the_gain_of_relu_and_lose_them_without(figure):
    seeds = keras.random.SeedGenerator(0)
    data = np.random.default_rng(0).normal(size=(16, 512))
    kept = signal_report(deep(GeometricNormal(2**0.5, seed=seeds)), data, jacobian_size=0)
    assert abs(kept.forward_drift) < 0.02
    assert abs(kept.backward_drift) < 0.02
    lost = signal_report(deep(GeometricNormal(1.0, seed=seeds)), data, jacobian_size=0)
    figure("50 ReLU layers, ln(length) a layer, gain sqrt 2", kept.forward_drift)
    figure("50 ReLU layers, ln(length) a layer, gain 1", lost.forward_drift)
    assert lost.forward_drift == pytest.approx(-math.log(2) / 2, abs=0.02)
    assert lost.backward_drift == pytest.approx(-math.log(2) / 2, abs=0.02)
    assert lost.rows[-1].forward / lost.rows[0].forward < 1e-6


def test_only_an_orthogonal_stack_keeps_its_spectrum():
    seeds = keras.random.SeedGenerator(0)
    data = np.random.default_rng(0).normal(size=(8, 32))
    straight = signal_report(deep(Orthogonal(seed=seeds), None, 12, 32), data)
    bent = signal_report(deep(GeometricNormal(seed=seeds), None, 12, 32), data)
    assert numbers(straight.rows[-1].through) == pytest.approx((1, 1, 1), abs=1e-4)
    assert abs(straight.forward_drift) < 1e-5
    assert abs(bent.forward_drift) < 0.1
    assert bent.rows[-1].through.largest / bent.rows[-1].through.median > 30


def test_a_seed_gives_one_answer_and_inputs_of_any_float_type_do():
    model = keras.Sequential([keras.Input((5,)), layers.Dense(4), layers.Dense(3)])
    one, two = signal_report(model, X), signal_report(model, X.astype("float64"))
    assert one == two
    other = signal_report(model, X, seed=1)
    assert one.rows[0].forward == other.rows[0].forward
    assert one.rows[0].backward != other.rows[0].backward


def test_half_precision_is_measured_in_single():
    policy = keras.DTypePolicy("mixed_float16")
    model = keras.Sequential([keras.Input((5,)), layers.Dense(4, dtype=policy)])
    report = signal_report(model, 100 * X)
    layer = kernel(model.layers[0])
    assert report.rows[-1].forward == pytest.approx(rms(100 * X @ layer), rel=1e-2)
    assert report.rows[-1].own.largest == pytest.approx(np.linalg.norm(layer, 2), rel=1e-2)


def test_a_tensor_too_large_breaks_the_chain_and_not_the_lengths():
    model = keras.Sequential([keras.Input((5,)), layers.Dense(9), layers.Dense(4), layers.Dense(3)])
    report = signal_report(model, X, jacobian_size=8)
    assert [r.own is None for r in report.rows] == [True, True, True, False]
    assert [r.through is None for r in report.rows] == [True] * 4
    assert all(r.forward > 0 and r.backward > 0 for r in report.rows)


def test_numbers_that_are_not_finite_are_shown_as_such():
    model = keras.Sequential([keras.Input((5,)), layers.Rescaling(np.inf), layers.Dense(2)])
    report = signal_report(model, np.abs(X))
    assert report.rows[1].forward == math.inf
    assert all(map(math.isnan, numbers(report.rows[1].own)))
    assert math.isnan(report.forward_drift)


# Doors


def test_what_cannot_be_measured_is_refused():
    class Own(keras.Model):
        def call(self, x):
            return x

    with pytest.raises(ValueError, match="must be a functional model"):
        signal_report(Own(), X)
    x = keras.Input((5,), name="x")
    with pytest.raises(ValueError, match=r"must have a float output. Received: .*'int32'"):
        signal_report(keras.Model(x, ops.argmax(layers.Dense(3)(x), axis=-1)), X)
    with pytest.raises(ValueError, match=r"`inputs` must be 1 arrays\. Received: 2 arrays"):
        signal_report(keras.Sequential([keras.Input((5,)), layers.Dense(2)]), [X, X])
