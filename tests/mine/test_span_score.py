"""Span scores: whole counts, beside sets counted by definition and beside seqeval."""

import itertools

import naive
import pytest
from hypothesis import given
from hypothesis import strategies as st

from taolu.mine.span_score import SpanCounts, score_spans, score_unseen, score_words
from taolu.text.schemes import BIO
from taolu.text.spans import Span, flat_spans, tags_of, word_spans

LABELS = ["LOC", "ORG", "PER"]
SPAN = st.builds(
    lambda start, size, label: Span(start, start + size, label),
    st.integers(0, 5),
    st.integers(1, 3),
    st.sampled_from(LABELS),
)
SENTENCE = st.tuples(st.lists(SPAN, max_size=6), st.lists(SPAN, max_size=6))
TEXTS = st.lists(SENTENCE, max_size=5)
WORDS = st.lists(st.text("天地人", min_size=1, max_size=3), min_size=1, max_size=5)


def recut(words, breaks):
    """The characters of the words, cut where `breaks` says."""
    text, pieces = "".join(words), [""]
    for character, ends in zip(text, breaks, strict=False):
        pieces[-1] += character
        if ends:
            pieces.append("")
    pieces[-1] += text[len(breaks) :]
    return [piece for piece in pieces if piece]


@given(TEXTS)
def test_counts_are_those_of_sets(texts):
    gold = {(n, span) for n, (one, _) in enumerate(texts) for span in one}
    found = {(n, span) for n, (_, other) in enumerate(texts) for span in other}
    score = score_spans([one for one, _ in texts], [other for _, other in texts])
    assert score.overall == SpanCounts(len(gold & found), len(found), len(gold))
    for name in LABELS:
        parts = [{item for item in items if item[1].label == name} for items in (gold, found)]
        counts = score.labels.get(name, SpanCounts(0, 0, 0))
        assert counts == SpanCounts(len(parts[0] & parts[1]), len(parts[1]), len(parts[0]))
    assert (score.sentences, score.exact_sentences) == (
        len(texts),
        sum(set(one) == set(other) for one, other in texts),
    )


@given(TEXTS)
def test_every_span_stands_in_one_cell_of_the_confusion(texts):
    score = score_spans([one for one, _ in texts], [other for _, other in texts])
    for name, counts in score.labels.items():
        assert sum(n for pair, n in score.confusion.items() if pair[0] == name) == counts.gold
        assert sum(n for pair, n in score.confusion.items() if pair[1] == name) == counts.found
        assert score.confusion.get((name, name), 0) == counts.hits
    assert (None, None) not in score.confusion


@given(TEXTS)
def test_swapping_gold_and_found_swaps_precision_and_recall(texts):
    there = score_spans([one for one, _ in texts], [other for _, other in texts])
    back = score_spans([other for _, other in texts], [one for one, _ in texts])
    assert (there.overall.precision, there.overall.f1) == (back.overall.recall, back.overall.f1)


@given(st.lists(SENTENCE, min_size=1, max_size=5))
def test_shares_are_those_of_seqeval(texts):
    metrics = pytest.importorskip("seqeval.metrics")
    texts = [(flat_spans(one), flat_spans(other)) for one, other in texts]
    if not any(one for one, _ in texts) or not any(other for _, other in texts):
        return  # seqeval cannot average no spans
    tags = [[tags_of(spans, 8, BIO) for spans in side] for side in zip(*texts, strict=True)]
    score = score_spans(*zip(*texts, strict=True))
    assert score.overall.precision == pytest.approx(metrics.precision_score(*tags, zero_division=0))
    assert score.overall.recall == pytest.approx(metrics.recall_score(*tags, zero_division=0))
    assert score.overall.f1 == pytest.approx(metrics.f1_score(*tags, zero_division=0))
    report = metrics.classification_report(*tags, output_dict=True, zero_division=0)
    for name, counts in score.labels.items():
        row = report[name]
        assert (counts.precision, counts.recall, counts.f1, counts.gold) == pytest.approx(
            (row["precision"], row["recall"], row["f1-score"], row["support"])
        )


def test_a_worked_example():
    gold = [[Span(0, 2, "PER"), Span(3, 5, "LOC"), Span(6, 8, "ORG")], [], [Span(0, 1, "LOC")]]
    found = [[Span(0, 2, "PER"), Span(3, 5, "ORG"), Span(6, 7, "ORG")], [], [Span(0, 1, "LOC")]]
    score = score_spans(gold, found)
    assert score.overall == SpanCounts(hits=2, found=4, gold=4)
    assert score.overall.f1 == 0.5
    assert score.confusion == {
        ("PER", "PER"): 1,
        ("LOC", "LOC"): 1,
        ("LOC", "ORG"): 1,
        ("ORG", None): 1,
        (None, "ORG"): 1,
    }
    assert score.macro_f1 == pytest.approx((1 + 2 / 3 + 0) / 3)
    assert (score.sentences, score.exact_sentences) == (3, 2)


