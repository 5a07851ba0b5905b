"""The training curve: what a metrics file says, as series of numbers and as a picture."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from hrm.charts import INK, dress

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes

Points = tuple[tuple[int, ...], tuple[float, ...]]
"""Steps and values."""
_TRAIN, _UNSEEN = "#b6c2cf", "#1f6feb"


@dataclass(frozen=True)
class Curve:
    """What training did over its steps."""

    loss: Points
    """The answer's loss, mean of each log interval."""
    training: Points
    """Exact accuracy of the training puzzles that halted in the interval."""
    unseen: Points
    """Exact accuracy on puzzles that it does not train on."""
    depth: Points
    """Mean segments on those, if a puzzle stops when it wants to."""


def curve_of(lines: Sequence[dict[str, Any]]) -> Curve:
    """The curve of a metrics file's lines."""
    return Curve(
        loss=_points(lines, "train", "lm_loss"),
        training=_points(lines, "train", "exact_accuracy"),
        unseen=_points(lines, "evaluation", "exact_accuracy"),
        depth=_points(lines, "evaluation", "adaptive_depth"),
    )


def curve_figure(lines: Sequence[dict[str, Any]]) -> Figure:
    """The loss over the exact accuracy, by step."""
    curve = curve_of(lines)
    figure = Figure(figsize=(7, 5), layout="constrained")
    above, below = figure.subplots(2, sharex=True, height_ratios=(2, 3))
    above.plot(*curve.loss, color=_TRAIN, linewidth=1.2)
    above.set_ylim(bottom=0)
    _dress(above, "loss of the answer")
    below.plot(*curve.training, color=_TRAIN, linewidth=1.2, label="training puzzles")
    below.plot(*curve.unseen, color=_UNSEEN, linewidth=2, marker="o", markersize=4, label="unseen puzzles")
    below.set_ylim(0, 1)
    below.yaxis.set_major_formatter(PercentFormatter(1.0))
    below.set_xlabel("step", color=INK)
    below.legend(frameon=False, labelcolor=INK, loc="lower right")
    _dress(below, "puzzles solved")
    return figure


def _points(lines: Sequence[dict[str, Any]], kind: str, name: str) -> Points:
    found = [(line["step"], line[name]) for line in lines if line["kind"] == kind and name in line]
    return tuple(step for step, _ in found), tuple(value for _, value in found)


def _dress(axes: Axes, label: str) -> None:
    axes.set_ylabel(label, color=INK)
    dress(axes)
