"""The page of a codebook: what stands in the file, and what a real browser makes of it."""

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from plotly.offline import get_plotlyjs

from taolu.bits.codelength import Ledger, Step
from taolu.errors import CodebookError
from taolu.mine.codebook import Codebook, Words
from taolu.mine.groups import WordGroups
from taolu.report.codebook import ROW_LIMIT, write_report

NASTY = ("</script><b>x</b>", "a&lt;b", "\"'`", "<!--", "__proto__", "制表\t符")

LEDGER = Ledger(
    (Step("characters", 9, 8.0, 0.5), Step("words", 4, 6.0, 1.0), Step("lexicon", 3, 5.5, 0.75)),
    (Step("templates", 2, 5.4, 1.25),),
)

ROWS = (  # word, count, cohesion, left, right, saved, known
    ("天气", 20, 5.12345, 2.5, 3.5, 1234.56, True),
    ("的", 90, np.nan, 4.0, 4.1, 0.0, True),
    ("天气预报", 7, 9.5, 1.5, 0.5, 300.0, False),
    ("上海", 40, 4.0, 3.0, 2.0, 99.96, True),
    ("晴", 5, np.nan, 0.0, 1.0, 0.0, True),
    ("爽歪歪", 9, 7.0, np.inf, 2.2, -3.25, False),
)

PASSAGE = (("天气", "的", "，", "晴", "爽歪歪", "。"),)


def make_words(rows=ROWS) -> Words:
    columns = list(zip(*rows, strict=True)) if rows else [()] * 7
    floats = [np.array(column, dtype=np.float64) for column in columns[2:6]]
    known = np.array(columns[6], dtype=bool)
    return Words(tuple(columns[0]), np.array(columns[1], dtype=np.int64), *floats, known)


def make_book(rows=ROWS, ledger=LEDGER, passage=PASSAGE, **meta):
    meta = {"sources": ["新闻.txt"], "characters": 12345, "options": {"min_count": 5}} | meta
    return Codebook(make_words(rows), {"天": 20, "气": 20}, 321, ledger, passage, meta)


def write(folder: Path, book: Codebook) -> Path:
    write_report(book, folder / "report.html")
    return folder / "report.html"


def page_data(page: Path) -> dict:
    text = page.read_text(encoding="utf-8")
    return json.loads(re.search(r'id="data">(.*?)</script>', text, re.DOTALL).group(1))


# What stands in the file


def test_the_page_names_nothing_outside_itself(tmp_path):
    text = write(tmp_path, make_book()).read_text(encoding="utf-8")
    ours = text.replace(get_plotlyjs(), "")
    assert len(ours) < len(text) - 1_000_000  # Plotly itself is inside
    assert re.findall(r"(?:src|href)\s*=\s*[\"']([^\"']*)", ours) == ["data:,"]
    assert not re.search(r"https?:|@import|url\(|<iframe|<img", ours)
    assert "default-src 'none'" in ours


def test_words_never_act_as_markup(tmp_path):
    rows = [(word, 9, 1.0, 1.0, 1.0, 1.0, False) for word in NASTY]
    ledger = Ledger((Step("</script><i>", 1, 2.0, 1.0),))
    book = make_book(rows, ledger, (NASTY,), sources=["<a>.txt"], options={"<k>": "</script>"})
    plain = write(tmp_path, make_book()).read_text(encoding="utf-8")
    page = write(tmp_path, book)
    for tag in ("</script", "<script", "<!--", "<b>x", "<i>"):
        assert page.read_text(encoding="utf-8").count(tag) == plain.count(tag), tag
    data = page_data(page)
    assert tuple(data["words"]["word"]) == NASTY
    assert data["meta"]["options"] == {"<k>": "</script>"}


