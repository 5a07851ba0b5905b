"""From what PyTorch's exporter writes to a graph with stable names and nothing of this machine in it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from export.contract import puzzle_input
from export.passes.attention import count_attention
from export.passes.constants import name_constants
from export.passes.expect import expect
from export.passes.metadata import strip_metadata
from export.passes.weights import linears, name_weights

if TYPE_CHECKING:
    from collections.abc import Collection

    from onnx import GraphProto

    from export.contract import Module
    from hrm.config import HRMConfig


class Census(NamedTuple):
    """What a module's graph must hold, by the architecture."""

    attentions: int
    linears: int
    tables: int
    """The checkpoint's other tensors in it, and the rotary tables."""


def census(config: HRMConfig, module: Module, table_limit: int) -> Census:
    """One attention and four linears a layer; the planner's logits are a linear more, its Q head two tables more."""
    learned = config.pos_encodings == "learned"
    rotary = 0 if learned else 2
    match module:
        case "encoder":
            return Census(0, 0, 1 + learned + (puzzle_input(config, table_limit) == "puzzle_identifiers"))
        case "executor":
            return Census(config.L_layers, 4 * config.L_layers, rotary)
        case "planner":
            return Census(config.H_layers, 4 * config.H_layers + 1, rotary + 2)
        case "segment":
            layers = config.H_cycles * (config.L_cycles * config.L_layers + config.H_layers)
            return Census(layers, 4 * layers + 1, rotary + 2)


def refine(graph: GraphProto, wanted: Census, parameters: Collection[str]) -> None:
    """Run every pass over a traced graph; ``parameters`` are the names of the network's tensors.

    Raises:
        ExportError: a pass fired another number of times than the architecture says.
    """
    # The exporter makes Splits out of chunks by itself: they come from no module.
    made_up = sum(node.op_type == "Split" for node in graph.node)
    expect("strip_metadata", strip_metadata(graph), len(graph.node) - made_up)
    expect("name_weights", name_weights(graph), wanted.linears)
    constants = len(graph.initializer) - wanted.linears - wanted.tables
    expect("name_constants", name_constants(graph, parameters), constants)


def count(graph: GraphProto, wanted: Census, attention_op: str) -> None:
    """Check the layers of a finished graph.

    Raises:
        ExportError: attention or linears are missing or too many.
    """
    expect("count_attention", count_attention(graph, attention_op), wanted.attentions)
    expect("linears", len(linears(graph)), wanted.linears)
