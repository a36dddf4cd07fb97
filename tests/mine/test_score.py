"""Held-out bits: a probability over all strings."""

import itertools
import math

import naive
import pytest
from hypothesis import given
from hypothesis import strategies as st

from taolu.mine.score import UnigramModel, score_text
from taolu.text.corpus import Corpus

UNITS = st.dictionaries(st.text("天地", min_size=1, max_size=3), st.integers(1, 9), max_size=6)


def plain_bits(model, sentence, escape_bits):
    """The bits of a sentence, summed over all ways to cut it, by definition."""
    escape = max(1, sum(count == 1 for count in model.counts.values()))
    total = sum(model.counts.values()) + model.sentences + escape

    def chance(unit):
        behind = escape / total * 2**-escape_bits if len(unit) == 1 else 0
        return model.counts.get(unit, 0) / total + behind

    product = model.sentences / total
    for run in sentence.split():
        product *= sum(math.prod(map(chance, cut)) for cut in naive.all_cuts(run))
    return -math.log2(product)


@given(UNITS, st.integers(1, 9), st.text("天地人 ", max_size=6))
def test_bits_are_those_of_the_sum_over_all_cuts(units, sentences, sentence):
    model = UnigramModel(units, sentences)
    assert model.bits(sentence) == pytest.approx(plain_bits(model, sentence, 21), abs=1e-9)


@given(UNITS, st.integers(1, 9))
def test_probabilities_of_all_strings_add_up_to_one(units, sentences):
    # An alphabet of two characters, so an escape costs one bit.
    model = UnigramModel(units, sentences, escape_bits=1.0)
    longest = max(map(len, units), default=1)
    shares = []
    for size in range(9):
        strings = map("".join, itertools.product("天地", repeat=size))
        shares.append(math.fsum(2 ** -model.bits(string) for string in strings))
    # The share of each length from those of the units alone, to lengths not worth enumerating.
    escape = max(1, sum(count == 1 for count in units.values()))
    total = sum(units.values()) + sentences + escape
    by_size = [sum(c for u, c in units.items() if len(u) == n) / total for n in range(longest + 1)]
    by_size[1] += escape / total
    lengths = [1.0]
    for size in range(1, 3000):
        terms = (by_size[n] * lengths[size - n] for n in range(1, min(size, longest) + 1))
        lengths.append(math.fsum(terms))
    lengths = [share * sentences / total for share in lengths]
    assert shares == pytest.approx(lengths[:9], abs=1e-12)
    assert math.fsum(lengths) == pytest.approx(1, abs=1e-6)


@given(UNITS, st.text(st.characters(exclude_categories=["Cs"])))
def test_every_string_is_possible(units, sentence):
    bits = UnigramModel(units, 3).bits(sentence)
    assert math.isfinite(bits)
    assert bits > 0


def test_worked_example():
    # T = 6 + 2 + 4 + 1 for the escape; 天气好 is 天气 好, or escapes.
    model = UnigramModel({"天气": 6, "好": 2}, sentences=4)
    behind = 1 / 13 * 2**-21
    wanted = (6 / 13 + behind**2) * (2 / 13 + behind) * 4 / 13
    assert model.bits("天气好") == pytest.approx(-math.log2(wanted))
    assert model.bits("天 气好") > model.bits("天气好") + 40
    assert model.bits("") == pytest.approx(math.log2(13 / 4))


def test_sentences_are_read_in_nfc():
    model = UnigramModel({"é": 5}, 2)
    assert model.bits("e\u0301") == model.bits("é")


def test_a_long_sentence_does_not_underflow():
    model = UnigramModel({"天地": 5, "天": 1}, 2)
    one = model.bits("天地") - model.end_bits
    assert model.bits("天地" * 5000) == pytest.approx(5000 * one + model.end_bits)


def test_scores_are_bits_over_characters():
    models = {"one": UnigramModel({"天": 3, "地": 3}, 2), "two": UnigramModel({"天地": 4}, 2)}
    scores = score_text(Corpus.from_lines(["天地。天 地", "", "人"]), models)
    assert [score.model for score in scores] == ["one", "two"]
    for score in scores:
        bits = sum(models[score.model].bits(sentence) for sentence in ["天地。", "天 地", "人"])
        assert score.bits_per_character == pytest.approx(bits / 6)
        assert (score.characters, score.sentences) == (6, 3)


def test_scores_of_an_empty_text():
    score = score_text(Corpus.from_lines([]), {"one": UnigramModel({"天": 3}, 2)})[0]
    assert (score.bits_per_character, score.characters, score.sentences) == (0.0, 0, 0)
