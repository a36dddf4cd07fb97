"""Labelled sentences as examples: nothing is lost, whatever is folded or cut."""

import itertools
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taolu.tasks.tag_examples import STOPS, Example, bucket_widths, examples_of, windows
from taolu.text.fold import fold
from taolu.text.layouts import TaggedSentence
from taolu.text.schemes import BIO, BMES
from taolu.text.spans import Span, spans_of, word_spans

# Plain, full-width, joined (half-width kana and its mark, e and its accent), split (㎏) characters.
LETTERS = "北京在。，,！a５㎏ｶﾞe\u0301각ﷺ "


@st.composite
def sentences(draw, nested=False, most=40):
    text = draw(st.text(LETTERS, min_size=1, max_size=most))
    cuts = sorted(draw(st.sets(st.integers(0, len(text)), max_size=12)))
    labels = st.sampled_from(["PER", "LOC"])
    pairs = list(itertools.pairwise(cuts))
    if nested:
        pairs += list(itertools.combinations(cuts, 2))
    kept = [pair for pair in pairs if draw(st.booleans())]
    return TaggedSentence(text, tuple(sorted({Span(i, j, draw(labels)) for i, j in kept})))


def joined(examples):
    """The text of the parts, and their spans in it; pieces that touch a border are named."""
    text, spans = "", []
    for part in examples:
        spans += [Span(s.start + len(text), s.stop + len(text), s.label) for s in part.spans]
        text += part.text
    return text, spans


# Folding


@given(sentences())
def test_folding_keeps_the_stretch_of_every_span(sentence):
    (example,) = examples_of([sentence], 10_000)
    folded = fold(sentence.text)
    assert example.text == folded.text == unicodedata.normalize("NFKC", sentence.text)
    # Of a piece that folds as a whole (e and its accent) the first span takes all.
    owners = [
        next((s for s in sentence.spans if s.start < stop and s.stop > start), None)
        for start, stop in zip(folded.starts.tolist(), folded.stops.tolist(), strict=True)
    ]
    runs = [(s, [i for i, owner in enumerate(owners) if owner is s]) for s in sentence.spans]
    wanted = [Span(run[0], run[-1] + 1, span.label) for span, run in runs if run]
    assert list(example.spans) == wanted


@given(sentences())
def test_flat_spans_stay_flat_and_can_be_tagged(sentence):
    (example,) = examples_of([sentence], 10_000)
    assert all(a.stop <= b.start for a, b in itertools.pairwise(example.spans))
    assert spans_of(example.tags(BIO), BIO) == list(example.spans)


@given(st.lists(st.text(LETTERS.strip(), min_size=1, max_size=4), min_size=1, max_size=12))
def test_words_still_cover_everything(words):
    sentence = TaggedSentence("".join(words), tuple(word_spans(words)), tuple(words))
    for longest in (3, 10_000):
        for part in examples_of([sentence], longest):
            assert spans_of(part.tags(BMES), BMES) == list(part.spans)


def test_a_word_that_begins_with_an_accent_leaves_it_to_the_one_before():
    words = ["caf", "e", "\u0301", "\u0302x", "y"]
    (example,) = examples_of([TaggedSentence("".join(words), tuple(word_spans(words)))], 99)
    found = [example.text[span.start : span.stop] for span in example.spans]
    assert "".join(found) == example.text == unicodedata.normalize("NFKC", "".join(words))
    assert [len(word) for word in found] == [3, 2, 1, 1]


@given(sentences(nested=True))
def test_nested_spans_stay_nested(sentence):
    (example,) = examples_of([sentence], 10_000)
    folded = fold(sentence.text)
    clean = [s for s in sentence.spans if folded.to_original(folded.to_folded(s)) == s]
    assert {folded.to_folded(span) for span in clean} <= set(example.spans)


def test_spans_that_fold_into_the_same_are_one():
    sentence = TaggedSentence("e\u0301", (Span(0, 1, "A"), Span(0, 2, "A")))
    assert examples_of([sentence], 9) == [Example("\u00e9", (Span(0, 1, "A"),))]


# Parts


@given(st.lists(sentences(), max_size=3), st.integers(1, 12))
def test_parts_give_back_everything(several, longest):
    examples = examples_of(several, longest)
    assert all(0 < len(example.text) <= longest for example in examples)
    text, spans = joined(examples)
    assert text == "".join(fold(sentence.text).text for sentence in several)
    whole_text, whole = joined(examples_of(several, 10_000))
    assert whole_text == text
    borders = set(itertools.accumulate(len(example.text) for example in examples))
    for span in whole:
        inner = sorted(border for border in borders if span.start < border < span.stop)
        pieces = [span.start, *inner, span.stop]
        for start, stop in itertools.pairwise(pieces):
            assert Span(start, stop, span.label) in spans


