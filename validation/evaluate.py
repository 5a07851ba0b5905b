"""Run a model over a data set, and keep what a gate, a report and a cache need of it."""

from __future__ import annotations

import math
import time
import zlib
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt

from engines.solving import Answers, solve
from hrm import metrics
from hrm.errors import StorageError
from hrm.files import atomic_path
from validation.observers import SolvedRecorder

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from engines.act import Indices, Policy, StepOutput, Stepper
    from engines.solving import Observer, Progress
    from hrm.data.dataset import PuzzleSet


@dataclass(frozen=True, eq=False)
class Evaluation:
    """What one model under one policy made of N puzzles."""

    answers: Answers
    solved: npt.NDArray[np.bool_]
    """[N], every labelled cell right"""
    solved_by_segment: npt.NDArray[np.bool_] | None
    """[segments, N], under the fixed policy alone"""
    metrics: metrics.Metrics
    seconds: float
    """What the run took; NaN where it was read from a file: equal answers make equal files."""

    @property
    def exact_by_segment(self) -> tuple[float, ...] | None:
        """Share of puzzles solved after each segment, under the fixed policy."""
        return None if self.solved_by_segment is None else tuple(self.solved_by_segment.mean(axis=1).tolist())

    @property
    def depth_histogram(self) -> tuple[int, ...]:
        """Puzzles by the number of segments they used, from 0."""
        return tuple(np.bincount(self.answers.depth).tolist())


def evaluate(
    model: Stepper,
    puzzles: PuzzleSet,
    policy: Policy,
    *,
    batch: int,
    observers: Sequence[Observer] = (),
    progress: Progress | None = None,
) -> Evaluation:
    """Solve every puzzle and measure the answers.

    Args:
        model: what computes the segments.
        puzzles: what to solve, with the right answers.
        policy: when a puzzle stops.
        batch: puzzles per call of the model, at most.
        observers: called after each segment with the puzzles' indices in the data set.
        progress: called when puzzles are done.

    Raises:
        DatasetError: no puzzle has a label.
    """
    recorder = SolvedRecorder(puzzles.labels, policy.max_depth) if policy.name == "fixed" else None
    observe = _each(observers if recorder is None else (*observers, recorder))
    began = time.perf_counter()
    answers = solve(
        model, puzzles.inputs, puzzles.puzzle_identifiers, policy, batch=batch, observe=observe, progress=progress
    )
    return Evaluation(
        answers=answers,
        solved=metrics.solved(answers.tokens, puzzles.labels),
        solved_by_segment=None if recorder is None else recorder.solved,
        metrics=metrics.evaluate(answers.tokens, puzzles.labels, answers.depth, answers.q_halt),
        seconds=time.perf_counter() - began,
    )


def _each(observers: Sequence[Observer]) -> Observer:
    def observe(segments: Indices, rows: Indices, output: StepOutput) -> None:
        for observer in observers:
            observer(segments, rows, output)

    return observe


def save_evaluation(path: Path, evaluation: Evaluation) -> None:
    """Write ``evaluation``, all but its time, to an ``.npz`` in one step.

    Raises:
        StorageError: the disk is full or failing.
        UnwritableError: the place cannot be written.
    """
    arrays: dict[str, Any] = {f.name: getattr(evaluation.answers, f.name) for f in fields(Answers)}
    arrays |= {f"metric_{name}": value for name, value in evaluation.metrics.to_dict().items()}
    arrays["solved"] = evaluation.solved
    arrays["tokens"] = arrays["tokens"].astype(np.min_scalar_type(int(arrays["tokens"].max())))
    if evaluation.solved_by_segment is not None:
        arrays["solved_by_segment"] = evaluation.solved_by_segment
    with atomic_path(path) as scratch, scratch.open("wb") as file:
        np.savez_compressed(file, **arrays)


def load_evaluation(path: Path) -> Evaluation:
    """What ``save_evaluation`` wrote.

    Raises:
        StorageError: the file is missing or damaged.
    """
    try:
        with np.load(path, allow_pickle=False) as stored:
            arrays = dict(stored)
        measured = {f.name: arrays[f"metric_{f.name}"].item() for f in fields(metrics.Metrics)}
        arrays["tokens"] = arrays["tokens"].astype(np.int32)
        return Evaluation(
            answers=Answers(**{f.name: arrays[f.name] for f in fields(Answers)}),
            solved=arrays["solved"],
            solved_by_segment=arrays.get("solved_by_segment"),
            metrics=metrics.Metrics(**measured),
            seconds=math.nan,
        )
    except (OSError, EOFError, ValueError, KeyError, BadZipFile, zlib.error) as error:
        raise StorageError(
            f"cannot read the answers stored in {path}", why=str(error), hint="delete the file and run again"
        ) from error
