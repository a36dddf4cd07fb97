"""The whole climb: its ledger, its promises, and what it does with texts that teach nothing."""

from collections import Counter
from functools import cache

import numpy as np
import pytest
from synthetic import gold_sentences

import taolu
from taolu.errors import CorpusError
from taolu.mine.codebook import WORD_COLUMNS
from taolu.mine.learn import learn, sample
from taolu.text.corpus import Corpus


@cache
def few_words():
    """Synthetic sentences of only the most frequent words, so that a short text teaches them."""
    often = {word for word, _ in Counter(w for s in gold_sentences() for w in s).most_common(400)}
    texts = ("".join(word for word in words if word in often) for words in gold_sentences())
    return [text for text in texts if len(text) > 3]


def corpus_of(sentences=3000, start=0):
    """Sentences that end in the middle of a line, and some with a number."""
    lines = few_words()[start : start + sentences]
    pairs = zip(lines[::2], lines[1::2], strict=True)
    return Corpus.from_lines([f"{a}，{n % 9}.5%。{b}！" for n, (a, b) in enumerate(pairs)])


@pytest.fixture(scope="module")
def book():
    return learn(corpus_of())


def same_books(one, other):
    assert one.words.word == other.words.word
    for name in WORD_COLUMNS[1:]:
        a, b = getattr(one.words, name), getattr(other.words, name)
        assert np.array_equal(a, b, equal_nan=a.dtype == np.float64), name
    assert one.ledger == other.ledger
    assert one.templates.parts == other.templates.parts
    assert one.templates.fillers == other.templates.fillers
    assert one.templates.examples == other.templates.examples
    assert np.array_equal(one.templates.count, other.templates.count)
    assert one.vectors.words == other.vectors.words
    assert np.array_equal(one.vectors.vectors, other.vectors.vectors)
    assert list(one.groups) == list(other.groups)
    assert np.array_equal(one.groups.paths, other.groups.paths)
    assert np.array_equal(one.groups.flow, other.groups.flow)
    assert one.characters == other.characters
    assert one.sentences == other.sentences
    assert one.passage == other.passage


def test_each_step_has_its_line_and_totals_fall(book):
    names = ["characters", "words", "lexicon", "templates", "groups"]
    assert [step.step for step in book.ledger] == names
    totals = [step.total for step in book.ledger]
    assert totals == sorted(set(totals), reverse=True)
    # Of templates and groups several sizes are tried, and the best is taken.
    assert {step.step for step in book.ledger.tried} <= {"templates", "groups"}
    best = {step.step: step.total for step in book.ledger}
    assert all(step.total >= best[step.step] for step in book.ledger.tried)
    assert book.ledger.steps[0].learned == len(book.characters)
    assert book.ledger.steps[2].learned == sum(len(word) > 1 for word in book.words)
    assert book.ledger.steps[3].learned == len(book.templates)
    assert book.ledger.steps[4].learned == len(book.groups)
    assert book.vectors.words[0] in book.words
    assert book.sentences == 3000
    assert book.meta["settled"]
    assert book.meta["characters"] == sum(book.characters.values())


def test_the_words_cover_the_text(book):
    counts = zip(book.words, book.words.count.tolist(), strict=True)
    assert sum(len(word) * count for word, count in counts) == book.meta["characters"]
    assert (book.words.count > 0).all()


def test_words_are_ranked_by_what_they_save_and_characters_come_last(book):
    sizes = np.array([len(word) for word in book.words])
    words = int((sizes > 1).sum())
    assert (sizes[:words] > 1).all()
    assert (np.diff(book.words.saved_bits[:words]) <= 0).all()
    assert (book.words.saved_bits[words:] == 0).all()
    assert (np.diff(book.words.count[words:]) <= 0).all()


def test_known_words_come_after_new_ones(book):
    known = {*book.words.word[:20], "没有的词"}
    again = learn(corpus_of(), known=known)
    assert {word for word, flag in zip(again.words, again.words.known, strict=True) if flag} == {
        *book.words.word[:20]
    }
    words = [word for word in book.words if len(word) > 1]
    assert list(again.words.word[: len(words)]) == words[20:] + words[:20]
    assert again.ledger == book.ledger


@pytest.mark.parametrize("options", [{"threads": 1}, {"threads": 3}, {"workers": 2}])
def test_threads_and_workers_change_nothing(book, options):
    same_books(learn(corpus_of(), **options), book)


