"""Where the time goes, drawn: a bar of shares for every design, with its latency and its throughput beside it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from matplotlib import rc_context
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from benchmarks.serving.goals import point
from benchmarks.serving.report import title
from benchmarks.serving.times import Times, times

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from matplotlib.axes import Axes

PICTURE = Path(__file__).parents[2] / "docs" / "serving.png"
_INK, _GRID = "#4b5563", "#d8dde3"
_PARTS = {
    "engine": ("engine, segments that the puzzle needs", "#1f6feb"),
    "bls": ("BLS and orchestrator", "#79b8ff"),
    "idle": ("segments after its puzzle had halted", "#c2570c"),
    "waiting": ("waiting for a slot, a segment or a gang", "#e3b08a"),
    "way": ("client and gRPC", "#c5ccd4"),
}
_SHOWN = (("in-flight", 1), ("in-flight", 32), ("gang-filled", 32), ("gang-fixed", 32), ("naive", 32))
_LEAST_LABEL = 0.07
"""Smaller shares have no number in them."""


class Bar(NamedTuple):
    """One design under one load."""

    label: str
    times: Times
    throughput: float


def draw(parts: Mapping[str, Any], target: Path = PICTURE) -> None:
    """Write the picture of what was measured, if it was at one of the loads that are shown."""
    panels = {parts[name]["title"]: bars for name in ("standin", "demo", "27m") if (bars := list(_bars(parts, name)))}
    if not panels:
        return
    with rc_context({"font.size": 11, "text.color": _INK, "axes.labelcolor": _INK, "ytick.color": _INK}):
        heights = [len(bars) + 0.8 for bars in panels.values()]
        figure = Figure(figsize=(11, 0.48 * sum(heights) + 0.9), layout="constrained")
        places = figure.subplots(len(panels), 1, gridspec_kw={"height_ratios": heights}, squeeze=False)[:, 0]
        for axes, (heading, bars) in zip(places, panels.items(), strict=True):
            _panel(axes, heading, bars)
        handles, labels = places[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=3, frameon=False, handlelength=1)
        figure.savefig(target, dpi=144)


def _bars(parts: Mapping[str, Any], name: str) -> Iterator[Bar]:
    part = parts.get(name)
    if part is None:
        return
    measured = {(each["design"], each["clients"]) for each in part["points"]}
    depth = part["depths"]["mean"] if "depths" in part else part["segments"]
    for design, clients in _SHOWN:
        if (design, clients) in measured:
            row = point(part, design, clients)
            label = f"{title(design)}, {clients} client{'s' * (clients > 1)}"
            yield Bar(label, times(row, part["name"], depth), row["requests_per_second"])


def _panel(axes: Axes, heading: str, bars: list[Bar]) -> None:
    for index, key in enumerate(_PARTS):
        label, colour = _PARTS[key]
        lefts = [sum(bar.times[:index]) / bar.times.total for bar in bars]
        shares = [bar.times[index] / bar.times.total for bar in bars]
        drawn = axes.barh([bar.label for bar in bars], shares, left=lefts, color=colour, label=label, height=0.72)
        numbers = [f"{share:.0%}" if share >= _LEAST_LABEL else "" for share in shares]
        axes.bar_label(drawn, numbers, label_type="center", color="white" if key in ("engine", "idle") else _INK)
    for place, bar in enumerate(bars):
        numbers = f"{_digits(bar.times.total)} ms   {_digits(bar.throughput)}/s"
        axes.annotate(numbers, (1.012, place), xycoords=("axes fraction", "data"), va="center", annotation_clip=False)
    axes.set_title(heading, loc="left", fontsize=12)
    axes.annotate("mean latency, answers/s", (1.012, 1), (0, 6), "axes fraction", "offset points", fontsize=10)
    axes.set_xlim(0, 1)
    axes.xaxis.set_major_formatter(PercentFormatter(1.0))
    axes.set_xticks([])
    axes.invert_yaxis()
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)


def _digits(value: float) -> str:
    """Three digits that matter."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
