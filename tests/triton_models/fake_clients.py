"""Clients and reporters for the orchestrator's loop without Triton: they write down what they are told."""

from __future__ import annotations

import threading
from collections import Counter
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from scripted import SEQUENCE, Scripted

from engines.act import Policy
from engines.slots import Row, Slots, embed
from triton_models.solver.flow import Flow
from triton_models.solver.options import DEFAULT_LEVEL
from triton_models.solver.settings import Settings
from triton_models.solver.work import Work

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engines.slots import Answer
    from triton_models.solver.work import Outcome

ADAPTIVE = Policy("adaptive", 8)
SETTINGS = Settings(
    name="tiny",
    version=3,
    topology="segment",
    models={"encoder": "tiny_encoder", "segment": "tiny_segment"},
    sequence=3,
    tokens=4,
    hidden_size=4,
    vocab_size=5,
    identifiers=2,
    H_cycles=1,
    L_cycles=1,
    max_depth=4,
    policies={"fixed": None, "adaptive": None, "confidence": 0.9},
    default_policy="adaptive",
    puzzle_input="puzzle_identifiers",
    carry="carry.npz",
    puzzle_table=None,
)


class Client:
    """One client; as Triton's response sender, it may be answered once and not asked anything afterwards."""

    def __init__(self) -> None:
        self.answers: Sequence[Answer] | None = None
        self.error: str | None = None
        self.told: Outcome | None = None
        self.gone = False
        self.deaf = False
        """Sending an answer fails."""
        self.unreachable = False
        """Sending anything fails."""
        self.answered = threading.Event()
        self.asked = 0
        """How often it was asked whether it has gone."""
        self.misused = False
        """Something came after its response; Triton's server would use memory that is free again."""

    def send(self, answers: Sequence[Answer]) -> None:
        self._once()
        if self.deaf or self.unreachable:
            raise RuntimeError("shared memory is full")
        self.answers = answers
        self.answered.set()

    def refuse(self, outcome: Outcome, message: str) -> None:
        self._once()
        if self.unreachable:
            raise RuntimeError("shared memory is full")
        self.error, self.told = message, outcome
        self.answered.set()

    def is_cancelled(self) -> bool:
        self._once()
        self.asked += 1
        return self.gone

    @property
    def depths(self) -> list[int]:
        """Of its answers."""
        assert self.error is None, self.error
        assert not self.misused
        return [answer.depth for answer in self.answers or ()]

    def _once(self) -> None:
        self.misused |= self.answered.is_set()


class Told:
    """A reporter that remembers."""

    def __init__(self) -> None:
        self.steps: list[int] = []
        self.held = self.waiting = 0
        self.outcomes: Counter[str] = Counter()
        self.works: list[Work] = []

    def stepped(self, rows: int) -> None:
        self.steps.append(rows)

    def holding(self, slots: int, waiting: int) -> None:
        self.held, self.waiting = slots, waiting

    def answered(self, work: Work, seconds: float) -> None:
        assert seconds >= 0
        self.works.append(work)
        self.outcomes[str(work.outcome)] += 1


def flow_of(model: Scripted, capacity: int, queue: int, told: Told, **how: Any) -> Flow:
    """What encodes and steps with ``model``, and asks clients from their arrival on."""
    return Flow(Slots(model, capacity), partial(embed, model), queue, told, patience=0.0, **how)


class Puppet(Scripted):
    """A scripted model that stops, fails or gives NaN when it is told to."""

    def __init__(self, halts: list[int]) -> None:
        super().__init__(halts)
        self.failing: str | None = None
        """``encode``, ``step``, or ``once`` in the next step alone."""
        self.poisoned: set[int] = set()
        """Puzzles whose q_halt is NaN."""
        self.go = threading.Event()
        self.go.set()
        self.stepping = threading.Event()
        """Set while a segment is under way."""

    def encode(self, inputs: Any, puzzle_identifiers: Any) -> Any:
        if self.failing == "encode":
            raise RuntimeError("the encoder is not there")
        return super().encode(inputs, puzzle_identifiers)

    def step(self, z_H: Any, z_L: Any, input_embeddings: Any) -> Any:
        self.stepping.set()
        assert self.go.wait(10)
        self.stepping.clear()
        if self.failing in ("step", "once"):
            self.failing = self.failing if self.failing == "step" else None
            raise RuntimeError("the engine is not there")
        output = super().step(z_H, z_L, input_embeddings)
        puzzles = input_embeddings[:, 0, 0].astype(int)
        output.q_halt[np.isin(puzzles, list(self.poisoned))] = np.nan
        return output


def request(
    puzzles: Sequence[int],
    policy: Policy = ADAPTIVE,
    *,
    arrived: float = 0.0,
    deadline: float | None = None,
    level: int = DEFAULT_LEVEL,
) -> tuple[Client, Work]:
    """A client that asks for the scripted model's ``puzzles``, and its request."""
    client = Client()
    work = Work(client, "", arrived, deadline)
    work.level = level
    work.rows = tuple(Row(np.zeros(SEQUENCE, np.int32), puzzle, policy, work) for puzzle in puzzles)
    return client, work
