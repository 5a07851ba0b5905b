"""In-flight batching: puzzles come and go between segments, so that no engine call carries rows that have halted.

One batch is stepped again and again. Before a segment, waiting puzzles take the free slots in the order they came;
after it, rows that have halted leave with their answers. Who comes is written over who left, and all others stay where
they are; only where nobody waits are gaps closed. Every row has a policy and a depth of its own, and its answer does
not depend on its neighbours.

Standard library and numpy alone, and no threads: the in-process runner (``engines.solving``) and the orchestrator that
Triton runs drive the same class. Shapes as in ``engines.act``.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from engines.act import certainty, finite

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Sequence

    from engines.act import Array, Indices, Policy, StepOutput, Stepper

T = TypeVar("T")


class HostArrays:
    """numpy's arrays."""

    def take(self, array: Array, rows: Indices) -> Array:
        """These rows of ``array``."""
        return array[rows]

    def put(self, array: Array, rows: Indices, values: Array) -> Array:
        """``array`` with ``values`` over these rows: itself where it can be written to."""
        target = array if array.flags.writeable else array.copy()
        target[rows] = values
        return target

    def join(self, parts: Sequence[Array]) -> Array:
        """The rows of one or more arrays, one after another."""
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def host(self, array: Array) -> Array:
        """The array itself."""
        return array


@dataclass(eq=False)
class Row(Generic[T]):
    """One puzzle on its way."""

    inputs: npt.NDArray[np.int32]
    """[S]"""
    puzzle_identifier: int
    policy: Policy
    owner: T
    """Whoever wants the answer; never looked at here."""
    depth: int = 0
    """Segments so far."""
    embedding: Array | None = None
    """Input embeddings [1, T, D], from ``embed``; a row that has none when a slot is free for it gets them then."""


class Answer(NamedTuple):
    """What a row left with."""

    tokens: npt.NDArray[np.int32]
    """[S]"""
    depth: int
    halted: bool
    """Whether its policy stopped it; False where it had used all its segments."""
    confidence: float
    entropy: float
    """Nats, mean over the sequence."""
    q_halt: float
    q_continue: float
    finite: bool
    """Whether the heads were free of NaN and infinity when it left."""


class Turn(NamedTuple, Generic[T]):
    """What one segment came to."""

    rows: tuple[Row[T], ...]
    """All that took part, in the order of the output's."""
    output: StepOutput
    """The carry in it is the next turn's to write to."""
    answers: dict[Row[T], Answer]
    """Of those that left."""


def embed(model: Stepper, rows: Sequence[Row[T]]) -> None:
    """Give rows their input embeddings, in one call; any thread may do that ahead of the segments."""
    if not rows:
        return
    identifiers = np.array([row.puzzle_identifier for row in rows], dtype=np.int32)
    embeddings = model.encode(np.stack([row.inputs for row in rows]), identifiers)
    for index, row in enumerate(rows):
        row.embedding = embeddings[index : index + 1]


