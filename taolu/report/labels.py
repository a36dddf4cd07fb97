"""What a tagger finds of each label, and what it takes for another: two charts and a table."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from taolu.report.charts import Chart, Table, axes, line, numbers

SCORES = (("precision", "精确率 precision", "--blue"), ("recall", "召回率 recall", "--violet"))
LABELS = 30  # rows of the confusion; the other labels share one
UPRIGHT = 12  # columns of which each has room for its name
LETTERS = 16  # of a label beside a picture; the table has all of them
OTHER, NONE = "其他 other", "无 none"
UNNAMED = "词 word"  # the label of what only has bounds
NUMBER = int | float
COLUMNS = (
    ("标签", "label"),
    ("精确率", "precision"),
    ("召回率", "recall"),
    ("F1", "\u00a0"),  # a line as high as the others
    ("标注", "gold"),
    ("找到", "found"),
    ("找对", "hits"),
)


def label_chart(score: Mapping[str, Any]) -> Chart:
    """F1 of each label as a bar, with precision and recall marked, the most frequent on top.

    Args:
        score: `labels`, the name of each label -> its `precision`, `recall` and `f1` between 0 and
            1, and how many were `gold`, `found` and `hits`.

    Raises:
        ValueError: No label has a name, or one lacks a number.

    Example:
        >>> person = {"precision": 0.5, "recall": 1.0, "f1": 2 / 3}
        >>> person |= {"gold": 1, "found": 2, "hits": 1}
        >>> label_chart({"labels": {"PER": person}}).traces[0]["x"]
        [0.6666667]
    """
    labels = _named(score)
    rows = [labels[name] for name in labels]
    places = list(range(len(rows)))
    shown = [
        f"{name or UNNAMED}：{row['hits']:,} / 标注 {row['gold']:,}，找到 {row['found']:,}"
        for name, row in labels.items()
    ]
    bars = {
        "type": "bar",
        "orientation": "h",
        "name": "F1",
        "x": column(rows, "f1"),
        "y": places,
        "width": 0.62,
        "marker": {"color": "--low", "line": {"width": 0}},
        "text": shown,
        "textposition": "none",
        "hovertemplate": "%{text}<br>F1 %{x:.2%}<extra></extra>",
    }
    traces = [bars]
    for (key, name, colour), symbol in zip(SCORES, ("diamond", "circle"), strict=True):
        dots = line(name, column(rows, key), places, colour)
        del dots["line"]
        dots |= {"mode": "markers", "cliponaxis": False, "text": shown}
        dots["marker"] = {"color": colour, "size": 9, "symbol": symbol}
        dots["marker"]["line"] = {"color": "--card", "width": 1}
        dots["hovertemplate"] = f"%{{text}}<br>{name} %{{x:.2%}}<extra></extra>"
        traces.append(dots)
    layout = axes("", "")
    layout["xaxis"] |= {"range": [0, 1.04], "tickformat": ".0%", "dtick": 0.2}
    layout["yaxis"] |= _ticks([_short(name) for name in labels])
    layout["height"] = 90 + 30 * len(rows)
    note = "从上到下，标注里从多到少；少见的标签，分数也不可靠。"
    return Chart("各标签的分数", note, traces, layout, "scores by label")


def confusion_chart(score: Mapping[str, Any]) -> Chart:
    """How often spans of one label were found as another, not found at all, or made up.

    A row is a gold label, a column the label that was found at the same place; the colour of a cell
    is its share of the row. The 30 most frequent labels have rows of their own, the others share
    one, whose spans count as found there whichever of these labels they were given.

    Args:
        score: `labels` as in `label_chart`, and `confusion`, of triples: gold label, label found,
            count; None for no such span. Cells (label, label) that are missing are the hits.

    Raises:
        ValueError: No label has a name, one lacks a number, or a confusion is no such triple.

    Example:
        >>> person = {"precision": 1.0, "recall": 0.5, "f1": 2 / 3}
        >>> person |= {"gold": 2, "found": 1, "hits": 1}
        >>> score = {"labels": {"PER": person}, "confusion": [["PER", None, 1]]}
        >>> confusion_chart(score).traces[0]["z"]
        [[0.5, 0.5], [0.0, None]]
    """
    labels = _named(score)
    counts = _confusions(score, labels)
    # What `labels` does not know but was confused comes last.
    confused = {name for pair in counts for name in pair if name is not None}
    names = [*labels, *sorted(confused - set(labels))]
    kept, others = names[:LABELS], names[LABELS:]
    ticks = [*map(_short, kept), *([OTHER] if others else []), NONE]
    place: dict[str | None, int] = {name: at for at, name in enumerate(kept)}
    place |= dict.fromkeys(others, len(kept)) | {None: len(ticks) - 1}
    table = np.zeros((len(ticks), len(ticks)), dtype=np.int64)
    for (gold, found), count in counts.items():
        table[place[gold], place[found]] += count
    table[-1, -1] = 0
    shares = table / np.maximum(table.sum(axis=1, keepdims=True), 1)
    shares[-1, -1] = np.nan
    layout = axes("找到的 found", "标注的 gold")
    layout["xaxis"] |= {**_ticks(ticks), "side": "top", "range": [-0.5, len(ticks) - 0.5]}
    layout["yaxis"] |= _ticks(ticks)
    if len(ticks) > UPRIGHT:
        layout["xaxis"]["tickangle"] = -90
    layout |= {"height": 130 + 30 * len(ticks), "showlegend": False}
    note = "一行是标注的标签，一列是在同一处找到的标签；颜色是占这一行的份额。空格是零。"
    return Chart(
        "混淆", note, [_heat(table, shares, ticks)], layout, "confusion", 150 + 26 * len(ticks)
    )


def label_table(score: Mapping[str, Any], note: str = "") -> Table:
    """Scores and counts of every label, the most frequent on top.

    Args:
        score: `labels` as in `label_chart`; the empty name is allowed, of what only has bounds.
        note: What to see in it.

    Raises:
        ValueError: A label lacks a number.

    Example:
        >>> word = {"precision": 0.5, "recall": 1.0, "f1": 2 / 3, "gold": 1, "found": 2, "hits": 1}
        >>> label_table({"labels": {"": word}}).rows
        [['词 word', '50.0%', '100.0%', '66.7%', '1', '2', '1']]
    """
    rows = [
        [
            name or UNNAMED,
            *(percent(row[key]) for key in ("precision", "recall", "f1")),
            *(f"{row[key]:,}" for key in ("gold", "found", "hits")),
        ]
        for name, row in _sorted(score).items()
    ]
    return Table("数字", note, COLUMNS, rows, "figures")


def part(whole: Any, key: str, kind: Any) -> Any:
    """This part of a dictionary from a file, or an error that says that it is missing.

    Raises:
        ValueError: There is no such part, or it is of another type.
    """
    if not isinstance(whole, Mapping):
        raise ValueError(f"There must be a dictionary with `{key}`. Received: {whole!r}.")
    if key not in whole:
        raise ValueError(f"There must be a part `{key}`. Received: {', '.join(map(str, whole))}.")
    value = whole[key]
    if not isinstance(value, kind) or isinstance(value, str):
        name = getattr(kind, "__name__", "number")
        raise ValueError(f"The part `{key}` must be of type {name}. Received: {value!r}.")
    return value


def column(rows: Sequence[Any], key: str) -> list[float | None]:
    """This number of every row; one that is not finite as None.

    Raises:
        ValueError: A row lacks the number.
    """
    return numbers([part(row, key, NUMBER) for row in rows])


def percent(value: float | None) -> str:
    """A part of one, in percent; a dash if there is none."""
    return "–" if value is None or not math.isfinite(value) else f"{100 * value:.1f}%"


def _named(score) -> dict[str, Mapping[str, Any]]:
    """The labels in the order of their gold counts, if there is any but the empty one."""
    labels = _sorted(score)
    if not any(labels):
        raise ValueError(
            f"`score` must have at least one label with a name. Received: {list(labels)}."
        )
    return labels


def _sorted(score) -> dict[str, Mapping[str, Any]]:
    labels = part(score, "labels", Mapping)
    for row in labels.values():
        for key in ("precision", "recall", "f1"):
            part(row, key, NUMBER)
        for key in ("gold", "found", "hits"):
            part(row, key, int)
    return dict(sorted(labels.items(), key=lambda item: (-item[1]["gold"], item[0])))


def _confusions(score, labels) -> Counter[tuple[str | None, str | None]]:
    counts: Counter[tuple[str | None, str | None]] = Counter()
    for triple in part(score, "confusion", Sequence):
        match triple:
            case [str() | None as gold, str() | None as found, int() as count]:
                counts[gold, found] += count
            case _:
                raise ValueError(
                    "`confusion` must hold triples of a gold label, a label found, and a count. "
                    f"Received: {triple!r}."
                )
    for name, row in labels.items():
        counts.setdefault((name, name), row["hits"])
    return counts


def _heat(table, shares, ticks):
    cells = [[f"{count:,}" if count else "" for count in row] for row in table.tolist()]
    told = [
        [
            f"{gold} → {found}：{cells[a][b] or 0}，{shares[a, b]:.1%}"
            for b, found in enumerate(ticks)
        ]
        for a, gold in enumerate(ticks)
    ]
    told[-1][-1] = ""
    return {
        "type": "heatmap",
        "x": list(range(len(ticks))),
        "y": list(range(len(ticks))),
        "z": [numbers(row) for row in shares],
        "zmin": 0.0,
        "zmax": 1.0,
        "text": cells,
        "texttemplate": "%{text}",
        "hovertext": told,
        "hoverinfo": "text",
        "hoverongaps": False,
        "colorscale": [[0, "--hover"], [0.1, "--low"], [1, "--accent"]],  # one in twenty shows
        "showscale": False,
        "xgap": 1,
        "ygap": 1,
    }


def _ticks(names):
    """An axis with the first name on top, or on the left."""
    return {
        "tickvals": list(range(len(names))),
        "ticktext": names,
        "range": [len(names) - 0.5, -0.5],
        "zeroline": False,
        "showgrid": False,
        "ticks": "",
    }


def _short(name):
    name = name or UNNAMED
    return name if len(name) <= LETTERS else name[: LETTERS - 1] + "…"
