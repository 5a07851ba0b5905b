"""From engines to segments: what the ACT loop steps, whichever runtime and topology is behind it.

Standard library and numpy alone: Triton runs a copy, over engines that it serves itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from engines.act import Array, StepOutput
from engines.slots import HostArrays

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from engines.act import Arrays


class Named(Protocol):
    """An input, of which the name is all that is asked here."""

    @property
    def name(self) -> str:
        """The input's name."""


class Runs(Protocol):
    """What is asked of an engine; ``engines.protocol.Engine`` is more."""

    @property
    def inputs(self) -> Sequence[Named]:
        """What ``run`` takes."""

    def run(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        """Compute every output from ``feeds``."""


class Sizes(Protocol):
    """What is asked of a configuration, ``hrm.config.HRMConfig`` or the orchestrator's settings."""

    @property
    def tokens(self) -> int:
        """The sequence and the puzzle tokens before it."""

    @property
    def hidden_size(self) -> int:
        """D, of every hidden state."""

    @property
    def H_cycles(self) -> int:
        """Planner calls in a segment."""

    @property
    def L_cycles(self) -> int:
        """Executor calls before each of them."""


class EngineStepper:
    """A bundle's engines and initial carry; satisfies ``engines.act.Stepper``.

    Args:
        engines: by module, {encoder, segment} or {encoder, executor, planner}.
        carry: initial ``z_H`` and ``z_L`` [D], in the type of the engines' inputs.
        config: sizes and cycles.
        puzzle_table: [identifiers, E], where the encoder takes its row instead of the identifier.
        arrays: how to handle rows of what the engines give; numpy's if None.
    """

    def __init__(
        self,
        engines: Mapping[Any, Runs],
        carry: tuple[Array, Array],
        config: Sizes,
        puzzle_table: Array | None = None,
        arrays: Arrays | None = None,
    ) -> None:
        self.arrays: Arrays = arrays or HostArrays()
        self._engines = engines
        self._carry = carry
        self._config = config
        self._puzzle_table = puzzle_table
        self._encoder_inputs = {spec.name for spec in engines["encoder"].inputs}

    def encode(self, inputs: Array, puzzle_identifiers: Array) -> Array:
        """Token ids int32 [B, S] and identifiers int32 [B] to input embeddings [B, T, D]."""
        feeds = {"inputs": inputs}
        if "puzzle_identifiers" in self._encoder_inputs:
            feeds["puzzle_identifiers"] = puzzle_identifiers
        if self._puzzle_table is not None:
            feeds["puzzle_embedding"] = self._puzzle_table[puzzle_identifiers]
        return self._engines["encoder"].run(feeds)["input_embeddings"]

    def initial_carry(self, batch: int) -> tuple[Array, Array]:
        """``z_H`` and ``z_L`` [B, T, D] before the first segment."""
        shape = (batch, self._config.tokens, self._config.hidden_size)
        z_H, z_L = (np.ascontiguousarray(np.broadcast_to(state, shape)) for state in self._carry)
        return z_H, z_L

    def step(self, z_H: Array, z_L: Array, input_embeddings: Array) -> StepOutput:
        """One segment, in one engine call or in ``H_cycles * (L_cycles + 1)`` of them."""
        if "segment" in self._engines:
            feeds = {"z_H": z_H, "z_L": z_L, "input_embeddings": input_embeddings}
            return _output(self._engines["segment"].run(feeds))
        outputs: dict[str, Array] = {}
        for _ in range(self._config.H_cycles):
            for _ in range(self._config.L_cycles):
                feeds = {"z_L": z_L, "z_H": z_H, "input_embeddings": input_embeddings}
                z_L = self._engines["executor"].run(feeds)["z_L_out"]
            outputs = self._engines["planner"].run({"z_H": z_H, "z_L": z_L})
            z_H = outputs["z_H_out"]
        return _output({**outputs, "z_L_out": z_L})


def _output(values: Mapping[str, Array]) -> StepOutput:
    return StepOutput(values["z_H_out"], values["z_L_out"], values["logits"], values["q_halt"], values["q_continue"])
