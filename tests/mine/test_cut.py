"""Segmentation: never a changed character, the cheapest words, and the rules of numbers."""

import math
import re
import unicodedata

import naive
import pytest
from hypothesis import given
from hypothesis import strategies as st
from synthetic import gold_sentences

from taolu.mine.cut import Segmenter
from taolu.mine.lexicon import learn_lexicon
from taolu.text.corpus import Corpus
from taolu.text.encode import encode

BOOK = Segmenter(
    {"苹果": 9, "果": 2, "北京": 8, "北京大学": 3, "大学": 5, "生": 4, "é": 3, "café": 2, "的": 30},
    closings=7,
)
# What text may hold: anything but lone surrogates; and, more often, what there are rules for.
ANYTHING = st.text(st.characters(exclude_categories=["Cs"]))
LIKELY = st.text(
    "北京大学生苹果的é́eaZ019０９.．%％，。！ \t\n\r\u3000\u2028\x85가각ᄀ각゙がか😀❤️👍🏽\u200d"
)


def glued(words):
    """Units of one stretch without whitespace, those of a number or a Latin word put together."""
    found = []
    text = "".join(words)
    at = 0
    for word in words:
        before, after = text[:at], text[at:]
        kinds = [naive.character_class(c) for c in (before[-1:] or "，") + after[:1]]
        number = before[-1:] in _DIGITS and before[-1:] != ""
        latin = kinds[0] == kinds[1] == naive.ALNUM
        percent = number and after[0] in "%％"
        point = number and after[0] in ".．" and after[1:2] in _DIGITS and after[1:2] != ""
        digits = before[-1:] in ".．" and before[-1:] != "" and after[0] in _DIGITS
        after_point = digits and before[-2:-1] in _DIGITS and before[-2:-1] != ""
        mark = before and (CLINGING.match(after) or before[-1] == "\u200d")
        if latin or percent or point or after_point or mark:
            found[-1] += word
        else:
            found.append(word)
        at += len(word)
    return found


# Combining marks, variation selectors, the joiner and the skin tones of emoji.
CLINGING = re.compile("[\u0300-\u036f\u200d\u20d0-\u20ff\ufe00-\ufe0f\U0001f3fb-\U0001f3ff]")
_DIGITS = "0123456789０１２３４５６７８９"


def plain_cut(line, counts, closings):
    """The words of a line by the plain Viterbi."""
    costs, unknown = naive.unit_costs(counts, closings)
    return [word for part in line.split() for word in glued(naive.units(part, costs, unknown))]


def test_marks_and_emoji_stay_whole():
    assert BOOK.cut("❤️好👍🏽👨‍👩‍👧") == ["❤️", "好", "👍🏽", "👨‍👩‍👧"]


@given(ANYTHING | LIKELY)
def test_words_are_spans_of_the_text_and_leave_out_only_whitespace(text):
    spans = BOOK.spans(text)
    assert "".join(text[i:j] for i, j in spans) == "".join(text.split())
    assert all(i < j for i, j in spans)
    assert [i for span in spans for i in span] == sorted(i for span in spans for i in span)


@given(ANYTHING | LIKELY)
def test_all_forms_of_the_answer_agree(text):
    words = [text[i:j] for i, j in BOOK.spans(text)]
    assert BOOK.cut(text) == words
    lines = text.split("\n")
    cut = BOOK.cut_lines(lines)
    assert len(cut) == len(lines)
    assert [word for line in cut for word in line] == words
    assert BOOK.spaced(text) == "\n".join(" ".join(line) for line in cut)
    assert cut == [BOOK.cut(line) for line in lines]


@given(st.text("北京大学生苹果的鬼aZ01９.．%，。 ") | LIKELY)
def test_words_are_those_of_the_plain_viterbi(text):
    text = unicodedata.normalize("NFC", text)
    for line in text.split("\n"):
        assert BOOK.cut(line) == plain_cut(line, BOOK.counts, BOOK.closings)


@given(st.text("北京大学生苹果的éñ가각がパaZ09.%，。 \n"))
def test_decomposed_characters_are_cut_like_composed_ones(composed):
    decomposed = unicodedata.normalize("NFD", composed)
    words = [unicodedata.normalize("NFC", word) for word in BOOK.cut(decomposed)]
    assert words == BOOK.cut(composed)


