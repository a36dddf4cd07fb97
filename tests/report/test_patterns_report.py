"""Templates, parses and vectors on the page of a codebook."""

import json
import re
from base64 import b64decode

import numpy as np
import pytest

from taolu.bits.codelength import Ledger
from taolu.mine.codebook import Codebook, Words
from taolu.mine.groups import WordGroups
from taolu.mine.templates import Templates
from taolu.mine.word_vectors import WordVectors
from taolu.report import neighbours, patterns
from taolu.report.codebook import write_report
from taolu.report.neighbours import describe_vectors
from taolu.report.patterns import describe_parses, describe_templates, split_example

NASTY = ("<b>x</b>", "__proto__", "a&lt;b")
KINDS = [[f"{kind}{n:02}" for n in range(20)] for kind in ("桃", "江", "金")]


def make_book(passage=(), templates=None, vectors=None, groups=None):
    names = ("苹果", "颜色", "味道", "的", "是", "什么", "呢", "和", *NASTY)
    column = np.ones(len(names))
    counts = np.array([40, 40, 40, 22, 52, 40, 32, 22, *[40] * len(NASTY)])
    words = Words(names, counts, column, column, column, column, column.astype(bool))
    return Codebook(words, {"果": 9}, 300, Ledger(), passage, {}, templates, vectors, groups)


TEMPLATES = Templates(
    (("是", None, "呢"), ("的", None, "和", None, "是"), ("苹果", None, "颜色")),
    np.array([30, 20, 8]),
    ((("什么", NASTY[0]),), (("颜色", "味道"), ("味道",)), ((),)),
    (("是", "什么", "呢"), ("的", "颜色", "和", *NASTY, "是"), ("苹果", "的", "颜色")),
)
PASSAGE = (
    ("苹果", "的", "颜色", "和", "味道", "是", "什么", "呢"),
    ("苹果", "和", "苹果"),
    ("的", "是", NASTY[0], "呢", "和", "味道", "是"),
)


def vectors_of(words, seed=0):
    """Words of one kind point nearly the same way; the first are used most."""
    draw = np.random.default_rng(seed)
    middle = {kind[0][0]: np.eye(6)[at] for at, kind in enumerate(KINDS)}
    rows = [middle.get(word[0], np.eye(6)[5]) + 0.1 * draw.normal(size=6) for word in words]
    return WordVectors(tuple(words), np.array(rows), np.arange(len(words), 0, -1) ** 2)


MIXED = tuple(word for row in zip(*KINDS, strict=True) for word in row) + NASTY + ("，", "的")


def write(folder, book):
    write_report(book, folder / "report.html")
    return folder / "report.html"


# What the page is told


def test_an_example_is_split_into_what_fills_each_slot():
    assert split_example(("又", None, "又", None), ["又", "高", "又", "大"]) == [["高"], ["大"]]
    assert split_example((None, "的", None), ["我", "的", "你", "的", "他"]) == [
        ["我"],
        ["你", "的", "他"],
    ]
    assert split_example(("一", None, "一"), ["一", "天", "比", "一"]) == [["天", "比"]]
    assert split_example(("一", None, "一"), ("一", "一")) is None
    assert split_example(("一", None, "一"), ("二", "天", "一")) is None


def test_only_the_most_used_templates_are_told_and_all_are_counted(monkeypatch):
    monkeypatch.setattr(patterns, "TEMPLATES_SHOWN", 2)
    told = describe_templates(make_book(templates=TEMPLATES))
    assert (told["total"], told["count"], len(told["parts"])) == (3, [30, 20], 2)
    assert told["example"] == [[["什么"]], [["颜色"], list(NASTY)]]