def test_numbers_keep_four_digits_and_nan_becomes_null(tmp_path):
    words = page_data(write(tmp_path, make_book()))["words"]
    assert words["cohesion"] == [5.123, None, 9.5, 4, None, 7]
    assert words["left_entropy"][5] is None  # infinity
    assert words["saved_bits"] == [1235, 0, 300, 99.96, 0, -3.25]
    assert words["count"] == [20, 90, 7, 40, 5, 9]
    assert words["known"] == [1, 1, 0, 1, 1, 0]


def test_tally_counts_words_of_two_characters_or_more(tmp_path):
    assert page_data(write(tmp_path, make_book()))["tally"] == {"rows": 6, "words": 4, "new": 2}


def test_nothing_is_new_without_a_known_dictionary(tmp_path):
    rows = [(*row[:6], False) for row in ROWS]
    assert page_data(write(tmp_path, make_book(rows)))["tally"]["new"] is None


def test_passage_word_outside_the_table_has_no_row(tmp_path):
    passage = page_data(write(tmp_path, make_book()))["passage"]
    spelled = [[passage["units"][at] for at in sentence] for sentence in passage["sentences"]]
    assert spelled == [list(sentence) for sentence in PASSAGE]
    learned = [passage["units"][at] for at in passage["row"]]
    counts = dict(zip(learned, passage["count"], strict=True))
    assert counts == {"天气": 20, "的": 90, "晴": 5, "爽歪歪": 9}


def test_bare_meta_is_enough(tmp_path):
    book = Codebook(make_words(), {"天": 3, "气": 4}, 1, Ledger())
    meta = page_data(write(tmp_path, book))["meta"]
    assert (meta["characters"], meta["sources"], meta["options"]) == (7, [], {})


def test_save_writes_the_report_into_the_folder(tmp_path):
    make_book().save(tmp_path / "b.taolu", report=True)
    assert page_data(tmp_path / "b.taolu" / "report.html")["tally"]["rows"] == 6


def test_new_page_replaces_the_old_and_is_readable_like_any_file(tmp_path):
    page = tmp_path / "report.html"
    page.write_text("old", encoding="utf-8")
    write_report(make_book(), str(page))
    (tmp_path / "other").write_text("", encoding="utf-8")
    assert page_data(page)["tally"]["rows"] == 6
    assert page.stat().st_mode == (tmp_path / "other").stat().st_mode
    assert sorted(path.name for path in tmp_path.iterdir()) == ["other", "report.html"]


def test_full_disk_leaves_the_old_page_whole(tmp_path, monkeypatch):
    def full(path, target):
        raise OSError(28, "No space left on device")

    page = tmp_path / "report.html"
    page.write_text("old", encoding="utf-8")
    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(CodebookError, match=r"report\.html: cannot be written \(No space left"):
        write_report(make_book(), page)
    assert page.read_text(encoding="utf-8") == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]


def test_missing_folder_is_named(tmp_path):
    with pytest.raises(CodebookError, match=r"none.report\.html: cannot be written \(No such file"):
        write_report(make_book(), tmp_path / "none" / "report.html")


# What a browser makes of it