def test_nothing_found_and_nothing_to_find_is_zero():
    for score in (score_spans([], []), score_spans([[]], [[]])):
        assert (score.overall.precision, score.overall.recall, score.overall.f1) == (0, 0, 0)
        assert score.macro_f1 == 0


def test_labels_made_up_do_not_count_in_the_macro_average():
    score = score_spans([[Span(0, 1, "LOC")]], [[Span(0, 1, "LOC"), Span(2, 3, "PER")]])
    assert score.macro_f1 == 1
    assert score.labels["PER"] == SpanCounts(0, 1, 0)


@given(st.lists(st.tuples(WORDS, st.lists(st.booleans(), max_size=12)), min_size=1, max_size=4))
def test_words_are_spans(sentences):
    gold = [words for words, _ in sentences]
    cut = [recut(*sentence) for sentence in sentences]
    agreement = score_words(gold, cut)
    score = score_spans(map(word_spans, gold), map(word_spans, cut))
    assert (score.overall.precision, score.overall.recall, score.overall.f1) == (
        agreement.precision,
        agreement.recall,
        agreement.f1,
    )
    known = {"天", "天地", "人"}
    unseen = score_unseen(gold, cut, known)
    assert unseen.seen + unseen.unseen == score.overall.gold == agreement.gold
    assert unseen.seen_hits + unseen.unseen_hits == score.overall.hits
    assert unseen.unseen == sum(word not in known for words in gold for word in words)
    nothing = score_unseen(gold, cut, set())
    assert (nothing.unseen_recall, nothing.unseen_share) == (agreement.recall, 1)
    assert nothing.seen_recall == 0


def test_unseen_words_of_a_small_text():
    gold = [["我", "爱", "天安门"], ["天安门", "好"]]
    cut = [["我", "爱", "天安门"], ["天安", "门", "好"]]
    score = score_unseen(gold, cut, {"我", "爱", "好", "天安"})
    assert (score.unseen_hits, score.unseen, score.seen_hits, score.seen) == (1, 2, 3, 3)
    assert (score.unseen_recall, score.seen_recall, score.unseen_share) == (0.5, 1.0, 0.4)


def test_texts_of_other_lengths_are_errors():
    with pytest.raises(ValueError, match="Received: 1 in the found ones, more in the others"):
        score_spans([[], []], [[]])
    with pytest.raises(ValueError, match="Received: 0 in the gold ones, more in the others"):
        score_unseen([], [["好"]], set())
    with pytest.raises(ValueError, match="Received: sentence 1, '坏' for '好'"):
        score_unseen([["好"]], [["坏"]], set())


# words


def test_words_by_hand():
    gold = [["我", "爱", "北京"], ["北京", "大学"]]
    cut = [["我爱", "北京"], ["北京", "大", "学"]]
    agreement = score_words(gold, cut)
    assert agreement == SpanCounts(2, 5, 5)
    assert agreement.precision == 2 / 5
    assert agreement.recall == 2 / 5
    assert agreement.f1 == 2 / 5
    assert score_words(gold, gold) == SpanCounts(5, 5, 5)
    assert score_words([], []) == SpanCounts(0, 0, 0)


CUTS = st.lists(st.sampled_from(list(naive.all_cuts("甲乙丙丁"))), min_size=1, max_size=5)


@given(CUTS, st.randoms())
def test_words_counts_spans(gold, random):
    cut = [random.choice(list(naive.all_cuts("甲乙丙丁"))) for _ in gold]

    def spans(words):
        stops = list(itertools.accumulate(map(len, words)))
        return set(zip([0, *stops], stops, strict=False))

    pairs = [(spans(a), spans(b)) for a, b in zip(gold, cut, strict=True)]
    hits = sum(len(a & b) for a, b in pairs)
    agreement = score_words(gold, cut)
    assert agreement.recall == hits / sum(len(a) for a, _ in pairs)
    assert agreement.precision == hits / sum(len(b) for _, b in pairs)


def test_words_needs_the_same_characters():
    with pytest.raises(ValueError, match="sentence 2, '天地' for '天气'"):
        score_words([["好"], ["天气"]], [["好"], ["天", "地"]])
    with pytest.raises(ValueError, match="same sentences"):
        score_words([["好"]], [])
