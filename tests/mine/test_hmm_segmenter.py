"""Segmentation by places in words: counts by hand, all strings, jieba's own model, files."""

import itertools
import json
import lzma
import re

import numpy as np
import pytest

from taolu.errors import CodebookError
from taolu.mine.hmm_segmenter import STATES, HMMSegmenter
from taolu.mine.span_score import score_words

LINES = [["我", "爱", "北京"], ["北京人", "很", "多"], ["我们", "爱", "你"]]


def logs(segmenter, name):
    return dict(zip(STATES, getattr(segmenter, name), strict=True))


# counting


def test_starts_transitions_and_ends_are_counted_with_one_more_of_each_legal_one():
    model = HMMSegmenter.from_lines(LINES)
    # starts: S, B, B, and one more of S and B; ends: E, S, S, and one more of S and E
    assert np.exp(logs(model, "start")["S"]) == pytest.approx(2 / 5)
    assert logs(model, "start")["M"] == -np.inf
    table = np.exp(model.transition)
    s, m, e, b = range(4)
    # after S: S (我 爱, 很 多, 爱 你), B (爱 北京), an end twice (多, 你); each and one more
    np.testing.assert_allclose(table[s], [4 / 9, 0, 0, 2 / 9])
    assert np.exp(model.end[s]) == pytest.approx(3 / 9)
    np.testing.assert_allclose(table[b], [0, 2 / 5, 3 / 5, 0])
    np.testing.assert_allclose(table[m], [0, 1 / 3, 2 / 3, 0])
    np.testing.assert_allclose(table[e], [3 / 6, 0, 0, 1 / 6])
    assert np.exp(model.end[e]) == pytest.approx(2 / 6)


def test_emissions_share_out_what_was_said_once():
    model = HMMSegmenter.from_lines(LINES)
    table = np.exp(model.emission)
    at = model.characters.index
    # S said 我 爱 很 多 爱 你: six in all, four of them once
    behind = 4 / 10 * 2.0**-21
    assert table[at("爱"), 0] == pytest.approx(2 / 10 + behind)
    assert table[at("北"), 0] == table[-1, 0] == pytest.approx(behind)
    for state in range(4):
        seen = table[:-1, state].sum() - (len(model.characters)) * table[-1, state]
        assert seen + 2.0**21 * table[-1, state] == pytest.approx(1.0)


def test_counts_of_words_are_sentences_drawn_by_chance():
    model = HMMSegmenter.from_counts({"北京": 6, "人": 2}, sentences=4)
    # half of all words end a sentence; the next begins with B in six of eight cases
    s, _, e, b = range(4)
    np.testing.assert_allclose(np.exp(model.start), [2 / 6, 0, 0, 4 / 6])
    np.testing.assert_allclose(
        np.exp(model.transition[e]), np.array([0.75 + 1, 0, 0, 2.25 + 1]) / 9
    )
    assert np.exp(model.end[s]) == pytest.approx((1 + 1) / 5)
    np.testing.assert_allclose(np.exp(model.transition[b]), [0, 1 / 8, 7 / 8, 0])


# bits


def test_the_probabilities_of_all_strings_add_up_to_one():
    # an alphabet of two characters, an escape for the rest: sum over lengths of known strings
    model = HMMSegmenter.from_lines([["我"], ["你", "我"], ["你我"]] * 3)
    short = sum(
        2.0 ** -model.bits("".join(string))
        for n in range(1, 11)
        for string in itertools.product("我你", repeat=n)
    )
    # each step says something unknown in one case of four, so known strings are a part of all
    unknown = np.exp(model.emission[-1] + 21 * np.log(2.0))
    start, transition = np.exp(model.start), np.exp(model.transition)
    alive, said = start * (1 - unknown), 0.0
    for _ in range(10):
        said += (alive * np.exp(model.end)).sum()
        alive = alive @ transition * (1 - unknown)
    assert short == pytest.approx(said, rel=1e-4)


def test_bits_sum_over_all_cuts():
    model = HMMSegmenter.from_lines(LINES)
    total = 0.0
    for cut in itertools.product([False, True], repeat=2):
        spaced = "我" + " " * cut[0] + "们" + " " * cut[1] + "爱"
        # a cut is one path, as whitespace is a border and no border is a word's inside
        words = spaced.split()
        states = "".join("S" if len(w) == 1 else "B" + "M" * (len(w) - 2) + "E" for w in words)
        at = [STATES.index(s) for s in states]
        score = model.start[at[0]] + model.end[at[-1]]
        score += sum(model.transition[a, b] for a, b in itertools.pairwise(at))
        score += sum(
            model.emission[model.characters.index(c), s] for c, s in zip("我们爱", at, strict=True)
        )
        total += np.exp(score)
    assert 2.0 ** -model.bits("我们爱") == pytest.approx(total, rel=1e-12)
    assert model.bits("我们 爱") > model.bits("我们爱")


def test_unknown_characters_cost_their_code_point_and_more():
    model = HMMSegmenter.from_lines(LINES * 10)
    assert 21 < model.bits("我爱龘") - model.bits("我爱") < 40


# cutting


def test_signs_numbers_and_spaces_are_what_they_are_for_every_segmenter():
    model = HMMSegmenter.from_lines([*LINES, ["１９９８年", "多"]])
    assert model.cut("北京 人，iPhone15很3.5%") == ["北京", "人", "，", "iPhone15", "很", "3.5%"]
    assert model.cut_lines(["我爱北京", "", " ，"]) == [["我", "爱", "北京"], [], ["，"]]
    assert model.spans("我 爱") == [(0, 1), (2, 3)]
    assert model.cut("1998年多") == ["1998年", "多"]  # learned in full width