def test_a_step_that_does_not_pay_is_put_down_as_tried():
    book = learn(Corpus.from_lines(["天地玄黄，宇宙洪荒。", "日月盈昃，辰宿列张。"]))
    assert [step.step for step in book.ledger] == ["characters"]
    assert [step.step for step in book.ledger.tried][:3] == ["words", "lexicon", "groups"]
    assert book.templates is None
    assert book.groups is None
    assert min(step.total for step in book.ledger.tried) >= book.ledger.steps[0].total
    assert set(book.words.word) == set("天地玄黄，宇宙洪荒。日月盈昃辰宿列张")
    assert book.segmenter.cut("天地") == ["天", "地"]


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([], "text in memory: the text is empty"),
        (["", " \t\u3000"], "the text is empty"),
        (["，。！", "——…"], "holds only punctuation and symbols"),
    ],
)
def test_a_text_that_teaches_nothing_is_an_error(lines, message):
    with pytest.raises(CorpusError, match=message):
        learn(Corpus.from_lines(lines))


def test_an_empty_file_is_named(tmp_path):
    (tmp_path / "empty.txt").write_bytes(b"")
    with pytest.raises(CorpusError, match=r"empty\.txt: the text is empty"):
        learn(tmp_path / "empty.txt")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"margin": -1.0}, "`margin`"),
        ({"max_length": 1}, "`max_length`"),
        ({"min_count": 0}, "`min_count` must be at least 1"),
        ({"memory": "much"}, "much"),
    ],
)
def test_options_are_checked(options, message):
    with pytest.raises(ValueError, match=message):
        learn(Corpus.from_lines(["天地玄黄"]), **options)


def test_a_saved_codebook_cuts_the_same(book, tmp_path):
    book.save(tmp_path / "x.taolu")
    loaded = taolu.Codebook.load(tmp_path / "x.taolu")
    same_books(loaded, book)
    for line in [*corpus_of(100, start=3000).lines(), "没见过的 word，cafe\u0301"]:
        assert taolu.cut(line, loaded) == taolu.cut(line, book)
        assert loaded.bits(line) == book.bits(line)


def test_the_text_itself_is_cut_as_it_was_counted(book):
    counts: dict[str, int] = {}
    lines = list(corpus_of().sentences())
    # The segmenter glues numbers; the units below do not hold any.
    for words in book.segmenter.cut_lines(lines):
        for word in words:
            counts[word] = counts.get(word, 0) + 1
    for word, count in zip(book.words, book.words.count.tolist(), strict=True):
        if all("一" <= character <= "\u9fff" for character in word):
            assert counts[word] == count


def test_options_reach_the_lexicon(book):
    free, pressed = learn(corpus_of(), margin=0.0), learn(corpus_of(), margin=4.0)
    patterns = {"templates", "groups"}
    lines = [
        [step for step in one.ledger if step.step not in patterns][-1]
        for one in (free, book, pressed)
    ]
    assert {one.ledger.steps[-1].step for one in (free, book, pressed)} == {"groups"}
    totals = [line.total for line in lines]
    assert totals == sorted(totals)
    sizes = [line.learned for line in lines]
    assert sizes == sorted(sizes, reverse=True)
    # Of words this short the lexicon costs more than what discovery found.
    short = learn(corpus_of(), max_length=2)
    assert [step.step for step in short.ledger.tried if step.step not in patterns] == ["lexicon"]
    assert short.ledger.tried[0].total > book.ledger.steps[2].total


def test_progress_is_told_stage_by_stage():
    told = []
    learn(corpus_of(200), report=lambda stage, done, size: told.append((stage, done, size)))
    stages = list(dict.fromkeys(stage for stage, _, _ in told))
    assert stages == ["read", "words", "lexicon", "templates", "groups", "measure"]
    assert all(0 <= done <= size or size == 0 for _, done, size in told)
    for stage in stages:
        steps = [done for name, done, _ in told if name == stage]
        assert steps == sorted(steps)
        assert steps[-1] > 0, stage


def test_the_sample_is_the_guide():
    book = learn()
    assert book.meta["sources"] == ["taolu guide"]
    assert sample().size > 100_000
    assert [step.step for step in book.ledger][-2:] == ["templates", "groups"]
    assert book.passage


def test_a_phrase_of_any_length_that_repeats_is_no_trouble():
    # Nothing in it but the phrase itself: new-word discovery takes it whole.
    phrase = "".join(chr(code) for code in range(0x5000, 0x5000 + 90))
    book = learn(Corpus.from_lines([phrase] * 20 + few_words()[:1500]), max_length=64)
    assert book.ledger.steps[2].step == "lexicon"
    assert max(map(len, book.words)) <= 64
    assert book.segmenter.spaced(phrase).replace(" ", "") == phrase
