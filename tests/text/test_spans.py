"""Tags and spans say the same thing; broken tags are found, or read as conlleval reads them."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taolu.text.schemes import BILOU, BIO, BIOES, BMES, BMESO, IOB1, SCHEMES, tag_set
from taolu.text.spans import (
    Span,
    convert,
    flat_spans,
    repaired_spans,
    spans_of,
    tags_of,
    word_spans,
    words_of,
)

WITH_O = [scheme for scheme in SCHEMES.values() if scheme.outside]
LABELS = ["", "LOC", "PER"]


@st.composite
def flat(draw, gaps=True):
    """Spans that do not overlap, and the length of their text."""
    spans, start = [], 0
    for length in draw(st.lists(st.integers(1, 4), max_size=8)):
        if not gaps or draw(st.booleans()):
            spans.append(Span(start, start + length, draw(st.sampled_from(LABELS))))
        start += length
    return spans, start


@given(flat(), st.sampled_from(WITH_O))
def test_spans_come_back_from_their_tags(drawn, scheme):
    spans, length = drawn
    tags = tags_of(spans, length, scheme)
    assert len(tags) == length
    assert spans_of(tags, scheme) == repaired_spans(tags, scheme) == spans


@given(flat(gaps=False))
def test_words_come_back_from_their_tags(drawn):
    spans, length = drawn
    assert spans_of(tags_of(spans, length, BMES), BMES) == spans


@given(flat(), st.sampled_from(WITH_O), st.sampled_from(WITH_O))
def test_conversion_there_and_back_changes_nothing(drawn, source, target):
    spans, length = drawn
    tags = tags_of(spans, length, source)
    assert convert(convert(tags, source, target), target, source) == tags


@given(st.lists(st.text(min_size=1, max_size=4), max_size=8))
def test_a_sentence_is_its_words(words):
    assert words_of("".join(words), word_spans(words)) == words


@pytest.mark.parametrize("scheme", [BIO, IOB1, BIOES, BMESO], ids=lambda scheme: scheme.name)
@given(st.data())
def test_any_tags_are_repaired_as_seqeval_reads_them(scheme, data):
    seqeval = pytest.importorskip("seqeval.metrics.sequence_labeling")
    tags = data.draw(st.lists(st.sampled_from(tag_set(["LOC", "PER"], scheme)), max_size=10))
    # seqeval does not know M as a letter inside.
    theirs = seqeval.get_entities([re.sub("^M", "I", tag) for tag in tags])
    ours = [(span.label, span.start, span.stop - 1) for span in repaired_spans(tags, scheme)]
    assert ours == theirs


@given(
    st.lists(
        st.builds(
            lambda a, n, x: Span(a, a + n, x),
            st.integers(0, 9),
            st.integers(1, 5),
            st.sampled_from(LABELS),
        ),
        max_size=8,
    )
)
def test_flat_spans_do_not_overlap_and_none_could_be_added(spans):
    kept = flat_spans(spans)
    assert kept == sorted(kept)
    assert set(kept) <= set(spans)
    places = [place for span in kept for place in range(span.start, span.stop)]
    assert len(places) == len(set(places))
    for span in spans:
        rivals = [k for k in kept if k.start < span.stop and span.start < k.stop]
        assert rivals
        assert max(map(len, rivals)) >= len(span)


def test_of_overlapping_spans_the_longest_then_the_first_stays():
    assert flat_spans([Span(1, 3, "B"), Span(0, 2, "A")]) == [Span(0, 2, "A")]
    assert flat_spans([Span(0, 2, "B"), Span(0, 2, "A")]) == [Span(0, 2, "A")]
    assert flat_spans([Span(0, 2, "A"), Span(1, 4, "B")]) == [Span(1, 4, "B")]


def test_one_text_in_every_scheme():
    spans = [Span(0, 3, "A"), Span(3, 5, "A"), Span(6, 7, "B")]
    spelled = {
        BIO: "B-A I-A I-A B-A I-A O B-B",
        IOB1: "I-A I-A I-A B-A I-A O I-B",
        BMESO: "B-A M-A E-A B-A E-A O S-B",
        BIOES: "B-A I-A E-A B-A E-A O S-B",
        BILOU: "B-A I-A L-A B-A L-A O U-B",
    }
    assert {scheme.name: tags_of(spans, 7, scheme) for scheme in spelled} == {
        scheme.name: tags.split() for scheme, tags in spelled.items()
    }


@pytest.mark.parametrize(
    ("tags", "scheme", "message"),
    [
        ("O I-A", BIO, "I-A without its B-A, at position 1"),
        ("B-A I-B", BIO, "I-B without its B-B, at position 1"),
        ("I-A O B-A", IOB1, "B-A with no A right before it, at position 2"),
        ("O O B-A", BMESO, "B-A without its E-A, at position 2"),
        ("O B-A O", BMESO, "B-A without its E-A, at position 1"),
        ("B-A I-A B-A L-A", BILOU, "I-A without its L-A, at position 1"),
        ("S E", BMES, "E without its B, at position 1"),
    ],
)
def test_a_broken_rule_is_named_with_its_position(tags, scheme, message):
    with pytest.raises(ValueError, match=f"must follow {scheme.name}.*Received: {message}"):
        spans_of(tags.split(), scheme)


def test_wrong_spans_are_errors():
    with pytest.raises(ValueError, match=r"0 <= start < stop. Received: start=2, stop=2"):
        Span(2, 2)
    with pytest.raises(ValueError, match=r"must not overlap.*Received: Span\(start=0, stop=2"):
        tags_of([Span(1, 3), Span(0, 2)], 3, BIO)
    with pytest.raises(ValueError, match=r"within the 2 characters.*stop=3"):
        tags_of([Span(1, 3)], 2, BIO)
    with pytest.raises(ValueError, match=r"within the 2 characters"):
        words_of("我们", [Span(1, 3)])
    with pytest.raises(ValueError, match=r"cover every character.*none at position 1 of 3"):
        tags_of([Span(0, 1), Span(2, 3)], 3, BMES)
    with pytest.raises(ValueError, match=r"one of B, I, O. Received: 'S-A'"):
        repaired_spans(["S-A"], BIO)
