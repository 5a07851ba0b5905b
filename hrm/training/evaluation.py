"""How well a network that is being trained solves puzzles it has not seen, segment by segment."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

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
    adaptive_depths: tuple[int, ...]
    """How many puzzles then stop after each segment."""

    def to_dict(self) -> dict[str, Any]:
        """The values by name."""
        return asdict(self)


class _Part(NamedTuple):
    """What R puzzles gave."""

    tokens: npt.NDArray[Any]
    """The last segment's answers, int32 [R, S]."""
    q_halt: npt.NDArray[Any]
    """Of the last segment, float32 [R]."""
    solved: npt.NDArray[Any]
    """By segment, bool [R, segments]."""
    halts: npt.NDArray[Any]
    """Whether ``q_halt > q_continue``, bool [R, segments]."""


@torch.no_grad()
def evaluate(network: HRM, puzzles: PuzzleSet, device: torch.device) -> Evaluation:
    """Run every puzzle for ``halt_max_steps`` segments in float32, as the baseline of a gate will."""
    parts = [_run(network, puzzles, slice(start, start + _BATCH), device) for start in range(0, len(puzzles), _BATCH)]
    tokens, q_halt, solved, halts = map(np.concatenate, zip(*parts, strict=True))
    last = network.config.halt_max_steps
    halts[:, -1] = True
    depth = halts.argmax(axis=1) + 1
    official = metrics.evaluate(tokens, puzzles.labels, np.full(len(puzzles), last), q_halt)
    return Evaluation(
        exact_accuracy=official.exact_accuracy,
        accuracy=official.accuracy,
        q_halt_accuracy=official.q_halt_accuracy,
        count=official.count,
        exact_by_segment=tuple(solved.mean(axis=0).tolist()),
        adaptive_exact_accuracy=float(solved[np.arange(len(depth)), depth - 1].mean()),
        adaptive_depth=float(depth.mean()),
        adaptive_depths=tuple(np.bincount(depth, minlength=last + 1)[1:].tolist()),
    )


def _run(network: HRM, puzzles: PuzzleSet, rows: slice, device: torch.device) -> _Part:
    inputs = torch.from_numpy(puzzles.inputs[rows].astype(np.int64)).to(device)
    identifiers = torch.from_numpy(puzzles.puzzle_identifiers[rows].astype(np.int64)).to(device)
    solved, halts = [], []
    embeddings = network.encode(inputs, identifiers)
    carry = network.initial_carry(len(inputs))
    for _ in range(network.config.halt_max_steps):
        carry, heads = network.segment(carry, embeddings)
        tokens = heads.logits.argmax(-1).int().cpu().numpy()
        solved.append(metrics.solved(tokens, puzzles.labels[rows]))
        halts.append((heads.q_halt > heads.q_continue).cpu().numpy())
    return _Part(tokens, heads.q_halt.cpu().numpy(), np.stack(solved, axis=1), np.stack(halts, axis=1))
