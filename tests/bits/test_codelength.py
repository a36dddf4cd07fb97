"""Two-part code lengths, and a ledger in which every total falls."""

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taolu.bits.codelength import COLUMNS, Ledger, Step, parameter_bits, unigram_bits

counts_of_symbols = st.lists(st.integers(0, 10**9), max_size=30)


@pytest.mark.parametrize(
    ("counts", "bits"),
    [([], 0.0), ([0, 0], 0.0), ([7], 0.0), ([1, 1], 2.0), ([4, 2, 1, 1], 14.0), ([0, 2, 0, 2], 4)],
)
def test_unigram_bits_of_small_counts(counts, bits):
    assert unigram_bits(counts) == bits


@given(counts_of_symbols)
def test_unigram_bits_are_the_definition(counts):
    n = sum(counts)
    expected = -sum(c * math.log2(c / n) for c in counts if c)
    assert unigram_bits(counts) == pytest.approx(expected, rel=1e-9, abs=1e-6)


@given(counts_of_symbols)
def test_unigram_bits_do_not_depend_on_the_order(counts):
    shuffled = random.Random(0).sample(counts, len(counts))
    assert unigram_bits(counts) == unigram_bits(shuffled)


@given(st.lists(st.integers(1, 10**6), min_size=1, max_size=30))
def test_a_uniform_code_is_never_shorter(counts):
    assert 0 <= unigram_bits(counts) <= sum(counts) * math.log2(len(counts)) * (1 + 1e-12)


def test_parameter_bits():
    assert parameter_bits(3, 1024) == 15
    assert parameter_bits(1, 2) == 0.5
    assert parameter_bits(5, 1) == parameter_bits(5, 0) == parameter_bits(0, 100) == 0


def test_a_step_that_pays_is_taken_and_another_tried():
    first, worse = Step("characters", 9, 8.0, 0.5), Step("words", 4, 7.0, 1.5)
    better = Step("lexicon", 3, 7.0, 1.0)
    ledger = Ledger().add(first).add(worse).add(better)
    assert ledger.steps == (first, better) == tuple(ledger)
    assert ledger.tried == (worse,), "an equal total does not pay"
    assert len(ledger) == 2


@given(st.lists(st.tuples(st.floats(0, 20), st.floats(0, 20))))
def test_totals_fall_and_no_step_is_lost(values):
    ledger = Ledger()
    for text, codebook in values:
        ledger = ledger.add(Step("step", 1, text, codebook))
    totals = [step.total for step in ledger]
    assert totals == sorted(set(totals), reverse=True)
    assert len(ledger.steps) + len(ledger.tried) == len(values)
    if values:
        assert totals[-1] == min(text + codebook for text, codebook in values)


def test_adding_leaves_the_old_ledger_as_it_was():
    old = Ledger()
    old.add(Step("characters", 1, 1.0, 1.0))
    assert len(old) == 0


def test_columns_name_what_a_step_holds():
    step = Step("words", 4, 7.0, 1.5)
    assert [getattr(step, name) for name in COLUMNS] == ["words", 4, 7.0, 1.5, 8.5]