def test_parses_keep_every_word_and_nest_templates():
    def words_in(row):
        for item in row:
            if isinstance(item, str):
                yield item
                continue
            rows = iter(item["inside"])
            for part in item["parts"]:
                yield from [part] if part is not None else words_in(next(rows))

    told = describe_parses(make_book(PASSAGE, TEMPLATES))
    assert told["sentences"] == 3
    spelled = [tuple(words_in(row)) for row in told["passage"]]
    assert spelled == [PASSAGE[0], PASSAGE[2]]  # the other has no template
    inner = told["passage"][1][0]["inside"]
    assert told["passage"][1][0]["uses"] == 20
    assert inner == [[{"parts": ("是", None, "呢"), "uses": 30, "inside": [[NASTY[0]]]}], ["味道"]]


def test_neighbours_are_those_of_the_vectors():
    vectors = vectors_of(MIXED)
    told = describe_vectors(make_book(vectors=vectors))
    near, cosines = (
        np.frombuffer(b64decode(told[name]), "<u2").reshape(-1, 10) for name in ("near", "cosines")
    )
    assert told["words"] == list(MIXED)
    for row, word in enumerate(told["words"][:40]):
        expected = vectors.most_similar(word, top=10)
        assert [told["words"][at] for at in near[row]] == [other for other, _ in expected]
        assert cosines[row] / 1000 == pytest.approx([cosine for _, cosine in expected], abs=6e-4)


def test_the_most_used_words_are_told_whatever_their_order(monkeypatch):
    monkeypatch.setattr(neighbours, "WORDS", 3)
    found = WordVectors(("甲乙", "丙丁", "戊己", "庚辛"), np.eye(4) + 0.1, [1, 9, 5, 7])
    told = describe_vectors(make_book(vectors=found))
    assert (told["words"], told["uses"], told["total"]) == (["丙丁", "庚辛", "戊己"], [9, 7, 5], 4)
    assert told["map"]["row"] == [0, 1, 2]
    assert set(told["map"]["module"]) == {-1}  # no groups


def test_a_book_without_them_has_none_of_it(tmp_path):
    page = write(tmp_path, make_book(PASSAGE)).read_text(encoding="utf-8")
    data = json.loads(re.search(r'id="data">(.*?)</script>', page, re.DOTALL).group(1))
    assert (data["templates"], data["parses"], data["vectors"]) == (None, None, None)


# What a browser makes of it


@pytest.mark.browser
def test_templates_and_neighbours_are_shown_and_searched(tmp_path, ask):
    vectors = vectors_of(MIXED)
    seen = ask(
        write(tmp_path, make_book(PASSAGE, TEMPLATES, vectors)),
        """const column = (name) => text(`#template-table .${name}`);
        const near = () => text("#near-words .near span");
        const type = (id, word) => {
          const box = document.getElementById(id);
          box.value = word;
          box.dispatchEvent(new Event("input"));
        };
        const find = (word) => { type("template-search", word); return column("number"); };
        const look = (word) => { type("near-search", word); return near(); };
        const saw = { templates: column("template"), uses: column("number").slice(1),
          fillers: column("fillers"), examples: column("example"),
          marked: all("#template-table tbody tr:nth-child(2) .example b").map((b) => b.textContent),
          bold: all("#template-table b b, #parse-lines b b").length,
          pages: document.querySelector("#template-pages").hidden };
        const head = document.querySelector("#template-table th[data-key=count] button");
        head.click();
        head.click();
        saw.least = column("number").slice(1);
        saw.sorted = text("#template-table th[aria-sort=ascending]").length;
        saw.word = find("的").slice(1);
        saw.filler = find("味道").slice(1);
        saw.none = [find("没有").length, text("#no-templates:not([hidden])").length];
        saw.boxes = all("#parse-lines .parse").map((line) => line.querySelectorAll(".join").length);
        saw.nested = text("#parse-lines .join .join");
        document.querySelector("#parse-lines .join").dispatchEvent(
          new Event("pointerover", { bubbles: true }));
        saw.tip = text("#tip:not([hidden])");
        saw.near = [near(), text("#near-words small"), text("#near-said")[0]];
        document.querySelector("#near-words .near").click();
        saw.clicked = [document.querySelector("#near-search").value, near()];
        saw.proto = look("__proto__");
        saw.unknown = [look("江"), text("#near-said")[0]];
        saw.absent = [look("龙"), text("#near-said")[0]];
        return saw;""",
    )
    assert seen["templates"][1:] == ["的1和2是", "苹果\u2002颜色"]
    assert seen["uses"] == ["30", "20", "8"]
    assert seen["fillers"] == ["\u2002什么 <b>x</b>", "1颜色 味道2味道", "\u2002没有单个的词"]
    assert seen["examples"] == ["是什么呢", "的颜色和<b>x</b>__proto__a&lt;b是", "苹果的颜色"]
    assert seen["marked"] == ["的", "和", "是"]
    assert (seen["bold"], seen["pages"]) == (0, True)
    assert (seen["least"], seen["sorted"]) == (["8", "20", "30"], 1)
    assert (seen["word"], seen["filler"]) == (["20"], ["20"])
    assert seen["none"] == [1, 1]  # only the head is left
    assert seen["boxes"][1] == 2
    assert seen["nested"] == ["是<b>x</b>呢"]
    assert seen["tip"] == ["的 [X] 和 [X] 是 · 20 次"]
    expected = vectors.most_similar("桃00")
    names, cosines, said = seen["near"]
    assert names == [word for word, _ in expected]
    assert cosines == [f"{cosine:.3f}" for _, cosine in expected]
    assert said.startswith("「桃00」，用了 4,225 次。")
    second = expected[0][0]
    assert seen["clicked"] == [second, [word for word, _ in vectors.most_similar(second)]]
    assert seen["proto"] == [word for word, _ in vectors.most_similar("__proto__")]
    assert seen["unknown"] == [list(KINDS[1][:10]), "没有「江」这个词的向量。含有它的词："]
    assert seen["absent"] == [[], "没有「龙」这个词的向量。"]


