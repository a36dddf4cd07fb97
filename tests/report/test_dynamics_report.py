"""The page of optimizer dynamics: what stands in the file, and what a browser makes of it."""

import json
import re

import numpy as np
import pytest
from plotly.offline import get_plotlyjs

pytest.importorskip("keras")

from taolu.nn.optimizers.diffusion import stationary_density
from taolu.nn.optimizers.dynamics import euler, heavy_ball
from taolu.nn.optimizers.stability import stability_region
from taolu.report.dynamics import law_chart, region_chart, trajectory_chart, write_dynamics_report

NASTY = "</script><b>x&lt;</b>"
GRID = np.linspace(-3, 3, 61)


def plane():
    paths = {
        "descent": euler(lambda x: [0.1, 2.0] * x, [4.0, 1.0], 0.4, 20).position,
        "momentum": heavy_ball(lambda x: [0.1, 2.0] * x, [4.0, 1.0], 0.4, 0.8, 20).position,
    }
    return trajectory_chart(paths, lambda x: (x**2).sum(axis=1))


def law():
    walkers = np.random.default_rng(0).normal(size=(2, 5000))
    return law_chart(walkers, {"normal": stationary_density(np.square, GRID, 2.0)}, GRID)


def region(reach=0.0):
    return region_chart(stability_region([1.0, 2.0, 5.0], [0.0, 0.5], reach))


def write(folder, *charts, **options):
    write_dynamics_report(charts, folder / "page.html", **options)
    return folder / "page.html"


def page_data(page):
    text = page.read_text(encoding="utf-8")
    return json.loads(re.search(r'id="data">(.*?)</script>', text, re.DOTALL).group(1))


# Charts


def test_a_path_of_one_parameter_is_drawn_over_the_steps():
    chart = trajectory_chart({"a": [1.0, 0.5], "b": [1.0, np.inf]}, heading="走", note="看")
    assert (chart.heading, chart.note) == ("走", "看")
    assert [trace["name"] for trace in chart.traces] == ["a", "b"]
    assert chart.traces[0]["x"] == [0.0, 1.0]
    assert chart.traces[1]["y"] == [1.0, None]  # JSON knows no infinity


def test_paths_of_two_parameters_lie_over_the_lines_of_the_loss():
    contour, first, second = plane().traces
    assert contour["type"] == "contour"
    assert np.min(contour["x"]) < -0.4 < 4 < np.max(contour["x"])
    assert np.shape(contour["z"]) == (80, 80)
    assert (first["x"][0], first["y"][0]) == (4.0, 1.0)
    assert first["line"]["color"] != second["line"]["color"]


def test_the_histogram_has_the_height_of_the_law():
    bars, line = law().traces
    middle = np.argmin(np.abs(np.array(bars["x"])))
    assert bars["y"][middle] == pytest.approx(max(line["y"]), rel=0.15)
    area = sum(bars["y"]) * bars["width"]
    assert area == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize(("reach", "borders"), [(0.0, [2, 3]), (0.5, [2, 2]), (1.0, [2, 1.5])])
def test_the_region_ends_where_momentum_stops_converging(reach, borders):
    heat, border = region(reach).traces
    np.testing.assert_allclose(border["x"], borders)
    assert border["y"] == [0.0, 0.5]
    inside = np.array(heat["z"]) < 1
    np.testing.assert_array_equal(inside, np.array([1.0, 2.0, 5.0]) < np.array(borders)[:, None])
    assert np.max(heat["z"]) == pytest.approx(1.05)


# The page


def test_the_page_names_nothing_outside_itself(tmp_path):
    text = write(tmp_path, plane(), law(), region()).read_text(encoding="utf-8")
    ours = text.replace(get_plotlyjs(), "")
    assert len(ours) < len(text) - 1_000_000  # Plotly itself is inside
    assert re.findall(r"(?:src|href)\s*=\s*[\"']([^\"']*)", ours) == ["data:,"]
    assert not re.search(r"https?:|@import|url\(|<iframe|<img", ours)
    assert "default-src 'none'" in ours


def test_names_never_act_as_markup(tmp_path):
    plain = write(tmp_path, trajectory_chart({"a": [1.0, 2.0]})).read_text(encoding="utf-8")
    page = write(
        tmp_path, trajectory_chart({NASTY: [1.0, 2.0]}, heading=NASTY, note=NASTY), title=NASTY
    )
    for tag in ("</script", "<script", "<b>x"):
        assert page.read_text(encoding="utf-8").count(tag) == plain.count(tag), tag
    data = page_data(page)
    assert data["title"] == data["charts"][0]["heading"] == NASTY


def test_an_older_page_is_replaced_whole(tmp_path):
    write(tmp_path, law(), region())
    page = write(tmp_path, region(), title="只有一张")
    assert len(page_data(page)["charts"]) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["page.html"]


@pytest.mark.browser
def test_a_browser_draws_every_chart_and_says_nothing(tmp_path, ask):
    page = write(tmp_path, plane(), law(), region(), title="三张图")
    answer = ask(
        page,
        """
        const boxes = all(".chart");
        const drawn = boxes.map((box) => box.querySelectorAll(".main-svg").length > 0);
        return [text("h1"), drawn, boxes.map((box) => box.data.length), text(".legendtext")];
        """,
    )
    assert answer[0] == ["三张图"]
    assert answer[1] == [True, True, True]
    assert answer[2] == [3, 2, 2]
    assert answer[3] == ["descent", "momentum", "模拟 walkers", "normal"]


@pytest.mark.browser
def test_a_browser_shows_markup_as_text(tmp_path, ask):
    page = write(tmp_path, trajectory_chart({NASTY: [1.0, 2.0], "b": [2.0, 1.0]}, heading=NASTY))
    headings, legend, bold = ask(page, "return [text('h2'), text('.legendtext'), all('b').length];")
    assert headings == [NASTY]
    assert legend[0] == NASTY
    assert bold == 1  # the brand


# Errors


@pytest.mark.parametrize(
    "paths", [{}, {"a": np.zeros((3, 3))}, {"a": [1.0], "b": np.zeros((3, 2))}]
)
def test_paths_of_other_shapes_are_named(paths):
    with pytest.raises(ValueError, match=r"`paths` must all have the shape .* Received: {"):
        trajectory_chart(paths)


def test_a_law_must_fit_its_grid():
    with pytest.raises(ValueError, match=r"Received: 'x' of shape \(2,\), a grid of shape \(61,\)"):
        law_chart(np.zeros(3), {"x": np.ones(2)}, GRID)


def test_a_page_needs_a_chart(tmp_path):
    with pytest.raises(ValueError, match="`charts` must hold at least one chart"):
        write(tmp_path)
