"""The puzzles that come out differently, and how to see one again."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from engines.solving import Answers
    from hrm.data.dataset import PuzzleSet


@dataclass(frozen=True, eq=False)
class Flip:
    """One puzzle that only one of the two models solves; every array is [S]."""

    example: int
    inputs: npt.NDArray[np.int32]
    labels: npt.NDArray[np.int32]
    baseline: npt.NDArray[np.int32]
    engine: npt.NDArray[np.int32]


def flips(examples: tuple[int, ...], puzzles: PuzzleSet, baseline: Answers, engine: Answers) -> tuple[Flip, ...]:
    """The puzzles numbered ``examples`` (a verdict's ``lost`` or ``won``) with both models' answers."""
    return tuple(
        Flip(
            example=example,
            inputs=puzzles.inputs[example],
            labels=puzzles.labels[example],
            baseline=baseline.tokens[example],
            engine=engine.tokens[example],
        )
        for example in examples
    )


def replay_command(model: str, example: int, policy: str) -> str:
    """The command that solves one puzzle of the gate again, as the gate did."""
    return f"hrm-trt solve --model {shlex.quote(model)} --policy {policy} --example {example}"
