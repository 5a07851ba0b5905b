"""What a report shows, as plain data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from validation.flips import Flip, flips

if TYPE_CHECKING:
    from engines.act import Policy
    from export.quantise.calibration import Calibration
    from hrm.data.dataset import PuzzleSet
    from hrm.data.tasks import Task
    from hrm.training.curve import Curve
    from validation.checks import Check
    from validation.evaluate import Evaluation
    from validation.sensitivity import SearchRecord
    from validation.verdict import Verdict

DRAWN = 100
"""Flipped puzzles that are drawn, of the lost and of the won; the others are listed by number."""

Facts = tuple[tuple[str, str], ...]
"""Names and values."""


@dataclass(frozen=True)
class EngineRow:
    """One engine of a bundle."""

    module: str
    precision: str
    runtime: str
    file: str
    bytes: int
    sha256: str
    seconds: float
    """What building it took."""


@dataclass(frozen=True)
class PolicyResult:
    """One bundle under one policy."""

    policy: Policy
    verdict: Verdict
    checks: tuple[Check, ...]
    lost: tuple[Flip, ...]
    """Those to draw."""
    won: tuple[Flip, ...]
    mean_depth: float
    depth_histogram: tuple[int, ...]
    """Puzzles by the number of segments they used, from 0."""
    exact_by_segment: tuple[float, ...] | None
    seconds: float


@dataclass(frozen=True)
class BundleResult:
    """One bundle: its engines and what each policy is worth with them."""

    model: str
    """What ``hrm-trt solve --model`` takes."""
    target: str
    precision: str
    runtime: str
    evidence: str
    engines: tuple[EngineRow, ...]
    policies: tuple[PolicyResult, ...]


@dataclass(frozen=True)
class Training:
    """The run that made the checkpoint."""

    curve: Curve
    facts: Facts


@dataclass(frozen=True)
class Report:
    """Everything that one report shows."""

    name: str
    created: str
    checkpoint: str
    dataset: str
    machine: str
    task: Task
    baseline_by_segment: tuple[float, ...]
    """PyTorch's exact accuracy after each segment."""
    bundles: tuple[BundleResult, ...]
    training: Training | None
    """None where the checkpoint's training log is not known."""
    calibration: Calibration | None
    """What quantised bundles got their scales from; None where there are none."""
    search: SearchRecord | None
    """How the precision `auto` was found; None where nobody asked for it."""
    versions: Facts
    digests: Facts


def policy_result(
    policy: Policy,
    verdict: Verdict,
    checks: tuple[Check, ...],
    puzzles: PuzzleSet,
    baseline: Evaluation,
    engine: Evaluation,
    seconds: float,
) -> PolicyResult:
    """One policy's part of a report, from what the gate was given, what it said, and what solving the puzzles took."""
    return PolicyResult(
        policy=policy,
        verdict=verdict,
        checks=checks,
        lost=flips(verdict.lost[:DRAWN], puzzles, baseline.answers, engine.answers),
        won=flips(verdict.won[:DRAWN], puzzles, baseline.answers, engine.answers),
        mean_depth=float(engine.answers.depth.mean()),
        depth_histogram=engine.depth_histogram,
        exact_by_segment=engine.exact_by_segment,
        seconds=seconds,
    )
