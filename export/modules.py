"""The three modules that are traced: an HRM whose ``forward`` is one module's work, in the variant's float type.

They are HRMs and not wrappers around one, so that scopes and parameters in the graph have the checkpoint's names.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Literal

from hrm.network import HRM

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from export.contract import PuzzleInput

TracedModule = Literal["encoder", "executor", "planner"]
_PUZZLE_TABLE = "puzzle_emb.weights"


class PlainEncoder(HRM):
    """The encoder of a model without puzzle embeddings."""

    def forward(self, inputs: Tensor) -> Tensor:
        """Token ids [B, S] to input embeddings [B, T, D]."""
        return self.embed(inputs, None)


class IdentifierEncoder(HRM):
    """The encoder that holds the puzzle table."""

    def forward(self, inputs: Tensor, puzzle_identifiers: Tensor) -> Tensor:
        """Token ids [B, S] and identifiers [B] to input embeddings [B, T, D]."""
        return self.encode(inputs, puzzle_identifiers)


class RowEncoder(HRM):
    """The encoder that is given the puzzle's row of a table kept elsewhere."""

    def forward(self, inputs: Tensor, puzzle_embedding: Tensor) -> Tensor:
        """Token ids [B, S] and puzzle embeddings [B, E] to input embeddings [B, T, D]."""
        return self.embed(inputs, puzzle_embedding)


class Executor(HRM):
    """One executor call."""

    def forward(self, z_L: Tensor, z_H: Tensor, input_embeddings: Tensor) -> Tensor:
        """States and embeddings [B, T, D] to the new ``z_L``."""
        return self.execute(z_L, z_H, input_embeddings)


class Planner(HRM):
    """One planner call and its heads."""

    def forward(self, z_H: Tensor, z_L: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """States [B, T, D] to the new ``z_H``, and to logits [B, S, V], q_halt and q_continue [B] in float32."""
        z_H = self.plan(z_H, z_L)
        logits, q_halt, q_continue = self.heads(z_H)
        return z_H, logits.float(), q_halt, q_continue


def traceable(network: HRM, dtype: torch.dtype, module: TracedModule, puzzle_input: PuzzleInput | None) -> HRM:
    """``network`` as ``module``, sharing its weights where ``dtype`` is theirs.

    Only an encoder that looks puzzles up by number carries the puzzle table, which can be gigabytes.
    """
    config, tensors = network.config, network.state_dict()
    if not (module == "encoder" and puzzle_input == "puzzle_identifiers") and _PUZZLE_TABLE in tensors:
        config = replace(config, num_puzzle_identifiers=1)
        tensors[_PUZZLE_TABLE] = tensors[_PUZZLE_TABLE][:1]
    model = _class(module, puzzle_input)(config, dtype)
    model.load_state_dict({name: tensor.to(dtype) for name, tensor in tensors.items()}, assign=True)
    return model.eval().requires_grad_(False)


def _class(module: TracedModule, puzzle_input: PuzzleInput | None) -> type[HRM]:
    match module, puzzle_input:
        case "executor", _:
            return Executor
        case "planner", _:
            return Planner
        case "encoder", "puzzle_identifiers":
            return IdentifierEncoder
        case "encoder", "puzzle_embedding":
            return RowEncoder
    return PlainEncoder
