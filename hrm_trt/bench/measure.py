"""One turn: all puzzles through one subject at one batch under one policy, with the time of every call and puzzle."""

from __future__ import annotations

import statistics
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from engines.solving import solve
from hrm.metrics import evaluate
from hrm_trt.bench.energy import gpu_joules

if TYPE_CHECKING:
    from collections.abc import Callable

    from engines.act import Array, Indices, Policy, StepOutput, Stepper
    from hrm.data.dataset import PuzzleSet
    from hrm_trt.bench.subjects import Opener

_WARM_UP = 2
"""Segments before the clock runs, in every turn: other processes have had the caches since the last one."""
_PEAK = "VmHWM:"


@dataclass(frozen=True)
class Turn:
    """What one turn came to."""

    seconds: float
    """For all puzzles."""
    segment_seconds: float
    """Median of the calls with the most rows."""
    latency_seconds: float
    """Median over puzzles, from taking a slot to the answer."""
    first_call_seconds: float
    """The first segment of this process."""
    exact: float
    depths: dict[int, int]
    """Puzzles by the segments that they took."""
    unsound: int
    """Puzzles with NaN or infinity in their heads."""
    peak_bytes: int
    joules: float | None = None
    """Of the GPU, for all puzzles."""


@dataclass(frozen=True, eq=False)
class SubjectJob:
    """A subject at one batch under one policy, to be opened in a process of its own."""

    opener: Opener
    puzzles: PuzzleSet
    policy: Policy
    batch: int
    threads: int
    on_gpu: bool = False

    def open(self) -> SubjectSession:
        """Open the engines.

        Raises:
            HrmTrtError: they cannot be opened.
        """
        return SubjectSession(self, self.opener(self.threads))


class SubjectSession:
    """Opened engines, which take one turn after another."""

    def __init__(self, job: SubjectJob, stepper: Stepper) -> None:
        self._job = job
        self._stepper = stepper
        self._first_call: float | None = None

    def turn(self, tell: Callable[[int], None]) -> Turn:
        """Warm up, then solve every puzzle; ``tell`` is called with how many are done.

        Raises:
            EngineError: the runtime failed.
        """
        job = self._job
        first_call = self._warm_up()
        clock = Clock(self._stepper, len(job.puzzles))
        used = gpu_joules() if job.on_gpu else None
        began = time.perf_counter()
        answers = solve(
            clock,
            job.puzzles.inputs,
            job.puzzles.puzzle_identifiers,
            job.policy,
            batch=job.batch,
            observe=clock.observe,
            progress=lambda done, _: tell(done),
        )
        seconds = time.perf_counter() - began
        used_by_now = None if used is None else gpu_joules()
        measured = evaluate(answers.tokens, job.puzzles.labels, answers.depth, answers.q_halt)
        return Turn(
            seconds=seconds,
            segment_seconds=clock.segment_seconds,
            latency_seconds=clock.latency_seconds,
            first_call_seconds=first_call,
            exact=measured.exact_accuracy,
            depths=dict(sorted(Counter(answers.depth.tolist()).items())),
            unsound=int((~answers.finite).sum()),
            peak_bytes=peak_bytes(),
            joules=None if used is None or used_by_now is None else used_by_now - used,
        )

    def _warm_up(self) -> float:
        """A few segments of a full batch; returns what the first one of this process took."""
        puzzles = self._job.puzzles.first(self._job.batch)
        embeddings = self._stepper.encode(puzzles.inputs, puzzles.puzzle_identifiers)
        z_H, z_L = self._stepper.initial_carry(len(puzzles))
        for _ in range(_WARM_UP):
            began = time.perf_counter()
            z_H, z_L, *_ = self._stepper.step(z_H, z_L, embeddings)
            if self._first_call is None:
                self._first_call = time.perf_counter() - began
        return self._first_call or 0.0


class Clock:
    """A stepper that times its calls, and an observer that times puzzles.

    Args:
        stepper: what computes.
        puzzles: how many there are.
    """

    def __init__(self, stepper: Stepper, puzzles: int) -> None:
        self.arrays = stepper.arrays
        self._stepper = stepper
        self._calls: list[tuple[int, float]] = []
        """Rows and seconds of each."""
        self._admitted = 0.0
        self._began = np.zeros(puzzles)
        self._ended = np.zeros(puzzles)

    @property
    def segment_seconds(self) -> float:
        """Median of the calls with the most rows."""
        most = max(rows for rows, _ in self._calls)
        return statistics.median(seconds for rows, seconds in self._calls if rows == most)

    @property
    def latency_seconds(self) -> float:
        """Median from a puzzle's taking a slot to its answer."""
        return float(np.median(self._ended - self._began))

    def encode(self, inputs: Array, puzzle_identifiers: Array) -> Array:
        """As the stepper; whoever is encoded takes a slot now."""
        self._admitted = time.perf_counter()
        return self._stepper.encode(inputs, puzzle_identifiers)

    def initial_carry(self, batch: int) -> tuple[Array, Array]:
        """As the stepper."""
        return self._stepper.initial_carry(batch)

    def step(self, z_H: Array, z_L: Array, input_embeddings: Array) -> StepOutput:
        """As the stepper, timed."""
        began = time.perf_counter()
        output = self._stepper.step(z_H, z_L, input_embeddings)
        self._calls.append((len(z_H), time.perf_counter() - began))
        return output

    def observe(self, segments: Indices, rows: Indices, output: StepOutput) -> None:
        """A segment is over: its rows' answers are there, of those that leave."""
        del output
        self._ended[rows] = time.perf_counter()
        self._began[rows[segments == 0]] = self._admitted


def peak_bytes() -> int:
    """This process's resident memory at its peak."""
    lines = Path("/proc/self/status").read_text("utf-8").splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith(_PEAK))
