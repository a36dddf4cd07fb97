"""How a tagger was trained and what it finds, as one page: key numbers, curves, labels, a table."""

import math
import os
from collections.abc import Mapping, Sequence
from typing import Any

from taolu.report.charts import Chart, axes, line, write_charts
from taolu.report.labels import (
    NUMBER,
    SCORES,
    column,
    confusion_chart,
    label_chart,
    label_table,
    part,
    percent,
)

TICKS = 20  # epochs of which each has its tick
DOTS = 60  # epochs of which each has its dot


def write_training(
    path: str | os.PathLike[str], metrics: Mapping[str, Any], title: str | None = None
) -> None:
    """Writes the page about the training of a tagger, from the metrics beside its model.

    The page is written beside its final name and renamed, so it is whole or absent.

    Args:
        path: Name of the page; an older page of that name is replaced.
        metrics: What stands in `metrics.json` of the folder of a tagger.
        title: Headline of the page; without one, the best epoch and its F1.

    Raises:
        ValueError: The metrics are none of a tagger, or a part of them is missing.
        OSError: The page cannot be written there.

    Example:
        >>> write_training("page.html", json.load(open("model/metrics.json")))  # doctest: +SKIP
    """
    version, task = metrics.get("format"), metrics.get("task")
    if (version, task) != (1, "tag"):
        raise ValueError(
            "`metrics` must be those of a tagger, of format 1 and task 'tag'. "
            f"Received: format={version!r}, task={task!r}."
        )
    score, best = part(metrics, "score", Mapping), part(metrics, "best_epoch", int)
    charts = [learning_chart(part(metrics, "epochs", Sequence), best)]
    if any(part(score, "labels", Mapping)):
        charts += [label_chart(score), confusion_chart(score)]
    if title is None:
        f1 = percent(part(score, "f1", NUMBER))
        title = f"学了 {len(metrics['epochs'])} 轮，第 {best} 轮最好：F1 {f1}"
    write_charts(
        path,
        title,
        charts,
        ("训练报告", "training of a tagger"),
        sources=_sources(metrics),
        tiles=_tiles(metrics),
        table=label_table(score, _note(score)),
    )


def learning_chart(epochs: Sequence[Mapping[str, Any]], best_epoch: int) -> Chart:
    """Loss on the training text, and the scores of the development text, over the epochs.

    Args:
        epochs: Of each epoch its number `epoch`, the `loss` in nats per character, and
            `precision`, `recall` and `f1` between 0 and 1.
        best_epoch: Number of the epoch whose weights were kept.

    Raises:
        ValueError: There is no epoch, one lacks a number, or the best is none of them.

    Example:
        >>> epoch = {"epoch": 1, "loss": 0.5, "precision": 0.8, "recall": 0.6, "f1": 0.7}
        >>> [trace["y"] for trace in learning_chart([epoch], 1).traces]
        [[0.5], [0.8], [0.6], [0.7]]
    """
    if not epochs:
        raise ValueError("`epochs` must hold at least one epoch. Received: none.")
    places = [part(epoch, "epoch", int) for epoch in epochs]
    if best_epoch not in places:
        raise ValueError(
            f"`best_epoch` must be one of the epochs, {places[0]} to {places[-1]}. "
            f"Received: {best_epoch}."
        )
    marked = len(epochs) <= DOTS
    loss = line("损失（左）loss", places, column(epochs, "loss"), "--second", marked)
    loss["hovertemplate"] = "损失 %{y:.3~g}<extra></extra>"
    traces = [loss]
    for key, name, colour in (*SCORES, ("f1", "F1", "--accent")):
        trace = line(name, places, column(epochs, key), colour, marked)
        trace["line"]["width"] = 3 if key == "f1" else 1.5
        trace |= {"yaxis": "y2", "hovertemplate": f"{name} %{{y:.2%}}<extra></extra>"}
        traces.append(trace)
    for trace in traces:
        if marked:
            trace["marker"] = {"size": 6 if len(epochs) > 1 else 10}
    layout = axes("轮 epoch", "训练损失 nats/字")
    room = 0.04 * (places[-1] - places[0]) or 0.5
    layout["xaxis"] |= {"range": [places[0] - room, places[-1] + room], "showgrid": False}
    layout["xaxis"] |= {"dtick": 1} if len(epochs) <= TICKS else {"tickformat": "d"}
    layout["yaxis"]["rangemode"] = "tozero"
    layout["yaxis2"] = _right_axis([value for trace in traces[1:] for value in trace["y"]])
    late = best_epoch > (places[0] + places[-1]) / 2
    layout |= {"hovermode": "x unified", **_best_line(best_epoch, late)}
    note = "损失是训练文本每个字的，分数是开发集的。留下的是虚线那一轮的权重。"
    return Chart("学习曲线", note, traces, layout, "learning curves")


