"""The metrics of the official evaluation, under their official names (``models/losses.py`` of sapientinc/HRM).

The official code sums each metric over the counted rows and divides by ``count``; a row counts if at least one of its
cells has a label.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from hrm.data.layout import IGNORE
from hrm.errors import DatasetError

Tokens = npt.NDArray[np.int32]


@dataclass(frozen=True)
class Metrics:
    """What the official evaluation reports; shares are fractions from 0 to 1."""

    exact_accuracy: float
    """Share of puzzles with every labelled cell right."""
    accuracy: float
    """Mean over puzzles of the share of labelled cells that are right."""
    steps: float
    """Mean number of segments."""
    q_halt_accuracy: float
    """Share of puzzles of which ``q_halt >= 0`` rightly says whether they are solved."""
    count: int
    """Puzzles with at least one label."""

    def to_dict(self) -> dict[str, float]:
        """The metrics by name."""
        return asdict(self)


def evaluate(tokens: Tokens, labels: Tokens, depth: npt.NDArray[Any], q_halt: npt.NDArray[Any]) -> Metrics:
    """The metrics of N answers.

    Args:
        tokens: the answers [N, S].
        labels: [N, S], ``IGNORE`` (-100) where a cell is not judged.
        depth: segments used [N].
        q_halt: the halting value of the last segment [N].

    Raises:
        DatasetError: no puzzle has a label.
    """
    judged = labels != IGNORE
    counted = judged.any(axis=1)
    if not counted.any():
        raise DatasetError(
            "there is nothing to measure", why="no puzzle has a label", hint="choose a split that has answers"
        )
    right = (judged & (tokens == labels))[counted]
    exact = solved(tokens, labels)[counted]
    return Metrics(
        exact_accuracy=float(exact.mean()),
        accuracy=float((right.sum(axis=1) / judged[counted].sum(axis=1)).mean()),
        steps=float(depth[counted].mean()),
        q_halt_accuracy=float(((q_halt[counted] >= 0) == exact).mean()),
        count=int(counted.sum()),
    )


def solved(tokens: Tokens, labels: Tokens) -> npt.NDArray[np.bool_]:
    """Which answers have every labelled cell right: [N, S] twice to [N]; False where a row has no label."""
    judged = labels != IGNORE
    return np.asarray(judged.any(axis=1) & ((tokens == labels) | ~judged).all(axis=1))