def test_realistic_text_is_cut_like_the_plain_viterbi():
    lines = ["".join(words) for words in gold_sentences()[:3000]]
    text = encode(Corpus.from_lines(lines))
    lexicon = learn_lexicon(text)
    uses = zip(text.alphabet.characters, lexicon.character_counts.tolist(), strict=True)
    counts = {character: count for character, count in uses if count}
    counts |= dict(zip(lexicon.words, lexicon.counts.tolist(), strict=True))
    segmenter = Segmenter(counts, text.sentences)
    others = ["".join(words) + "，iPhone15涨3.5%。" for words in gold_sentences()[3000:3400]]
    costs, unknown = naive.unit_costs(counts, text.sentences)
    wanted = [glued(naive.units(line, costs, unknown)) for line in [*lines[:400], *others]]
    assert segmenter.cut_lines([*lines[:400], *others]) == wanted
    for threads in (2, 3):
        many = segmenter.on_threads(threads)
        assert many.cut_lines(lines) == segmenter.cut_lines(lines)
        assert many.spaced("\n".join(lines)) == segmenter.spaced("\n".join(lines))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", []),
        (" \t\r\n\u3000", []),
        ("北京大学生", ["北京大学", "生"]),
        ("北京 大学", ["北京", "大学"]),
        ("北\u3000京", ["北", "京"]),
        ("涨3.5%了", ["涨", "3.5%", "了"]),
        ("涨３．５％了", ["涨", "３．５％", "了"]),
        ("1.2.3", ["1.2.3"]),
        ("第3.章", ["第", "3", ".", "章"]),
        ("100%的", ["100%", "的"]),
        ("a%", ["a", "%"]),
        ("%5", ["%", "5"]),
        ("iPhone15卖", ["iPhone15", "卖"]),
        ("naïve的", ["naïve", "的"]),
        ("。。。", ["。", "。", "。"]),
        ("鬼神", ["鬼", "神"]),
        ("😀好", ["😀", "好"]),
        ("cafe\u0301的", ["cafe\u0301", "的"]),
    ],
)
def test_rules_by_example(text, words):
    assert BOOK.cut(text) == words


def test_offsets_count_characters_of_the_text_as_it_came():
    text = "cafe\u0301 北京大学生 3.5%"
    assert BOOK.spans(text) == [(0, 5), (6, 10), (10, 11), (12, 16)]


def test_an_unknown_character_costs_as_much_as_one_seen_once():
    # log2(T) twice for two unknown characters against log2(T / c) for a known word.
    segmenter = Segmenter({"鬼神": 1, "其他": 99})
    assert segmenter.cut("鬼神鬼") == ["鬼神", "鬼"]
    # 天 was seen, 地 was not: T = 104, and log2(104 / 4) + log2(104) is less than log2(104 ** 2).
    assert Segmenter({"天": 4, "天地": 1, "他": 99}).cut("天地") == ["天地"]


def test_closings_make_every_unit_dearer_so_longer_words_win():
    counts = {"天": 40, "地": 40, "天地": 14, "他": 2}
    two, one = 2 * math.log2(96 / 40), math.log2(96 / 14)
    assert two < one
    assert Segmenter(counts).cut("天地") == ["天", "地"]
    assert Segmenter(counts, closings=100).cut("天地") == ["天地"]


def test_the_table_of_characters_grows_without_changing_answers():
    segmenter = Segmenter({"天地": 3})
    first = segmenter.cut_lines(["天地 人"])
    assert segmenter.cut_lines(["鬼神", "天地人"]) == [["鬼", "神"], ["天地", "人"]]
    assert segmenter.cut_lines(["天地 人"]) == first == [["天地", "人"]]


@pytest.mark.parametrize("counts", [{"天": 0}, {"": 1}, {"天 地": 1}, {" 天": 2}, {"天": -1}])
def test_impossible_counts_are_refused(counts):
    with pytest.raises(ValueError, match="`counts` must map words without whitespace to counts"):
        Segmenter(counts)
