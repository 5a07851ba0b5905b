"""What can watch a run segment by segment (``engines.solving.Observer``)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from engines.act import finite
from hrm import metrics
from hrm.errors import EngineError
from hrm.files import atomic_path

if TYPE_CHECKING:
    from pathlib import Path

    import numpy.typing as npt

    from engines.act import Indices, StepOutput


class SolvedRecorder:
    """Which puzzles are solved after each segment: ``solved`` [segments, N]."""

    def __init__(self, labels: npt.NDArray[np.int32], segments: int) -> None:
        self._labels = labels
        self.solved = np.zeros((segments, len(labels)), dtype=np.bool_)

    def __call__(self, segments: Indices, rows: Indices, output: StepOutput) -> None:
        """Judge the segment's answers."""
        tokens = output.logits.argmax(axis=-1).astype(np.int32)
        self.solved[segments, rows] = metrics.solved(tokens, self._labels[rows])


class OutputRecorder:
    """Everything that the heads said: ``logits`` [segments, N, S, V], ``q_halt`` and ``q_continue`` [segments, N].

    float32, NaN for the segments that a puzzle did not use.
    """

    def __init__(self, inputs: npt.NDArray[np.int32], vocab_size: int, segments: int) -> None:
        self._inputs = inputs
        self.logits = np.full((segments, *inputs.shape, vocab_size), np.nan, dtype=np.float32)
        self.q_halt = np.full((segments, len(inputs)), np.nan, dtype=np.float32)
        self.q_continue = np.full_like(self.q_halt, np.nan)

    def __call__(self, segments: Indices, rows: Indices, output: StepOutput) -> None:
        """Keep the segment's outputs."""
        self.logits[segments, rows] = output.logits
        self.q_halt[segments, rows] = output.q_halt
        self.q_continue[segments, rows] = output.q_continue

    def save(self, path: Path) -> None:
        """Write the outputs and the puzzles' ``inputs`` to an ``.npz`` in one step.

        Raises:
            StorageError: the disk is full or failing.
            UnwritableError: the place cannot be written.
        """
        with atomic_path(path) as scratch, scratch.open("wb") as file:
            np.savez(file, inputs=self._inputs, logits=self.logits, q_halt=self.q_halt, q_continue=self.q_continue)


def require_finite(segments: Indices, rows: Indices, output: StepOutput) -> None:
    """Stop at the first NaN or infinity; for a model that others are measured against.

    Raises:
        EngineError: with the segment and the puzzle.
    """
    sound = finite(output.logits, output.q_halt, output.q_continue)
    if sound.all():
        return
    first = np.argmin(sound)
    raise EngineError(
        "the baseline cannot be used to judge an engine",
        why=f"NaN or infinity in segment {segments[first] + 1} of puzzle {rows[first]}",
        hint="evaluate the checkpoint with --dtype float32; if that fails too, its training went wrong",
    )
