"""A benchmark as pictures: throughput against latency, accuracy against depth, and the share of the limit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter, PercentFormatter

from hrm.charts import INK, dress
from hrm.data.drawing import to_png
from hrm.files import write_bytes
from hrm_trt.bench.labels import digits, label, mean_depth

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from matplotlib.axes import Axes

    from hrm_trt.bench.document import BenchDocument, Row

_COLOURS = ("#6e7781", "#1f6feb", "#c2570c", "#1a7f37", "#8250df", "#bf3989", "#0a7ea4", "#9a6700")
_LEAST_ROOM = 0.004
"""Of the accuracy, above and below what is shown: less is noise."""
_MARKERS = {"fixed": "o", "adaptive": "^", "confidence": "s"}
_DASHES = {"fixed": "solid", "adaptive": "dashed", "confidence": "dotted"}


def draw(document: BenchDocument, directory: Path) -> tuple[Path, ...]:
    """Write the pictures of ``document`` into ``directory``; returns where they are.

    Raises:
        StorageError: the disk is full or failing.
        UnwritableError: the place cannot be written.
    """
    figures = {"throughput": throughput_figure(document), "depth": depth_figure(document)}
    if document.matrix_flops is not None:
        figures["limit"] = limit_figure(document)
    paths = {directory / f"{name}.png": figure for name, figure in figures.items()}
    for path, figure in paths.items():
        write_bytes(path, to_png(figure))
    return tuple(paths)


def throughput_figure(document: BenchDocument) -> Figure:
    """Puzzles a second over latency: for each engine and policy a line from batch to batch, accuracy in the legend."""
    figure, axes = _axes("latency, ms (from taking a slot to the answer)", "puzzles/s")
    for name, rows in _lines(document).items():
        latencies = [1000 * row.latency_seconds.median for row in rows]
        speeds = [row.puzzles_per_second for row in rows]
        heights = [speed.median for speed in speeds]
        errors = [[speed.median - speed.least for speed in speeds], [speed.most - speed.median for speed in speeds]]
        style = _style(document, rows[0])
        axes.errorbar(latencies, heights, errors, label=f"{name}: {_accuracy(rows)}", capsize=3, **style)
        for row, latency, height in zip(rows, latencies, heights, strict=True):
            axes.annotate(f"{row.batch}", (latency, height), (5, 5), textcoords="offset points", color=INK, size=8)
    _logarithmic(axes)
    axes.set_title(f"{document.model}, {document.threads} threads; numbers: batch", loc="left", color=INK, size=10)
    figure.legend(frameon=False, labelcolor=INK, fontsize=8, ncols=2, loc="outside lower center")
    return figure


def depth_figure(document: BenchDocument) -> Figure:
    """Exact accuracy over mean depth, a point for each engine and policy at the largest batch."""
    figure, axes = _axes("segments that a puzzle takes on average", "puzzles solved")
    lines = _lines(document)
    for index, (name, (*_, row)) in enumerate(lines.items()):
        size = 6 + 2 * (len(lines) - index)  # those that coincide stand around each other
        rings = {"linestyle": "none", "fillstyle": "none", "markersize": size, "markeredgewidth": 1.8}
        axes.plot(mean_depth(row.depths), row.exact, label=name, **(_style(document, row) | rings))
    axes.set_xlim(0, document.max_depth + 0.5)
    shares = [row.exact for row in document.rows]
    room = max(_LEAST_ROOM, max(shares) - min(shares))
    limits = max(0, min(shares) - room), max(shares) + room / 2
    axes.set_ylim(*limits)
    axes.set_yticks([tick for tick in axes.get_yticks() if limits[0] <= tick <= 1])
    axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=1))
    puzzles = document.rows[0].puzzles
    axes.set_title(f"{document.model}, {puzzles:,} puzzles", loc="left", color=INK, size=10)
    figure.legend(frameon=False, labelcolor=INK, fontsize=8, ncols=2, loc="outside lower center", markerscale=0.6)
    return figure


def limit_figure(document: BenchDocument) -> Figure:
    """The share of the arithmetic limit that each row reaches, with its accuracy beside it."""
    rows = [row for row in document.rows if row.share_of_limit is not None]
    figure, axes = _axes("share of the float32 matrix product's speed", "", height=1.4 + 0.32 * len(rows))
    names = [f"{label(row)}, {row.policy}, batch {row.batch}" for row in rows]
    shares = [row.share_of_limit or 0.0 for row in rows]
    bars = axes.barh(range(len(rows)), shares, color=[_style(document, row)["color"] for row in rows], height=0.7)
    axes.bar_label(bars, [f"{row.share_of_limit:.0%}, {row.exact:.1%} solved" for row in rows], padding=4, color=INK)
    axes.set_yticks(range(len(rows)), names)
    axes.invert_yaxis()
    axes.set_xlim(0, 2 * max(1, *shares))
    axes.grid(visible=False, axis="y")
    axes.axvline(1, color=INK, linewidth=1, linestyle="dashed", zorder=0)
    axes.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    limit = digits((document.matrix_flops or 0.0) / 1e9)
    axes.set_title(f"{document.model}: the limit is {limit} GFLOP/s", loc="left", color=INK, size=10)
    return figure


def _lines(document: BenchDocument) -> dict[str, list[Row]]:
    """The rows of each engine and policy, by batch."""
    lines: dict[str, list[Row]] = {}
    for row in sorted(document.rows, key=lambda row: row.batch):
        lines.setdefault(f"{_name(document, row)}, {row.policy}", []).append(row)
    return lines


def _name(document: BenchDocument, row: Row) -> str:
    """The engine's label, with the bundle's name where two bundles have the same one."""
    models = {other.model for other in document.rows if label(other) == label(row)}
    return label(row) if len(models) == 1 else f"{label(row)} ({row.model})"


def _accuracy(rows: Sequence[Row]) -> str:
    least, most = min(row.exact for row in rows), max(row.exact for row in rows)
    return f"{least:.1%} solved" if f"{least:.1%}" == f"{most:.1%}" else f"{least:.1%} to {most:.1%} solved"


def _style(document: BenchDocument, row: Row) -> dict[str, Any]:
    names = list(dict.fromkeys(_name(document, other) for other in document.rows))
    colour = _COLOURS[names.index(_name(document, row)) % len(_COLOURS)]
    return {"color": colour, "marker": _MARKERS[row.policy], "linestyle": _DASHES[row.policy]}


def _logarithmic(axes: Axes) -> None:
    """Both axes, with plain numbers at 1, 2 and 5."""
    axes.set_xscale("log")
    axes.set_yscale("log")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axis.set_major_formatter(FuncFormatter(lambda value, _: digits(value)))
        axis.set_minor_formatter(NullFormatter())


def _axes(x: str, y: str, height: float = 4.4) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(7.6, height), layout="constrained")
    axes = figure.add_subplot()
    axes.set_xlabel(x, color=INK)
    axes.set_ylabel(y, color=INK)
    dress(axes)
    return figure, axes
