"""The benchmark: every subject at every batch under every policy takes its turn, and then all of them again.

Repetitions are interleaved, so that what changes on the machine meanwhile falls on all alike. Every row has a process
of its own, opened when its first turn comes; between turns it is idle and keeps its memory. One at a time works.
"""

from __future__ import annotations

import functools
import tempfile
from collections.abc import Callable
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import psutil

from hrm.errors import EngineError
from hrm_trt.bench.limit import LimitJob
from hrm_trt.bench.measure import SubjectJob
from hrm_trt.bench.process import Process
from hrm_trt.bench.summary import About, Lane, Limit, document

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hrm_trt.bench.document import BenchDocument
    from hrm_trt.bench.measure import Turn
    from hrm_trt.bench.plan import Plan
    from hrm_trt.bench.worker import Job

T = TypeVar("T")
_LISTENING = 0.3
"""Seconds before each repetition, when nothing of this works: is the machine at rest?"""
Keep = Callable[["BenchDocument"], None]
"""Called after every repetition with what has been measured so far."""
Tell = Callable[[str, int, int], None]
"""Called with what is at work, how many puzzles are answered, and how many will be."""


def run(plan: Plan, *, keep: Keep, tell: Tell) -> BenchDocument:
    """Measure all of ``plan``.

    Args:
        plan: what to measure.
        keep: called after every repetition, and when something interrupts, with what has been measured.
        tell: called with progress.

    Raises:
        EngineError: nothing could be measured.
        KeyboardInterrupt: somebody stopped it; what there was has been kept.
    """
    with _opened(plan, tell) as bench:
        try:
            for repetition in range(plan.repetitions):
                bench.repeat(repetition)
                measured = bench.document()
                if not measured.rows:
                    raise _nothing(measured)
                keep(measured)
        except KeyboardInterrupt:
            measured = bench.document(interrupted=True)
            if measured.rows:
                keep(measured)
            raise
        return measured


@contextmanager
def _opened(plan: Plan, tell: Tell) -> Iterator[_Bench]:
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        yield _Bench(plan, tell, Path(folder), stack)


class _Bench:
    """The rows, the processes that measure them, and what they have said.

    Args:
        plan: what to measure.
        tell: called with progress.
        folder: gets what processes print.
        stack: ends them.
    """

    def __init__(self, plan: Plan, tell: Tell, folder: Path, stack: ExitStack) -> None:
        self._plan, self._tell, self._folder, self._stack = plan, tell, folder, stack
        self._lanes = [
            Lane(subject, batch, policy)
            for batch in plan.batches
            for policy in plan.policies
            for subject in plan.subjects
        ]
        self._processes: dict[int, Process[Turn]] = {}
        """By lane."""
        self._limit = Limit()
        self._matrices: Process[dict[str, float]] | None = None
        self._busy: list[float] = []
        """Percent of the processor that others used before each repetition."""
        self._date = datetime.now(UTC).isoformat(timespec="seconds")

    def document(self, *, interrupted: bool = False) -> BenchDocument:
        """What has been measured so far."""
        about = About(self._date, max(self._busy, default=0.0), interrupted)
        return document(self._plan, self._lanes, self._limit, about)

    def repeat(self, repetition: int) -> None:
        """One turn for the arithmetic limit and for each row that has not failed."""
        puzzles, rows, repetitions = len(self._plan.trial.puzzles), len(self._lanes), self._plan.repetitions
        total = repetitions * rows * puzzles

        def tell(index: int, what: str, more: int = 0) -> None:
            label = f"repetition {repetition + 1} of {repetitions}: {what}"
            self._tell(label, (repetition * rows + index) * puzzles + more, total)

        tell(0, "the arithmetic limit")
        self._busy.append(psutil.cpu_percent(_LISTENING))
        if self._limit.failure is None:
            self._measure_limit()
        for index, lane in enumerate(self._lanes):
            tell(index, lane.label)
            if lane.failure is None:
                self._take_turn(index, lane, functools.partial(tell, index, lane.label))

    def _take_turn(self, index: int, lane: Lane, tell: Callable[[int], None]) -> None:
        try:
            if index not in self._processes:
                plan = self._plan
                on_gpu = lane.subject.target != "cpu"
                job = SubjectJob(lane.subject.open, plan.trial.puzzles, lane.policy, lane.batch, plan.threads, on_gpu)
                self._processes[index] = self._start(job, f"{index}.txt")
                lane.open_seconds = self._processes[index].opened()
            lane.turns.append(self._processes[index].turn(tell))
        except EngineError as error:
            lane.failure = error.why

    def _measure_limit(self) -> None:
        try:
            if self._matrices is None:
                self._matrices = self._start(LimitJob(self._plan.product, self._plan.threads), "limit.txt")
                self._matrices.opened()
            self._limit.turns.append(self._matrices.turn(lambda _: None))
        except EngineError as error:
            self._limit.failure = error.why

    def _start(self, job: Job[T], words: str) -> Process[T]:
        process = Process(job, self._folder / words)
        self._stack.callback(process.close)
        return process


def _nothing(measured: BenchDocument) -> EngineError:
    reasons = dict.fromkeys(f"{each.runtime} {each.precision}: {each.reason}" for each in measured.refused)
    return EngineError(
        "nothing could be measured",
        why="; ".join(reasons),
        hint="`hrm-trt evaluate` and `hrm-trt inspect` look at one of them closely",
    )
