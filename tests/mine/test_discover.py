"""New words: worked examples, the whole pipeline against a plain one, and planted truth."""

import math
from collections import Counter
from importlib import import_module

import naive
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from synthetic import gold_sentences, needs_jit

from taolu.chain.trie import longest_marked
from taolu.count.ngrams import count_ngrams
from taolu.errors import CorpusError
from taolu.mine.cut import Segmenter
from taolu.mine.discover import THRESHOLDS, cohesive_ngrams, default_min_count, discover
from taolu.mine.join import join
from taolu.mine.span_score import score_words
from taolu.text.corpus import Corpus
from taolu.text.encode import encode

# Few letters, so that n-grams repeat; Han, Latin, punctuation, sentence end, whitespace.
TEXTS = st.lists(st.text("天地人和a，。 ", min_size=1, max_size=25), min_size=1, max_size=25)
THETAS = st.lists(st.sampled_from([-9.0, 0.3, 0.7, 1.2, 2.0]), min_size=2, max_size=5)


def read(lines):
    return encode(Corpus.from_lines(lines))


def glue_of(text, thresholds, min_count):
    order = len(thresholds)
    counts = count_ngrams(text, order, min_count=min_count, keep=text.words_only)
    return counts, cohesive_ngrams(text, counts, thresholds)


def longest_of(text, thresholds, min_count):
    _, glue = glue_of(text, thresholds, min_count)
    return longest_marked(text.ids, text.alphabet.classes, glue.trie, glue.marked)


def cohesive(lines, thresholds, min_count):
    """The set G, by plain definition."""
    texts = [sentence for line in lines for sentence in naive.sentences(line)]
    counts = naive.ngrams(texts, len(thresholds))
    total = sum(count for gram, count in counts.items() if len(gram) == 1)
    frequent = [g for g, c in counts.items() if len(g) > 1 and c >= min_count]
    return {
        g: value
        for g in frequent
        if (value := naive.cohesion(g, counts, total)) >= thresholds[len(g) - 1]
    }


def among_others(*words, width=2):
    """A line for each word, between characters that occur nowhere else."""
    others = iter(range(0x6000, 0x9000))
    return ["".join([chr(next(others)), w, *(chr(next(others)) for _ in range(width - 1))])
            for w in words]  # fmt: skip


# Cohesion: ln(111 * 15 / (15 * 27)) = 1.41 of 各项 and 项目, ln(111 * 3 / (15 * 15)) = 0.39 of
# 各项目, which is only where the two happen to meet.
TOY = among_others(*["各项", "项目"] * 12, *["各项目"] * 3)


def test_overlapping_spans_join_into_one_segment():
    # Joining is a union of spans: where 各项 and 项目 overlap, neither is counted.
    found = discover(Corpus.from_lines(TOY), min_count=3, cohesion=(0, 1))
    uses = dict(zip(found.word, found.count.tolist(), strict=True))
    assert uses == {"各项": 12, "项目": 12, "各项目": 3}
    assert naive.join("各项目天", {"各项", "项目"}) == ["各项目", "天"]


def test_backtracking_removes_what_joining_made_up():
    found = discover(Corpus.from_lines(TOY), min_count=3, cohesion=(0, 1, 1))
    assert dict(zip(found.word, found.count.tolist(), strict=True)) == {"各项": 12, "项目": 12}
    kept = discover(Corpus.from_lines(TOY), min_count=3, cohesion=(0, 1, 0.3))
    assert kept.count[kept.index["各项目"]] == 3


def test_a_string_cohesive_as_a_whole_stays():
    # 共和 and 和国 join, and 共和国 itself is cohesive: it stays.
    lines = ["共和国", "天地人", "人地天", "国人", "天共"] * 8
    found = discover(Corpus.from_lines(lines), min_count=8, cohesion=(0, 0.5, 1.0))
    assert found.count[found.index["共和国"]] == 8


def test_a_segment_longer_than_the_order_needs_all_its_ngrams():
    lines = ["甲乙丙丁戊", "一二三四", "四三二一"] * 9
    found = discover(Corpus.from_lines(lines), min_count=9, cohesion=(0, 1, 1))
    assert found.count[found.index["甲乙丙丁戊"]] == 9
    # With one trigram missing the whole goes, although its bigrams still join.
    text = read(["甲乙丙丁", *["甲乙天", "地乙丙人", "和丙丁"] * 9])
    _, glue = glue_of(text, (0, 0.5, 9.0), 1)
    assert "甲乙丙丁" not in join(text, glue, 1)[0]


