"""Engines of the four modules that fit in a page: real ONNX with the contract's inputs and outputs.

Vocabulary 5, one puzzle token, hidden size 4, one H and one L cycle.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx
from onnx import numpy_helper, parser

if TYPE_CHECKING:
    from export.contract import Module, PuzzleInput

VOCAB, HIDDEN, PUZZLES = 5, 4, 2
_WEIGHTS = {
    "words": (VOCAB, HIDDEN),
    "puzzles": (PUZZLES, HIDDEN),
    "low": (HIDDEN, HIDDEN),
    "high": (HIDDEN, HIDDEN),
    "head": (HIDDEN, VOCAB),
    "halt": (HIDDEN,),
    "go_on": (HIDDEN,),
}
_STATE = "float[batch,tokens,4]"
_HEADS = "float[batch,sequence,5] logits, float[batch] q_halt, float[batch] q_continue"
_EXECUTE = """
    summed = Sum(z_L, z_H, input_embeddings)
    mixed = MatMul(summed, low)
    z_L_out = Tanh(mixed)
"""
_PLAN = """
    planned = Add(z_H, {z_L})
    turned = MatMul(planned, high)
    z_H_out = Tanh(turned)
    one = Constant <value = int64[1] {{1}}>()
    end = Constant <value = int64[1] {{1000}}>()
    words_only = Slice(z_H_out, one, end, one)
    logits = MatMul(words_only, head)
    start = Constant <value = int64 {{0}}>()
    first = Gather <axis = 1> (z_H_out, start)
    q_halt = MatMul(first, halt)
    q_continue = MatMul(first, go_on)
"""
_ENCODE = """
    tokens_only = Gather <axis = 0> (words, inputs)
    one = Constant <value = int64[1] {1}>()
    puzzle = Unsqueeze(row, one)
    input_embeddings = Concat <axis = 1> (puzzle, tokens_only)
"""
_ENCODERS: dict[PuzzleInput, str] = {
    "puzzle_identifiers": f"""encoder (int32[batch,sequence] inputs, int32[batch] puzzle_identifiers)
        => ({_STATE} input_embeddings) {{ row = Gather <axis = 0> (puzzles, puzzle_identifiers) {_ENCODE} }}""",
    "puzzle_embedding": f"""encoder (int32[batch,sequence] inputs, float[batch,4] puzzle_embedding)
        => ({_STATE} input_embeddings) {{ row = Identity(puzzle_embedding) {_ENCODE} }}""",
}
_GRAPHS: dict[Module, str] = {
    "executor": f"""executor ({_STATE} z_L, {_STATE} z_H, {_STATE} input_embeddings)
        => ({_STATE} z_L_out) {{ {_EXECUTE} }}""",
    "planner": f"""planner ({_STATE} z_H, {_STATE} z_L) => ({_STATE} z_H_out, {_HEADS}) {{
        {_PLAN.format(z_L="z_L")} }}""",
    "segment": f"""segment ({_STATE} z_H, {_STATE} z_L, {_STATE} input_embeddings)
        => ({_STATE} z_H_out, {_STATE} z_L_out, {_HEADS}) {{ {_EXECUTE} {_PLAN.format(z_L="z_L_out")} }}""",
}


def tiny_graph(module: Module, seed: int, takes: PuzzleInput = "puzzle_identifiers") -> bytes:
    """One engine; another seed gives other weights. ``takes`` is what the encoder is told of the puzzle."""
    text = _ENCODERS[takes] if module == "encoder" else _GRAPHS[module]
    model = parser.parse_model(f'<ir_version: 8, opset_import: ["": 18]> {text}')
    generator = np.random.default_rng(seed)
    weights = {name: generator.normal(size=shape).astype(np.float32) for name, shape in _WEIGHTS.items()}
    used = {name for node in model.graph.node for name in node.input}
    model.graph.initializer.extend(numpy_helper.from_array(weights[name], name) for name in weights if name in used)
    onnx.checker.check_model(model)
    return model.SerializeToString()