@pytest.mark.browser
def test_every_part_of_the_page_is_drawn(tmp_path, ask):
    seen = ask(
        write(tmp_path, make_book()),
        """return {
          title: text("h1")[0], tiles: text(".tile strong"), ledger: table("ledger-table"),
          words: table("word-table"), heads: all("#word-table th").length,
          bars: all("#ledger-chart .bars .point path").length,
          totals: text("#ledger-chart .annotation"),
          ticks: text("#ledger-chart .ytick text"),
          points: all("#cohesion-chart .scatterlayer .point").length,
          chips: text(".word"), fresh: text(".word.fresh"), limit: text("#limit")[0],
          fetched: performance.getEntriesByType("resource").map((entry) => entry.name),
        };""",
    )
    assert seen["title"] == "同样的文字，每字从 8.50 比特学到 6.25 比特，省下 26.5%"
    assert seen["tiles"] == ["8.500→6.250", "26.5%", "4", "2", "12,345", "321"]
    assert [row[0] for row in seen["ledger"]] == [
        "字 characters",
        "词 words",
        "词典 lexicon",
        "模版 templates未采用",
    ]
    assert [row[4:] for row in seen["ledger"]] == [
        ["8.500", "–"],
        ["7.000", "1.500"],
        ["6.250", "0.750"],
        ["6.650", "−0.400"],
    ]
    assert seen["words"][0] == ["天气", "2", "20", "5.12", "2.50", "3.50", "1,235", "已有"]
    assert seen["words"][3] == ["爽歪歪", "3", "9", "7.00", "–", "2.20", "−3.3", "新"]
    assert len(seen["words"]) == 4  # single characters are hidden
    assert seen["heads"] == 8
    assert seen["bars"] == 8  # text and codebook of four steps
    assert seen["totals"] == ["8.500", "7.000", "6.250", "6.650"]
    assert any("模版 (未采用)" in tick for tick in seen["ticks"])
    assert seen["points"] == 4
    assert seen["chips"] == ["天气", "的", "晴", "爽歪歪"]
    assert seen["fresh"] == ["爽歪歪"]
    assert seen["limit"] == ""
    assert seen["fetched"] == []


@pytest.mark.browser
def test_the_address_restores_the_view(tmp_path, ask):
    fragment = "search=%E5%A4%A9&sort=count&order=asc&single=1"
    seen = ask(
        write(tmp_path, make_book()),
        """return {words: words(), search: document.getElementById("search").value,
          single: document.getElementById("single").checked,
          sorted: text("th[aria-sort=ascending]"), range: text("#range")[0]};""",
        fragment,
    )
    assert seen["words"] == ["天气预报", "天气"]
    assert (seen["search"], seen["single"]) == ("天", True)
    assert len(seen["sorted"]) == 1
    assert seen["sorted"][0].startswith("次数")
    assert seen["range"] == "第 1–2 个，共 2 个"


@pytest.mark.browser
def test_clicks_sort_filter_turn_and_download(tmp_path, ask):
    many = [(f"词{n:03}", 1000 - n, 1.0, 1.0, 1.0, 1.0, True) for n in range(60)]
    seen = ask(
        write(tmp_path, make_book([*ROWS, *many])),
        """const saw = {};
        saw.turned = click("#next")[0];
        saw.last = [click("#last").length, text("#page")[0]];
        saw.end = document.querySelector("#next").disabled;
        saw.hash = location.hash;
        saw.new = click("#fresh");
        saw.rank = words();
        saw.most = click("th[data-key=cohesion] button");
        saw.least = click("th[data-key=cohesion] button");
        saw.back = click("th[data-key=cohesion] button");
        click("#fresh");
        click("#single");
        const search = document.querySelector("#search");
        search.value = "晴";
        search.dispatchEvent(new Event("input"));
        saw.found = words();
        saw.told = location.hash;
        search.value = "没有";
        search.dispatchEvent(new Event("input"));
        saw.none = [words(), text("#no-words:not([hidden])")];
        search.value = "天";
        search.dispatchEvent(new Event("input"));
        let file = null;
        URL.createObjectURL = (blob) => { file = blob; return "#"; };
        document.querySelector("#download").click();
        saw.csv = [...new Uint8Array(await file.arrayBuffer())];
        return saw;""",
    )
    assert seen["turned"] == "词021"  # four words of ROWS and 21 of the others come before
    assert seen["last"] == [14, "3 / 3"]
    assert seen["end"]
    assert seen["hash"] == "#page=3"
    assert seen["new"] == seen["back"] == ["天气预报", "爽歪歪"]
    assert seen["most"] == ["天气预报", "爽歪歪"]
    assert seen["least"] == ["爽歪歪", "天气预报"]
    assert seen["found"] == ["晴"]
    assert seen["told"] == "#search=%E6%99%B4&single=1"
    assert seen["none"] == [[], ["没有这样的词。换一个查找，或放宽筛选。"]]
    assert bytes(seen["csv"]).decode("utf-8-sig").split("\r\n") == [
        "word,count,cohesion,left_entropy,right_entropy,saved_bits,known",
        '"天气","20","5.123","2.5","3.5","1235","yes"',
        '"天气预报","7","9.5","1.5","0.5","300","no"',
        "",
    ]


