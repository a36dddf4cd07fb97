"""Paths of optimizers, stationary laws and stability regions, as charts of one page."""

import os
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from taolu.report.charts import PALETTE, Chart, axes, line, numbers, write_charts

if TYPE_CHECKING:
    from taolu.nn.optimizers.stability import StabilityRegion

LEVELS = 12  # contour lines of a loss
LIMIT = 1.05  # of the colours of a region: all that diverges looks alike
SHRINKING = [[0, "--high"], [0.55, "--accent"], [0.952, "--low"]]
SHRINKING += [[0.953, "--diverge"], [1, "--diverge"]]


def trajectory_chart(
    paths: Mapping[str, np.ndarray],
    loss: Callable[[np.ndarray], np.ndarray] | None = None,
    heading: str = "轨迹",
    note: str = "",
    value: str = "θ",
) -> Chart:
    """Paths of one parameter over the steps, or of two parameters over the lines of a loss.

    Args:
        paths: Name of each method -> its positions, float (steps + 1,) or (steps + 1, 2), all
            alike.
        loss: Loss of positions, from (points, 2) to (points,), drawn as contour lines.
        heading: Title of the picture.
        note: What to see in it.
        value: What the upright axis shows, for paths of one parameter.

    Raises:
        ValueError: There is no path, or a path has another shape.

    Example:
        >>> chart = trajectory_chart({"descent": np.array([1.0, 0.9, 0.81])})
        >>> chart.traces[0]["y"]
        [1.0, 0.9, 0.81]
    """
    drawn = {name: np.asarray(path, dtype=np.float64) for name, path in paths.items()}
    shapes = {path.shape[1:] for path in drawn.values()}
    if len(shapes) != 1 or not shapes <= {(), (2,)}:
        received = {name: path.shape for name, path in drawn.items()}
        raise ValueError(
            "`paths` must all have the shape (steps + 1,) or all (steps + 1, 2). "
            f"Received: {received}."
        )
    plane = shapes == {(2,)}
    traces = [_contours(loss, list(drawn.values()))] if plane and loss is not None else []
    for place, (name, path) in enumerate(drawn.items()):
        x, y = (path[:, 0], path[:, 1]) if plane else (np.arange(len(path)), path)
        traces.append(line(name, x, y, PALETTE[place % len(PALETTE)], plane))
    titles = ("θ₁", "θ₂") if plane else ("步 step", value)
    return Chart(heading, note, traces, axes(*titles))


def law_chart(
    positions: np.ndarray,
    laws: Mapping[str, np.ndarray],
    grid: np.ndarray,
    heading: str = "稳态",
    note: str = "",
) -> Chart:
    """A histogram of walkers under the densities that theory says.

    Args:
        positions: Float array of any shape, every value a walker.
        laws: Name of each law -> its density on the grid, float (points,).
        grid: Places, float (points,), increasing.
        heading: Title of the picture.
        note: What to see in it.

    Raises:
        ValueError: A law has not one value for each place of the grid.

    Example:
        >>> grid = np.linspace(-1, 1, 3)
        >>> chart = law_chart(np.zeros(10), {"flat": np.full(3, 0.5)}, grid)
        >>> [trace["name"] for trace in chart.traces]
        ['模拟 walkers', 'flat']
    """
    grid = np.asarray(grid, dtype=np.float64)
    for name, law in laws.items():
        if np.shape(law) != grid.shape:
            raise ValueError(
                "A law must have one value for each place of `grid`. "
                f"Received: {name!r} of shape {np.shape(law)}, a grid of shape {grid.shape}."
            )
    span = (float(grid[0]), float(grid[-1]))
    heights, edges = np.histogram(np.ravel(positions), bins=80, range=span, density=True)
    bars = {
        "type": "bar",
        "name": "模拟 walkers",
        "x": numbers((edges[1:] + edges[:-1]) / 2),
        "y": numbers(heights),
        "width": float(edges[1] - edges[0]),
        "marker": {"color": "--low", "line": {"width": 0}},
        "hovertemplate": "%{x:.2f}: %{y:.3f}<extra></extra>",
    }
    lines = [
        line(name, grid, np.asarray(law), PALETTE[place % len(PALETTE)], False)
        for place, (name, law) in enumerate(laws.items())
    ]
    return Chart(heading, note, [bars, *lines], {**axes("θ", "密度 density"), "bargap": 0})


