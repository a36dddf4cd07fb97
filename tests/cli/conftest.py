"""A text and its codebook, for every test of the command line."""

import pytest
from command import assert_works, run, sentences


@pytest.fixture(scope="session")
def text(tmp_path_factory):
    path = tmp_path_factory.mktemp("text") / "fruit.txt"
    path.write_text("\n".join(sentences(400)), encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def book(text):
    """A codebook; nobody may change it."""
    assert_works(run("learn", text))
    return text.with_name("fruit.taolu")
