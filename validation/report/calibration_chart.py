"""How the largest input of every linear moves with the segment: what calibrating on the first one alone would clip."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from export.quantise.sites import ROLES
from validation.report.charts import COLOURS, FONT_SIZE, GRID, INK, SERIES, svg

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from export.quantise.calibration import Calibration

_PLANNER = "H_level"


@dataclass(frozen=True)
class Palette:
    """The colours of a chart."""

    ink: str
    grid: str
    clipped: str
    """Of the lines' part that a maximum of the first segment clips."""
    series: tuple[str, ...]
    """One for every layer; further ones begin again."""


_PAPER = Palette("#57606a", "#d8dee4", "#b4233c", ("#1f6feb", "#c2570c", "#13835b", "#a0379b", "#8a6d00"))
_STYLED = Palette(INK, GRID, COLOURS[SERIES], COLOURS[1:SERIES])
"""Stand-ins that become the style sheet's variables."""


@dataclass(frozen=True)
class Line:
    """One linear's largest input by segment, the first segment's being 1."""

    role: str
    layer: int
    planner: bool
    values: tuple[float, ...]


def lines(calibration: Calibration) -> tuple[Line, ...]:
    """What the chart shows, in the order of the calibration."""
    return tuple(_line(site, values) for site, values in calibration.segments.items())


def calibration_chart(calibration: Calibration) -> str:
    """The chart as inline SVG for the report: two rows of panels, one panel for each of a block's four linears."""
    return svg(_figure(lines(calibration), _STYLED, rows=2, size=(6.2, 5.0)), "calibration")


def calibration_figure(calibration: Calibration) -> Figure:
    """The chart by itself, to be saved as a picture: the panels in one row."""
    return _figure(lines(calibration), _PAPER, rows=1, size=(11, 3.6))


def _line(site: str, values: tuple[float, ...]) -> Line:
    level, _, layer, linear = site.split(".", 3)
    unit = values[0] or max(values)  # a linear that the first segment leaves without input cannot be the measure
    return Line(ROLES[linear], int(layer) + 1, level == _PLANNER, tuple(value / unit for value in values))


def _figure(drawn: tuple[Line, ...], palette: Palette, rows: int, size: tuple[float, float]) -> Figure:
    figure = Figure(figsize=size, layout="constrained")
    panels = figure.subplots(rows, len(ROLES) // rows, sharex=True, sharey=True, squeeze=False)
    by_role = {role: [line for line in drawn if line.role == role] for role in ROLES.values()}
    peaks = {role: max((max(line.values) for line in members), default=1.0) for role, members in by_role.items()}
    top = 1.06 * max(1.15, *peaks.values())
    for axes, (role, members) in zip(panels.flat, by_role.items(), strict=True):
        axes.axhspan(1, top, color=palette.clipped, alpha=0.07, linewidth=0)
        axes.set_title(role, size=FONT_SIZE, color=palette.ink)
        _draw(axes, members, palette)
        if role == min(peaks, key=peaks.__getitem__):  # where there is room for it
            _explain(axes, palette)
    for axes in panels[-1]:
        axes.set_xlabel("segment", size=FONT_SIZE - 1, color=palette.ink)
    panels[0, 0].set_ylim(0, top)
    figure.supylabel("largest input, segment 1 = 1", size=FONT_SIZE - 1, color=palette.ink)
    _legend(figure, palette)
    return figure


def _legend(figure: Figure, palette: Palette) -> None:
    """One entry for every layer, below the panels."""
    found = [axes.get_legend_handles_labels() for axes in figure.axes]
    handles = {label: handle for panel in found for handle, label in zip(*panel, strict=True)}
    figure.legend(
        [handles[label] for label in sorted(handles)],
        sorted(handles),
        loc="outside lower center",
        ncols=4,
        frameon=False,
        labelcolor=palette.ink,
        fontsize=FONT_SIZE - 1,
    )


def _explain(axes: Axes, palette: Palette) -> None:
    axes.text(
        0.97,
        0.97,
        "clipped by a maximum\nof the first segment",
        transform=axes.transAxes,
        horizontalalignment="right",
        verticalalignment="top",
        size=FONT_SIZE - 2,
        color=palette.clipped,
    )


def _draw(axes: Axes, drawn: list[Line], palette: Palette) -> None:
    axes.axhline(1, color=palette.clipped, linewidth=1)
    for line in drawn:
        axes.plot(
            range(1, len(line.values) + 1),
            line.values,
            color=palette.series[(line.layer - 1) % len(palette.series)],
            linestyle="dashed" if line.planner else "solid",
            marker="o",
            markersize=4,
            linewidth=1.8,
            label=f"{'planner, ' if line.planner else ''}layer {line.layer}",
        )
    axes.tick_params(length=0, labelsize=FONT_SIZE - 1, labelcolor=palette.ink)
    axes.grid(axis="y", color=palette.grid, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(palette.grid)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
