"""The page about the training of a tagger: its charts, its numbers, and what a browser shows."""

import copy
import json
import re

import numpy as np
import pytest
from plotly.offline import get_plotlyjs

from taolu.report.charts import Chart, axes, line, write_charts
from taolu.report.labels import confusion_chart, label_chart, label_table
from taolu.report.training import learning_chart, write_training

NASTY = "</script><b>x&lt;</b>"


def counted(hits, found, gold):
    precision, recall = hits / found, hits / gold
    f1 = 2 * hits / (found + gold)
    return {
        "precision": precision,
        "recall": recall,
        "f1": f1,
        "hits": hits,
        "found": found,
        "gold": gold,
    }


def scored(labels, confusion, overall, **more):
    return {
        **overall,
        "macro_f1": 0.8,
        "sentences": 40,
        "exact_sentences": 30,
        "unseen": None,
        "labels": labels,
        "confusion": confusion,
        **more,
    }


def entities(name="PER"):
    """Two labels: of 10 LOC 6 are found, 1 as the other label, 3 not; of 20 of the other 18 are."""
    labels = {"LOC": counted(6, 8, 10), name: counted(18, 20, 20)}
    confusion = [["LOC", "LOC", 6], ["LOC", name, 1], ["LOC", None, 3]]
    confusion += [[name, name, 18], [name, "LOC", 2], [None, name, 1]]
    return scored(labels, confusion, counted(24, 28, 30))


def words():
    total = counted(90, 95, 100)
    unseen = {"recall": 0.612, "share": 0.053, "seen_recall": 0.974}
    confusion = [["", "", 90], ["", None, 10], [None, "", 5]]
    return scored({"": total}, confusion, total, unseen=unseen)


def forty():
    labels = {f"L{k:02d}": counted(100 - k, 100 - k, 100 - k) for k in range(40)}
    confusion = [[name, name, row["hits"]] for name, row in labels.items()]
    confusion += [["L38", "L39", 7], ["L00", "L35", 5], ["L39", None, 2], [None, "L31", 3]]
    return scored(labels, confusion, counted(3000, 3100, 3200))


def epochs(number):
    return [
        {
            "epoch": k + 1,
            "loss": 2.0 / (k + 1),
            "learning_rate": 0.002,
            "seconds": 20.0,
            "precision": 0.81 + k / 100,
            "recall": 0.83 + k / 100,
            "f1": 0.82 + k / 100,
        }
        for k in range(number)
    ]


def metrics(score, number=3, best=2):
    return {
        "format": 1,
        "task": "tag",
        "weights": 1234567,
        "seconds": 246.0,
        "score": score,
        "settings": {"encoder": "convolution", "head": "crf", "scheme": "BMESO", "seed": 0},
        "train": {"sentences": 3821, "characters": 124099},
        "dev": {"sentences": 463, "characters": 13890},
        "best_epoch": best,
        "epochs": epochs(number),
    }


def write(folder, found, **options):
    write_training(folder / "page.html", found, **options)
    return folder / "page.html"


def page_data(page):
    text = page.read_text(encoding="utf-8")
    return json.loads(re.search(r'id="data">(.*?)</script>', text, re.DOTALL).group(1))


# Learning curves


def test_loss_stands_on_the_left_axis_and_scores_on_the_right():
    chart = learning_chart(epochs(3), 2)
    loss, *scores = chart.traces
    assert (loss["x"], loss["y"]) == ([1, 2, 3], [2, 1, 0.6666667])
    assert "yaxis" not in loss
    assert [trace["yaxis"] for trace in scores] == ["y2"] * 3
    assert [trace["y"][0] for trace in scores] == [0.81, 0.83, 0.82]
    assert chart.layout["yaxis2"]["range"] == [0.7, 1.0]
    assert len({trace["line"]["color"] for trace in chart.traces}) == 4


