"""Adaptive computation time: run segments until every puzzle has halted (arXiv 2506.21734, section 2).

Standard library and numpy alone. Rows that have halted leave the batch, so a segment costs what its remaining rows
cost; a row's answer does not depend on its neighbours. Shapes: N puzzles, B rows of a batch, S sequence, T tokens,
D hidden size, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
PolicyName = Literal["fixed", "adaptive", "confidence"]


class StepOutput(NamedTuple):
    """What one segment gives: the carry [B, T, D], ``logits`` [B, S, V], ``q_halt`` and ``q_continue`` [B]."""

    z_H: Array
    z_L: Array
    logits: Array
    q_halt: Array
    q_continue: Array


Observer = Callable[[int, npt.NDArray[np.intp], StepOutput], None]
"""Called after each segment with its number (from 0), the puzzles' indices [B] and the output."""


Progress = Callable[[int, int], None]
"""Called with the number of puzzles done and of all puzzles."""


class Stepper(Protocol):
    """Anything that can take puzzles through segments."""

    def encode(self, inputs: Array, puzzle_identifiers: Array) -> Array:
        """Token ids int32 [B, S] and identifiers int32 [B] to input embeddings [B, T, D]."""

    def initial_carry(self, batch: int) -> tuple[Array, Array]:
        """``z_H`` and ``z_L`` [B, T, D] before the first segment."""

    def step(self, z_H: Array, z_L: Array, input_embeddings: Array) -> StepOutput:
        """One segment."""


@dataclass(frozen=True)
class Policy:
    """When a puzzle stops: always at ``max_depth``, or before it when the model says so."""

    name: PolicyName
    max_depth: int
    threshold: float = 0.95
    """``confidence``: the mean softmax probability of the answer above which a puzzle stops."""

    def halts(self, output: StepOutput) -> npt.NDArray[np.bool_]:
        """Which rows of ``output`` stop here, before ``max_depth`` is reached."""
        if self.name == "adaptive":
            return np.asarray(output.q_halt > output.q_continue)
        if self.name == "confidence":
            return confidence(output.logits) > self.threshold
        return np.zeros(len(output.q_halt), dtype=np.bool_)


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


def confidence(logits: Array) -> npt.NDArray[np.float32]:
    """Mean over the sequence of the largest softmax probability: logits [B, S, V] to [B]."""
    wide = logits.astype(np.float32)
    with np.errstate(invalid="ignore"):  # infinite logits give NaN here, and `Answers.finite` tells of them
        exponentials = np.exp(wide - wide.max(axis=-1, keepdims=True))
    return np.asarray((1.0 / exponentials.sum(axis=-1)).mean(axis=-1), dtype=np.float32)


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
        observe: called after each segment.
        progress: called after each batch.
    """
    answers = _empty(len(inputs), inputs.shape[1])
    for start in range(0, len(inputs), batch):
        rows = np.arange(start, min(start + batch, len(inputs)))
        _solve_batch(model, inputs, puzzle_identifiers, policy, rows, answers, observe)
        if progress is not None:
            progress(int(rows[-1]) + 1, len(inputs))
    return answers


def _solve_batch(
    model: Stepper,
    inputs: npt.NDArray[np.int32],
    puzzle_identifiers: npt.NDArray[np.int32],
    policy: Policy,
    rows: npt.NDArray[np.intp],
    answers: Answers,
    observe: Observer | None,
) -> None:
    embeddings = model.encode(inputs[rows], puzzle_identifiers[rows])
    z_H, z_L = model.initial_carry(len(rows))
    for depth in range(1, policy.max_depth + 1):
        output = model.step(z_H, z_L, embeddings)
        if observe is not None:
            observe(depth - 1, rows, output)
        done = policy.halts(output) | (depth == policy.max_depth)
        _record(answers, rows, output, done, depth)
        if done.all():
            return
        z_H, z_L = output.z_H, output.z_L
        if done.any():
            stay = ~done
            z_H, z_L, embeddings, rows = z_H[stay], z_L[stay], embeddings[stay], rows[stay]


def _record(
    answers: Answers, rows: npt.NDArray[np.intp], output: StepOutput, done: npt.NDArray[np.bool_], depth: int
) -> None:
    finite = np.isfinite(output.logits).all(axis=(1, 2)) & np.isfinite(output.q_halt) & np.isfinite(output.q_continue)
    answers.finite[rows] &= finite
    stopped, logits = rows[done], output.logits[done]
    if not len(stopped):
        return
    answers.tokens[stopped] = logits.argmax(axis=-1)
    answers.depth[stopped] = depth
    answers.q_halt[stopped] = output.q_halt[done]
    answers.q_continue[stopped] = output.q_continue[done]
    answers.confidence[stopped] = confidence(logits)


def _empty(puzzles: int, sequence: int) -> Answers:
    return Answers(
        tokens=np.zeros((puzzles, sequence), dtype=np.int32),
        depth=np.zeros(puzzles, dtype=np.int32),
        q_halt=np.zeros(puzzles, dtype=np.float32),
        q_continue=np.zeros(puzzles, dtype=np.float32),
        confidence=np.zeros(puzzles, dtype=np.float32),
        finite=np.ones(puzzles, dtype=np.bool_),
    )