@given(sentences(), st.integers(1, 12))
def test_no_span_is_cut_where_one_could_cut_between_spans(sentence, longest):
    (whole,) = examples_of([sentence], 10_000)
    inside = {at for span in whole.spans for at in range(span.start + 1, span.stop)}
    start = 0
    for part in examples_of([sentence], longest)[:-1]:
        stop = start + len(part.text)
        if stop in inside:
            assert inside >= set(range(start + 1, start + longest + 1))
            assert stop == start + longest
        else:
            free = [at for at in range(start + 1, start + longest + 1) if at not in inside]
            good = [at for at in free if whole.text[at - 1] in STOPS]
            good = [at for at in good if at - start > longest // 2]
            assert stop == max(good or free)
        start = stop


@given(sentences(nested=True), st.integers(1, 12))
def test_parts_of_nested_spans_keep_every_piece(sentence, longest):
    (whole,) = examples_of([sentence], 10_000)
    parts = examples_of([sentence], longest)
    start, wanted = 0, []
    for part in parts:
        stop = start + len(part.text)
        for span in whole.spans:
            if span.start < stop and span.stop > start:
                wanted.append(
                    Span(max(span.start, start), min(span.stop, stop), span.label),
                )
        assert all(0 <= s.start < s.stop <= len(part.text) for s in part.spans)
        start = stop
    assert sorted(joined(parts)[1]) == sorted(wanted)


def test_a_span_above_the_limit_is_cut_and_its_pieces_stay():
    sentence = TaggedSentence("在中华人民共和国", (Span(1, 8, "LOC"),))
    assert examples_of([sentence], 3) == [
        Example("在", ()),
        Example("中华人", (Span(0, 3, "LOC"),)),
        Example("民共和", (Span(0, 3, "LOC"),)),
        Example("国", (Span(0, 1, "LOC"),)),
    ]


def test_a_very_long_line_is_cut_like_any_other():
    # If every part looked at every span this would take minutes.
    words = ["北京", "在", "，"] * 20_000
    sentence = TaggedSentence("".join(words), tuple(word_spans(words)))
    parts = examples_of([sentence], 16)
    assert joined(parts) == (fold(sentence.text).text, list(sentence.spans))
    assert {len(part.text) for part in parts} == {16}


def test_empty_texts_are_left_out_and_limits_checked():
    assert examples_of([TaggedSentence("", ())], 4) == []
    with pytest.raises(ValueError, match=r"`longest` must be at least 1. Received: longest=0"):
        examples_of([], 0)


# Windows


@given(st.integers(0, 300), st.integers(1, 40), st.integers(0, 19))
def test_windows_answer_for_each_character_once(length, longest, margin):
    if longest <= 2 * margin:
        with pytest.raises(ValueError, match=f"Received: longest={longest}, margin={margin}."):
            windows(length, longest, margin)
        return
    found = windows(length, longest, margin)
    assert [i for *_, first, last in found for i in range(first, last)] == list(range(length))
    for start, stop, first, last in found:
        assert 0 <= start <= first < last <= stop <= length
        assert stop - start == min(longest, length), "every window is as long as can be"
        assert first - start >= min(margin, first)
        assert stop - last >= min(margin, length - last)


def test_a_negative_margin_is_refused():
    with pytest.raises(ValueError, match="margin=-1"):
        windows(9, 4, -1)


# Widths


def padding(lengths, widths):
    """Padded characters in all, each sentence in the least width that holds it."""
    return sum(min(width for width in widths if width >= length) for length in lengths)


@given(
    st.lists(st.integers(0, 40), min_size=1, max_size=20),
    st.integers(1, 4),
    st.integers(1, 9),
    st.sampled_from([0, 0.5, 7, 30, 1000]),
)
def test_widths_are_the_best_of_all(lengths, most, step, each):
    widths = bucket_widths(lengths, most, step, each)
    assert widths == sorted(set(widths))
    assert 1 <= len(widths) <= most
    assert all(width % step == 0 for width in widths)
    assert widths[-1] - step < max(1, *lengths) <= widths[-1]
    steps = range(step, widths[-1] + 1, step)
    if len(steps) <= 14:
        choices = (c for n in range(1, most + 1) for c in itertools.combinations(steps, n))
        kept = [c for c in choices if c[-1] >= max(lengths)]
        best = min(padding(lengths, c) + each * len(c) for c in kept)
        assert padding(lengths, widths) + each * len(widths) == best


def test_no_lengths_no_widths():
    assert bucket_widths([], 3) == []
    with pytest.raises(ValueError, match="Received: most=0, step=8"):
        bucket_widths([3], 0)