@pytest.mark.parametrize("threads", [2, 3])
def test_threads_change_nothing(threads):
    rng = np.random.default_rng(0)
    text = "".join(rng.choice(list("我们爱北京人很多，\n"), 3000))
    model = HMMSegmenter.from_lines(LINES)
    assert model.on_threads(threads).spaced(text) == model.spaced(text)


# files


@pytest.mark.parametrize("end", [True, False])
def test_a_saved_model_is_the_same(tmp_path, end):
    model = HMMSegmenter.from_lines(LINES)
    if not end:
        model = HMMSegmenter(model.characters, model.start, model.transition, None, model.emission)
    model.save(tmp_path / "model.json")
    again = HMMSegmenter.load(tmp_path / "model.json")
    np.testing.assert_array_equal(again.transition, model.transition)
    order = [again.characters.index(c) for c in model.characters]
    np.testing.assert_array_equal(again.emission[[*order, -1]], model.emission)
    if end:
        assert again.bits("我们爱北京") == model.bits("我们爱北京")
    else:
        with pytest.raises(ValueError, match="`end` must be known"):
            again.bits("我")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "not a hidden Markov model"),
        ("[]", "not a hidden Markov model"),
        ('{"start": {}, "trans": {}}', "KeyError: 'emit'"),
        ('{"start": {"S": "x"}, "trans": {}, "emit": {}}', "ValueError"),
    ],
)
def test_a_file_that_is_no_model_is_named(tmp_path, text, said):
    path = tmp_path / "model.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(CodebookError, match=said) as caught:
        HMMSegmenter.load(path)
    assert str(path) in str(caught.value)
    with pytest.raises(CodebookError, match="No such file"):
        HMMSegmenter.load(tmp_path / "none.json")


def test_bad_words_are_refused():
    with pytest.raises(ValueError, match="Received: none"):
        HMMSegmenter.from_lines([[], []])
    with pytest.raises(ValueError, match="Received: 'a b'"):
        HMMSegmenter.from_lines([["a b"]])
    with pytest.raises(ValueError, match=r"`start` must have the shape \(4,\)"):
        HMMSegmenter("我", np.zeros(3), np.zeros((4, 4)), None, np.zeros((2, 4)))


# jieba's model


def test_it_cuts_as_jieba_does_with_a_model_of_its_kind(tmp_path):
    finalseg = pytest.importorskip("jieba.finalseg")
    rng = np.random.default_rng(0)
    letters = [chr(code) for code in range(0x4E00, 0x4E00 + 40)]
    legal = {"B": "ME", "M": "ME", "E": "BS", "S": "BS"}
    tables = {
        # Rounded, so that ties happen; some characters are missing in some states.
        "start": {s: float(-rng.integers(1, 4)) if s in "BS" else -3.14e100 for s in "BMES"},
        "trans": {a: {b: float(-rng.integers(1, 4)) for b in legal[a]} for a in legal},
        "emit": {
            s: {c: float(-rng.integers(1, 6)) for c in letters if rng.random() < 0.7}
            for s in "BMES"
        },
    }
    (tmp_path / "model.json").write_text(json.dumps(tables), encoding="utf-8")
    model = HMMSegmenter.load(tmp_path / "model.json")
    letters += ["龘", "靐"]  # neither knows these
    for _ in range(300):
        text = "".join(rng.choice(letters, rng.integers(1, 12)))
        theirs = _cut_by_jieba(finalseg, tables, text)
        assert model.cut(text) == theirs, text


def _cut_by_jieba(finalseg, tables, text):
    names = {"start_P": tables["start"], "trans_P": tables["trans"], "emit_P": tables["emit"]}
    with pytest.MonkeyPatch.context() as patch:
        for name, table in names.items():
            patch.setattr(finalseg, name, table)
        return list(vars(finalseg)["__cut"](text))


@pytest.mark.data
def test_it_gives_the_words_of_the_trained_model_of_jieba(data_folder):
    finalseg = pytest.importorskip("jieba.finalseg")
    model = HMMSegmenter.load(data_folder / "weights_jieba_hmm" / "finalseg_hmm.json.xz")
    path = data_folder / "cws_sighan2005" / "pku_test_gold.utf8.xz"
    with lzma.open(path, "rt", encoding="utf-8") as file:
        text = file.read().replace(" ", "")
    runs = re.findall("[\u4e00-\u9fd5]+", text)
    assert sum(map(len, runs)) > 100_000
    assert model.cut_lines(runs) == [list(vars(finalseg)["__cut"](run)) for run in runs]


@pytest.mark.data
def test_counted_on_one_newspaper_it_cuts_another_month_of_it(data_folder):
    path = data_folder / "cws_pd1998" / "folds1-4.txt.xz"
    with lzma.open(path, "rt", encoding="utf-8") as file:
        lines = [line.replace("[", "").replace("]", "").split() for line in file if line[0] != "#"]
    model = HMMSegmenter.from_lines(lines)
    path = data_folder / "cws_sighan2005" / "pku_test_gold.utf8.xz"
    with lzma.open(path, "rt", encoding="utf-8-sig") as file:
        gold = [line.split() for line in file]
    cut = model.cut_lines("".join(words) for words in gold)
    trained = HMMSegmenter.load(data_folder / "weights_jieba_hmm" / "finalseg_hmm.json.xz")
    other = trained.cut_lines("".join(words) for words in gold)
    # jieba's model of the same kind was learned from other text in another standard
    assert score_words(gold, cut).f1 > score_words(gold, other).f1
