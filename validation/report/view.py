"""What the template shows, computed: the template itself only places it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hrm.data.cells import answer_cells, puzzle_cells
from validation.report.drawing import draw
from validation.verdict import points

if TYPE_CHECKING:
    from collections.abc import Sequence

    from export.quantise.calibration import Calibration
    from hrm.data.tasks import Task
    from validation.flips import Flip
    from validation.report.content import Facts, PolicyResult, Report, Training
    from validation.report.drawing import Drawing
    from validation.sensitivity import SearchRecord
    from validation.verdict import Verdict

_BETTER, _WORSE = 2.5, 4.0
"""How far the axis of the losses reaches to either side of zero, in tolerances."""
_NARROWEST = 0.001
"""The least tolerance to draw the axis for: a relative one is zero where PyTorch solves nothing."""


@dataclass(frozen=True)
class Axis:
    """The axis that the verdicts' intervals share, from ``low`` to ``high``; what lies outside stands at its end."""

    low: float
    high: float

    def percent(self, loss: float) -> float:
        """The place of ``loss`` in percent of the width."""
        inside = min(max(loss, self.low), self.high)
        return round(100 * (inside - self.low) / (self.high - self.low), 2)


@dataclass(frozen=True)
class Series:
    """An entry of the charts' legend."""

    name: str
    colour: int
    dashes: str


@dataclass(frozen=True)
class Chart:
    """A chart and its title."""

    title: str
    svg: str
    """Markup of matplotlib's, which escapes what it is given."""


def axis(verdicts: Sequence[Verdict]) -> Axis:
    """An axis on which the widest tolerance can be told from zero, however bad the worst engine is."""
    tolerance = max(_NARROWEST, *(verdict.tolerance for verdict in verdicts))
    return Axis(-_BETTER * tolerance, _WORSE * tolerance)


def summary(verdicts: Sequence[Verdict]) -> str:
    """One sentence over all verdicts."""
    counts: Counter[str] = Counter(verdict.verdict for verdict in verdicts)
    words = (("pass", "passed"), ("fail", "failed"), ("inconclusive", "inconclusive"))
    said = ", ".join(f"{counts[verdict]} {word}" for verdict, word in words if counts[verdict])
    return f"{len(verdicts)} gate{'' if len(verdicts) == 1 else 's'}: {said}."


def series(report: Report) -> tuple[Series, ...]:
    """The legend: PyTorch, then the bundles."""
    from validation.report.charts import series_style

    bundles = (Series(bundle.model, *series_style(index)) for index, bundle in enumerate(report.bundles))
    return (Series("PyTorch", 0, "solid"), *bundles)


def charts(report: Report) -> tuple[Chart, ...]:
    """Accuracy by segment, and for every policy that can stop early how many segments it took."""
    from validation.report.charts import accuracy_chart, depth_chart

    results = [(index, result) for index, bundle in enumerate(report.bundles) for result in bundle.policies]
    curves = {index: result.exact_by_segment for index, result in results if result.exact_by_segment is not None}
    drawn = [Chart("Puzzles solved after each segment", accuracy_chart(report.baseline_by_segment, curves))]
    depth = len(report.baseline_by_segment)
    for name in sorted({result.policy.name for _, result in results} - {"fixed"}):
        histograms = {index: result.depth_histogram for index, result in results if result.policy.name == name}
        drawn.append(Chart(f"Segments used, {name} policy", depth_chart(name, histograms, depth)))
    return tuple(drawn)


def training_charts(training: Training) -> tuple[Chart, ...]:
    """How the checkpoint came to solve puzzles, and what its loss did."""
    from validation.report.charts import learning_chart, loss_chart

    curve = training.curve
    return (
        Chart("Puzzles solved while training", learning_chart(curve.training, curve.unseen)),
        Chart("Loss of the answers", loss_chart(curve.loss)),
    )


