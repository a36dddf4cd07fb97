"""A signal report as a table in the terminal, and as one HTML page that opens without a network.

As with the page of a codebook, Python hands over numbers as JSON and nothing else, `signal.js`
draws them as text nodes, and the content policy forbids the browser to fetch anything.
"""

import json
import math
import os
from importlib.resources import files
from string import Template
from typing import TYPE_CHECKING, Any

from plotly.offline import get_plotlyjs

from taolu.text.files import replacing

if TYPE_CHECKING:
    from taolu.nn.jacobian import Spectrum
    from taolu.nn.signal import LayerSignal, SignalReport

HEADER = ("layer", "kind", "shape", "length", "rms", "gradient")
SPECTRUM = ("min", "median", "max")


def signal_table(report: "SignalReport") -> str:
    """A signal report as text: one line for each tensor, and the drifts below.

    `length` and `gradient` are root mean squares over the examples, `rms` the length for one
    coordinate. Two Jacobians follow, each by its least, middle and greatest singular value: of the
    layer alone, and from the inputs to here.

    Args:
        report: What `taolu.nn.signal.signal_report` gave.

    Returns:
        Lines of equal columns, without a newline at the end.

    Example:
        >>> from types import SimpleNamespace as Like
        >>> row = Like(name="x", kind="Input", shape=(4,), forward=2.0, scale=1.0, backward=0.5)
        >>> row.own = row.through = None
        >>> report = Like(model="m", examples=8, rows=[row], forward_drift=0.01, backward_drift=0.0)
        >>> print(signal_table(report))
                                                            layer alone         from the inputs
        layer  kind   shape  length   rms  gradient     min  median     max     min  median     max
        x      Input  4        2.00  1.00     0.500       -       -       -       -       -       -
        m: 8 examples; ln(length) changes by 0.01000 a row, ln(gradient) by 0 a row back
    """
    lines = [[*HEADER, *SPECTRUM, *SPECTRUM], *map(_cells, report.rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    widths[6:] = [max(6, width) for width in widths[6:]]
    left = sum(widths[:6]) + 2 * 6
    groups = [sum(widths[at : at + 3]) + 2 * 2 for at in (6, 9)]
    head = " " * left + f"{'layer alone':>{groups[0]}}  {'from the inputs':>{groups[1]}}"
    body = ["  ".join(_justified(line, widths)).rstrip() for line in lines]
    drifts = f"{_number(report.forward_drift, 4)} a row, ln(gradient) by "
    drifts += f"{_number(report.backward_drift, 4)} a row back"
    foot = f"{report.model}: {report.examples} examples; ln(length) changes by {drifts}"
    return "\n".join([head, *body, foot])


def write_signal_report(report: "SignalReport", path: str | os.PathLike[str]) -> None:
    """Writes the page that draws a signal report: lengths, gradients, spectra, and the table.

    The page is written beside its final name and renamed, so it is whole or absent.

    Args:
        report: What `taolu.nn.signal.signal_report` gave.
        path: Name of the page; an older page of that name is replaced.

    Raises:
        OSError: The page cannot be written there.

    Example:
        >>> write_signal_report(signal_report(model, images), "signal.html")    # doctest: +SKIP
    """
    page = _fill(_describe(report)).encode("utf-8", "replace").decode()
    with replacing(path) as file:
        file.write(page)


def _cells(row: "LayerSignal") -> list[str]:
    spectra = [cell for spectrum in (row.own, row.through) for cell in _three(spectrum)]
    measured = [row.forward, row.scale, row.backward, *spectra]
    return [row.name, row.kind, _shape(row), *map(_number, measured)]


def _justified(line, widths):
    return [
        cell.ljust(width) if at < 3 else cell.rjust(width)
        for at, (cell, width) in enumerate(zip(line, widths, strict=True))
    ]


def _three(spectrum: "Spectrum | None") -> list[float | None]:
    if spectrum is None:
        return [None, None, None]
    return [spectrum.smallest, spectrum.median, spectrum.largest]


def _shape(row: "LayerSignal") -> str:
    return "×".join(map(str, row.shape)) or "1"


def _number(value: float | None, digits: int = 3) -> str:
    """Three digits, and no exponent longer than it needs to be."""
    if value is None:
        return "-"
    if value == 0 or not math.isfinite(value):
        return f"{value:.0f}"
    if 1e-3 <= abs(value) < 1e4:
        places = max(0, digits - 1 - math.floor(math.log10(abs(value))))
        return f"{value:.{places}f}"
    return f"{value:.1e}".replace("e-0", "e-").replace("e+0", "e")


def _describe(report: "SignalReport") -> dict[str, Any]:
    rows = report.rows
    return {
        "model": report.model,
        "examples": report.examples,
        "forward_drift": _finite(report.forward_drift),
        "backward_drift": _finite(report.backward_drift),
        "name": [row.name for row in rows],
        "kind": [row.kind for row in rows],
        "shape": [_shape(row) for row in rows],
        **{key: [_finite(getattr(row, key)) for row in rows] for key in ("forward", "scale")},
        "backward": [_finite(row.backward) for row in rows],
        **{
            key: [[_finite(value) for value in _three(getattr(row, key))] for row in rows]
            for key in ("own", "through")
        },
        **{
            f"{key}_typical": [_finite(getattr(getattr(row, key), "typical", None)) for row in rows]
            for key in ("own", "through")
        },
    }


def _finite(value: float | None) -> float | None:
    """JSON knows neither nan nor infinity."""
    return float(f"{value:.6g}") if value is not None and math.isfinite(value) else None


def _fill(data: dict[str, Any]) -> str:
    # `<` is the one character that could end the script element the JSON stands in.
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")
    return Template(_asset("signal.html")).substitute(
        style=_asset("codebook.css"),
        script=_asset("signal.js"),
        plotly=get_plotlyjs(),
        data=text,
    )


def _asset(name: str) -> str:
    return files("taolu.report").joinpath(name).read_text(encoding="utf-8")
