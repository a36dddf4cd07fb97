"""Adversarial steps give equal losses on every backend, and on two devices those of one.

As a script it prints the losses of the backend that `KERAS_BACKEND` names, which the test compares
with those of its own.
"""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import layers, ops

from taolu.nn.differentiate import (
    BACKEND,
    OptimizerGroup,
    StepModel,
    grad,
    override,
    value_and_grad,
)

ROOT = Path(__file__).parents[2]
TOKENS = np.random.default_rng(0).integers(1, 20, size=(64, 6)).astype("int32")
LABELS = (TOKENS.sum(axis=1) % 2).astype("int32")


def unit(x):
    return x / (ops.norm(x) + 1e-12)


def seed_weights(model, seed=1):
    """The same weights on every backend, whose own generators differ."""
    rng = np.random.default_rng(seed)
    for v in model.trainable_variables:
        if len(v.shape) > 1:
            v.assign(rng.normal(size=v.shape).astype("float32") / np.sqrt(v.shape[0]))
    return model


class Classifier(StepModel):
    def objective(self, x, y):
        prediction = self(x, training=True)
        return self.compute_loss(x, y, prediction), prediction

    @property
    def table(self):
        return self.get_layer("token").embeddings


class FastGradient(Classifier):
    """Fast gradient method: one attack on the embedding table a step (Goodfellow et al. 2015)."""

    def step(self, data):
        x, y = data[:2]
        variables = self.trainable_variables
        (loss, prediction), clean = self.value_and_grad(
            lambda: self.objective(x, y), variables, has_aux=True
        )
        attack = 0.5 * unit(clean[[v is self.table for v in variables].index(True)])
        still = [(v, v.value) for v in self.non_trainable_variables]
        with override([(self.table, self.table + attack), *still]):
            _, attacked = self.value_and_grad(lambda: self.objective(x, y), variables, has_aux=True)
        self.update([a + b for a, b in zip(clean, attacked, strict=True)], variables)
        return self.record(loss, x, y, prediction)


class Virtual(Classifier):
    """Virtual adversarial training: smooth where the output changes most (Miyato et al. 2017)."""

    start = np.random.default_rng(3).normal(size=(20, 4)).astype("float32")

    def divergence(self, target, x, move):
        with override([(self.table, self.table + move)]):
            logits = self(x, training=False)
        return ops.mean(
            ops.sum(target * (ops.log(target + 1e-9) - ops.log_softmax(logits)), axis=-1)
        )

    def step(self, data):
        x, y = data[:2]
        target = ops.stop_gradient(ops.softmax(self(x, training=False)))
        slope = grad(
            lambda u: self.divergence(target, x, u), 0.1 * unit(ops.convert_to_tensor(self.start))
        )

        def objective():
            loss, prediction = self.objective(x, y)
            return loss + self.divergence(target, x, ops.stop_gradient(unit(slope))), prediction

        (loss, prediction), gradients = self.value_and_grad(
            objective, self.trainable_variables, has_aux=True
        )
        self.update(gradients, self.trainable_variables)
        return self.record(loss, x, y, prediction)


class Penalised(Classifier):
    """Gradient penalty on the embedding table, a derivative of second order."""

    def step(self, data):
        x, y = data[:2]

        def objective():
            (loss, prediction), slope = value_and_grad(
                lambda: self.objective(x, y), self.table, has_aux=True
            )
            return loss + 0.5 * ops.sum(slope**2), prediction

        (loss, prediction), gradients = self.value_and_grad(
            objective, self.trainable_variables, has_aux=True
        )
        self.update(gradients, self.trainable_variables)
        return self.record(loss, x, y, prediction)


def classifier(kind):
    inputs = keras.Input((6,), dtype="int32")
    x = layers.GlobalAveragePooling1D()(layers.Embedding(20, 4, name="token")(inputs))
    # of the other normalisations, TensorFlow's second derivative is wrong
    normalization = layers.RMSNormalization if kind is Penalised else layers.BatchNormalization
    x = normalization()(layers.Dense(8, activation="tanh")(x))
    model = seed_weights(kind(inputs, layers.Dense(2)(x)))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(0.01), loss)
    return model


def perceptron(width_in, width_out):
    inputs = keras.Input((width_in,))
    hidden = layers.Dense(8, activation="tanh")(inputs)
    return keras.Model(inputs, layers.Dense(width_out)(hidden))


