"""Rename values throughout a graph."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from onnx import GraphProto


def rename(graph: GraphProto, names: Mapping[str, str]) -> None:
    """Give initializers, and the inputs and outputs of nodes, the names that ``names`` has for them."""
    for tensor in graph.initializer:
        tensor.name = names.get(tensor.name, tensor.name)
    for node in graph.node:
        node.input[:] = [names.get(name, name) for name in node.input]
        node.output[:] = [names.get(name, name) for name in node.output]