@given(TEXTS, THETAS, st.integers(1, 3))
def test_solidity_is_the_minimum_over_all_cuts(lines, thresholds, min_count):
    text = read(lines)
    _, glue = glue_of(text, thresholds, min_count)
    wanted = cohesive(lines, thresholds, min_count)
    assert int(glue.marked.sum()) == len(wanted)
    nodes = longest_marked(
        np.append(text.alphabet.encode("\n".join(wanted)), -1).astype(np.int32),
        text.alphabet.classes,
        glue.trie,
        glue.marked,
    )
    starts = np.cumsum([0, *(len(gram) + 1 for gram in wanted)])[:-1]
    assert nodes[starts].tolist() == [len(gram) for gram in wanted] or not wanted


def test_the_weakest_cut_decides():
    lines = ["天地人"] * 5 + ["天地"] * 20 + ["人"] * 30
    strong, weak = math.log(85 * 5 / (25 * 5)), math.log(85 * 5 / (25 * 35))
    assert strong > 1 > 0 > weak > -1
    for threshold, found in ((weak - 0.01, 1), (weak + 0.01, 0)):
        _, glue = glue_of(read(lines), (0, 9, threshold), 2)
        assert int(glue.marked.sum()) == found


def test_short_ngrams_are_counted_exactly_not_from_pruned_long_ones():
    # Something else stands after 北京 each time, so no 4-gram that starts with it is frequent: who
    # prunes 4-grams first and sums them up finds no 北京 at all.
    lines = among_others(*["北京"] * 60, width=8)
    text = read(lines)
    counts = count_ngrams(text, 4, min_count=8, keep=text.words_only)
    longest = naive.ngrams(lines, 4)
    assert sum(c for g, c in longest.items() if len(g) == 4 and g[:2] == "北京" and c >= 8) == 0
    assert counts.count("北京") == counts.count("北") == 60
    found = discover(Corpus.from_lines(lines), min_count=8)
    assert found.word == ("北京",)
    assert found.cohesion[0] == pytest.approx(math.log(600 * 60 / (60 * 60)))


@given(TEXTS, THETAS, st.integers(1, 4))
def test_the_pipeline_is_its_plain_definition(lines, thresholds, min_count):
    texts = [sentence for line in lines for sentence in naive.sentences(line)]
    wanted = naive.discover(texts, thresholds, min_count)
    corpus = Corpus.from_lines(lines)
    found = discover(corpus, min_count=min_count, cohesion=thresholds, measure=False)
    assert dict(zip(found.word, found.count.tolist(), strict=True)) == wanted


@given(TEXTS, st.integers(1, 4))
def test_the_usual_thresholds_on_random_text(lines, min_count):
    texts = [sentence for line in lines for sentence in naive.sentences(line)]
    found = discover(Corpus.from_lines(lines), min_count=min_count, measure=False)
    assert set(found.word) == set(naive.discover(texts, THRESHOLDS, min_count))


def test_threads_and_workers_give_equal_tables():
    lines = ["".join(s) for s in gold_sentences()[:1500]]
    one = discover(Corpus.from_lines(lines), min_count=4)
    for options in ({"threads": 3}, {"workers": 2}, {"memory": "64MB"}):
        many = discover(Corpus.from_lines(lines), min_count=4, **options)
        assert many.word == one.word
        for column in ("count", "cohesion", "left_entropy", "right_entropy", "saved_bits"):
            assert np.array_equal(getattr(many, column), getattr(one, column))


def test_known_words_come_after_new_ones():
    corpus = Corpus.from_lines(among_others(*["北京"] * 20, *["上海"] * 12))
    plain = discover(corpus, min_count=8, cohesion=(0, 1))
    assert plain.word == ("北京", "上海")
    found = discover(corpus, min_count=8, cohesion=(0, 1), known={"北京", "没有"})
    assert found.word == ("上海", "北京")
    assert found.known.tolist() == [False, True]


def test_rank_is_count_times_cohesion_times_the_smaller_entropy():
    lines = ["".join(s) for s in gold_sentences()[:1500]]
    found = discover(Corpus.from_lines(lines), min_count=4)
    saved = found.count * found.cohesion / math.log(2)
    assert found.saved_bits == pytest.approx(saved)
    score = saved * np.minimum(found.left_entropy, found.right_entropy)
    assert (np.diff(score) <= 0).all()