def region_chart(region: "StabilityRegion", heading: str = "收敛区域", note: str = "") -> Chart:
    """How fast momentum converges for every rate and momentum, and the border where it stops.

    Args:
        region: What `taolu.nn.optimizers.stability.stability_region` gave.
        heading: Title of the picture.
        note: What to see in it.

    Example:
        >>> from types import SimpleNamespace as Like
        >>> region = Like(curved_rates=np.array([1.0, 5.0]), momenta=np.array([0.0, 0.5]),
        ...     factor=np.array([[0.0, 4.0], [0.7, 3.3]]), reach=0.0)
        >>> [trace["type"] for trace in region_chart(region).traces]
        ['heatmap', 'scatter']
    """
    x, y = numbers(region.curved_rates), numbers(region.momenta)
    heat = {
        "type": "heatmap",
        "x": x,
        "y": y,
        "z": [numbers(np.minimum(row, LIMIT)) for row in region.factor],
        "zmin": 0.0,
        "zmax": LIMIT,
        "zsmooth": "best",
        "colorscale": SHRINKING,
        "colorbar": {
            "title": {"text": "每步缩小到", "side": "top"},
            "thickness": 12,
            "outlinewidth": 0,
        },
        "hovertemplate": "αh %{x:.2f}, β %{y:.2f}: %{z:.3f}<extra></extra>",
    }
    momenta = np.asarray(region.momenta, dtype=np.float64)
    # A root of the recurrence is -1 there; see `taolu.nn.optimizers.stability`.
    edge = 2 * (1 + momenta) / (1 + 2 * region.reach * momenta)
    border = {**line("1", edge, momenta, "--ink", False), "hoverinfo": "skip"}
    layout = axes("学习率 × 曲率 αh", "动量 β")
    layout["xaxis"]["range"] = [x[0], x[-1]]
    return Chart(heading, note, [heat, border], {**layout, "showlegend": False})


def write_dynamics_report(
    charts: Sequence[Chart], path: str | os.PathLike[str], title: str = "优化器的动力学"
) -> None:
    """Writes the page that shows the charts, one below the other.

    The page is written beside its final name and renamed, so it is whole or absent.

    Args:
        charts: What `trajectory_chart`, `law_chart` and `region_chart` gave.
        path: Name of the page; an older page of that name is replaced.
        title: Headline of the page.

    Raises:
        ValueError: There is no chart.
        OSError: The page cannot be written there.

    Example:
        >>> chart = trajectory_chart({"descent": [1.0, 0.9, 0.81]})
        >>> write_dynamics_report([chart], "dynamics.html")    # doctest: +SKIP
    """
    write_charts(path, title, charts, ("优化器的动力学", "dynamics of optimizers"))


def _contours(loss, paths):
    """Lines of equal loss around the paths, closer where the loss is small."""
    points = np.concatenate(paths)
    points = points[np.isfinite(points).all(axis=1)]
    low, high = points.min(axis=0), points.max(axis=0)
    margin = 0.12 * (high - low) + 1e-9
    x, y = (np.linspace(a, b, 80) for a, b in zip(low - margin, high + margin, strict=True))
    grid = np.stack(np.meshgrid(x, y), axis=-1)
    values = np.asarray(loss(grid.reshape(-1, 2))).reshape(80, 80)
    # The root of a parabola is a cone: even levels of it show the valley as well as the walls.
    roots = np.sqrt(np.maximum(values - values.min(), 0))
    return {
        "type": "contour",
        "x": numbers(x),
        "y": numbers(y),
        "z": [numbers(row) for row in roots],
        "ncontours": LEVELS,
        "contours": {"coloring": "lines"},
        "colorscale": [[0, "--line"], [1, "--line"]],
        "line": {"width": 1},
        "showscale": False,
        "showlegend": False,
        "hoverinfo": "skip",
    }
