"""Charts of what EM found: the figures in them, the page, and what a browser makes of it."""

import json
import math
import re

import numpy as np
import pytest
from plotly.offline import get_plotlyjs

from taolu.fit import GaussianMixture
from taolu.report.charts import Chart, axes, line, write_charts
from taolu.report.fit import convergence_chart, mixture_chart, states_chart

NASTY = "</script><b>x&lt;</b>"


def fitted(kind="full", width=2):
    rng = np.random.default_rng(0)
    x = np.concatenate([rng.normal(0, 1, (60, width)), rng.normal(8, 2, (90, width))])
    return GaussianMixture(2, covariance_type=kind, random_state=0).fit(x), x


def posterior(time=8, states=3, seed=0):
    return np.random.default_rng(seed).dirichlet(np.ones(states), time)


def three():
    model, x = fitted()
    return [
        convergence_chart({"full": model.log_likelihoods_, NASTY: [-2.0, -1.0]}),
        mixture_chart(model, x),
        states_chart(
            posterior(), np.arange(8) % 3, ["B", NASTY, "--ink"], [*list("一二三四五六七"), NASTY]
        ),
    ]


def page_data(page):
    text = page.read_text(encoding="utf-8")
    return json.loads(re.search(r'id="data">(.*?)</script>', text, re.DOTALL).group(1))


# Convergence


def test_a_history_is_drawn_in_bits():
    chart = convergence_chart(np.log([0.25, 0.5]), heading="走", note="看")
    assert chart.traces[0]["y"] == [2, 1]
    assert chart.traces[0]["x"] == [0, 1]
    assert chart.layout["showlegend"] is False
    assert (chart.heading, chart.note) == ("走", "看")


def test_several_histories_have_names_and_colours():
    chart = convergence_chart({"a": [-1.0, -0.5, -0.4], "b": [-1.0]})
    assert [trace["name"] for trace in chart.traces] == ["a", "b"]
    assert len({trace["line"]["color"] for trace in chart.traces}) == 2
    assert chart.layout["showlegend"] is True


# Mixtures


@pytest.mark.parametrize("kind", ["full", "tied", "diag", "spherical"])
@pytest.mark.parametrize("features", [(0, 1), (2, 0)])
def test_ellipses_lie_at_one_and_two_deviations(kind, features):
    model, x = fitted(kind, width=3)
    traces = mixture_chart(model, x, features).traces
    assert [trace["name"] for trace in traces[1::3] + traces[2::3]] == ["1σ", "1σ", "2σ", "2σ"]
    for k in range(2):
        matrix = model.covariances_ if kind == "tied" else model.covariances_[k]
        if kind in ("diag", "spherical"):
            matrix = np.diag(np.broadcast_to(matrix, 3))
        inverse = np.linalg.inv(matrix[np.ix_(features, features)])
        for deviations in (1, 2):
            trace = traces[3 * k + deviations]
            apart = np.stack([trace["x"], trace["y"]], axis=1) - model.means_[k][list(features)]
            distance = np.sqrt(np.einsum("ni,ij,nj->n", apart, inverse, apart))
            np.testing.assert_allclose(distance, deviations, rtol=1e-3)


def test_every_point_has_the_colour_of_its_component():
    model, x = fitted()
    traces = mixture_chart(model, x).traces
    for k in range(2):
        mine = x[model.predict(x) == k]
        np.testing.assert_allclose(traces[3 * k]["x"], mine[:, 0], rtol=1e-4)
        assert traces[3 * k]["marker"]["color"] == traces[3 * k + 1]["line"]["color"]
        assert f"{model.weights_[k]:.0%}" in traces[3 * k]["name"]


def test_a_picture_stays_light():
    model, x = fitted()
    traces = mixture_chart(model, np.tile(x, (100, 1))).traces
    assert sum(len(trace["x"]) for trace in traces[::3]) == 3000


# States


