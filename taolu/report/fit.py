"""What EM found, as charts: the climb, the ellipses of a mixture, the hidden states over time."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from taolu.report.charts import PALETTE, Chart, axes, line, numbers

POINTS = 3000  # drawn of a mixture; more only make the page heavy
CURVE = 73  # corners of an ellipse
WIDE = 2  # times as wide as high: too flat a picture for one scale of both axes
READABLE = 60  # steps of which each can be labelled


def convergence_chart(
    histories: Mapping[str, np.ndarray] | np.ndarray,
    heading: str = "收敛",
    note: str = "",
    unit: str = "每个样本的比特 bits",
) -> Chart:
    """Code length of one observation, in bits, over the iterations of EM: it never rises.

    Args:
        histories: Mean log-likelihoods in nats, float (iterations + 1,), as `log_likelihoods_` of a
            model or of `em`; or the name of each run -> its history.
        heading: Title of the picture.
        note: What to see in it.
        unit: What the upright axis shows.

    Raises:
        ValueError: There is no history, or one is no row of numbers.

    Example:
        >>> convergence_chart([-2.0, -1.0]).traces[0]["y"]
        [2.88539, 1.442695]
    """
    if not isinstance(histories, Mapping):
        histories = {"EM": histories}
    if not histories:
        raise ValueError("`histories` must hold at least one history. Received: none.")
    traces = []
    for place, (name, history) in enumerate(histories.items()):
        bits = -np.asarray(history, dtype=np.float64) / math.log(2)
        if bits.ndim != 1 or bits.size == 0:
            raise ValueError(
                "A history must have the shape (iterations + 1,). "
                f"Received: {name!r} of shape {bits.shape}."
            )
        colour = PALETTE[place % len(PALETTE)]
        traces.append(line(name, np.arange(len(bits)), bits, colour, marked=len(bits) <= READABLE))
    layout = axes("迭代 iteration", unit)
    layout["xaxis"]["rangemode"] = "tozero"
    return Chart(heading, note, traces, {**layout, "showlegend": len(traces) > 1})


def mixture_chart(
    model: Any,
    points: np.ndarray,
    features: tuple[int, int] = (0, 1),
    names: tuple[str, str] = ("x₁", "x₂"),
    heading: str = "混合",
    note: str = "",
) -> Chart:
    """Observations in the colour of their component, under ellipses of one and two deviations.

    Of data with more than two features a plane is shown: the part of a covariance that belongs to
    two features is the covariance of these two, so the ellipses are exact.

    Args:
        model: A fitted `GaussianMixture`.
        points: Observations, float (observations, features).
        features: Which two features span the plane.
        names: Their names.
        heading: Title of the picture.
        note: What to see in it.

    Raises:
        ValueError: The points have another width, or the features are no two of them.

    Example:
        >>> from taolu.fit import GaussianMixture
        >>> x = np.random.default_rng(0).normal(size=(50, 2))
        >>> chart = mixture_chart(GaussianMixture(1).fit(x), x)
        >>> [trace["name"] for trace in chart.traces]
        ['1：100%', '1σ', '2σ']
    """
    points = np.asarray(points, dtype=np.float64)
    width = model.means_.shape[1]
    pair = list(features)
    if len(set(pair)) != 2 or not set(pair) <= set(range(width)):
        raise ValueError(
            f"`features` must be two different numbers from 0 to {width - 1}. Received: {features}."
        )
    components = model.predict(points)
    shown = np.linspace(0, len(points) - 1, min(len(points), POINTS)).astype(int)
    traces = []
    for k, (weight, mean) in enumerate(zip(model.weights_, model.means_, strict=True)):
        colour = PALETTE[k % len(PALETTE)]
        mine = points[shown[components[shown] == k]]
        dots = line(f"{k + 1}：{weight:.0%}", mine[:, pair[0]], mine[:, pair[1]], colour)
        del dots["line"]
        dots |= {"mode": "markers", "marker": {"color": colour, "size": 5, "opacity": 0.55}}
        traces.append({**dots, "legendgroup": str(k)})
        matrix = _covariance(model, k, width)[np.ix_(pair, pair)]
        for deviations in (1, 2):
            x, y = _ellipse(mean[pair], matrix, deviations)
            curve = line(f"{deviations}σ", x, y, colour)
            curve["line"] = {"color": colour, "width": 2.5 if deviations == 1 else 1.5}
            hidden = {"showlegend": False, "hoverinfo": "skip", "legendgroup": str(k)}
            traces.append({**curve, **hidden})
    layout = axes(*names)
    spans = np.ptp(points[:, pair], axis=0)
    if spans.max() < WIDE * spans.min():
        # One scale for both axes, so that a round component looks round.
        layout["yaxis"] |= {"scaleanchor": "x", "constrain": "domain"}
        layout["xaxis"]["constrain"] = "domain"
    return Chart(heading, note, traces, layout)


def states_chart(
    posterior: np.ndarray,
    path: np.ndarray | None = None,
    labels: Sequence[str] | None = None,
    observations: Sequence[object] | None = None,
    heading: str = "隐藏状态",
    note: str = "",
) -> Chart:
    """Probability of each hidden state at each step, and the best path through them.

    Args:
        posterior: Probability of each state given all observations, float (time, states).
        path: State of each step on the most probable path, int (time,).
        labels: Names of the states, from the first on.
        observations: What was seen at each step; written below a short chain, shown when hovering
            over a long one.
        heading: Title of the picture.
        note: What to see in it.

    Raises:
        ValueError: The shapes do not fit together.

    Example:
        >>> chart = states_chart([[0.9, 0.1], [0.2, 0.8]], [0, 1], labels=["B", "E"])
        >>> chart.traces[0]["z"], chart.traces[1]["y"]
        ([[0.9, 0.2], [0.1, 0.8]], [0.0, 1.0])
    """
    posterior = np.asarray(posterior, dtype=np.float64)
    if posterior.ndim != 2 or posterior.size == 0:
        raise ValueError(
            "`posterior` must have the shape (time, states). "
            f"Received: the shape {posterior.shape}."
        )
    time, states = posterior.shape
    labels = [str(k + 1) for k in range(states)] if labels is None else [str(k) for k in labels]
    seen = None if observations is None else [str(value) for value in observations]
    given = (("path", path, time), ("labels", labels, states), ("observations", seen, time))
    for name, found, expected in given:
        if found is not None and len(found) != expected:
            raise ValueError(
                f"`{name}` must have {expected} values for a posterior of shape {posterior.shape}. "
                f"Received: {len(found)}."
            )
    traces: list[dict[str, Any]] = [_heat(posterior, labels, seen)]
    if path is not None:
        steps = line("最佳路径 path", np.arange(time), path, "--second", marked=time <= READABLE)
        steps["line"] |= {"shape": "hvh", "width": 2.5}
        traces.append({**steps, "hoverinfo": "skip"})
    layout = axes("", "")  # a chain says by itself that it runs in time
    layout["yaxis"] |= {
        "tickvals": list(range(states)),
        "ticktext": labels,
        "range": [states - 0.5, -0.5],
        "zeroline": False,
        "showgrid": False,
    }
    layout["xaxis"] |= {"zeroline": False, "showgrid": False, "range": [-0.5, time - 0.5]}
    if seen is not None and time <= READABLE:
        layout["xaxis"] |= {"tickvals": list(range(time)), "ticktext": seen, "tickangle": 0}
    return Chart(heading, note, traces, {**layout, "showlegend": path is not None})


def _heat(posterior, labels, seen):
    time, states = posterior.shape
    words = [""] * time if seen is None else [f" {word}" for word in seen]
    return {
        "type": "heatmap",
        "name": "概率 probability",
        "x": list(range(time)),
        "y": list(range(states)),
        "z": [numbers(column) for column in posterior.T],
        "text": [[f"{t}{words[t]}, {label}" for t in range(time)] for label in labels],
        "zmin": 0.0,
        "zmax": 1.0,
        "colorscale": [[0, "--hover"], [1, "--accent"]],
        "xgap": 1 if time <= READABLE else 0,
        "ygap": 1,
        # Above the picture, beside the legend: on a telephone there is no room to the right.
        "colorbar": {
            "orientation": "h",
            "x": 1,
            "xanchor": "right",
            "y": 1.02,
            "yanchor": "bottom",
            "len": 0.4,
            "thickness": 8,
            "xpad": 12,
            "outlinewidth": 0,
            "tickvals": [0, 0.5, 1],
            "tickformat": ".0%",
        },
        "hovertemplate": "%{text}: %{z:.1%}<extra></extra>",
    }


def _covariance(model, k, width) -> np.ndarray:
    found = np.asarray(model.covariances_)
    if model.covariance_type == "tied":
        return found
    if model.covariance_type == "full":
        return found[k]
    return np.diag(np.broadcast_to(found[k], width))


def _ellipse(mean, matrix, deviations):
    """Points at this many deviations from the mean, in every direction."""
    angles = np.linspace(0, 2 * np.pi, CURVE)
    circle = np.stack([np.cos(angles), np.sin(angles)])
    # Rounding may leave a flat ellipse a little below zero.
    values, vectors = np.linalg.eigh(matrix)
    found = mean[:, None] + deviations * (vectors * np.sqrt(np.maximum(values, 0))) @ circle
    return found[0], found[1]
