"""What the four graphs take and give, before any of them exists: names, types, and which axes are dynamic.

Shapes use B ``batch``, S ``sequence``, T ``tokens`` (the sequence and the puzzle tokens before it), D hidden size,
V vocabulary, E puzzle embedding.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from hrm.config import HRMConfig

Module = Literal["encoder", "executor", "planner", "segment"]
Variant = Literal["fp32", "fp16"]
PuzzleInput = Literal["puzzle_identifiers", "puzzle_embedding"]

PUZZLE_TABLE_LIMIT = 256 * 2**20
"""Bytes of a float32 puzzle table above which its rows are looked up outside the graph."""

CARRY = "carry.npz"
"""The file with ``z_H`` and ``z_L`` [D]: the initial carry, in the type of the graphs' states."""
PUZZLE_TABLE = "puzzle_table.npy"
"""The file with the puzzle table [identifiers, E], only where it is too large for a graph."""


class TensorSpec(NamedTuple):
    """One input or output: its name, numpy dtype name, and shape with names for what is dynamic."""

    name: str
    dtype: str
    shape: tuple[int | str, ...]


class Signature(NamedTuple):
    """All inputs and outputs of one graph, in order."""

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]


@dataclass(frozen=True)
class Lowering:
    """How a variant is written in ONNX."""

    dtype: str
    """Type of weights, states and embeddings, by numpy's name; norms and rotary positions are float32 in all."""
    opset: int
    attention: str
    """For people: how attention is written."""
    attention_op: str
    """The operator that occurs exactly once in every attention."""


LOWERINGS: dict[Variant, Lowering] = {
    "fp32": Lowering("float32", 18, "MatMul, Softmax, MatMul", "Softmax"),
    "fp16": Lowering("float16", 23, "ONNX Attention operator", "Attention"),
}


def puzzle_input(config: HRMConfig, table_limit: int = PUZZLE_TABLE_LIMIT) -> PuzzleInput | None:
    """How the encoder is told the puzzle: by number, by its row of a table above ``table_limit`` bytes, or not."""
    if config.puzzle_emb_ndim == 0:
        return None
    table_bytes = 4 * config.num_puzzle_identifiers * config.puzzle_emb_ndim
    return "puzzle_embedding" if table_bytes > table_limit else "puzzle_identifiers"


def signature(config: HRMConfig, variant: Variant, module: Module, table_limit: int = PUZZLE_TABLE_LIMIT) -> Signature:
    """The inputs and outputs of one graph of ``variant``."""
    dtype = LOWERINGS[variant].dtype

    def state(name: str) -> TensorSpec:
        return TensorSpec(name, dtype, ("batch", "tokens", config.hidden_size))

    embeddings = state("input_embeddings")
    heads = (
        TensorSpec("logits", "float32", ("batch", "sequence", config.vocab_size)),
        TensorSpec("q_halt", "float32", ("batch",)),
        TensorSpec("q_continue", "float32", ("batch",)),
    )
    match module:
        case "encoder":
            return Signature(_encoder_inputs(config, dtype, table_limit), (embeddings,))
        case "executor":
            return Signature((state("z_L"), state("z_H"), embeddings), (state("z_L_out"),))
        case "planner":
            return Signature((state("z_H"), state("z_L")), (state("z_H_out"), *heads))
        case "segment":
            carry = (state("z_H_out"), state("z_L_out"))
            return Signature((state("z_H"), state("z_L"), embeddings), (*carry, *heads))


def _encoder_inputs(config: HRMConfig, dtype: str, table_limit: int) -> tuple[TensorSpec, ...]:
    inputs = TensorSpec("inputs", "int32", ("batch", "sequence"))
    match puzzle_input(config, table_limit):
        case "puzzle_identifiers":
            return (inputs, TensorSpec("puzzle_identifiers", "int32", ("batch",)))
        case "puzzle_embedding":
            return (inputs, TensorSpec("puzzle_embedding", dtype, ("batch", config.puzzle_emb_ndim)))
        case None:
            return (inputs,)