@pytest.mark.parametrize(("best", "side"), [(1, "left"), (3, "right")])
def test_the_best_epoch_is_a_vertical_line_with_its_number_inside_the_picture(best, side):
    layout = learning_chart(epochs(3), best).layout
    (mark,) = layout["shapes"]
    assert (mark["x0"], mark["x1"], mark["yref"]) == (best, best, "paper")
    assert layout["annotations"][0]["text"].endswith(str(best))
    assert layout["annotations"][0]["xanchor"] == side


def test_one_epoch_is_seen_as_dots_in_the_middle():
    chart = learning_chart(epochs(1), 1)
    assert all(trace["mode"] == "lines+markers" for trace in chart.traces)
    assert chart.layout["xaxis"]["range"] == [0.5, 1.5]
    assert learning_chart(epochs(200), 9).traces[0]["mode"] == "lines"


def test_a_loss_without_end_leaves_a_gap():
    broken = epochs(2)
    broken[1]["loss"] = float("inf")
    assert learning_chart(broken, 1).traces[0]["y"] == [2, None]


# Labels


def test_labels_are_bars_from_the_most_frequent_down():
    chart = label_chart(entities())
    bars, precision, recall = chart.traces
    assert chart.layout["yaxis"]["ticktext"] == ["PER", "LOC"]
    assert chart.layout["yaxis"]["range"] == [1.5, -0.5]  # the first on top
    np.testing.assert_allclose(bars["x"], [0.9, 12 / 18], rtol=1e-6)
    np.testing.assert_allclose(precision["x"], [0.9, 0.75], rtol=1e-6)
    np.testing.assert_allclose(recall["x"], [0.9, 0.6], rtol=1e-6)
    assert "6 / 标注 10，找到 8" in bars["text"][1]


def test_the_table_has_every_label_with_its_counts():
    table = label_table(entities(NASTY))
    assert [cell[1] for cell in table.columns][-3:] == ["gold", "found", "hits"]
    assert table.rows == [
        [NASTY, "90.0%", "90.0%", "90.0%", "20", "20", "18"],
        ["LOC", "75.0%", "60.0%", "66.7%", "10", "8", "6"],
    ]


# Confusion


def test_rows_are_gold_and_columns_are_found():
    chart = confusion_chart(entities())
    (heat,) = chart.traces
    assert chart.layout["xaxis"]["ticktext"] == ["PER", "LOC", "无 none"]
    assert chart.layout["yaxis"]["ticktext"] == ["PER", "LOC", "无 none"]
    assert heat["text"] == [["18", "2", ""], ["1", "6", "3"], ["1", "", ""]]
    assert heat["z"] == [[0.9, 0.1, 0], [0.1, 0.6, 0.3], [1, 0, None]]
    assert heat["hovertext"][1][2] == "LOC → 无 none：3，30.0%"
    assert heat["hovertext"][2][2] == ""


def test_hits_stand_on_the_diagonal_even_if_only_errors_are_listed():
    score = entities()
    errors = [triple for triple in score["confusion"] if triple[0] != triple[1]]
    assert confusion_chart({**score, "confusion": errors}) == confusion_chart(score)


def test_a_label_that_was_only_confused_has_a_row_too():
    score = entities()
    score["confusion"].append(["LOC", "GPE", 4])
    chart = confusion_chart(score)
    assert chart.layout["yaxis"]["ticktext"] == ["PER", "LOC", "GPE", "无 none"]
    assert chart.traces[0]["text"][1][2] == "4"


def test_the_labels_beyond_thirty_share_a_row_and_no_count_is_lost():
    score = forty()
    chart = confusion_chart(score)
    heat, ticks = chart.traces[0], chart.layout["xaxis"]["ticktext"]
    assert ticks == [*(f"L{k:02d}" for k in range(30)), "其他 other", "无 none"]
    assert heat["text"][30][30] == str(sum(100 - k for k in range(30, 40)) + 7)
    assert (heat["text"][0][30], heat["text"][30][31], heat["text"][31][30]) == ("5", "2", "3")
    shown = sum(int(cell.replace(",", "")) for row in heat["text"] for cell in row if cell)
    assert shown == sum(count for *_, count in score["confusion"])
    assert len(label_chart(score).traces[0]["x"]) == 40


