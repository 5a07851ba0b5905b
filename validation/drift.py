"""How far one model's answers lie from another's, cell by cell, in every segment: finer than counting puzzles."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from engines.act import Array, Indices, StepOutput

Probabilities = npt.NDArray[np.float16]


class AnswerRecorder:
    """What a model thinks of every cell: ``probabilities`` float16 [segments, N, S, V].

    Probabilities rather than logits: float16 keeps them to a thousandth whatever the logits are, in half the memory.
    """

    def __init__(self, puzzles: int, sequence: int, vocabulary: int, segments: int) -> None:
        self.probabilities: Probabilities = np.zeros((segments, puzzles, sequence, vocabulary), dtype=np.float16)

    def __call__(self, segments: Indices, rows: Indices, output: StepOutput) -> None:
        """Keep the segment's answers."""
        self.probabilities[segments, rows] = _softmax(output.logits)


class DriftMeter:
    """The total-variation distance between a model's answers and recorded ones; under the fixed policy.

    Args:
        reference: the recorded answers [segments, N, S, V].
    """

    def __init__(self, reference: Probabilities) -> None:
        self._reference = reference
        self._sum = 0.0
        self._cells = 0

    def __call__(self, segments: Indices, rows: Indices, output: StepOutput) -> None:
        """Compare the segment's answers."""
        ours, theirs = _softmax(output.logits), self._reference[segments, rows]
        distance = np.abs(ours.astype(np.float32) - theirs.astype(np.float32)).sum(axis=-1) / 2
        self._sum += float(np.nan_to_num(distance, nan=1.0).sum(dtype=np.float64))  # NaN is as far off as can be
        self._cells += distance.size

    @property
    def drift(self) -> float:
        """Mean over puzzles, segments and cells so far: 0 for equal answers, 1 for answers that share nothing."""
        return self._sum / self._cells if self._cells else 0.0


def _softmax(logits: Array) -> Probabilities:
    """Over the last axis; rounded to what is recorded, so that equal models differ by nothing."""
    wide = logits.astype(np.float32)
    with np.errstate(invalid="ignore"):
        exponentials = np.exp(wide - wide.max(axis=-1, keepdims=True))
        return np.asarray(exponentials / exponentials.sum(axis=-1, keepdims=True), dtype=np.float16)
