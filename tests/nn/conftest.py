"""Fixtures that the tests of networks share."""

import pytest


@pytest.fixture(autouse=True)
def seeded():
    """Every test starts from the same seed, whatever ran before it and in which process."""
    import keras  # here: this file is read before the backend is chosen

    keras.utils.set_random_seed(0)


@pytest.fixture
def fast_compile():
    """On JAX most of the time is spent compiling programs that run once: compile them quickly."""
    import keras  # here: this file is read before the backend is chosen

    if keras.backend.backend() != "jax":
        yield
        return
    import jax

    before = jax.config.read("jax_disable_most_optimizations")
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", before)