class WassersteinGan(StepModel):
    """A critic of slope one between real and made points (Gulrajani et al. 2017)."""

    def __init__(self):
        super().__init__()
        self.critic = seed_weights(perceptron(2, 1), 1)
        self.generator = seed_weights(perceptron(3, 2), 2)
        self.built = True

    def step(self, data):
        real, (noise, mix) = data[:2]
        critic, generator = self.optimizer["critic"], self.optimizer["generator"]
        fake = ops.stop_gradient(self.generator(noise))

        def gap():
            slopes = grad(lambda x: ops.sum(self.critic(x)), mix * real + (1 - mix) * fake)
            length = ops.sqrt(ops.sum(slopes**2, axis=-1) + 1e-12)
            score = ops.mean(self.critic(fake)) - ops.mean(self.critic(real))
            return score + 10 * ops.mean((length - 1) ** 2)

        variables = self.critic.trainable_variables
        loss, gradients = self.value_and_grad(gap, variables, optimizer=critic)
        self.update(gradients, variables, optimizer=critic)

        def fooled():
            return -ops.mean(self.critic(self.generator(noise)))

        variables = self.generator.trainable_variables
        other, gradients = self.value_and_grad(fooled, variables, optimizer=generator)
        self.update(gradients, variables, optimizer=generator)
        return self.record(loss + other, real)


def wasserstein_gan():
    model = WassersteinGan()
    adam = lambda: keras.optimizers.Adam(0.01, beta_1=0.5)  # noqa: E731
    model.compile(OptimizerGroup(critic=adam(), generator=adam()))
    return model


def batches(kind):
    if kind is not WassersteinGan:
        return [(TOKENS[i : i + 16], LABELS[i : i + 16]) for i in range(0, 64, 16)] * 2
    rng = np.random.default_rng(4)
    angle = rng.uniform(0, 2 * np.pi, size=(8, 16))
    real = np.stack([np.cos(angle), np.sin(angle)], axis=-1)
    parts = real, rng.normal(size=(8, 16, 3)), rng.uniform(size=(8, 16, 1))
    return [
        (x, (z, e)) for x, z, e in zip(*(part.astype("float32") for part in parts), strict=True)
    ]


KINDS = {kind.__name__: kind for kind in (FastGradient, Virtual, Penalised, WassersteinGan)}


def losses(name):
    """Loss of each of eight batches."""
    kind = KINDS[name]
    model = wasserstein_gan() if kind is WassersteinGan else classifier(kind)
    return [float(model.train_on_batch(x, y)) for x, y in batches(kind)]


def losses_of(backend, *arguments, **variables):
    """What this file prints under another backend."""
    environment = {**os.environ, "KERAS_BACKEND": backend, "TF_CPP_MIN_LOG_LEVEL": "3", **variables}
    environment["PYTHONPATH"] = str(ROOT)
    done = subprocess.run(
        [sys.executable, __file__, *arguments],
        capture_output=True,
        encoding="utf-8",
        timeout=300,
        env=environment,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


LOSSES = {}


@pytest.fixture
def here(fast_compile):
    """Losses of all kinds of step on this backend, computed once."""
    for name in KINDS:
        LOSSES[name] = LOSSES.get(name) or losses(name)
    return LOSSES


@pytest.mark.parametrize("name", KINDS)
def test_every_step_learns(here, name):
    values = here[name]
    assert np.isfinite(values).all()
    assert min(values[4:]) < values[0]


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["jax", "torch", "tensorflow"])
def test_losses_are_those_of_the_other_backends(here, backend):
    if backend == BACKEND:
        pytest.skip("this is the backend of the run itself")
    if importlib.util.find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed beside {BACKEND}")
    there = losses_of(backend)
    assert set(there) == set(KINDS)
    for name, values in here.items():
        np.testing.assert_allclose(values, there[name], rtol=1e-5, atol=1e-5, err_msg=name)


@pytest.mark.slow
@pytest.mark.skipif(BACKEND != "jax", reason="Keras distributes over devices on JAX")
def test_two_devices_give_the_losses_of_one(here):
    flags = "--xla_force_host_platform_device_count=2"
    there = losses_of("jax", "--two-devices", XLA_FLAGS=flags)
    assert set(there) == {"FastGradient", "WassersteinGan"}
    for name, values in there.items():
        np.testing.assert_allclose(values, here[name], rtol=1e-5, atol=1e-5, err_msg=name)


if __name__ == "__main__":
    names = list(KINDS)
    if "--two-devices" in sys.argv:
        devices = keras.distribution.list_devices()
        assert len(devices) == 2, devices
        keras.distribution.set_distribution(keras.distribution.DataParallel(devices=devices))
        names = ["FastGradient", "WassersteinGan"]
    print(json.dumps({name: losses(name) for name in names}))  # noqa: T201
