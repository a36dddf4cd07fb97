"""Fixtures that the tests of networks share."""

import pytest


@pytest.fixture(autouse=True)
def seeded():
    """Every test starts from the same seed, whatever ran before it and in which process."""
    import keras  # here: this file is read before the backend is chosen

    keras.utils.set_random_seed(0)
