"""Subjects, plans and rows for the tests of the benchmark; the processes that open subjects import this module."""

from __future__ import annotations

import os
import signal
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scripted import SEQUENCE, VOCABULARY, Scripted

from engines.act import Policy
from hrm.config import HRMConfig
from hrm.data.dataset import DatasetInfo, PuzzleSet
from hrm.errors import EngineError
from hrm_trt.bench.document import BenchDocument, Row, spread
from hrm_trt.bench.material import Material, Trial
from hrm_trt.bench.plan import Plan
from hrm_trt.bench.subjects import Subject

if TYPE_CHECKING:
    from collections.abc import Callable

    from engines.act import Stepper

TINY = HRMConfig(
    vocab_size=VOCABULARY,
    seq_len=SEQUENCE,
    num_puzzle_identifiers=100,
    hidden_size=2,
    num_heads=1,
    H_layers=1,
    L_layers=1,
    H_cycles=1,
    L_cycles=1,
    halt_max_steps=4,
)
HALTS = (1, 2, 3, 4, 1, 1)
"""The segment at which each puzzle wants to halt; its answer is right there, and nowhere else."""


@dataclass(frozen=True)
class Script:
    """Halts as it is told; a segment takes at least ``pause`` seconds."""

    halts: tuple[int, ...] = HALTS
    pause: float = 0.0

    def __call__(self, threads: int) -> Stepper:
        del threads
        scripted = Scripted(list(self.halts))
        step = scripted.step

        def slowly(*state: Any) -> Any:
            time.sleep(self.pause)
            return step(*state)

        scripted.step = slowly  # type: ignore[method-assign]
        return scripted


class Refusing:
    """Cannot be opened."""

    def __call__(self, threads: int) -> Stepper:
        raise EngineError("no engine", why="its graph is broken", hint="none")


class Buggy:
    """Fails while it runs, in a way that nobody foresaw."""

    def __call__(self, threads: int) -> Stepper:
        scripted = Scripted(list(HALTS))
        scripted.step = self._fail  # type: ignore[method-assign]
        return scripted

    def _fail(self, *state: Any) -> Any:
        sys.stdout.write("a library's own words\n")
        raise ArithmeticError("the product is not defined")


@dataclass(frozen=True)
class Dying:
    """Its process is killed at the ``calls``-th segment."""

    calls: int

    def __call__(self, threads: int) -> Stepper:
        scripted = Scripted(list(HALTS))
        step = scripted.step

        def last(*state: Any) -> Any:
            if len(scripted.batches) == self.calls:
                os.kill(os.getpid(), signal.SIGKILL)
            return step(*state)

        scripted.step = last  # type: ignore[method-assign]
        return scripted


class NotNumbers:
    """Answers with NaN."""

    def __call__(self, threads: int) -> Stepper:
        scripted = Scripted(list(HALTS))
        step = scripted.step

        def overflow(*state: Any) -> Any:
            output = step(*state)
            return output._replace(logits=np.full_like(output.logits, np.nan))

        scripted.step = overflow  # type: ignore[method-assign]
        return scripted


class AsksThreads:
    """Refuses any other number of threads than three."""

    def __call__(self, threads: int) -> Stepper:
        assert (threads, os.environ["OMP_NUM_THREADS"], os.environ["OPENBLAS_NUM_THREADS"]) == (3, "3", "3")
        return Scripted(list(HALTS))


@dataclass(frozen=True)
class NoLimit:
    """In place of matrix products, which would have every test load PyTorch."""

    shape: tuple[int, int, int]
    threads: int

    def open(self) -> NoLimit:
        return self

    def turn(self, tell: Callable[[int], None]) -> dict[str, float]:
        return {"numpy": 1e9, "torch": 2e9}


def subject(opener: Any, runtime: str = "onnxruntime", precision: str = "fp32", **more: Any) -> Subject:
    return Subject(runtime, "cpu", precision, "segment", opener, **more)


def make_plan(*subjects: Subject, puzzles: int = len(HALTS), **changes: Any) -> Plan:
    """A plan for scripted subjects, one batch of 2."""
    info = DatasetInfo(VOCABULARY, SEQUENCE, 100, 0, None, 0)
    labels = np.repeat(np.array(HALTS[:puzzles], dtype=np.int32)[:, None] % VOCABULARY, SEQUENCE, axis=1)
    rows = np.arange(puzzles, dtype=np.int32)
    inputs = np.zeros((puzzles, SEQUENCE), dtype=np.int32)
    settings: dict[str, Any] = {
        "material": Material("tiny", "c" * 64, 789, TINY, None, (), None),
        "trial": Trial(PuzzleSet(info, "test", inputs, labels, rows, rows), "d" * 64),
        "subjects": subjects,
        "refused": (),
        "batches": (2,),
        "policies": (Policy("fixed", 4), Policy("adaptive", 4)),
        "repetitions": 2,
        "threads": 1,
    }
    return Plan(**(settings | changes))


def row(runtime: str = "onnxruntime", precision: str = "fp32", speed: float = 100.0, **changes: Any) -> Row:
    """A row of 200 puzzles at batch 32 under `fixed`."""
    settings: dict[str, Any] = {
        "runtime": runtime,
        "target": "cpu",
        "precision": precision,
        "topology": "segment",
        "batch": 32,
        "policy": "fixed",
        "puzzles": 200,
        "exact": 0.99,
        "depths": {8: 200},
        "puzzles_per_second": spread((speed, 0.9 * speed, 1.1 * speed)),
        "segment_seconds": spread((0.01, 0.011, 0.012)),
        "latency_seconds": spread((0.1, 0.11, 0.12)),
        "open_seconds": 1.5,
        "first_call_seconds": 0.02,
        "peak_bytes": 200_000_000,
        "share_of_limit": 0.7,
    }
    return Row(**(settings | changes))


def document(*rows: Row, **changes: Any) -> BenchDocument:
    settings: dict[str, Any] = {
        "date": "2026-11-28T08:00:00+00:00",
        "model": "tiny",
        "parameters": 789,
        "checkpoint": "c" * 64,
        "dataset": "d" * 64,
        "max_depth": 8,
        "threads": 2,
        "machine": {"processor": "a processor", "cores": 2},
        "versions": {"torch": "2.13.0"},
        "matrix_flops": 1.2e11,
        "matrix_shape": (1184, 128, 1024),
        "matrix_by": "torch",
        "rows": rows,
    }
    return BenchDocument(**(settings | changes))
