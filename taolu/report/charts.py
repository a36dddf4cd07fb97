"""Charts on one page that opens offline: what every page of charts shares.

Python hands over Plotly figures as JSON, with the names of palette colours where colours stand;
`chart_page.js` puts in the colours of the light or dark page and draws. As on the page of a
codebook, everything is written into the file and the browser may fetch nothing.
"""

import html
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from string import Template
from typing import Any

import numpy as np
from plotly.offline import get_plotlyjs

from taolu.text.files import replacing

PALETTE = ("--accent", "--second", "--blue", "--red", "--violet", "--quiet")


@dataclass(frozen=True)
class Chart:
    """One picture of the page.

    Args:
        heading: Its title.
        note: What to see in it.
        traces: Traces of Plotly as plain data; a colour may be the name of a palette colour.
        layout: Layout of Plotly, likewise.
        english: Its title in English, beside the other.
        width: Pixels it needs; on a narrower page it can be moved aside.
    """

    heading: str
    note: str
    traces: list[dict[str, Any]]
    layout: dict[str, Any]
    english: str = ""
    width: int = 0


@dataclass(frozen=True)
class Table:
    """A table below the pictures.

    Args:
        heading: Its title.
        note: What to see in it.
        columns: Name of each column, in Chinese and in English.
        rows: Cells of each row, as text; all but the first stand to the right.
        english: Its title in English, beside the other.
    """

    heading: str
    note: str
    columns: Sequence[tuple[str, str]]
    rows: Sequence[Sequence[str]]
    english: str = ""


def write_charts(
    path: str | os.PathLike[str],
    title: str,
    charts: Sequence[Chart],
    about: tuple[str, str] = ("图", "charts"),
    *,
    sources: str = "",
    tiles: Sequence[tuple[str, str]] = (),
    table: Table | None = None,
) -> None:
    """Writes the page that shows the charts, one below the other.

    The page is written beside its final name and renamed, so it is whole or absent.

    Args:
        path: Name of the page; an older page of that name is replaced.
        title: Headline of the page.
        charts: What the functions named `..._chart` gave.
        about: What the page is about, in Chinese and in English, above the headline.
        sources: What the figures come from, below the headline.
        tiles: Key numbers, each a label and a value; the first is the one to look at.
        table: What stands below the pictures.

    Raises:
        ValueError: There is no chart.
        OSError: The page cannot be written there.

    Example:
        >>> chart = Chart("直线", "", [line("y = x", [0, 1], [0, 1], PALETTE[0])], axes("x", "y"))
        >>> write_charts("page.html", "一张图", [chart])    # doctest: +SKIP
    """
    if not charts:
        raise ValueError("`charts` must hold at least one chart. Received: none.")
    data = {
        "title": title,
        "sources": sources,
        "tiles": tiles,
        "charts": [vars(chart) for chart in charts],
        "table": table and vars(table),
    }
    # `<` is the one character that could end the script element the JSON stands in.
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")
    page = Template(_asset("chart_page.html")).substitute(
        about=html.escape(about[0]),
        english=html.escape(about[1]),
        style=_asset("codebook.css"),
        script=_asset("chart_page.js"),
        plotly=get_plotlyjs(),
        data=text,
    )
    with replacing(path) as file:
        # Half a surrogate pair, which JSON may hold, cannot stand in a file.
        file.write(page.encode("utf-8", "replace").decode())


def line(name: str, x, y, colour: str, marked: bool = False) -> dict[str, Any]:
    """A trace of Plotly: a line, with a dot on every point if `marked`."""
    trace = {
        "type": "scatter",
        "mode": "lines+markers" if marked else "lines",
        "name": name,
        "x": numbers(x),
        "y": numbers(y),
        "line": {"color": colour, "width": 2},
    }
    return {**trace, "marker": {"size": 4}} if marked else trace


def axes(x: str, y: str) -> dict[str, Any]:
    """A layout of Plotly: the titles of both axes."""
    return {"xaxis": {"title": {"text": x}}, "yaxis": {"title": {"text": y}}}


def numbers(values) -> list[float | None]:
    """Seven digits of each number; JSON knows neither nan nor infinity, so they become None."""
    # With fewer, the climb of EM turns into stairs near its end.
    return [float(f"{v:.7g}") if np.isfinite(v) else None for v in np.asarray(values, dtype=float)]


def _asset(name: str) -> str:
    return files("taolu.report").joinpath(name).read_text(encoding="utf-8")
