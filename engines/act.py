"""Adaptive computation time: what a segment is, when a puzzle stops, and how sure an answer is (arXiv 2506.21734).

Standard library and numpy alone: Triton runs a copy. Shapes: B rows of a batch, S sequence, T tokens, D hidden size,
V vocabulary.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from collections.abc import Sequence

Array = npt.NDArray[Any]
Indices = npt.NDArray[np.intp]
PolicyName = Literal["fixed", "adaptive", "confidence"]


class StepOutput(NamedTuple):
    """What one segment gives: the carry [B, T, D], ``logits`` [B, S, V], ``q_halt`` and ``q_continue`` [B]."""

    z_H: Array
    z_L: Array
    logits: Array
    q_halt: Array
    q_continue: Array


class Arrays(Protocol):
    """What is done to rows of the carry, wherever it lies."""

    def take(self, array: Array, rows: Indices) -> Array:
        """These rows of ``array``."""

    def put(self, array: Array, rows: Indices, values: Array) -> Array:
        """``array`` with ``values`` over these rows: itself where it can be written to."""

    def join(self, parts: Sequence[Array]) -> Array:
        """The rows of one or more arrays, one after another."""

    def host(self, array: Array) -> Array:
        """A numpy array of the same values."""


class Stepper(Protocol):
    """Anything that can take puzzles through segments."""

    @property
    def arrays(self) -> Arrays:
        """How to handle rows of what it gives."""

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

    @classmethod
    def of(cls, name: PolicyName, max_depth: int, threshold: float | None) -> Policy:
        """A policy whose threshold may not be known; then it is the default."""
        return cls(name, max_depth) if threshold is None else cls(name, max_depth, threshold)

    @property
    def reads_answers(self) -> bool:
        """Whether it has to see the logits of every segment."""
        return self.name == "confidence"

    def halts(self, q_halt: float, q_continue: float, sure: float) -> bool:
        """Whether a puzzle stops here, before ``max_depth`` is reached; ``sure`` is the confidence of its answer."""
        if self.name == "adaptive":
            return q_halt > q_continue
        return self.name == "confidence" and sure > self.threshold


def confidence(logits: Array) -> npt.NDArray[np.float32]:
    """Mean over the sequence of the largest softmax probability: logits [B, S, V] to [B]."""
    return certainty(logits)[0]


def certainty(logits: Array) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Means over the sequence of the softmax's largest probability and of its entropy in nats: [B, S, V] to [B], [B].

    The entropy of softmax(x) is log(sum(exp(x))) - sum(softmax(x) * x).
    """
    wide = logits.astype(np.float32)
    with np.errstate(invalid="ignore"):  # infinite logits give NaN here, and `finite` tells of them
        shifted = wide - wide.max(axis=-1, keepdims=True)
        exponentials = np.exp(shifted)
        total = exponentials.sum(axis=-1)
        entropy = np.log(total) - (exponentials * shifted).sum(axis=-1) / total
    return _mean(1.0 / total), _mean(entropy)


def finite(logits: Array, q_halt: Array, q_continue: Array) -> npt.NDArray[np.bool_]:
    """Which rows of a segment's heads are free of NaN and infinity, [B]."""
    return np.asarray(np.isfinite(logits).all(axis=(1, 2)) & np.isfinite(q_halt) & np.isfinite(q_continue))


def _mean(cells: Array) -> npt.NDArray[np.float32]:
    return np.asarray(cells.mean(axis=-1), dtype=np.float32)
