"""A signal report in the terminal and in a browser."""

import json
import math
import re

import pytest
from plotly.offline import get_plotlyjs

pytest.importorskip("keras")

from taolu.nn.jacobian import Spectrum
from taolu.nn.signal import LayerSignal, SignalReport
from taolu.report.signal import signal_table, write_signal_report

NASTY = "</script><b>x&lt;</b>"

ROWS = (
    LayerSignal("x", "Input", (4,), 2.0, 1.0, 0.5, None, None),
    LayerSignal(
        *("dense", "Dense", (2, 3), 1.0, 0.408248, 0.7),
        *(Spectrum(0.0, 0.5, 2.0, 1.0), Spectrum(0.0, 0.25, 3.0, 0.9)),
    ),
    LayerSignal(
        *("deep", "Dense", (2,), 1.3e-7, 8.8e-8, 1.0),
        *(Spectrum(1e-12, 1e-3, 1.0, 0.1), Spectrum(math.nan, math.nan, math.nan, math.nan)),
    ),
)
REPORT = SignalReport("model", 8, ROWS)


def named(name):
    row = ROWS[1]
    changed = LayerSignal(name, *(getattr(row, key) for key in list(row.__dict__)[1:]))
    return SignalReport("model", 8, (ROWS[0], changed))


def page_data(page):
    text = page.read_text(encoding="utf-8")
    return json.loads(re.search(r'id="data">(.*?)</script>', text, re.DOTALL).group(1))


def write(folder, report=REPORT):
    write_signal_report(report, folder / "signal.html")
    return folder / "signal.html"


# The table


def test_the_table_has_a_line_for_each_tensor_and_the_drifts_below():
    lines = signal_table(REPORT).splitlines()
    assert [" ".join(line.split()) for line in lines[1:5]] == [
        "layer kind shape length rms gradient min median max min median max",
        "x Input 4 2.00 1.00 0.500 - - - - - -",
        "dense Dense 2×3 1.00 0.408 0.700 0 0.500 2.00 0 0.250 3.00",
        "deep Dense 2 1.3e-7 8.8e-8 1.00 1.0e-12 0.00100 1.00 nan nan nan",
    ]
    assert len({len(line) for line in lines[1:5]}) == 1
    assert lines[0].split() == ["layer", "alone", "from", "the", "inputs"]
    forward, backward = math.log(1.3e-7 / 2) / 2, math.log(0.5) / 2
    assert f"by {forward:.3f} a row" in lines[5]
    assert f"by {backward:.4f} a row back" in lines[5]


# The page


def test_the_page_names_nothing_outside_itself(tmp_path):
    text = write(tmp_path).read_text(encoding="utf-8")
    ours = text.replace(get_plotlyjs(), "")
    assert len(ours) < len(text) - 1_000_000
    assert re.findall(r"(?:src|href)\s*=\s*[\"']([^\"']*)", ours) == ["data:,"]
    assert not re.search(r"https?:|@import|url\(|<iframe|<img", ours)
    assert "default-src 'none'" in ours


def test_the_numbers_stand_in_the_page(tmp_path):
    data = page_data(write(tmp_path))
    assert data["name"] == ["x", "dense", "deep"]
    assert data["shape"] == ["4", "2×3", "2"]
    assert data["forward"] == [2.0, 1.0, 1.3e-7]
    assert data["own"] == [[None] * 3, [0.0, 0.5, 2.0], [1e-12, 1e-3, 1.0]]
    assert data["through"][2] == [None] * 3
    assert data["own_typical"] == [None, 1.0, 0.1]


def test_names_never_act_as_markup(tmp_path):
    plain = write(tmp_path).read_text(encoding="utf-8")
    page = write(tmp_path, named(NASTY))
    for tag in ("</script", "<script", "<b>x"):
        assert page.read_text(encoding="utf-8").count(tag) == plain.count(tag), tag
    assert page_data(page)["name"][1] == NASTY


def test_a_page_that_cannot_be_written_is_an_error_and_leaves_nothing(tmp_path):
    with pytest.raises(OSError, match="missing"):
        write_signal_report(REPORT, tmp_path / "missing" / "signal.html")
    assert list(tmp_path.iterdir()) == []


# In a browser


@pytest.mark.browser
def test_the_page_draws_three_charts_and_a_table(tmp_path, ask):
    seen = ask(
        write(tmp_path),
        """return {
          title: text("h1")[0], tiles: text(".tile strong"), rows: table("signal-table"),
          plots: all(".chart svg.main-svg").length > 2,
          lines: all("#length-chart .scatterlayer .trace").length,
          bands: all("#own-chart .scatterlayer .fills path").length,
          dots: all("#own-chart .scatterlayer .point").length,
          wide: [document.documentElement.scrollWidth, innerWidth],
          fetched: performance.getEntriesByType("resource").length,
        };""",
    )
    assert seen["title"] == "每过一层，信号 ×2.5e-4，一层层变弱；梯度 ×0.707，一层层变弱"
    assert seen["tiles"] == ["3", "×6.5e-8", "×0.500", "–", "–"]
    assert seen["rows"][0] == ["x", "Input", "4", "2.00", "1.00", "0.500", *["–"] * 6]
    assert seen["rows"][1][3:] == [
        "1.00",
        "0.408",
        "0.700",
        "0",
        "0.500",
        "2.00",
        "0",
        "0.250",
        "3.00",
    ]
    assert seen["plots"]
    assert (seen["lines"], seen["bands"]) == (2, 1)
    assert seen["dots"] >= 2
    assert seen["wide"][0] <= seen["wide"][1]
    assert seen["fetched"] == 0


@pytest.mark.browser
def test_special_names_are_shown_as_they_are(tmp_path, ask):
    seen = ask(
        write(tmp_path, named(NASTY)),
        'return { cell: table("signal-table")[1][0], bold: all("td b, .chart b").length };',
    )
    assert seen == {"cell": NASTY, "bold": 0}


@pytest.mark.browser
def test_a_report_without_jacobians_says_so(tmp_path, ask):
    rows = tuple(
        LayerSignal(f"h{at}", "Dense", (9,), 3.0, 1.0, 1.0, None, None) for at in range(40)
    )
    seen = ask(
        write(tmp_path, SignalReport("wide", 8, rows)),
        """return { title: text("h1")[0], note: text("#spectra-note")[0],
          hidden: all(".chart[hidden]").length, good: all(".tile.good").length,
          wide: document.documentElement.scrollWidth <= innerWidth };""",
        width=500,
    )
    assert seen["title"] == "每过一层，信号 ×1.00，守住了长度；梯度 ×1.00，守住了长度"
    assert seen["note"] == "没有求雅可比矩阵：张量都比要求的大。"
    assert (seen["hidden"], seen["good"], seen["wide"]) == (2, 2, True)
