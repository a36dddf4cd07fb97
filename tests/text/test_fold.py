"""Folded text: what Unicode says it is, and every place in it known in the original."""

import sys
import unicodedata
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taolu.text.fold import _joins, fold
from taolu.text.spans import Span
from taolu.text.tagged import read_tagged

CHARACTERS = [chr(code) for code in range(sys.maxunicode + 1) if not 0xD800 <= code < 0xE000]
# Characters that expand, join, reorder or stay.
MIXED = st.text(st.sampled_from("a5中Ａ５，。㎏①ﬃ㌔ｶﾞﾟ가각각각e\u0301\u0323ẹ́が\u3099İΣ½ﷺ \u3000…"))


def test_characters_that_begin_a_piece_neither_join_nor_move():
    # The rule of the alignment, checked against Python's Unicode data, character by character.
    parts = [unicodedata.decomposition(character).split() for character in CHARACTERS]
    seconds = {chr(int(part[1], 16)) for part in parts if len(part) == 2 and part[0][0] != "<"}
    hangul = {chr(code) for code in (*range(0x1161, 0x1176), *range(0x11A8, 0x11C3))}
    joining = seconds | hangul
    for character in CHARACTERS:
        if not _joins(character):
            first = unicodedata.normalize("NFKD", character)[0]
            assert unicodedata.combining(first) == 0, hex(ord(character))
            assert first not in joining, hex(ord(character))


@given(MIXED | st.text())
def test_the_folded_text_is_nfkc(text):
    assert fold(text).text == unicodedata.normalize("NFKC", text)


@given(MIXED | st.text(), st.booleans())
def test_pieces_are_in_order_and_cover_the_original(text, lower):
    folded = fold(text, lower=lower)
    assert len(folded.text) == len(folded.starts) == len(folded.stops)
    pieces = sorted(set(zip(folded.starts.tolist(), folded.stops.tolist(), strict=True)))
    assert all(a[1] == b[0] for a, b in pairwise(pieces))
    assert "".join(text[start:stop] for start, stop in pieces) == text
    assert folded.starts.tolist() == sorted(folded.starts.tolist())


@given(MIXED, st.data())
def test_a_span_there_and_back_covers_itself(text, data):
    if not text:
        return
    start = data.draw(st.integers(0, len(text) - 1))
    span = Span(start, data.draw(st.integers(start + 1, len(text))), "X")
    folded = fold(text)
    there = folded.to_folded(span)
    back = folded.to_original(there)
    assert back.start <= span.start
    assert back.stop >= span.stop
    assert back.label == "X"
    # What the wider span folds to is exactly the stretch of the folded text.
    piece = unicodedata.normalize("NFKC", text[back.start : back.stop])
    assert piece == folded.text[there.start : there.stop]
    assert folded.to_folded(back) == there


@given(st.text(st.sampled_from("我爱北京abc，12３ＡＢ")), st.data())
def test_where_nothing_expands_spans_keep_their_places(text, data):
    if not text:
        return
    start = data.draw(st.integers(0, len(text) - 1))
    span = Span(start, data.draw(st.integers(start + 1, len(text))), "X")
    folded = fold(text)
    assert folded.to_folded(span) == folded.to_original(span) == span


@pytest.mark.parametrize(
    ("text", "folded", "starts"),
    [
        ("", "", []),
        ("北京", "北京", [0, 1]),
        ("５㎏ａ", "5kga", [0, 1, 1, 2]),
        ("e\u0323\u0301x", "ẹ́x", [0, 0, 3]),
        ("ｶﾞｷ", "ガキ", [0, 2]),
        ("\u1112\u1161\u11ab글", "한글", [0, 3]),
        ("\u0301a", "\u0301a", [0, 1]),
    ],
)
def test_small_texts(text, folded, starts):
    assert (fold(text).text, fold(text).starts.tolist()) == (folded, starts)


def test_lower_case_may_take_more_characters_than_upper_case():
    folded = fold("Ｘİy", lower=True)
    assert folded.text == "xi\u0307y"
    assert folded.to_original(Span(2, 4)) == Span(1, 3)


def test_a_span_behind_the_text_is_an_error():
    folded = fold("㎏")
    assert folded.to_original(Span(1, 2)) == Span(0, 1)
    with pytest.raises(ValueError, match=r"within the 2 characters.*stop=3"):
        folded.to_original(Span(0, 3))
    with pytest.raises(ValueError, match=r"within the 1 characters.*stop=2"):
        folded.to_folded(Span(0, 2))


@pytest.mark.data
@pytest.mark.parametrize(
    "name", ["cws_sighan2005/pku_test_gold.utf8.xz", "ner_cluener/train.json.xz"]
)
def test_words_and_entities_of_real_text_survive_folding(data_folder, name):
    changed = 0
    for sentence in read_tagged(data_folder / name):
        folded = fold(sentence.text)
        changed += folded.text != sentence.text
        for span in sentence.spans:
            assert folded.to_original(folded.to_folded(span)) == span
    assert changed > 1000
