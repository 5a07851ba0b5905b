"""The report's charts: matplotlib's SVG, cut down to what may stand inside an HTML page.

Colours are stand-ins that become the style sheet's variables, so that a chart follows the reader's colour scheme.
"""

from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING

from matplotlib import rc_context
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

if TYPE_CHECKING:
    from collections.abc import Mapping

    from matplotlib.axes import Axes

    from hrm.training.curve import Points

SERIES = 6
"""Colours that the style sheet has for series; further ones begin again with other dashes."""
INK, GRID = "#0000f0", "#0000f1"
COLOURS = tuple(f"#0000{index:02x}" for index in range(1, SERIES + 2))
_VARIABLES = {INK: "var(--ink-soft)", GRID: "var(--rule)"} | {
    colour: f"var(--series-{index})" for index, colour in enumerate(COLOURS)
}
_DASHES = ("solid", "dashed", "dotted")
FONT_SIZE = 12


def series_style(index: int) -> tuple[int, str]:
    """The colour (of ``--series-N``) and the dashes of the ``index``-th bundle; 0 and solid are PyTorch's."""
    return 1 + index % SERIES, _DASHES[index // SERIES % len(_DASHES)]


def accuracy_chart(baseline: tuple[float, ...], bundles: Mapping[int, tuple[float, ...]]) -> str:
    """Exact accuracy after each segment, PyTorch's and that of bundles by their place in the legend, as inline SVG."""
    figure, axes = _axes("segment", "puzzles solved")
    axes.plot(range(1, len(baseline) + 1), baseline, color=COLOURS[0], linewidth=5, alpha=0.35, solid_capstyle="round")
    for index, curve in bundles.items():
        colour, dashes = series_style(index)
        places = range(1, len(curve) + 1)
        axes.plot(places, curve, color=COLOURS[colour], linestyle=dashes, marker="o", markersize=4.5, linewidth=1.8)
    axes.yaxis.set_major_formatter(PercentFormatter(1.0))
    axes.set_ylim(0, 1.03)
    return svg(figure, "accuracy")


def depth_chart(name: str, histograms: Mapping[int, tuple[int, ...]], segments: int) -> str:
    """How many puzzles used how many segments, for bundles by their place in the legend, as inline SVG.

    Args:
        name: a name that no other chart of the page has.
        histograms: puzzles by segments used, from 0.
        segments: the most that a puzzle may use.
    """
    figure, axes = _axes("segments used", "puzzles")
    width = 0.8 / len(histograms)
    for place, (index, histogram) in enumerate(histograms.items()):
        shift = (place - (len(histograms) - 1) / 2) * width
        depths = [depth + shift for depth in range(1, len(histogram))]
        axes.bar(depths, histogram[1:], width=0.9 * width, color=COLOURS[series_style(index)[0]])
    axes.set_xlim(0.4, segments + 0.6)
    axes.yaxis.set_major_locator(MaxNLocator(6, integer=True))
    return svg(figure, name)


def learning_chart(training: Points, unseen: Points) -> str:
    """Exact accuracy by step of training, on the puzzles trained on and on unseen ones, as inline SVG."""
    figure, axes = _axes("step", "puzzles solved")
    axes.plot(*training, color=COLOURS[0], linewidth=1.2, alpha=0.6)
    axes.plot(*unseen, color=COLOURS[1], marker="o", markersize=4.5, linewidth=1.8)
    axes.yaxis.set_major_formatter(PercentFormatter(1.0))
    axes.set_ylim(0, 1.03)
    return svg(figure, "learning")


def loss_chart(loss: Points) -> str:
    """The loss of the answers by step of training, as inline SVG."""
    figure, axes = _axes("step", "loss")
    axes.plot(*loss, color=COLOURS[0], linewidth=1.2)
    axes.set_ylim(bottom=0)
    return svg(figure, "loss")


def _axes(x: str, y: str) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(6.2, 3.4), layout="tight")
    axes = figure.add_subplot()
    axes.set_xlabel(x, size=FONT_SIZE, color=INK)
    axes.set_ylabel(y, size=FONT_SIZE, color=INK)
    axes.tick_params(length=0, labelsize=FONT_SIZE, labelcolor=INK)
    axes.grid(axis="y", color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(GRID)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    return figure, axes


def svg(figure: Figure, name: str) -> str:
    """``figure`` as an ``<svg>`` element without identifiers, name spaces or style of its own.

    ``name`` keeps the identifiers that must stay (clip paths, markers) apart from those of other charts.
    """
    written = io.StringIO()
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": name}):
        figure.savefig(written, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    text = written.getvalue()
    text = text[text.index("<svg") :]
    for pattern, replacement in (
        (r"<metadata>.*?</metadata>", ""),
        (r"<style.*?</style>", ""),
        (r"<!--.*?-->", ""),
        (r' xmlns(:\w+)?="[^"]*"', ""),
        (r"xlink:href", "href"),
        (r' id="[\w.]+_\d+"', ""),
        (r" font-family: [^;]*;", ""),
        (r'<svg [^>]*viewBox="([^"]*)"[^>]*>', r'<svg class="chart" role="img" viewBox="\1">'),
    ):
        text = re.sub(pattern, replacement, text, flags=re.DOTALL)
    for colour, variable in _VARIABLES.items():
        text = text.replace(colour, variable)
    return text
