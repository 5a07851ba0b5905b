"""From turns to the document: medians, shares of the limit, flags, and what was refused."""

from __future__ import annotations

import statistics
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from hrm_trt import __version__
from hrm_trt.bench import labels
from hrm_trt.bench.document import BenchDocument, Refused, Row, spread
from hrm_trt.bench.flags import flagged
from hrm_trt.bench.limit import share
from hrm_trt.pipeline import machine
from hrm_trt.pipeline.store import version

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from engines.act import Policy
    from hrm_trt.bench.measure import Turn
    from hrm_trt.bench.plan import Plan
    from hrm_trt.bench.subjects import Subject

LIBRARIES = ("torch", "onnxruntime", "numpy")


@dataclass
class Lane:
    """One row as it is being measured."""

    subject: Subject
    batch: int
    policy: Policy
    turns: list[Turn] = field(default_factory=list)
    open_seconds: float = 0.0
    failure: str | None = None

    @property
    def label(self) -> str:
        """For people."""
        return f"{labels.label(self.subject)}, batch {self.batch}, {self.policy.name}"


@dataclass
class Limit:
    """The arithmetic limit as it is being measured."""

    turns: list[dict[str, float]] = field(default_factory=list)
    """Floating-point operations a second by library, of each repetition."""
    failure: str | None = None

    @property
    def fastest(self) -> tuple[str, float] | None:
        """The faster library and its median over the repetitions; None before the first one."""
        if not self.turns:
            return None
        medians = {name: statistics.median(each[name] for each in self.turns) for name in self.turns[0]}
        return max(medians.items(), key=lambda pair: pair[1])

    def refusals(self) -> Iterator[Refused]:
        """Why there is none."""
        if self.failure is not None:
            yield Refused(runtime="matrix product", target="cpu", precision="fp32", reason=self.failure)


class About(NamedTuple):
    """What there is to say of a run as a whole."""

    date: str
    """When it began."""
    busy: float
    """Percent of the processor that other programs used between repetitions, at most."""
    interrupted: bool
    """Whether somebody stopped it."""


def document(plan: Plan, lanes: Sequence[Lane], limit: Limit, about: About) -> BenchDocument:
    """What has been measured so far.

    Args:
        plan: what was to be measured.
        lanes: every row; those without a turn, and those that failed, are no rows of the document.
        limit: what matrix products reach.
        about: the run as a whole.
    """
    fastest = limit.fastest
    rows = [_row(lane, plan, fastest) for lane in lanes if lane.turns and lane.failure is None]
    return BenchDocument(
        date=about.date,
        model=plan.material.name,
        parameters=plan.material.parameters,
        checkpoint=plan.material.checkpoint,
        dataset=plan.trial.digest,
        max_depth=plan.material.config.halt_max_steps,
        threads=plan.threads,
        machine=machine.describe() | {"busy_percent": about.busy},
        versions=_versions(),
        matrix_flops=None if fastest is None else fastest[1],
        matrix_shape=None if fastest is None else plan.product,
        matrix_by=None if fastest is None else fastest[0],
        interrupted=about.interrupted,
        rows=flagged(rows),
        refused=(*plan.refused, *_failed(lanes), *limit.refusals()),
    )


def _row(lane: Lane, plan: Plan, fastest: tuple[str, float] | None) -> Row:
    turns, puzzles = lane.turns, len(plan.trial.puzzles)
    speed = spread(tuple(puzzles / turn.seconds for turn in turns))
    return Row(
        runtime=lane.subject.runtime,
        target=lane.subject.target,
        precision=lane.subject.precision,
        topology=lane.subject.topology,
        model=lane.subject.model,
        batch=lane.batch,
        policy=lane.policy.name,
        puzzles=puzzles,
        exact=turns[0].exact,
        depths=turns[0].depths,
        puzzles_per_second=speed,
        segment_seconds=spread(tuple(turn.segment_seconds for turn in turns)),
        latency_seconds=spread(tuple(turn.latency_seconds for turn in turns)),
        open_seconds=lane.open_seconds,
        first_call_seconds=turns[0].first_call_seconds,
        peak_bytes=max(turn.peak_bytes for turn in turns),
        share_of_limit=None
        if fastest is None or lane.subject.target != "cpu"  # the product is the CPU's
        else share(plan.material.config, speed.median * labels.mean_depth(turns[0].depths), fastest[1]),
        joules_per_puzzle=_joules(turns, puzzles),
        flags=tuple(_warnings(turns)),
    )


def _joules(turns: Sequence[Turn], puzzles: int) -> float | None:
    """The median of the turns, where the GPU told."""
    told = [turn.joules / puzzles for turn in turns if turn.joules is not None]
    return statistics.median(told) if told else None


def _warnings(turns: Sequence[Turn]) -> Iterator[str]:
    """What one row's own turns say."""
    if any((turn.exact, turn.depths) != (turns[0].exact, turns[0].depths) for turn in turns):
        accuracies = [turn.exact for turn in turns]
        yield f"its repetitions differ in their answers: {min(accuracies):.2%} to {max(accuracies):.2%} exact"
    unsound = max(turn.unsound for turn in turns)
    if unsound:
        yield f"{unsound} puzzles got NaN or infinity"


def _failed(lanes: Sequence[Lane]) -> Iterator[Refused]:
    """A refusal for each subject and reason; where not all of a subject failed, it says what did."""
    groups: dict[tuple[int, str], list[Lane]] = {}
    for lane in lanes:
        if lane.failure is not None:
            groups.setdefault((id(lane.subject), lane.failure), []).append(lane)
    for (subject, reason), failed in groups.items():
        all_of_it = len(failed) == sum(id(lane.subject) == subject for lane in lanes)
        where = "; ".join(f"batch {lane.batch}, {lane.policy.name}" for lane in failed)
        yield Refused(
            runtime=failed[0].subject.runtime,
            target=failed[0].subject.target,
            precision=failed[0].subject.precision,
            reason=reason if all_of_it else f"{where}: {reason}",
        )


def _versions() -> dict[str, str]:
    found = {name: version(name) for name in LIBRARIES}
    return {"hrm-trt": __version__} | {name: number for name, number in found.items() if number is not None}
