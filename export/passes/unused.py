"""Drop what no output depends on."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from onnx import GraphProto, NodeProto


def needed(nodes: Iterable[NodeProto], outputs: Collection[str]) -> list[NodeProto]:
    """The nodes that ``outputs`` depend on, in their order."""
    wanted, kept = set(outputs), []
    for node in reversed(list(nodes)):
        if wanted.intersection(node.output):
            wanted.update(node.input)
            kept.append(node)
    return kept[::-1]


def drop_unused(graph: GraphProto) -> int:
    """Drop the nodes and initializers that no output depends on, sort the other initializers by name.

    Returns:
        How many nodes were dropped.
    """
    outputs = [value.name for value in graph.output]
    nodes = needed(graph.node, outputs)
    used = {*outputs, *(name for node in nodes for name in node.input)}
    tensors = {tensor.name: tensor for tensor in graph.initializer if tensor.name in used}
    dropped = len(graph.node) - len(nodes)
    del graph.node[:], graph.initializer[:]
    graph.node.extend(nodes)
    graph.initializer.extend(tensors[name] for name in sorted(tensors))
    return dropped