class Slots(Generic[T]):
    """The batch that runs and the line of puzzles that wait for it.

    Args:
        model: what computes the segments.
        capacity: how many puzzles run at once.
    """

    def __init__(self, model: Stepper, capacity: int) -> None:
        self.capacity = capacity
        self.waiting: deque[Row[T]] = deque()
        self._model = model
        self._arrays = model.arrays
        self._rows: list[Row[T] | None] = []
        """Whose each row of the state is; None where its puzzle has left."""
        self._state: tuple[Array, Array, Array] | None = None
        """z_H, z_L and input embeddings; None where nothing runs."""

    @property
    def running(self) -> list[Row[T]]:
        """The puzzles that take part in the segments."""
        return [row for row in self._rows if row is not None]

    @property
    def idle(self) -> bool:
        """Whether there is nothing to do."""
        return self._state is None and not self.waiting

    def submit(self, rows: Iterable[Row[T]]) -> None:
        """Let ``rows`` join the end of the line."""
        self.waiting.extend(rows)

    def drop(self, unwanted: Callable[[Row[T]], bool]) -> None:
        """Let go of the rows, waiting or running, whose answer nobody wants any more."""
        self.waiting = deque(row for row in self.waiting if not unwanted(row))
        self._leave([row for row in self.running if unwanted(row)])

    def clear(self) -> list[Row[T]]:
        """Let go of everything, and return it."""
        dropped = [*self.running, *self.waiting]
        self.waiting.clear()
        self._leave(self.running)
        return dropped

    def turn(self) -> Turn[T]:
        """Admit, step once, retire. If the model raises, every row is still here.

        Raises:
            RuntimeError: there is nothing to step.
        """
        self._admit()
        self._close_gaps()
        if self._state is None:
            raise RuntimeError("no puzzle to step")
        output = self._model.step(*self._state)
        rows = tuple(self.running)
        for row in rows:
            row.depth += 1
        q_halt, q_continue = self._arrays.host(output.q_halt), self._arrays.host(output.q_continue)
        halted = self._halted(rows, q_halt, q_continue, output.logits)
        lost = ~(np.isfinite(q_halt) & np.isfinite(q_continue))  # nothing sensible can follow
        ends = [i for i, row in enumerate(rows) if halted[i] or lost[i] or row.depth >= row.policy.max_depth]
        answers = self._answers(rows, ends, halted, output)
        self._state = (output.z_H, output.z_L, self._state[2])
        self._leave(answers)
        return Turn(rows, output, answers)

    def _admit(self) -> None:
        """Fill free slots from the front of the line; a row leaves the line only when its embedding is there."""
        count = min(self.capacity - len(self.running), len(self.waiting))
        if not count:
            return
        rows = [self.waiting[index] for index in range(count)]
        embed(self._model, [row for row in rows if row.embedding is None])
        embeddings = self._arrays.join([row.embedding for row in rows if row.embedding is not None])
        fresh = (*self._model.initial_carry(count), embeddings)
        gaps = [index for index, row in enumerate(self._rows) if row is None][:count]
        if self._state is None:
            placed = [self._arrays.join([new]) for new in fresh]
        else:
            placed = [self._place(old, new, gaps) for old, new in zip(self._state, fresh, strict=True)]
        z_H, z_L, embeddings = placed
        self._state = (z_H, z_L, embeddings)
        for gap, row in zip(gaps, rows, strict=False):
            self._rows[gap] = row
        self._rows += rows[len(gaps) :]
        for row in rows:
            row.embedding = None  # it is in the state now
            self.waiting.popleft()

    def _place(self, array: Array, new: Array, gaps: Sequence[int]) -> Array:
        """Write the first of ``new`` into ``gaps``, and append the others."""
        if gaps:
            array = self._arrays.put(array, np.array(gaps), new[: len(gaps)])
        return self._arrays.join([array, new[len(gaps) :]]) if len(new) > len(gaps) else array

    def _halted(self, rows: Sequence[Row[T]], q_halt: Array, q_continue: Array, logits: Array) -> list[bool]:
        """Which rows their policies stop here."""
        if any(row.policy.reads_answers for row in rows):
            sure = certainty(self._arrays.host(logits))[0].tolist()
        else:
            sure = [0.0] * len(rows)
        heads = zip(rows, q_halt.tolist(), q_continue.tolist(), sure, strict=True)
        return [row.policy.halts(halt, go_on, share) for row, halt, go_on, share in heads]

    def _answers(
        self, rows: Sequence[Row[T]], ends: Sequence[int], halted: Sequence[bool], output: StepOutput
    ) -> dict[Row[T], Answer]:
        if not ends:
            return {}
        leaving = np.array(ends)
        logits, q_halt, q_continue = (
            self._arrays.host(self._arrays.take(array, leaving))
            for array in (output.logits, output.q_halt, output.q_continue)
        )
        tokens = logits.argmax(axis=-1).astype(np.int32)
        sure, entropy = certainty(logits)
        sound = finite(logits, q_halt, q_continue)
        return {
            rows[end]: Answer(
                tokens=tokens[index],
                depth=rows[end].depth,
                halted=halted[end],
                confidence=float(sure[index]),
                entropy=float(entropy[index]),
                q_halt=float(q_halt[index]),
                q_continue=float(q_continue[index]),
                finite=bool(sound[index]),
            )
            for index, end in enumerate(ends)
        }

    def _leave(self, gone: Collection[Row[T]]) -> None:
        """Let go of these rows of the state."""
        if gone:
            self._rows = [None if row in gone else row for row in self._rows]
        if not any(self._rows):
            self._rows, self._state = [], None

    def _close_gaps(self) -> None:
        """Leave out of the state what nobody has come for."""
        stay = [index for index, row in enumerate(self._rows) if row is not None]
        if self._state is None or len(stay) == len(self._rows):
            return
        self._rows = [self._rows[index] for index in stay]
        z_H, z_L, embeddings = (self._arrays.take(array, np.array(stay)) for array in self._state)
        self._state = (z_H, z_L, embeddings)
