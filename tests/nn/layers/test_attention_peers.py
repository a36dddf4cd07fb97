"""Attention and positions beside torch and transformers: the references of the benchmark."""

import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")
sys.path.append(str(Path(__file__).parents[3] / "benchmarks"))

from attention_parity import REFERENCES, array


@pytest.mark.filterwarnings("ignore::DeprecationWarning:torch")
@pytest.mark.parametrize("name", REFERENCES)
def test_it_agrees_with_the_reference(name):
    try:
        ours, theirs = REFERENCES[name]()
    except ImportError as missing:
        pytest.skip(f"not installed here: {missing.name}")
    np.testing.assert_allclose(array(ours), array(theirs), rtol=0, atol=1e-5)