def test_a_long_label_is_cut_beside_the_picture_and_whole_in_the_table():
    score = entities("很" * 50)
    assert confusion_chart(score).layout["xaxis"]["ticktext"][0] == "很" * 15 + "…"
    assert label_table(score).rows[0][0] == "很" * 50


# The page


def test_the_page_tells_the_key_numbers(tmp_path):
    data = page_data(write(tmp_path, metrics(entities())))
    assert data["title"] == "学了 3 轮，第 2 轮最好：F1 82.8%"
    values = [value for _, value in data["tiles"]]
    assert values == ["82.8%", "85.7%", "80.0%", "2 / 3", "3,821", "1.23 M", "4.1"]
    assert "head crf" in data["sources"]
    assert "124,099" in data["sources"]
    assert [chart["english"] for chart in data["charts"]] == [
        *("learning curves", "scores by label", "confusion")
    ]
    assert "30 / 40" in data["table"]["note"]
    assert "80.0%" in data["table"]["note"]  # macro F1


def test_words_have_no_labels_to_draw(tmp_path):
    data = page_data(write(tmp_path, metrics(words()), title="分词"))
    assert data["title"] == "分词"
    assert [chart["english"] for chart in data["charts"]] == ["learning curves"]
    assert data["table"]["rows"] == [
        ["词 word", "94.7%", "90.0%", "92.3%", "100", "95", "90"],
    ]
    for part in ("5.3%", "61.2%", "97.4%"):
        assert part in data["table"]["note"]


def test_the_metrics_may_come_from_a_file(tmp_path):
    text = json.dumps(metrics(entities()))
    assert page_data(write(tmp_path, json.loads(text)))["table"]["rows"][0][0] == "PER"


def test_the_page_names_nothing_outside_itself(tmp_path):
    text = write(tmp_path, metrics(forty())).read_text(encoding="utf-8")
    ours = text.replace(get_plotlyjs(), "")
    assert len(ours) < len(text) - 1_000_000
    assert re.findall(r"(?:src|href)\s*=\s*[\"']([^\"']*)", ours) == ["data:,"]
    assert not re.search(r"https?:|@import|url\(|<iframe|<img", ours)


def test_names_never_act_as_markup(tmp_path):
    plain = write(tmp_path, metrics(entities())).read_text(encoding="utf-8")
    nasty = metrics(entities(NASTY))
    nasty["settings"][NASTY] = NASTY
    page = write(tmp_path, nasty, title=NASTY)
    for tag in ("</script", "<script", "<b>x"):
        assert page.read_text(encoding="utf-8").count(tag) == plain.count(tag), tag
    assert page_data(page)["table"]["rows"][0][0] == NASTY


def test_half_a_surrogate_pair_in_a_label_is_no_accident(tmp_path):
    page = write(tmp_path, metrics(entities("\ud83d")))
    assert page_data(page)["table"]["rows"][0][0] == "?"


@pytest.mark.browser
def test_a_browser_draws_every_chart_and_shows_markup_as_text(tmp_path, ask):
    page = write(tmp_path, metrics(entities(NASTY), number=12, best=9))
    seen = ask(
        page,
        """return {
          drawn: all(".chart").map((box) => box.querySelectorAll(".main-svg").length > 0),
          tiles: text(".tile strong"), rows: table("table"), bold: all("b").length,
          ticks: text(".ytick text"), right: text(".y2tick text"),
          cells: text(".heatmap-label"), mark: all(".shapelayer path").length,
          wide: [document.documentElement.scrollWidth, innerWidth],
          fetched: performance.getEntriesByType("resource").length,
        };""",
        width=500,
    )
    assert seen["drawn"] == [True, True, True]
    assert seen["tiles"][3] == "9 / 12"
    assert seen["rows"][0] == [NASTY, "90.0%", "90.0%", "90.0%", "20", "20", "18"]
    assert seen["bold"] == 1  # the brand
    # Plotly draws a label of an axis as it stands; the cut one has 15 letters of it.
    assert NASTY[:15] + "…" in seen["ticks"]
    assert "100%" in seen["right"]
    assert sorted(cell for cell in seen["cells"] if cell) == ["1", "1", "18", "2", "3", "6"]
    assert seen["mark"] == 1
    assert seen["wide"][0] <= seen["wide"][1]
    assert seen["fetched"] == 0


