"""Who makes a value of a graph, and who takes it."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from onnx import numpy_helper

from export.faults import fault

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np
    import numpy.typing as npt
    from onnx import GraphProto, NodeProto

DOMAIN = "com.microsoft"
"""Of ONNX Runtime's own operators."""


class Links:
    """Of a graph as it is now."""

    def __init__(self, graph: GraphProto) -> None:
        self._makers = {name: node for node in graph.node for name in node.output}
        self._takers: dict[str, list[NodeProto]] = defaultdict(list)
        for node in graph.node:
            for name in node.input:
                self._takers[name].append(node)
        self._stored = {tensor.name: tensor for tensor in graph.initializer}

    def maker(self, value: str, operator: str) -> NodeProto:
        """The node that makes ``value``.

        Raises:
            ExportError: it is of another operator, or there is none.
        """
        node = self._makers.get(value)
        if node is None or node.op_type != operator:
            raise fault(f"{value} of a graph is not what was expected", f"a {operator} should make it")
        return node

    def taker(self, value: str, operator: str) -> NodeProto:
        """The only node of ``operator`` that takes ``value``.

        Raises:
            ExportError: there is none, or more than one.
        """
        found = [node for node in self._takers[value] if node.op_type == operator]
        if len(found) != 1:
            raise fault(f"{value} of a graph is not what was expected", f"one {operator} should take it")
        return found[0]

    def is_made_by(self, value: str, operator: str) -> bool:
        """Whether a node of ``operator`` makes ``value``."""
        node = self._makers.get(value)
        return node is not None and node.op_type == operator

    def stored(self, name: str) -> npt.NDArray[np.generic]:
        """The stored tensor of this name."""
        return numpy_helper.to_array(self._stored[name])


def replace(graph: GraphProto, new: Mapping[str, Sequence[NodeProto]]) -> int:
    """Put nodes in the place of those with the outputs that ``new`` names; returns how many were found."""
    nodes: list[NodeProto] = []
    fired = 0
    for node in graph.node:
        instead = new.get(node.output[0])
        fired += instead is not None
        nodes.extend([node] if instead is None else instead)
    del graph.node[:]
    graph.node.extend(nodes)
    return fired
