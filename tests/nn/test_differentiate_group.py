"""Several optimizers in one model, and training that stops, is saved, and goes on as if nothing."""

import keras
import numpy as np
import pytest
from keras import layers, ops

from taolu.nn.differentiate import OptimizerGroup, StepModel, grad

pytestmark = pytest.mark.usefixtures("fast_compile")


def array(x):
    return np.array(ops.convert_to_numpy(x))


def normal(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


REAL, NOISE = normal(16, 2), normal(16, 3, seed=1)


def perceptron(width_in, width_out, name):
    inputs = keras.Input((width_in,))
    hidden = layers.Dense(4, activation="tanh")(inputs)
    return keras.Model(inputs, layers.Dense(width_out, dtype="float32")(hidden), name=name)


@keras.saving.register_keras_serializable(package="taolu_tests")
class Gan(StepModel):
    """A Wasserstein GAN with gradient penalty."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.critic, self.generator = perceptron(2, 1, "critic"), perceptron(3, 2, "generator")
        self.noise = keras.random.SeedGenerator(5)
        self.built = True

    def call(self, noise):
        return self.generator(noise)

    def step(self, data):
        real, noise = data
        critic, generator = self.optimizer["critic"], self.optimizer["generator"]
        fake = self.generator(noise + 0.1 * keras.random.normal(noise.shape, seed=self.noise))

        def distance():
            slopes = grad(lambda x: ops.sum(self.critic(x)), (real + fake) / 2)
            penalty = ops.mean((ops.sqrt(ops.sum(slopes**2, axis=-1) + 1e-12) - 1) ** 2)
            gap = ops.mean(self.critic(fake)) - ops.mean(self.critic(real))
            return gap + 10 * penalty

        variables = self.critic.trainable_variables
        loss, gradients = self.value_and_grad(distance, variables, optimizer=critic)
        self.update(gradients, variables, optimizer=critic)
        variables = self.generator.trainable_variables
        fooled, gradients = self.value_and_grad(
            lambda: -ops.mean(self.critic(self.generator(noise))), variables, optimizer=generator
        )
        self.update(gradients, variables, optimizer=generator)
        return {**self.record(loss, real), "fooled": fooled}


def gan(swapped=False, **options):
    keras.utils.set_random_seed(0)
    model = Gan()
    members = {
        "critic": keras.optimizers.Adam(1e-2, beta_1=0.5),
        "generator": keras.optimizers.Adam(2e-2, beta_1=0.5),
    }
    if swapped:
        members = dict(reversed(members.items()))
    model.compile(OptimizerGroup(**members), **options)
    return model


def fit(model, epochs, first=0, **options):
    return model.fit(
        REAL, NOISE, batch_size=8, shuffle=False, verbose=0, epochs=epochs, initial_epoch=first,
        **options,
    )  # fmt: skip


def state(model):
    return [array(v) for v in [*model.variables, *model.optimizer.variables]]


def assert_bitwise(a, b):
    assert len(a) == len(b)
    for x, y in zip(a, b, strict=True):
        np.testing.assert_array_equal(x, y)


STRAIGHT = []


@pytest.fixture
def straight(fast_compile):
    """Four epochs without a break, trained once."""
    if not STRAIGHT:
        STRAIGHT.append(gan())
        fit(STRAIGHT[0], 4)
    return STRAIGHT[0]


# groups


def test_each_member_trains_its_own_part(straight):
    kernels = [v for v in straight.trainable_variables if v.name == "kernel"]
    before = [v for v in gan().trainable_variables if v.name == "kernel"]
    assert len(kernels) == 4
    assert all((array(v) != array(w)).any() for v, w in zip(kernels, before, strict=True))
    critic, generator = straight.optimizer["critic"], straight.optimizer["generator"]
    assert (int(array(critic.iterations)), int(array(generator.iterations))) == (8, 8)
    assert int(array(straight.optimizer.iterations)) == 8
    assert len(critic.variables) == len(generator.variables) == 2 + 2 * 4


def test_a_member_steps_as_it_would_alone():
    class Alternating(StepModel):
        def step(self, data):
            for name in ("first", "second"):
                part, optimizer = getattr(self, name), self.optimizer[name]
                loss, gradients = self.value_and_grad(
                    lambda: ops.mean(self(data[0]) ** 2),
                    part.trainable_variables,
                    optimizer=optimizer,
                )
                self.update(gradients, part.trainable_variables, optimizer=optimizer)
            return self.record(loss, data[0])

    inputs = keras.Input((1,))
    first, second = layers.Dense(1, use_bias=False), layers.Dense(1, use_bias=False)
    model = Alternating(inputs, second(first(inputs)))
    model.first, model.second = first, second
    first.kernel.assign([[2.0]])
    second.kernel.assign([[3.0]])
    rates = {"first": keras.optimizers.SGD(0.01), "second": keras.optimizers.SGD(0.02)}
    model.compile(OptimizerGroup(**rates))
    model.train_on_batch(np.ones((1, 1)), np.zeros((1, 1)))
    # loss (a b)^2: a <- a - 0.01 * 2 a b^2, then b <- b - 0.02 * 2 a^2 b with the new a
    a = 2 - 0.01 * 2 * 2 * 9
    assert array(first.kernel).item() == pytest.approx(a, rel=1e-6)
    assert array(second.kernel).item() == pytest.approx(3 - 0.02 * 2 * a * a * 3, rel=1e-6)


def test_a_shared_part_may_be_named_by_the_model():
    class Two(Gan):
        def variables_of(self, name):
            own = super().variables_of(name)
            return own if name == "critic" else own + self.critic.trainable_variables

    model = Two()
    group = OptimizerGroup(critic=keras.optimizers.SGD(), generator=keras.optimizers.SGD())
    model.compile(group)
    group.build(model.trainable_variables)
    assert [len(member._trainable_variables) for member in group.members.values()] == [4, 8]


def test_a_group_is_built_by_hand_with_a_dict():
    w, b = keras.Variable(1.0), keras.Variable(2.0)
    group = OptimizerGroup(w=keras.optimizers.SGD(0.5), b=keras.optimizers.Adam())
    group.build({"w": [w], "b": [b]})
    group["w"].apply([ops.convert_to_tensor(1.0)], [w])
    assert float(array(w)) == 0.5
    assert group.built


def test_moving_averages_of_the_members_are_taken_at_the_end_of_fit():
    model = gan()
    averaged = keras.optimizers.SGD(0.1, use_ema=True, ema_momentum=0.9)
    model.compile(OptimizerGroup(critic=averaged, generator=keras.optimizers.SGD(0.1)))
    fit(model, 1)
    averages = averaged._model_variables_moving_average
    assert_bitwise(
        [array(v) for v in model.critic.trainable_variables], [array(v) for v in averages]
    )


def test_under_float16_every_member_has_its_own_scale():
    keras.config.set_dtype_policy("mixed_float16")
    try:
        model = gan()
        fit(model, 2)
    finally:
        keras.config.set_dtype_policy("float32")
    wrapper = keras.optimizers.LossScaleOptimizer
    assert all(isinstance(member, wrapper) for member in model.optimizer.members.values())
    assert isinstance(model.optimizer, OptimizerGroup)
    steps = [int(array(member.iterations)) for member in model.optimizer.members.values()]
    assert min(steps) >= 1  # a few are left out until the scale fits
    assert all(np.isfinite(x).all() for x in state(model))


# saving


def test_a_group_comes_back_from_its_config():
    group = OptimizerGroup(a=keras.optimizers.SGD(0.5), b=keras.optimizers.Adam(0.25), name="two")
    again = OptimizerGroup.from_config(group.get_config())
    assert (again.name, list(again.members)) == ("two", ["a", "b"])
    assert float(array(again["b"].learning_rate)) == 0.25
    assert isinstance(again["a"], keras.optimizers.SGD)


def test_a_saved_model_goes_on_bitwise(tmp_path, straight):
    stopped = gan()
    fit(stopped, 2)
    stopped.save(tmp_path / "gan.keras")
    keras.utils.set_random_seed(99)
    again = keras.saving.load_model(tmp_path / "gan.keras")
    assert_bitwise(state(again), state(stopped))
    assert len(fit(again, 4, first=2).history["loss"]) == 2
    assert_bitwise(state(again), state(straight))


def test_a_backup_goes_on_bitwise(tmp_path, straight):
    stopped, again = gan(), gan()

    class Interrupt(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 2:
                raise KeyboardInterrupt

    backup = keras.callbacks.BackupAndRestore(tmp_path / "backup")
    with pytest.raises(KeyboardInterrupt):
        fit(stopped, 4, callbacks=[backup, Interrupt()])
    restored = fit(again, 4, callbacks=[keras.callbacks.BackupAndRestore(tmp_path / "backup")])
    assert len(restored.history["loss"]) == 2
    assert_bitwise(state(again), state(straight))


def test_weights_find_their_member_by_name_and_are_stored_once(tmp_path, straight):
    model, other = straight, gan(swapped=True)
    other.optimizer.build(other.trainable_variables)
    model.save_weights(tmp_path / "gan.weights.h5")
    other.load_weights(tmp_path / "gan.weights.h5")
    for name in ("critic", "generator"):
        assert_bitwise(
            [array(v) for v in model.optimizer[name].variables],
            [array(v) for v in other.optimizer[name].variables],
        )
    import h5py

    with h5py.File(tmp_path / "gan.weights.h5") as file:
        stored = []
        file.visititems(
            lambda path, item: stored.append(path) if isinstance(item, h5py.Dataset) else None
        )
    of_optimizer = [path for path in stored if path.startswith("optimizer")]
    members = model.optimizer.members.values()
    assert len(of_optimizer) == sum(len(member.variables) for member in members)


def test_a_plain_step_model_goes_on_bitwise(tmp_path):
    # with batch normalisation, dropout and its seed, and Adam's moments
    @keras.saving.register_keras_serializable(package="taolu_tests")
    class Regressor(StepModel):
        def step(self, data):
            variables = self.trainable_variables
            loss, gradients = self.value_and_grad(
                lambda: self.compute_loss(*data[:2], self(data[0], training=True)), variables
            )
            self.update(gradients, variables)
            return self.record(loss, data[0])

    def parts():
        keras.utils.set_random_seed(0)
        inputs = keras.Input((2,))
        x = layers.BatchNormalization()(layers.Dense(4, activation="tanh")(inputs))
        return inputs, layers.Dense(3)(layers.Dropout(0.3, seed=1)(x))

    def build():
        model = Regressor(*parts())
        model.compile(keras.optimizers.Adam(0.05), "mse")
        return model

    straight, stopped = build(), build()
    fit(straight, 4)
    fit(stopped, 2)
    stopped.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    fit(again, 4, first=2)
    assert_bitwise(state(again), state(straight))

    # plain models and step models read each other's weights
    stopped.save_weights(tmp_path / "ours.weights.h5")
    plain = keras.Model(*parts())
    plain.load_weights(tmp_path / "ours.weights.h5")
    assert_bitwise([array(v) for v in plain.weights], [array(v) for v in stopped.weights])
    plain.save_weights(tmp_path / "plain.weights.h5")
    again = Regressor(*parts())
    again.load_weights(tmp_path / "plain.weights.h5")
    assert_bitwise([array(v) for v in again.weights], [array(v) for v in plain.weights])


def test_classes_may_be_used_functionally_and_otherwise():
    # Keras changes the bases of a class that is given inputs and outputs, and of all above it.
    class Parent(StepModel):
        def step(self, data):
            loss, gradients = self.value_and_grad(
                lambda: ops.mean(self(data[0]) ** 2), self.trainable_variables
            )
            self.update(gradients, self.trainable_variables)
            return self.record(loss, data[0])

    class Child(Parent):
        def __init__(self):
            super().__init__()
            self.dense = layers.Dense(1)

        def call(self, x):
            return self.dense(x)

    inputs = keras.Input((2,))
    functional = Parent(inputs, layers.Dense(1)(inputs))
    for model in (functional, Child(), Parent(inputs=inputs, outputs=layers.Dense(1)(inputs))):
        model.compile("sgd")
        assert np.isfinite(model.train_on_batch(REAL, REAL))
        assert len(model.layers) == (1 if isinstance(model, Child) else 2)
    assert isinstance(functional, Parent)
    assert type(functional).__name__ == "Parent"
    assert StepModel.__bases__ == (keras.Model,)


# errors


def test_a_group_needs_optimizers():
    with pytest.raises(ValueError, match=r"at least one optimizer\. Received: none"):
        OptimizerGroup()
    with pytest.raises(TypeError, match=r"`critic` must be a Keras optimizer\. Received: 'adam'"):
        OptimizerGroup(critic="adam")


def test_a_group_does_not_step_itself():
    model = gan()
    with pytest.raises(TypeError, match=r"apply a member, such as group\['critic'\]\. Received: 1"):
        model.optimizer.apply([1.0])
    with pytest.raises(ValueError, match=r"one member.*self\.optimizer\['critic'\]\. Received"):
        model.update([], [])
    with pytest.raises(AttributeError, match="each of its members has one"):
        _ = model.optimizer.learning_rate
    with pytest.raises(KeyError, match="nobody"):
        model.optimizer["nobody"]


def test_a_member_without_a_part_is_told():
    model = Gan()
    model.compile(OptimizerGroup(judge=keras.optimizers.SGD()))
    with pytest.raises(ValueError, match=r"layer or model `self\.judge`.*Received: self\.judge=No"):
        model.fit(REAL, NOISE, verbose=0)


def test_a_group_is_not_divided_by_guessing():
    group = OptimizerGroup(a=keras.optimizers.SGD())
    with pytest.raises(ValueError, match=r"StepModel\.compile.*Received: one list"):
        group.build([keras.Variable(1.0)])
    with pytest.raises(ValueError, match=r"the names of the members, \['a'\]\. Received: \['b'\]"):
        group.build({"b": []})


def test_weights_of_other_members_are_refused(tmp_path, straight):
    straight.save_weights(tmp_path / "gan.weights.h5")
    other = Gan()
    other.compile(OptimizerGroup(critic=keras.optimizers.SGD(), generator=keras.optimizers.SGD()))
    other.optimizer.build(other.trainable_variables)
    with pytest.raises(ValueError, match=r"must have the members \['critic', 'generator'\]"):
        other.load_weights(tmp_path / "gan.weights.h5")
