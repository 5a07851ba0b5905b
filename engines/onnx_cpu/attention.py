"""Attention as one kernel: rotary positions and scores without the copies that heads cost when they are an axis."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from onnx import helper, numpy_helper

from engines.onnx_cpu.links import DOMAIN, Links, replace

if TYPE_CHECKING:
    from onnx import GraphProto, NodeProto

_POSITION = "rotary.position"
_TABLES = ("rotary.cos", "rotary.sin")
_HALF = ".half"


class _Site(NamedTuple):
    """One attention of a graph."""

    projected: str
    """Q, K and V side by side [B, T, 3·D]."""
    end: str
    """What the output projection takes [B, T, D]."""


def fuse_attention(graph: GraphProto, heads: int, *, rotary: bool) -> int:
    """Write every attention as ``Split``, ``RotaryEmbedding`` of Q and K, and ``MultiHeadAttention``.

    Args:
        graph: with attention as ``MatMul``, ``Softmax``, ``MatMul``; the nodes that are not needed any more stay.
        heads: of each attention.
        rotary: whether Q and K are turned by their positions.

    Returns:
        How many there were.

    Raises:
        ExportError: the nodes around a ``Softmax`` are not an attention's.
    """
    links = Links(graph)
    sites = [_site(links, node) for node in graph.node if node.op_type == "Softmax"]
    if sites and rotary:
        # The kernel wants the angles once; the exporter's tables have them twice, for both halves of a head.
        for name in _TABLES:
            table = links.stored(name)
            graph.initializer.append(numpy_helper.from_array(table[:, : table.shape[1] // 2].copy(), name + _HALF))
        graph.initializer.append(numpy_helper.from_array(np.zeros(1, dtype=np.int64), _POSITION))
    return replace(graph, {site.end: _fused(site, heads, rotary=rotary) for site in sites})


def _site(links: Links, softmax: NodeProto) -> _Site:
    """From the values' way in and the sum's way out, which are the same with and without rotary positions."""
    weighted = links.taker(softmax.output[0], "MatMul")
    values = links.maker(weighted.input[1], "Transpose")
    parts = links.maker(values.input[0], "Split")
    by_head = links.maker(parts.input[0], "Reshape")
    back = links.taker(weighted.output[0], "Transpose")
    end = links.taker(back.output[0], "Reshape")
    return _Site(by_head.input[0], end.output[0])


def _fused(site: _Site, heads: int, *, rotary: bool) -> list[NodeProto]:
    q, k, v = (f"{site.end}/{name}" for name in "qkv")
    nodes = [helper.make_node("Split", [site.projected], [q, k, v], f"{site.end}/split", axis=2, num_outputs=3)]
    if rotary:
        nodes += [_turned(value, heads) for value in (q, k)]
        q, k = nodes[1].output[0], nodes[2].output[0]
    attend = helper.make_node(
        "MultiHeadAttention", [q, k, v], [site.end], f"{site.end}/attention", domain=DOMAIN, num_heads=heads
    )
    return [*nodes, attend]


def _turned(value: str, heads: int) -> NodeProto:
    tables = [name + _HALF for name in _TABLES]
    name = f"{value}/rotary"
    return helper.make_node(
        "RotaryEmbedding", [value, _POSITION, *tables], [name], name, domain=DOMAIN, num_heads=heads
    )
