"""What must hold before an accuracy means anything. A failed check fails the gate, whatever the numbers say."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from engines.act import Policy
from engines.solving import solve
from hrm.documents import Document

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import numpy.typing as npt

    from engines.act import Array, Indices, StepOutput, Stepper
    from engines.solving import Answers
    from hrm.data.dataset import PuzzleSet

_SAMPLE = 8
_SEGMENTS = 2
"""The second segment is the first that starts from a carry of the engine's own."""
_POLICY = Policy("fixed", _SEGMENTS)
LOGIT_TOLERANCES = {"int8": 0.1, "fp8": 0.1, "nvfp4": 0.3}
"""How far a logit may move with the batch in low precision, as a share of the largest one: what another kernel sums up
in another order can fall on the other side of a rounding threshold, which the recurrence magnifies. On the bundled
checkpoints FP8 moved by up to 1.3 % and NVFP4 by 3.8 %, and INT8 on the official sample not at all; a row mixed up with
its neighbour differs by the whole."""
LOGIT_TOLERANCE = 0.02
"""The same where nothing is quantised."""


class Check(Document):
    """One check of an engine, and what it found."""

    name: str
    ok: bool
    reason: str
    """A sentence for people."""


def check_finite(answers: Answers) -> Check:
    """No NaN or infinity in any puzzle's outputs."""
    bad = np.flatnonzero(~answers.finite)
    if not len(bad):
        return Check(name="finite", ok=True, reason=f"no NaN or infinity in {len(answers.finite):,} puzzles")
    reason = f"NaN or infinity in {len(bad):,} of {len(answers.finite):,} puzzles, first in puzzle {bad[0]}"
    return Check(name="finite", ok=False, reason=reason)


def check_varied(inputs: npt.NDArray[np.int32], answers: Answers) -> Check:
    """Different puzzles do not all get one and the same answer."""
    puzzles, outputs = len(np.unique(inputs, axis=0)), len(np.unique(answers.tokens, axis=0))
    reason = f"{outputs:,} different answers to {puzzles:,} different puzzles"
    return Check(name="varied answers", ok=puzzles == 1 or outputs > 1, reason=reason)


def logit_tolerance(precisions: Iterable[str]) -> float:
    """How far a logit may move in an engine that computes in ``precisions``."""
    return max(LOGIT_TOLERANCES.get(precision, LOGIT_TOLERANCE) for precision in precisions)


def check_batch_independence(
    model: Stepper,
    puzzles: PuzzleSet,
    batches: Sequence[int],
    *,
    tolerance: float = LOGIT_TOLERANCE,
) -> Check:
    """A puzzle's answer does not depend on the batch that it is solved in.

    A few puzzles are solved in batches of the first size, in their order, and again among other neighbours and in
    another order for every further size. Logits of two segments must agree to within ``tolerance`` times the largest,
    and so must the answer: a token may differ only where its two best logits are that close.

    Args:
        model: what is checked.
        puzzles: where the puzzles and their neighbours come from.
        batches: the profile's smallest, usual and largest batch.
        tolerance: a share of the largest logit.
    """
    sample = np.arange(min(_SAMPLE, len(puzzles)))
    alone = _logits(model, puzzles, sample, batches[0])
    scale = float(np.abs(alone).max())
    worst = 0.0
    for batch in batches[1:]:
        order, places = _among_neighbours(len(sample), len(puzzles), batch)
        moved = np.abs(_logits(model, puzzles, order, batch)[:, places] - alone).max()
        worst = max(worst, float(np.nan_to_num(moved / scale, nan=np.inf)))
    sizes = ", ".join(str(batch) for batch in batches)
    reason = f"logits move by {worst:.2%} of the largest among batches of {sizes}; {tolerance:.0%} is allowed"
    return Check(name="batch independence", ok=worst <= tolerance, reason=reason)


def _among_neighbours(sample: int, total: int, batch: int) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Puzzles to fill a batch with, the first ``sample`` of them among others, and where those stand."""
    others = np.arange(sample, total) if total > sample else np.arange(total)
    pool = np.concatenate((np.arange(sample), np.resize(others, max(batch - sample, 0))))
    order = np.random.default_rng(batch).permutation(len(pool))
    return pool[order], np.argsort(order)[:sample]


def _logits(model: Stepper, puzzles: PuzzleSet, rows: npt.NDArray[np.intp], batch: int) -> Array:
    """The logits of every segment [segments, rows, S, V]."""
    inputs = puzzles.inputs[rows]
    logits = np.empty((_SEGMENTS, *inputs.shape, puzzles.info.vocab_size), dtype=np.float32)

    def observe(segments: Indices, where: Indices, output: StepOutput) -> None:
        logits[segments, where] = output.logits

    solve(model, inputs, puzzles.puzzle_identifiers[rows], _POLICY, batch=batch, observe=observe)
    return logits
