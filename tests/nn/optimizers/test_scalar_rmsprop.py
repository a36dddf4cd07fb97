"""ScalarRMSprop: it keeps the direction, its lengths are those of RMSprop, scale means nothing."""

import keras
import numpy as np
import pytest
from keras import ops

from taolu.nn.optimizers.scalar_rmsprop import ScalarRMSprop
from taolu.nn.optimizers.step_control import scalar_rmsprop

RNG = np.random.default_rng(0)
SHAPES = [(4, 3), (3,), (2, 2)]
GRADIENTS = [[RNG.normal(size=s).astype("float32") for s in SHAPES] for _ in range(30)]


def array(value):
    return np.array(ops.convert_to_numpy(value), dtype="float64")


def walk(optimizer, scale=1.0, steps=30):
    """All positions of all variables, each step flattened to one vector."""
    variables = [keras.Variable(np.zeros(shape, "float32")) for shape in SHAPES]
    path = [np.zeros(sum(np.prod(s) for s in SHAPES))]
    for gradients in GRADIENTS[:steps]:
        optimizer.apply([ops.convert_to_tensor(scale * g) for g in gradients], variables)
        path.append(np.concatenate([array(v).ravel() for v in variables]))
    return np.stack(path)


def cosine(a, b):
    return a @ b / np.linalg.norm(a) / np.linalg.norm(b)


def test_one_step_by_hand():
    variable = keras.Variable(np.zeros(2, "float32"))
    ScalarRMSprop(1.0, rho=0.0, epsilon=0.0).apply([ops.convert_to_tensor([3.0, 4.0])], [variable])
    np.testing.assert_allclose(array(variable), np.array([-3, -4]) / np.sqrt(12.5), atol=1e-6)


def test_the_update_points_along_the_whole_gradient():
    for gradients in GRADIENTS[:5]:
        variables = [keras.Variable(np.zeros(shape, "float32")) for shape in SHAPES]
        ScalarRMSprop(0.1).apply([ops.convert_to_tensor(g) for g in gradients], variables)
        update = np.concatenate([array(v).ravel() for v in variables])
        gradient = np.concatenate([g.ravel().astype("float64") for g in gradients])
        assert cosine(update, -gradient) == pytest.approx(1, abs=1e-7)


def test_blockwise_the_update_points_along_the_gradient_of_each_tensor():
    variables = [keras.Variable(np.zeros(shape, "float32")) for shape in SHAPES]
    gradients = [g * factor for g, factor in zip(GRADIENTS[0], (1, 100, 1e4), strict=True)]
    optimizer = ScalarRMSprop(0.1, rho=0.0, blockwise=True)
    optimizer.apply([ops.convert_to_tensor(g) for g in gradients], variables)
    updates = [array(v).ravel() for v in variables]
    for update, gradient in zip(updates, gradients, strict=True):
        assert cosine(update, -gradient.ravel().astype("float64")) == pytest.approx(1, abs=1e-7)
        assert np.sqrt(np.mean(update**2)) == pytest.approx(0.1, rel=1e-5)
    whole = np.concatenate([g.ravel().astype("float64") for g in gradients])
    assert cosine(np.concatenate(updates), -whole) < 0.9


def test_it_follows_the_formula():
    flat = np.stack([np.concatenate([g.ravel() for g in step]) for step in GRADIENTS])
    given = iter(flat.astype("float64"))
    oracle = scalar_rmsprop(lambda _: next(given), np.zeros(flat.shape[1]), 0.01, len(flat))
    np.testing.assert_allclose(walk(ScalarRMSprop(0.01)), oracle, rtol=0, atol=1e-6)


@pytest.mark.parametrize("blockwise", [False, True])
def test_the_scale_of_the_loss_means_nothing(blockwise):
    plain, scaled = (
        walk(ScalarRMSprop(0.01, epsilon=0.0, blockwise=blockwise), scale)
        for scale in (1.0, 1024.0)
    )
    np.testing.assert_allclose(scaled, plain, rtol=0, atol=1e-7)


def test_on_one_number_it_is_the_rmsprop_of_keras():
    paths = []
    for optimizer in (ScalarRMSprop(0.01), keras.optimizers.RMSprop(0.01)):
        variable, path = keras.Variable(np.float32(1.0)), []
        for _ in range(50):
            optimizer.apply([ops.copy(variable)], [variable])
            path.append(float(array(variable)))
        paths.append(path)
    np.testing.assert_allclose(*paths, rtol=0, atol=1e-6)


def test_a_gradient_that_is_always_zero_moves_nothing():
    variable = keras.Variable(np.ones(2, "float32"))
    ScalarRMSprop(0.1, epsilon=0.0).apply([ops.zeros(2)], [variable])
    np.testing.assert_array_equal(array(variable), [1, 1])


@pytest.mark.parametrize("blockwise", [False, True])
def test_fit_save_and_load(tmp_path, blockwise):
    model = keras.Sequential(
        [keras.Input((3,), dtype="int32"), keras.layers.Embedding(9, 4), keras.layers.Flatten()]
    )
    model.add(keras.layers.Dense(1))
    model.compile(ScalarRMSprop(0.05, blockwise=blockwise, weight_decay=1e-4), "mse")
    x, y = RNG.integers(0, 9, (16, 3)), RNG.normal(size=(16, 1))
    losses = model.fit(x, y, epochs=5, verbose=0).history["loss"]
    assert losses[-1] < losses[0]
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert loaded.optimizer.get_config() == model.optimizer.get_config()
    for one in (model, loaded):
        one.train_on_batch(x, y)
    for ours, theirs in zip(loaded.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"rho": 1.0}, r"`rho` must be in \[0, 1\). Received: rho=1.0"),
        ({"epsilon": -1.0}, r"`epsilon` must be at least 0. Received: epsilon=-1.0"),
    ],
)
def test_wrong_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        ScalarRMSprop(**arguments)
