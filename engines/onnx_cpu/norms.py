"""RMS norm with the residual sum before it as one kernel: one pass over memory where the exporter's nodes take six."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from onnx import helper, numpy_helper

from engines.onnx_cpu.links import DOMAIN, Links, replace

if TYPE_CHECKING:
    from onnx import GraphProto, NodeProto

_ONES = "norm.ones"
"""The kernel wants weights, and HRM's norms have none."""


def fuse_norms(graph: GraphProto, hidden: int, epsilon: float) -> int:
    """Write every residual sum and its norm as ``SkipSimplifiedLayerNormalization``; returns how many there were.

    Raises:
        ExportError: the nodes around a ``ReduceMean`` are not a norm's.
    """
    links = Links(graph)
    new = dict(_fused(links, node, epsilon) for node in graph.node if node.op_type == "ReduceMean")
    if new:
        graph.initializer.append(numpy_helper.from_array(np.ones(hidden, dtype=np.float32), _ONES))
    return replace(graph, new)


def _fused(links: Links, mean: NodeProto, epsilon: float) -> tuple[str, list[NodeProto]]:
    square = links.maker(mean.input[0], "Pow")
    total = links.maker(square.input[0], "Add")
    end = links.taker(total.output[0], "Mul").output[0]
    node = helper.make_node(
        "SkipSimplifiedLayerNormalization",
        [*total.input, _ONES],
        [end],
        f"{end}/norm",
        domain=DOMAIN,
        epsilon=epsilon,
    )
    return end, [node]