def _right_axis(values):
    """From the ten percent below the least score to one."""
    least = min((value for value in values if value is not None), default=0)
    return {
        "title": {"text": "开发集 dev"},
        "overlaying": "y",
        "side": "right",
        "range": [max(0, math.floor(10 * least - 0.2) / 10), 1.0],
        "tickformat": ".0%",
        "tickmode": "auto",  # not where the ticks of the losses stand
        "showgrid": False,
        "zeroline": False,
    }


def _best_line(epoch, late):
    across = {"x0": epoch, "x1": epoch, "y0": 0, "y1": 1, "xref": "x", "yref": "paper"}
    dashes = {"color": "--quiet", "width": 1, "dash": "dash"}
    # On the side with more room, halfway up: losses end below, scores above.
    name = {
        "text": f"最好 best：{epoch}",
        "x": epoch,
        "xanchor": "right" if late else "left",
        "xshift": -6 if late else 6,
        "y": 0.5,
        "yref": "paper",
        "showarrow": False,
        "font": {"size": 12, "color": "--quiet"},
    }
    return {
        "shapes": [{"type": "line", **across, "line": dashes, "layer": "below"}],
        "annotations": [name],
    }


def _sources(metrics):
    texts = []
    for name, key in (("训练", "train"), ("开发集", "dev")):
        text = part(metrics, key, Mapping)
        sentences, characters = (part(text, unit, int) for unit in ("sentences", "characters"))
        texts.append(f"{name} {sentences:,} 句、{characters:,} 字")
    settings = part(metrics, "settings", Mapping)
    return " · ".join([*texts, *(f"{key} {value}" for key, value in settings.items())])


def _tiles(metrics):
    score, train = metrics["score"], part(metrics, "train", Mapping)
    weights, seconds = (part(metrics, key, NUMBER) for key in ("weights", "seconds"))
    return (
        ("F1", percent(part(score, "f1", NUMBER))),
        ("精确率 precision", percent(part(score, "precision", NUMBER))),
        ("召回率 recall", percent(part(score, "recall", NUMBER))),
        ("最佳轮 best epoch", f"{metrics['best_epoch']} / {len(metrics['epochs'])}"),
        ("句子 sentences", f"{part(train, 'sentences', int):,}"),
        ("权重 weights", f"{weights / 1e6:,.2f} M"),
        ("分钟 minutes", f"{seconds / 60:,.1f}"),
    )


def _note(score):
    right, sentences = (part(score, key, int) for key in ("exact_sentences", "sentences"))
    told = f"全对的句子 {right:,} / {sentences:,}。"
    if len(score["labels"]) > 1:
        told += f"各标签 F1 的平均 {percent(part(score, 'macro_f1', NUMBER))}。"
    if unseen := score.get("unseen"):
        share, recall, seen = (unseen.get(key) for key in ("share", "recall", "seen_recall"))
        told += f"训练里没见过的占 {percent(share)}，召回率 {percent(recall)}；"
        told += f"见过的召回率 {percent(seen)}。"
    return told