def test_states_are_rows_and_time_runs_to_the_right():
    found = posterior(5, 2)
    heat, path = states_chart(found, [0, 1, 1, 0, 1], ["B", "E"], list("我在北京看")).traces
    np.testing.assert_allclose(heat["z"], found.T, rtol=1e-4)
    assert heat["text"][1][2] == "2 北, E"
    assert path["y"] == [0, 1, 1, 0, 1]


def test_a_short_chain_shows_what_was_seen_and_a_long_one_does_not():
    short = states_chart(posterior(5), observations=list("我在北京看")).layout
    assert short["xaxis"]["ticktext"] == list("我在北京看")
    assert short["yaxis"]["ticktext"] == ["1", "2", "3"]
    long = states_chart(posterior(500), observations=range(500))
    assert "ticktext" not in long.layout["xaxis"]
    assert long.traces[0]["text"][0][7] == "7 7, 1"


# The page


def test_the_page_names_nothing_outside_itself(tmp_path):
    page = tmp_path / "page.html"
    write_charts(page, "三张图", three(), ("EM 找到了什么", "what <EM> found"))
    text = page.read_text(encoding="utf-8")
    ours = text.replace(get_plotlyjs(), "")
    assert len(ours) < len(text) - 1_000_000
    assert re.findall(r"(?:src|href)\s*=\s*[\"']([^\"']*)", ours) == ["data:,"]
    assert not re.search(r"https?:|@import|url\(|<iframe|<img", ours)
    assert "what &lt;EM&gt; found" in ours
    assert page_data(page)["title"] == "三张图"


def test_names_never_act_as_markup(tmp_path):
    write_charts(tmp_path / "nasty.html", NASTY, three())
    plain = [Chart("", "", [line("y", [0, 1], [0, math.inf], "--ink")], axes("x", "y"))]
    write_charts(tmp_path / "plain.html", "plain", plain)
    nasty, other = ((tmp_path / name).read_text("utf-8") for name in ("nasty.html", "plain.html"))
    for tag in ("</script", "<script", "<b>x"):
        assert nasty.count(tag) == other.count(tag), tag
    assert page_data(tmp_path / "plain.html")["charts"][0]["traces"][0]["y"] == [0, None]


@pytest.mark.browser
def test_a_browser_draws_every_chart_and_shows_markup_as_text(tmp_path, ask):
    page = tmp_path / "page.html"
    write_charts(page, "三张图", three())
    drawn, legend, ticks, bold = ask(
        page,
        """
        const boxes = all(".chart");
        const drawn = boxes.map((box) => box.querySelectorAll(".main-svg").length > 0);
        return [drawn, text(".legendtext"), text(".ytick text"), all("b").length];
        """,
    )
    assert drawn == [True, True, True]
    assert legend[:2] == ["full", NASTY]
    assert ticks[-3:] == ["B", NASTY, "--ink"]
    assert bold == 1  # the brand


# Errors


@pytest.mark.parametrize("histories", [{}, {"a": [[1.0]]}, []])
def test_histories_of_other_shapes_are_named(histories):
    with pytest.raises(ValueError, match=r"history.* Received: "):
        convergence_chart(histories)


@pytest.mark.parametrize("features", [(0, 0), (0, 2), (-1, 1)])
def test_features_must_be_two_of_the_data(features):
    model, x = fitted()
    with pytest.raises(ValueError, match="`features` must be two different numbers from 0 to 1"):
        mixture_chart(model, x, features)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"path": [0]}, "`path` must have 8 values for a posterior of shape .* Received: 1"),
        ({"labels": ["a"]}, "`labels` must have 3 values"),
        ({"observations": []}, "`observations` must have 8 values"),
    ],
)
def test_parts_of_another_length_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        states_chart(posterior(), **options)


def test_a_posterior_is_a_table():
    with pytest.raises(ValueError, match=r"`posterior` must have the shape \(time, states\)"):
        states_chart([0.5, 0.5])


def test_a_page_needs_a_chart(tmp_path):
    with pytest.raises(ValueError, match="`charts` must hold at least one chart"):
        write_charts(tmp_path / "page.html", "none", [])
