"""Count attention: a graph with fewer or more than one site a layer was lowered in a way that was never measured."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from onnx import GraphProto


def count_attention(graph: GraphProto, operator: str) -> int:
    """How many attention sites there are, by the ``operator`` that each has once (``Softmax`` or ``Attention``)."""
    return sum(node.op_type == operator for node in graph.node)
