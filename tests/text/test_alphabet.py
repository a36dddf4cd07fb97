"""Characters to ids and back."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from taolu.text.alphabet import Alphabet, code_points
from taolu.text.normalize import character_class

alphabets = st.lists(st.characters(exclude_categories=["Cs"]), unique=True).map("".join)


@given(alphabets, st.data())
def test_decode_undoes_encode(characters, data):
    alphabet = Alphabet(characters)
    text = data.draw(st.text(st.sampled_from(characters)) if characters else st.just(""))
    ids = alphabet.encode(text)
    assert ids.dtype == np.int32
    assert ids.tolist() == [characters.index(c) for c in text]
    assert alphabet.decode(ids) == alphabet.decode(ids.tolist()) == text


@given(alphabets, st.text())
def test_an_unknown_character_is_minus_one(characters, text):
    ids = Alphabet(characters).encode(text)
    assert ids.tolist() == [characters.find(c) for c in text]


def test_worked_example():
    alphabet = Alphabet("天a𠮷，")
    assert len(alphabet) == 4
    assert alphabet.codes.tolist() == [0x5929, 0x61, 0x20BB7, 0xFF0C]
    assert alphabet.classes.tolist() == [character_class(c) for c in "天a𠮷，"] == [1, 2, 1, 0]
    assert alphabet.table[0x20BB7] == 2
    assert (alphabet.table >= 0).sum() == 4


def test_alphabets_of_the_same_characters_are_equal():
    assert Alphabet("天气") == Alphabet("天气") != Alphabet("气天")


@given(st.text())
def test_code_points_are_those_of_python(text):
    assert code_points(text).tolist() == [ord(c) for c in text]


def test_a_repeated_character_is_refused():
    with pytest.raises(ValueError, match=r"must be distinct. Received: 3 characters, 2 of them"):
        Alphabet("好好坏")


def test_the_mark_of_an_unknown_character_does_not_decode():
    alphabet = Alphabet("好坏")
    with pytest.raises(ValueError, match=r"`ids` must not be negative. Received: -1"):
        alphabet.decode(alphabet.encode("好吗"))
    assert alphabet.decode([]) == ""