@pytest.mark.browser
def test_the_map_shows_words_that_hide_no_other(tmp_path, ask):
    groups = WordGroups(
        MIXED,
        np.array([["桃江金".find(word[0])] for word in MIXED], dtype=np.int32),
        np.full(len(MIXED), 1 / len(MIXED)),
        3.0,
        1,
    )
    book = make_book(PASSAGE, TEMPLATES, vectors_of(MIXED), groups)
    seen = ask(
        write(tmp_path, book),
        """const boxes = () => all("#map-chart .textpoint text").map((word) => {
          const { left, right, top, bottom } = word.getBoundingClientRect();
          return [left, right, top, bottom];
        });
        const frame = document.querySelector("#map-chart").getBoundingClientRect();
        const saw = { dots: all("#map-chart .point").length, far: boxes(),
          frame: [frame.left, frame.right, frame.top, frame.bottom],
          colours: new Set(all("#map-chart .point").map((dot) => dot.style.fill)).size,
          wide: document.documentElement.scrollWidth <= innerWidth,
          markup: all("#map-chart .textpoint b").length };
        document.querySelector("#map-in").click();
        await new Promise((done) => setTimeout(done, 300));
        saw.near = boxes();
        saw.range = document.querySelector("#map-chart").layout.xaxis.range;
        document.querySelector("#map-all").click();
        saw.back = document.querySelector("#map-chart").layout.xaxis.range;
        return saw;""",
        width=500,
    )
    assert seen["dots"] == 63  # 20 of each kind and the nasty ones; no single characters
    assert seen["colours"] >= 3
    assert seen["wide"]
    assert seen["range"][1] - seen["range"][0] == pytest.approx(0.545)
    assert seen["back"] == pytest.approx([-0.045, 1.045])
    left, right, top, bottom = seen["frame"]
    for words in (seen["far"], seen["near"]):
        assert len(words) >= 8
        for at, (a, b, c, d) in enumerate(words):
            assert left <= a
            assert b <= right
            assert top - 1 <= c
            assert d <= bottom + 1
            for e, f, g, h in words[:at]:
                assert b <= e or f <= a or d <= g + 3 or h <= c + 3  # lines are taller than letters