@pytest.mark.browser
def test_missing_values_come_last_both_ways(tmp_path, ask):
    seen = ask(
        write(tmp_path, make_book()),
        """const most = click("th[data-key=cohesion] button");
        return [most, click("th[data-key=cohesion] button")];""",
        "single=1",
    )
    assert seen[0] == ["天气预报", "爽歪歪", "天气", "上海", "的", "晴"]
    assert seen[1] == ["上海", "天气", "爽歪歪", "天气预报", "的", "晴"]


@pytest.mark.browser
def test_special_characters_are_shown_as_they_are(tmp_path, ask):
    rows = [(word, 9 + n, 1.0, 1.0, 1.0, 1.0, False) for n, word in enumerate(NASTY)]
    ledger = Ledger((Step("<i>&amp;", 1, 2.0, 1.0), Step("__proto__", 1, 1.0, 1.0)))
    seen = ask(
        write(tmp_path, make_book(rows, ledger, (NASTY,))),
        """const chart = document.querySelector("#cohesion-chart");
        Plotly.Fx.hover(chart, [{ curveNumber: 0, pointNumber: chart.data[0].x.length - 1 }]);
        document.querySelector(".word").dispatchEvent(new Event("pointerover", { bubbles: true }));
        return {
          words: words(), units: text(".sentence > span"),
          bold: all("td b b, #sentences b").length,
          steps: table("ledger-table").map((row) => row[0]),
          ticks: text("#ledger-chart .ytick text"),
          hover: text("#cohesion-chart .hoverlayer .hovertext"), tip: text("#tip")[0],
        };""",
    )
    assert tuple(seen["words"]) == NASTY
    assert tuple(seen["units"]) == NASTY
    assert seen["bold"] == 0
    assert [step.strip() for step in seen["steps"]] == ["<i>&amp;", "__proto__"]
    assert seen["ticks"] == ["<i>&amp;", "__proto__"]
    assert seen["hover"][0].startswith("</script><b>x</b>次数 9")
    assert seen["tip"] == "</script><b>x</b> · 9 次 · 省下 1.0 比特"


@pytest.mark.browser
def test_a_long_table_is_cut_and_says_so(tmp_path, ask):
    size = ROW_LIMIT + 10
    column = np.ones(size)
    names = tuple(f"词{n}" for n in range(size))
    known = np.zeros(size, dtype=bool)
    words = Words(names, np.arange(size, 0, -1), column, column, column, column, known)
    book = Codebook(words, {"词": 1}, 1, LEDGER)
    seen = ask(
        write(tmp_path, book),
        """return {
          rows: words().length, first: words()[0],
          limit: text("#limit")[0], page: text("#page")[0], tile: text(".tile strong")[2],
          points: all("#cohesion-chart .scatterlayer .point").length,
          hidden: document.querySelector("#passage").hidden,
        };""",
        "sort=count&order=asc",
    )
    assert (seen["rows"], seen["first"], seen["page"]) == (25, f"词{ROW_LIMIT - 1}", "1 / 2,000")
    assert seen["limit"] == "只列出排名最前的 50,000 行，共 50,010 行；全表见 words.tsv。"
    assert (seen["tile"], seen["points"], seen["hidden"]) == ("50,010", 5000, True)