@pytest.mark.browser
def test_many_labels_scroll_inside_their_card(tmp_path, ask):
    wide, page, box = ask(
        write(tmp_path, metrics(forty(), number=1, best=1)),
        """return [document.querySelectorAll(".chart")[2].offsetWidth,
          document.documentElement.scrollWidth, innerWidth];""",
        width=500,
    )
    assert page <= box < wide


@pytest.mark.browser
def test_a_page_without_numbers_has_no_empty_boxes(tmp_path, ask):
    page = tmp_path / "page.html"
    write_charts(
        page, "线", [Chart("线", "", [line("y", [0, 1], [0, 1], "--ink")], axes("x", "y"))]
    )
    assert ask(page, "return [byId('tiles').hidden, all('table').length, all('small').length]") == [
        True,
        0,
        1,
    ]


# Errors


@pytest.mark.parametrize(
    ("given", "best", "message"),
    [
        ([], 1, "`epochs` must hold at least one epoch. Received: none"),
        ([{"epoch": 1}], 1, "There must be a part `loss`. Received: epoch"),
        ([{**epochs(1)[0], "f1": None}], 1, "The part `f1` must be of type number. Received: None"),
        ([3], 1, "There must be a dictionary with `epoch`. Received: 3"),
        (epochs(3), 4, "`best_epoch` must be one of the epochs, 1 to 3. Received: 4"),
    ],
)
def test_wrong_epochs_are_named(given, best, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        learning_chart(given, best)


@pytest.mark.parametrize("chart", [label_chart, confusion_chart])
@pytest.mark.parametrize(
    ("score", "message"),
    [
        ({}, "There must be a part `labels`. Received: "),
        ({"labels": {}}, "`score` must have at least one label with a name. Received: []"),
        (words(), "`score` must have at least one label with a name. Received: ['']"),
        ({"labels": {"PER": {"f1": 1.0}}}, "There must be a part `precision`. Received: f1"),
        (
            {"labels": {"PER": {**counted(1, 1, 1), "gold": 1.5}}},
            "The part `gold` must be of type int. Received: 1.5",
        ),
    ],
)
def test_wrong_labels_are_named(chart, score, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        chart(score)


@pytest.mark.parametrize("triple", [["PER", "LOC"], [1, "PER", 2], ["PER", "LOC", "2"], None])
def test_wrong_confusions_are_named(triple):
    message = f"a count. Received: {triple!r}"
    with pytest.raises(ValueError, match=re.escape(message)):
        confusion_chart({**entities(), "confusion": [triple]})


@pytest.mark.parametrize("format", [{"format": 2}, {"task": "classify"}])
def test_other_metrics_are_refused(tmp_path, format):
    with pytest.raises(ValueError, match=r"`metrics` must be those of a tagger.* Received: "):
        write(tmp_path, {**metrics(entities()), **format})
    assert list(tmp_path.iterdir()) == []


MISSING = ("settings", "train", "dev", "weights", "seconds", "best_epoch", "epochs", "score")


@pytest.mark.parametrize("name", MISSING)
def test_a_missing_part_is_named(tmp_path, name):
    given = copy.deepcopy(metrics(entities()))
    del given[name]
    with pytest.raises(ValueError, match=f"There must be a part `{name}`. Received: "):
        write(tmp_path, given)
    assert list(tmp_path.iterdir()) == []