def calibration_charts(calibration: Calibration) -> tuple[Chart, ...]:
    """How large the inputs of the quantised linears get, by segment."""
    from validation.report.calibration_chart import calibration_chart

    return (Chart("Largest input of each linear", calibration_chart(calibration)),)


def calibration_facts(calibration: Calibration) -> Facts:
    """What the scales were measured on."""
    return (
        ("Puzzles", f"{calibration.puzzles:,} of the {calibration.split} split, drawn by seed {calibration.seed}"),
        ("Method", calibration.method),
        ("Linears", f"{len(calibration.sites)}"),
        ("Clipped by the first segment’s maxima", f"{clipped(calibration)} of {len(calibration.sites)}"),
    )


def clipped(calibration: Calibration) -> int:
    """Linears that meet larger inputs in a later segment than in the first."""
    return sum(max(values) > values[0] for values in calibration.segments.values())


def search_picture(record: SearchRecord) -> str:
    """What the precision `auto` tried, as SVG."""
    from hrm.data.drawing import to_svg
    from validation.report.sensitivity_chart import sensitivity_figure

    return to_svg(sensitivity_figure(record))


def search_facts(record: SearchRecord) -> Facts:
    """What the precision `auto` came to."""
    shares = (f"{share:.1%} {precision.upper()}" for precision, share in record.best.work.items() if share)
    return (
        ("Chosen", ", ".join(shares) or "FP16 throughout"),
        ("Puzzles", f"{record.n:,} of the search split"),
        ("Lost / won on them", f"{record.best.lost} / {record.best.won}"),
        ("Assignments tried", f"{len(record.attempts) - 1} and {len(record.alone)} of single linears"),
    )


def drawings(task: Task, flip: Flip) -> tuple[tuple[str, Drawing], ...]:
    """A flipped puzzle and both answers to it."""
    return (
        ("Puzzle", draw(task, puzzle_cells(task, flip.inputs))),
        ("PyTorch", draw(task, answer_cells(task, flip.inputs, flip.baseline, flip.labels))),
        ("Engine", draw(task, answer_cells(task, flip.inputs, flip.engine, flip.labels))),
    )


def numbers(result: PolicyResult) -> Facts:
    """What was counted and computed for one verdict."""
    verdict = result.verdict
    copies = "" if verdict.clusters == verdict.n else f", {verdict.clusters:,} different"
    return (
        ("Engine solves", percent(verdict.engine_exact)),
        ("PyTorch solves", percent(verdict.baseline_exact)),
        ("Accuracy lost", _both(verdict, verdict.loss)),
        ("Bounds of the loss", f"{100 * verdict.lower_bound:.2f} to {points(verdict.upper_bound)}"),
        ("Tolerance", _both(verdict, verdict.tolerance)),
        ("Puzzles", f"{verdict.n:,}{copies}"),
        ("Puzzles lost / won", f"{verdict.flips_lost:,} / {verdict.flips_won:,}"),
        ("McNemar’s exact p", f"{verdict.mcnemar_p:.3g}"),
        ("Segments used", f"{result.mean_depth:.2f} of {result.policy.max_depth}"),
        ("Evaluation took", duration(result.seconds)),
        *((("Threshold", f"{result.policy.threshold:g}"),) if result.policy.name == "confidence" else ()),
    )


def percent(share: float) -> str:
    """A share of the puzzles."""
    return f"{share:.2%}"


def size(count: int) -> str:
    """Bytes, in units of thousands."""
    for unit, scale in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= scale:
            return f"{count / scale:.1f} {unit}"
    return f"{count} B"


def duration(seconds: float) -> str:
    """A time for people."""
    return f"{seconds:.1f} s" if seconds < 120 else f"{seconds / 60:.1f} min"


def _both(verdict: Verdict, share: float) -> str:
    """A loss in points and as a share of what PyTorch solves."""
    relative = f" ({verdict.relative(share):.2%} relative)" if verdict.baseline_exact else ""
    return f"{points(share)}{relative}"
