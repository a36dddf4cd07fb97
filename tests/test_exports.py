"""The names a newcomer meets: each exists, explains itself, and costs nothing to import."""

import dataclasses
import inspect
import json
import subprocess
import sys

import pytest

import taolu

HEAVY = ("keras", "jax", "torch", "tensorflow", "numba", "scipy", "plotly", "typer", "rich")


def loaded_after(code):
    """Names of the modules that a fresh Python has loaded after running the code."""
    code += "\nimport json, sys\nprint(json.dumps(sorted(sys.modules)))"
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    return set(json.loads(done.stdout.splitlines()[-1]))


def test_names_are_listed_once_and_in_a_dozen():
    assert taolu.__all__
    assert len(set(taolu.__all__)) == len(taolu.__all__) <= 16
    assert set(taolu.__all__) <= set(dir(taolu))


@pytest.mark.parametrize("name", taolu.__all__)
def test_a_public_name_explains_itself(name):
    thing = getattr(taolu, name)
    if isinstance(thing, str):
        return
    assert inspect.getdoc(thing), f"{name} has no docstring"
    if inspect.ismodule(thing) or dataclasses.is_dataclass(thing):
        return
    if isinstance(thing, type) and issubclass(thing, Exception):
        return
    assert "Example:" in thing.__doc__
    assert ">>> " in thing.__doc__


def test_a_name_that_does_not_exist_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no_such_name"):
        taolu.no_such_name  # noqa: B018


def test_importing_the_package_loads_nothing_heavy():
    assert loaded_after("import taolu") & set(HEAVY) == set()


def test_using_the_first_door_loads_no_keras():
    code = "import taolu\nfor name in taolu.__all__: getattr(taolu, name)"
    assert loaded_after(code) & {"keras", "jax", "torch", "tensorflow"} == set()


@pytest.mark.parametrize(
    ("room", "names"),
    [
        ("bits", "hsic entropy pointwise_mutual_information"),
        ("chain", "viterbi forward LinearChain"),
        ("count", "count_ngrams count_words"),
        ("fit", "GaussianMixture HMM em"),
        ("mine", "discover"),
    ],
)
@pytest.mark.parametrize("first", ["", "the file"])
def test_a_room_has_its_names_whatever_is_imported_first(room, names, first):
    # A function named like its file must not be hidden by the file.
    files = {"bits": "hsic", "chain": "viterbi", "count": "words", "fit": "em", "mine": "discover"}
    code = f"import taolu.{room}.{files[room]}\n" if first else ""
    code += f"import taolu.{room} as room\n"
    code += f"assert all(callable(getattr(room, name)) for name in {names.split()})"
    assert loaded_after(code) & {"keras", "jax", "torch", "tensorflow", "sklearn"} == set()


def test_the_version_is_that_of_the_installed_package():
    from importlib import metadata

    try:
        installed = metadata.version("taolu")
    except metadata.PackageNotFoundError:
        pytest.skip("taolu is not installed here")
    assert taolu.__version__ == installed
