"""The in-process runner: puzzles through ``engines.slots``, one batch that is refilled until all are answered.

Standard library and numpy alone. Shapes: N puzzles, others as in ``engines.act``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from engines.act import Indices, StepOutput, finite
from engines.slots import Answer, Row, Slots

if TYPE_CHECKING:
    from engines.act import Arrays, Policy, Stepper

Observer = Callable[[Indices, Indices, StepOutput], None]
"""Called after each engine call with its rows' segments (from 0) [B], their puzzles' indices [B] and the output.

Of the output the heads are numpy arrays; the carry is left wherever it lies.
"""

Progress = Callable[[int, int], None]
"""Called with the number of puzzles done and of all puzzles."""


@dataclass(frozen=True)
class Answers:
    """What a run gave for N puzzles, each from the segment at which it stopped."""

    tokens: npt.NDArray[np.int32]
    """[N, S]"""
    depth: npt.NDArray[np.int32]
    """[N], segments used"""
    q_halt: npt.NDArray[np.float32]
    q_continue: npt.NDArray[np.float32]
    confidence: npt.NDArray[np.float32]
    """[N], mean over cells of the answer's softmax probability"""
    finite: npt.NDArray[np.bool_]
    """[N], False where NaN or infinity came up"""


def solve(
    model: Stepper,
    inputs: npt.NDArray[np.int32],
    puzzle_identifiers: npt.NDArray[np.int32],
    policy: Policy,
    *,
    batch: int,
    observe: Observer | None = None,
    progress: Progress | None = None,
) -> Answers:
    """Run every puzzle until ``policy`` stops it.

    Args:
        model: what computes the segments.
        inputs: token ids [N, S].
        puzzle_identifiers: [N].
        policy: when a puzzle stops.
        batch: rows per engine call, at most.
        observe: called after each engine call.
        progress: called when puzzles are done.
    """
    answers = _empty(len(inputs), inputs.shape[1])
    slots: Slots[int] = Slots(model, batch)
    slots.submit(
        Row(tokens, int(identifier), policy, owner=index)
        for index, (tokens, identifier) in enumerate(zip(inputs, puzzle_identifiers, strict=True))
    )
    done = 0
    while not slots.idle:
        turn = slots.turn()
        rows = np.array([row.owner for row in turn.rows])
        output = _with_heads_here(turn.output, model.arrays)
        answers.finite[rows] &= finite(output.logits, output.q_halt, output.q_continue)
        if observe is not None:
            observe(np.array([row.depth - 1 for row in turn.rows]), rows, output)
        for row, answer in turn.answers.items():
            _record(answers, row.owner, answer)
        done += len(turn.answers)
        if progress is not None and turn.answers:
            progress(done, len(inputs))
    return answers


def _with_heads_here(output: StepOutput, arrays: Arrays) -> StepOutput:
    heads = (arrays.host(head) for head in (output.logits, output.q_halt, output.q_continue))
    return StepOutput(output.z_H, output.z_L, *heads)


def _record(answers: Answers, index: int, answer: Answer) -> None:
    answers.tokens[index] = answer.tokens
    answers.depth[index] = answer.depth
    answers.q_halt[index] = answer.q_halt
    answers.q_continue[index] = answer.q_continue
    answers.confidence[index] = answer.confidence


def _empty(puzzles: int, sequence: int) -> Answers:
    return Answers(
        tokens=np.zeros((puzzles, sequence), dtype=np.int32),
        depth=np.zeros(puzzles, dtype=np.int32),
        q_halt=np.zeros(puzzles, dtype=np.float32),
        q_continue=np.zeros(puzzles, dtype=np.float32),
        confidence=np.zeros(puzzles, dtype=np.float32),
        finite=np.ones(puzzles, dtype=np.bool_),
    )