@pytest.mark.browser
@pytest.mark.parametrize(
    ("ledger", "title"),
    [(Ledger(), "还没有学到什么"), (Ledger(LEDGER.steps[:1]), "每字 8.50 比特：没有哪一步更省")],
)
def test_a_book_in_which_nothing_was_learned_is_a_page_too(tmp_path, ask, ledger, title):
    seen = ask(
        write(tmp_path, make_book((), ledger, ())),
        """return {
          title: text("h1")[0], empty: text("#no-words:not([hidden])"), rows: table("word-table"),
          note: text("#cohesion-note")[0], plots: all("#cohesion-chart svg").length,
          fresh: document.querySelector("#fresh-label").hidden,
          heads: text("#word-table th").length,
        };""",
    )
    assert seen["title"] == title
    assert seen["empty"] == ["这段文字里没有学到词。"]
    assert seen["note"] == "没有两字以上的词可画。"
    assert (seen["rows"], seen["plots"]) == ([], 0)
    assert (seen["fresh"], seen["heads"]) == (True, 7)  # no dictionary, no column for it


GROUPS = WordGroups(
    ("天气", "上海", *NASTY, "的"),
    np.array([[0, 0], [0, 0], *[[0, 1]] * len(NASTY), [1, -1]], dtype=np.int32),
    np.array([0.3, 0.2, *np.linspace(0.09, 0.01, len(NASTY)), 0.1]),
    3.5,
    2,
)


@pytest.mark.browser
def test_groups_are_bubbles_that_show_their_words(tmp_path, ask):
    book = replace(make_book(), groups=GROUPS)
    seen = ask(
        write(tmp_path, book),
        """const first = text("#members .word");
        all(".bubble")[1].dispatchEvent(new Event("click", { bubbles: true }));
        const place = (circle) => ["cx", "cy", "r"].map((name) => +circle.getAttribute(name));
        const circles = all(".bubble circle").map(place);
        return { first, second: text("#members .word"), circles, note: text("#groups-note")[0],
          colours: new Set(all(".bubble").map((mark) => mark.getAttribute("style"))).size,
          said: text("#members .quiet")[0],
          wide: document.documentElement.scrollWidth <= innerWidth };""",
        width=500,
    )
    assert seen["first"] == ["天气", "上海"]
    assert tuple(seen["second"]) == NASTY
    assert seen["said"].startswith("6 个词")
    assert seen["note"].startswith("9 个词分成 3 群")
    assert (len(seen["circles"]), seen["colours"], seen["wide"]) == (3, 2, True)
    # As large as their shares, and apart.
    sizes = [r**2 for _, _, r in seen["circles"]]
    assert np.divide(sizes, sizes[0]) == pytest.approx(GROUPS.flows / GROUPS.flows[0], rel=1e-4)
    for i, (x, y, r) in enumerate(seen["circles"]):
        for other_x, other_y, other_r in seen["circles"][:i]:
            assert np.hypot(x - other_x, y - other_y) >= r + other_r


def test_without_groups_there_is_no_picture(tmp_path):
    assert page_data(write(tmp_path, make_book()))["groups"] is None
    one = replace(make_book(), groups=GROUPS.at_level(0))
    assert page_data(write(tmp_path, one))["groups"] is None


@pytest.mark.browser
def test_a_narrow_screen_never_scrolls_sideways(tmp_path, ask):
    seen = ask(
        write(tmp_path, make_book(sources=["很长的文件名" * 20 + ".txt"])),
        "return [document.documentElement.scrollWidth, innerWidth];",
        width=500,
    )
    assert seen[0] <= seen[1] < 560


@pytest.mark.browser
def test_the_page_forbids_itself_the_network(tmp_path, ask):
    seen = ask(
        write(tmp_path, make_book()),
        """const blocked = [];
        const note = (event) => blocked.push(event.blockedURI);
        document.addEventListener("securitypolicyviolation", note);
        try { await fetch("http://localhost:9/x"); } catch (error) { blocked.push(error.name); }
        await new Promise((done) => setTimeout(done, 100));
        return blocked;""",
        quiet=False,  # the browser reports the refusal on its console
    )
    assert sorted(seen) == ["TypeError", "http://localhost:9/x"]
