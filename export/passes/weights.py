"""The linear layers of a graph, and names for their weights by which layers are picked and graphs joined."""

from __future__ import annotations

from typing import TYPE_CHECKING

from export.passes.metadata import scopes
from export.passes.rename import rename

if TYPE_CHECKING:
    from onnx import GraphProto, NodeProto

SUFFIX = ".weight.T"
"""Ends the name of a linear's weight as graphs hold it: [in, out], transposed against PyTorch's."""


def linears(graph: GraphProto) -> list[NodeProto]:
    """Every ``MatMul`` of activations with a stored weight, in the graph's order."""
    stored = {tensor.name for tensor in graph.initializer}
    return [node for node in graph.node if node.op_type == "MatMul" and node.input[1] in stored]


def name_weights(graph: GraphProto) -> int:
    """Name each linear's weight after its layer (``L_level.layers.0.mlp.down_proj.weight.T``); returns how many."""
    layers = [(node.input[1], scopes(node)) for node in linears(graph)]
    names = {weight: modules[-1] + SUFFIX for weight, modules in layers if modules}
    rename(graph, names)
    return len(names)
