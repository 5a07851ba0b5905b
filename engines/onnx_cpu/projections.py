"""Fused projections taken apart: products of their own cost no arithmetic more, and no copies of their parts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from onnx import helper, numpy_helper

from engines.onnx_cpu.links import Links, replace

if TYPE_CHECKING:
    from onnx import GraphProto, NodeProto

_LAST = (2, -1)
_COLUMNS = 1


def split_projections(graph: GraphProto) -> int:
    """Write every linear whose output is split as one linear for each part; returns how many there were.

    Weights may be stored as they are or behind a ``DequantizeLinear``; nodes that are not needed any more stay.
    """
    links = Links(graph)
    parts = _Parts(graph, links)
    found = [node for node in graph.node if node.op_type == "Split" and _is_of_linear(links, node)]
    return replace(
        graph, {node.output[0]: _products(links.maker(node.input[0], "MatMul"), node, links, parts) for node in found}
    )


def _is_of_linear(links: Links, split: NodeProto) -> bool:
    last = next(helper.get_attribute_value(each) for each in split.attribute if each.name == "axis") in _LAST
    return last and links.is_made_by(split.input[0], "MatMul")


def _products(product: NodeProto, split: NodeProto, links: Links, parts: _Parts) -> list[NodeProto]:
    activation, weight = product.input
    count = len(split.output)
    if links.is_made_by(weight, "DequantizeLinear"):
        stored, scales = (parts.of(name, count) for name in links.maker(weight, "DequantizeLinear").input)
        operands = [f"{output}/weight" for output in split.output]
        nodes = [
            helper.make_node("DequantizeLinear", pair, [operand], operand, axis=_COLUMNS)
            for *pair, operand in zip(stored, scales, operands, strict=True)
        ]
    else:
        operands, nodes = parts.of(weight, count), []
    pairs = zip(operands, split.output, strict=True)
    return nodes + [helper.make_node("MatMul", [activation, each], [output], output) for each, output in pairs]


class _Parts:
    """Stored tensors cut along their last axis, each once."""

    def __init__(self, graph: GraphProto, links: Links) -> None:
        self._graph = graph
        self._links = links
        self._names: dict[str, list[str]] = {}

    def of(self, name: str, count: int) -> list[str]:
        """The names of the ``count`` parts of the stored tensor ``name``."""
        if name not in self._names:
            self._names[name] = [f"{name}.{index}" for index in range(count)]
            values = np.split(self._links.stored(name), count, axis=-1)
            self._graph.initializer.extend(
                numpy_helper.from_array(np.ascontiguousarray(part), part_name)
                for part, part_name in zip(values, self._names[name], strict=True)
            )
        return self._names[name]