def test_without_measures_words_rank_by_count():
    lines = ["".join(s) for s in gold_sentences()[:1500]]
    whole = discover(Corpus.from_lines(lines), min_count=4)
    found = discover(Corpus.from_lines(lines), min_count=4, measure=False)
    assert set(found.word) == set(whole.word)
    assert (np.diff(found.count) <= 0).all()
    for column in ("cohesion", "left_entropy", "right_entropy", "saved_bits"):
        assert np.isnan(getattr(found, column)).all()


@pytest.mark.parametrize("lines", [[], ["，。！"], ["天"], [" \n "]])
def test_texts_without_words(lines):
    assert len(discover(Corpus.from_lines(lines))) == 0


@pytest.mark.parametrize("cohesion", [(0,), (0,) * 9, ()])
def test_the_order_is_checked(cohesion):
    with pytest.raises(ValueError, match="`cohesion` must give one threshold for each order"):
        discover(Corpus.from_lines(["天地"]), cohesion=cohesion)


def test_the_least_count_is_checked():
    with pytest.raises(ValueError, match="`min_count` must be at least 1"):
        discover(Corpus.from_lines(["天地"]), min_count=0)


def test_default_least_count_grows_with_the_text():
    assert [default_min_count(n) for n in (0, 10**5, 10**6, 10**9)] == [4, 4, 16, 32]


def single_segments(text, thresholds):
    """Uses of each character that nothing joins to its neighbours."""
    singles, stop = Counter(), 0
    for i, longest in enumerate(longest_of(text, thresholds, 8).tolist()):
        if i >= stop and not longest and text.ids[i] >= 0:
            singles[text.alphabet.characters[text.ids[i]]] += 1
        stop = max(stop, i + longest)
    return singles


@needs_jit
@pytest.mark.parametrize(
    ("cohesion", "f1"), [((0, 2, 4, 6), 0.794), ((0, 1, 3, 5), 0.828)], ids=["strict", "loose"]
)
def test_planted_words_are_found(cohesion, f1):
    gold = gold_sentences()
    text = read(["".join(words) for words in gold])
    found = discover(text, min_count=8, cohesion=cohesion)
    uses = {word: n for word, n in Counter(w for s in gold for w in s).items() if len(word) > 1}
    often = {word for word, count in uses.items() if count >= 8}
    hits = set(found.word) & set(uses)
    counts = {c: n for c, n in single_segments(text, cohesion).items() if n >= 8}
    counts |= dict(zip(found.word, found.count.tolist(), strict=True))
    cut = Segmenter(counts).cut_lines(["".join(words) for words in gold])
    agreement = score_words(gold, cut)
    assert len(hits) / len(found) >= 0.987
    assert agreement.f1 == pytest.approx(f1, abs=0.01)
    if cohesion == THRESHOLDS:
        assert len(hits & often) / len(often) == pytest.approx(0.841, abs=0.01)
        assert agreement.recall == pytest.approx(0.855, abs=0.01)
        assert agreement.precision == pytest.approx(0.741, abs=0.01)


def test_a_large_file_gives_the_words_of_a_small_one(tmp_path, monkeypatch):
    # Code is then loaded in a thread beside the reading.
    path = tmp_path / "text.txt"
    path.write_text(
        "\n".join(["看天气预报，明天好。", "天气好，明天去北京。"] * 8), encoding="utf-8"
    )
    small = discover(path, min_count=4, cohesion=(0, 0.5, 1))
    told = []
    monkeypatch.setattr(import_module("taolu.mine.discover"), "LARGE_BYTES", 1)
    large = discover(
        (name for name in [path]),
        min_count=4,
        cohesion=(0, 0.5, 1),
        progress=lambda done, size: told.append((done, size)),
    )
    assert small.word
    assert large.word == small.word
    assert large.count.tolist() == small.count.tolist()
    done = [at / size for at, size in told]
    assert done == sorted(done)
    assert done[-1] == 1


def test_a_large_file_that_cannot_be_read_is_named(tmp_path, monkeypatch):
    path = tmp_path / "text.txt"
    path.write_bytes("天气\n".encode() + b"\xff\xfe\n")
    monkeypatch.setattr(import_module("taolu.mine.discover"), "LARGE_BYTES", 1)
    with pytest.raises(CorpusError, match="line 2"):
        discover(path)
