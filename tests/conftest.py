"""Options, markers and fixtures that every test shares."""

import contextlib
import importlib.util
import os
import sys
from pathlib import Path

import hypothesis
import pytest

# The default run is the same every time; `--slow` looks at new examples.
hypothesis.settings.register_profile("default", deadline=None, derandomize=True)
hypothesis.settings.register_profile("slow", deadline=None, max_examples=500)


def pytest_addoption(parser):
    group = parser.getgroup("taolu")
    group.addoption("--slow", action="store_true", help="also run tests marked slow or data")
    group.addoption("--backend", help="Keras backend: jax (default), torch or tensorflow")
    group.addoption("--figures", action="store_true", help="print what the tests measured")
    group.addoption("--no-jit", action="store_true", help="run the kernels as plain Python")


def pytest_configure(config):
    hypothesis.settings.load_profile("slow" if config.getoption("--slow") else "default")
    if config.getoption("--backend"):
        os.environ["KERAS_BACKEND"] = config.getoption("--backend")
    elif importlib.util.find_spec("jax"):
        # As taolu.nn does: a test may import Keras before it, and Keras would take TensorFlow.
        os.environ.setdefault("KERAS_BACKEND", "jax")
    _share_compiled_programs(config)
    if config.getoption("--no-jit"):
        if "numba" in sys.modules:
            raise pytest.UsageError("--no-jit came too late: Numba is loaded; use ./check --no-jit")
        os.environ["NUMBA_DISABLE_JIT"] = "1"


def _share_compiled_programs(config):
    """Lets workers, commands and later runs take what JAX has compiled; `--cache-clear` forgets."""
    if "JAX_COMPILATION_CACHE_DIR" not in os.environ and hasattr(config, "cache"):
        os.environ["JAX_COMPILATION_CACHE_DIR"] = str(config.cache.mkdir("jax"))
        os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
        os.environ["JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES"] = "-1"


def pytest_collection_modifyitems(config, items):
    if config.getoption("--slow"):
        return
    skip = pytest.mark.skip(reason="slow, or needs real data: run with --slow")
    for item in items:
        if "slow" in item.keywords or "data" in item.keywords:
            item.add_marker(skip)


@pytest.fixture
def figure(record_property):
    """Notes a figure by name; `--figures` prints the least and the greatest of each name."""
    return lambda name, value: record_property(name, float(value))


def pytest_terminal_summary(terminalreporter, config):
    if not config.getoption("--figures"):
        return
    found: dict[str, list[float]] = {}
    for report in terminalreporter.getreports("passed"):
        for name, value in report.user_properties:
            found.setdefault(name, []).append(value)
    terminalreporter.section("figures")
    for name in sorted(found):
        ends = dict.fromkeys(f"{value:.4g}" for value in (min(found[name]), max(found[name])))
        terminalreporter.write_line(f"{name}: {' to '.join(ends)}")


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """The folder of real data sets, named by the environment variable TAOLU_DATA."""
    if not os.environ.get("TAOLU_DATA"):
        pytest.skip("the environment variable TAOLU_DATA does not name the folder of data sets")
    folder = Path(os.environ["TAOLU_DATA"])
    if not folder.is_dir():
        pytest.skip(f"TAOLU_DATA names no folder: {folder}")
    return folder


@pytest.fixture
def fast_compile():
    """On JAX most of the time is spent compiling programs that run once: compile them quickly."""
    with _compiling_fast():
        yield


@pytest.fixture(scope="module")
def fast_compile_module():
    """The same for what a whole module shares."""
    with _compiling_fast():
        yield


@contextlib.contextmanager
def _compiling_fast():
    import keras  # here: this file is read before the backend is chosen

    if keras.backend.backend() != "jax":
        yield
        return
    import jax

    before = jax.config.read("jax_disable_most_optimizations")
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", before)
