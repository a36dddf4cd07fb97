"""Every layer of the library passes the gate, and gives the same answer on every backend."""

import importlib
import importlib.util
import os
import pkgutil
import subprocess
import sys
from functools import partial
from pathlib import Path

import keras
import numpy as np
import parity
import pytest
from check_layer import Case, floats

import taolu.nn
from taolu.nn.layers.gated_convolution import GatedConvolution

HERE = Path(__file__).parent
BACKENDS = ("jax", "torch", "tensorflow")

CASES = {
    "GatedConvolution": Case(partial(GatedConvolution, 3, dilation=2), floats(4)),
}

# Layers that are no layer of sequences by themselves, each with its reason.
EXEMPT: dict[str, str] = {}


@pytest.mark.parametrize("name", CASES)
def test_a_layer_passes_the_gate(name):
    CASES[name].check()


def public_layers():
    """Every public layer class of taolu.nn that is registered under the name of the package."""
    found = {}
    for module in pkgutil.walk_packages(taolu.nn.__path__, "taolu.nn."):
        for name, thing in vars(importlib.import_module(module.name)).items():
            if not (isinstance(thing, type) and issubclass(thing, keras.layers.Layer)):
                continue
            registered = keras.saving.get_registered_name(thing).startswith("taolu>")
            if registered and not name.startswith("_") and not issubclass(thing, keras.Model):
                found[thing.__name__] = thing
    return found


def test_every_public_layer_is_on_the_list():
    covered = set(EXEMPT)
    for case in CASES.values():
        covered |= {type(part).__name__ for part in case.built()._flatten_layers()}
    assert set(public_layers()) - covered == set(), "add these layers to CASES"
    assert set(EXEMPT) <= set(public_layers())


@pytest.mark.parametrize("backend", BACKENDS)
def test_backends_agree(backend, tmp_path):
    if backend == keras.backend.backend():
        pytest.skip(f"{backend} is the backend of this run")
    if importlib.util.find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed here")
    weights = parity.weights_of(CASES)
    np.savez(tmp_path / "weights.npz", **weights)
    paths = [str(HERE), str(HERE.parent.parent), str(HERE.parent.parent.parent)]
    environment = {**os.environ, "KERAS_BACKEND": backend, "PYTHONPATH": os.pathsep.join(paths)}
    command = [sys.executable, HERE / "parity.py", tmp_path / "weights.npz", tmp_path / "out.npz"]
    done = subprocess.run(command, env=environment, capture_output=True, encoding="utf-8")
    assert done.returncode == 0, done.stderr
    wanted = parity.answers(CASES, weights)
    with np.load(tmp_path / "out.npz") as found:
        assert set(found) == set(wanted)
        for key, value in wanted.items():
            scale = max(1.0, np.abs(value).max(initial=0.0))
            np.testing.assert_allclose(found[key], value, rtol=0, atol=1e-5 * scale, err_msg=key)
