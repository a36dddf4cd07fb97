"""The rib/rob experiment of examples/label_bias.py keeps the order that the theory says."""

import importlib.util
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).parents[3] / "examples" / "label_bias.py"
BAYES = 1 / 16  # the vowel is misheard: as the other 1/32, as a consonant 2/32 and half of it right


@pytest.mark.slow
def test_who_normalises_each_step_does_not_listen():
    spec = importlib.util.spec_from_file_location("label_bias", EXAMPLE)
    example = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(example)
    found = example.compare(2000)
    alone = 1 - (29 / 32) ** 3 / 2  # one of two words, if nothing is misheard
    assert found["softmax"] == pytest.approx(alone, abs=0.02)
    assert found["CRF"] < 0.07
    assert found["MEMM, local"] > 0.35
    assert found["Bi-MEMM, local"] < found["MEMM, local"]
    assert found["MEMM, raw"] < 0.08  # raw decoding is that of a CRF
    assert min(found.values()) > BAYES - 0.01
