"""How well a network that is being trained solves puzzles it has not seen, segment by segment."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from hrm import metrics

if TYPE_CHECKING:
    import numpy.typing as npt

    from hrm.data.dataset import PuzzleSet
    from hrm.network import HRM

_BATCH = 256


@dataclass(frozen=True)
class Evaluation:
    """The official metrics (every puzzle runs all segments), and what halting would do; shares are fractions."""

    exact_accuracy: float
    accuracy: float
    q_halt_accuracy: float
    count: int
    exact_by_segment: tuple[float, ...]
    adaptive_exact_accuracy: float
    """Exact accuracy if a puzzle stops at ``q_halt > q_continue``."""
    adaptive_depth: float
    """Mean segments then."""

    def to_dict(self) -> dict[str, Any]:
        """The values by name."""
        return asdict(self)


@torch.no_grad()
def evaluate(network: HRM, puzzles: PuzzleSet, device: torch.device) -> Evaluation:
    """Run every puzzle for ``halt_max_steps`` segments in float32, as the baseline of a gate will."""
    parts = [_run(network, puzzles, slice(start, start + _BATCH), device) for start in range(0, len(puzzles), _BATCH)]
    tokens, halt, halts = (np.concatenate(column, axis=1) for column in zip(*parts, strict=True))
    solved = np.stack([metrics.solved(segment, puzzles.labels) for segment in tokens])
    last = network.config.halt_max_steps
    halts[-1] = True
    depth = halts.argmax(axis=0) + 1
    official = metrics.evaluate(tokens[-1], puzzles.labels, np.full(len(puzzles), last), halt[-1])
    return Evaluation(
        exact_accuracy=official.exact_accuracy,
        accuracy=official.accuracy,
        q_halt_accuracy=official.q_halt_accuracy,
        count=official.count,
        exact_by_segment=tuple(float(segment.mean()) for segment in solved),
        adaptive_exact_accuracy=float(solved[depth - 1, np.arange(len(depth))].mean()),
        adaptive_depth=float(depth.mean()),
    )


def _run(network: HRM, puzzles: PuzzleSet, rows: slice, device: torch.device) -> tuple[npt.NDArray[Any], ...]:
    """Answers [segments, R, S], ``q_halt`` and ``q_halt > q_continue`` [segments, R] of some rows."""
    inputs = torch.from_numpy(puzzles.inputs[rows].astype(np.int64)).to(device)
    identifiers = torch.from_numpy(puzzles.puzzle_identifiers[rows].astype(np.int64)).to(device)
    tokens, halt, halts = [], [], []
    embeddings = network.encode(inputs, identifiers)
    carry = network.initial_carry(len(inputs))
    for _ in range(network.config.halt_max_steps):
        carry, heads = network.segment(carry, embeddings)
        tokens.append(heads.logits.argmax(-1).int())
        halt.append(heads.q_halt)
        halts.append(heads.q_halt > heads.q_continue)
    return tuple(torch.stack(column).cpu().numpy() for column in (tokens, halt, halts))
