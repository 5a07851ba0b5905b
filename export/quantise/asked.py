"""What a graph asks its engine to compute in low precision, read from the graph itself: how each weight is stored."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from onnx import TensorProto

if TYPE_CHECKING:
    from onnx import GraphProto, NodeProto

    from export.quantise.sites import SitePrecision

STORED: dict[int, SitePrecision] = {
    TensorProto.FLOAT: "fp32",
    TensorProto.FLOAT16: "fp16",
    TensorProto.INT8: "int8",
    TensorProto.FLOAT8E4M3FN: "fp8",
    TensorProto.FLOAT4E2M1: "nvfp4",
}
"""The precision that a weight's element type stands for."""
_ATTENTION = {"Attention", "Softmax"}
_UNPACKING = {"Cast", "DequantizeLinear", "Transpose"}
"""What may stand between a stored weight and the product that it belongs to."""
_WEIGHT = ".weight"


class AskedGemm(NamedTuple):
    """One product of activations with a stored weight."""

    node: str
    """The ``MatMul``'s name: ``cycle0/executor1/node_linear_3``."""
    site: str
    """The linear's name in the checkpoint; in a segment, several nodes have the same."""
    precision: SitePrecision
    """What its weight is stored in."""


def asked(graph: GraphProto) -> tuple[AskedGemm, ...]:
    """Every ``MatMul`` whose second operand comes from a stored weight, in the graph's order.

    The weight's storage alone says what is asked for: a product whose activation has lost its Q/DQ is still asked for
    in the precision of its weight, so that an engine that computes it in another one is found out.
    """
    stored = {tensor.name: tensor for tensor in graph.initializer}
    makers = {output: node for node in graph.node for output in node.output}
    found = []
    for node in graph.node:
        weight = stored.get(origin(node.input[1], makers)) if node.op_type == "MatMul" else None
        if weight is not None:
            found.append(AskedGemm(node.name, site_of(weight.name), STORED[weight.data_type]))
    return tuple(found)


def attentions(graph: GraphProto) -> tuple[str, ...]:
    """The names of the nodes that are one attention each, in the graph's order."""
    return tuple(node.name for node in graph.node if node.op_type in _ATTENTION)


def origin(value: str, makers: dict[str, NodeProto]) -> str:
    """The name of what ``value`` was unpacked from: itself, where it is no unpacked weight.

    Args:
        value: an operand of a node.
        makers: the node that makes each value of the graph.
    """
    while value in makers and makers[value].op_type in _UNPACKING:
        value = makers[value].input[0]
    return value


def site_of(weight: str) -> str:
    """The linear that a stored weight belongs to: ``L_level.layers.0.mlp.down_proj``."""
    return weight.partition(_WEIGHT)[0]


def count_precisions(graph: GraphProto) -> dict[SitePrecision, int]:
    """How many products with a stored weight are asked for in each precision that there is."""
    return dict(Counter(product.precision for product in asked(graph)))
