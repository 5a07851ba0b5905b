"""The picture of a search: accuracy against the share of work in low precision, and the chosen point."""

from __future__ import annotations

from typing import TYPE_CHECKING

from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from hrm.charts import INK, dress

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from validation.sensitivity import Attempt, SearchRecord

_SOFT = "#b6c2cf"
_ACCEPTED, _REFUSED, _CHOSEN = "#1f6feb", "#cf222e", "#1b1f24"
_ROOM = 0.15
"""Of the height: above and below what is shown."""


def sensitivity_figure(record: SearchRecord) -> Figure:
    """Every attempt as a point, single linears as small ones, the chosen one marked.

    The share is that of the narrowest format: where all linears bear the next one, every attempt has the same share of
    low precision of any kind.
    """
    figure = Figure(figsize=(7, 4.4), layout="constrained")
    axes = figure.add_subplot()
    _lines(axes, record)
    _alone(axes, record)
    _attempts(axes, record)
    _name_uniform(axes, record)
    _chosen(axes, record)
    _dress(axes, record)
    return figure


def _lines(axes: Axes, record: SearchRecord) -> None:
    baseline = record.baseline_exact
    axes.axhline(baseline, color=_SOFT, linewidth=1.2)
    axes.axhline(baseline - record.tolerance / 2, color=_ACCEPTED, linewidth=1, linestyle="dashed")
    axes.axhline(baseline - record.tolerance, color=_REFUSED, linewidth=1, linestyle="dotted")
    for height, text in (
        (baseline, "FP16"),
        (baseline - record.tolerance / 2, "accepted from here"),
        (baseline - record.tolerance, "the gate's tolerance"),
    ):
        axes.annotate(
            text,
            (1, height),
            xycoords=("axes fraction", "data"),
            xytext=(-2, 2),
            textcoords="offset points",
            ha="right",
            va="bottom",
            color=INK,
            size=8,
        )


def _alone(axes: Axes, record: SearchRecord) -> None:
    shares = [each.work for each in record.alone]
    heights = [record.baseline_exact - each.loss for each in record.alone]
    axes.scatter(shares, heights, s=14, color=_SOFT, label="one linear alone", zorder=2)


def _attempts(axes: Axes, record: SearchRecord) -> None:
    for accepted, colour, label in ((True, _ACCEPTED, "accepted"), (False, _REFUSED, "loses too much")):
        points = [_point(record, attempt) for attempt in record.attempts if attempt.accepted is accepted]
        if points:
            shares, heights = zip(*points, strict=True)
            filled = colour if accepted else "white"
            axes.scatter(shares, heights, s=40, facecolor=filled, edgecolor=colour, label=label, zorder=3)


def _name_uniform(axes: Axes, record: SearchRecord) -> None:
    """Say which points have everything in one low precision."""
    for attempt in record.attempts:
        precisions = set(attempt.assignment.values())
        if len(precisions) == 1 and attempt.work and attempt.assignment != record.chosen:
            axes.annotate(
                f"all {precisions.pop().upper()}",
                _point(record, attempt),
                xytext=(0, -13),
                textcoords="offset points",
                ha="center",
                color=INK,
                size=8,
                bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.5},
            )


def _chosen(axes: Axes, record: SearchRecord) -> None:
    point = _point(record, record.best)
    axes.scatter(*point, s=150, facecolor="none", edgecolor=_CHOSEN, linewidth=1.5, label="chosen", zorder=4)
    shares = [f"{share:.1%} {precision.upper()}" for precision, share in record.best.work.items()]
    axes.annotate(
        "\n".join(shares) or "FP16 only",
        point,
        xytext=(0, 12),
        textcoords="offset points",
        ha="center",
        color=_CHOSEN,
        size=9,
    )


def _point(record: SearchRecord, attempt: Attempt) -> tuple[float, float]:
    return attempt.work.get(record.formats[0], 0.0) if record.formats else 0.0, attempt.exact


def _dress(axes: Axes, record: SearchRecord) -> None:
    axes.margins(x=0.1)
    low, high = axes.get_ylim()
    axes.set_ylim(low - _ROOM * (high - low), high + _ROOM * (high - low))
    narrowest = record.formats[0].upper() if record.formats else "low precision"
    axes.set_xlabel(f"share of the GEMM work in {narrowest}", color=INK)
    axes.set_ylabel(f"puzzles solved, of {record.n:,}", color=INK)
    axes.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    axes.yaxis.set_major_formatter(PercentFormatter(1.0))
    dress(axes)
    axes.legend(frameon=False, labelcolor=INK, loc="lower left", fontsize=8, markerscale=0.8)
