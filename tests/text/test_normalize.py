"""The tables of the readers, checked against Python's own Unicode data."""

import sys
import unicodedata
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from taolu.text import normalize
from taolu.text.normalize import (
    ALNUM,
    LINE_END,
    ORDINARY,
    OTHER,
    SENTENCE_END,
    SENTENCE_ENDS,
    SPACE,
    UNSAFE,
    WORD,
    character_class,
    fold_width,
    sentence_kinds,
    split_sentences,
    to_nfc,
)

CODES = range(sys.maxunicode + 1)
KINDS = sentence_kinds()
# Surrogates never stand in text that was decoded.
CHARACTERS = [chr(code) for code in CODES if not 0xD800 <= code < 0xE000]


def second_of_a_composition():
    """Characters that NFC may join to the character before them."""
    parts = [unicodedata.decomposition(character).split() for character in CHARACTERS]
    seconds = {chr(int(part[1], 16)) for part in parts if len(part) == 2 and part[0][0] != "<"}
    hangul = {chr(code) for code in (*range(0x1161, 0x1176), *range(0x11A8, 0x11C3))}
    return seconds | hangul


def test_every_whitespace_character_is_a_space_or_a_line_end():
    spaces = {code for code in CODES if chr(code).isspace()}
    assert set(np.flatnonzero((KINDS == SPACE) | (KINDS == LINE_END)).tolist()) == spaces
    assert np.flatnonzero(KINDS == LINE_END).tolist() == [ord("\n")]


def test_sentence_ends_are_those_of_the_definition():
    assert SENTENCE_ENDS == "。！？；!?;"
    assert set(np.flatnonzero(KINDS == SENTENCE_END).tolist()) == {ord(c) for c in SENTENCE_ENDS}


def test_a_character_not_marked_unsafe_is_left_alone_by_nfc_in_every_company():
    joins = second_of_a_composition()
    wrong = []
    for character in CHARACTERS:
        # Of whitespace only its being whitespace matters, and that NFC keeps.
        if KINDS[ord(character)] in (UNSAFE, SPACE):
            continue
        stable = unicodedata.normalize("NFC", character) == character
        if not stable or unicodedata.combining(character) or character in joins:
            wrong.append(hex(ord(character)))
    assert wrong == []


def test_nfc_turns_whitespace_into_whitespace_only():
    spaces = [chr(code) for code in np.flatnonzero(KINDS == SPACE)]
    assert all(unicodedata.normalize("NFC", space).isspace() for space in spaces)
    assert not set(spaces) & second_of_a_composition()
    assert not any(unicodedata.combining(space) for space in spaces)


def test_text_of_everyday_use_is_read_the_fast_way():
    everyday = "今天天气好，abc１２３。“引号”《书》……——「」、😀𠮷가あア〇〇%#@éüα我们"
    assert {KINDS[ord(c)] for c in everyday} <= {ORDINARY, SENTENCE_END}


def test_the_ranges_are_sorted_and_apart():
    bounds = [bound for piece in normalize._STABLE for bound in piece]
    assert all(a < b for a, b in pairwise(bounds))


@given(st.text())
def test_nfc_is_that_of_python(text):
    assert to_nfc(text) == unicodedata.normalize("NFC", text)


@given(st.text(st.characters() | st.sampled_from("。！？；!?; \n\t\u3000")))
def test_sentences_keep_every_character_but_whitespace(text):
    sentences = split_sentences(text)
    assert "".join("".join(sentences).split()) == "".join(text.split())
    for sentence in sentences:
        assert sentence == sentence.strip() != ""
        assert not set(sentence[:-1]) & {*SENTENCE_ENDS, "\n"}


@pytest.mark.parametrize(
    ("line", "sentences"),
    [
        ("", []),
        (" \t\u3000", []),
        ("！！", ["！", "！"]),
        ("好 。\n好", ["好 。", "好"]),
        ("a;b?c!", ["a;", "b?", "c!"]),
        ("3.14。", ["3.14。"]),
    ],
)
def test_sentences_of_small_lines(line, sentences):
    assert split_sentences(line) == sentences


def test_width_is_folded_both_ways_of_the_table():
    half = "".join(chr(code) for code in range(0x21, 0x7F))
    full = "".join(chr(code + 0xFEE0) for code in range(0x21, 0x7F))
    assert fold_width(full + "\u3000") == half + " "
    assert fold_width("中文。" + half) == "中文。" + half
    assert all(unicodedata.normalize("NFKC", c) == fold_width(c) for c in full)


@pytest.mark.parametrize(
    ("characters", "expected"),
    [
        ("中𠮷あアー가々〇〻ا", WORD),
        ("aZé０９7Яα\u0301", ALNUM),
        ("，。！“”《》%+$ \n\t·—…😀①\x00", OTHER),
    ],
)
def test_classes_of_characters(characters, expected):
    assert {c: character_class(c) for c in characters} == dict.fromkeys(characters, expected)
