"""What the exporter notes beside nodes: keep the module that a node came from, drop paths and stack traces."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from onnx import GraphProto, NodeProto

SCOPES = "pkg.torch.onnx.name_scopes"
"""Metadata key of a node: the PyTorch modules around it, from outside in, and its own name, as a Python list."""


def scopes(node: NodeProto) -> tuple[str, ...]:
    """The PyTorch modules that ``node`` came from, outermost first; empty for nodes that the exporter made up."""
    for entry in node.metadata_props:
        if entry.key == SCOPES:
            return tuple(ast.literal_eval(entry.value))[:-1]
    return ()


def strip_metadata(graph: GraphProto) -> int:
    """Drop all metadata but the nodes' scopes, and shapes that runtimes infer; returns how many nodes have a scope."""
    del graph.metadata_props[:]
    del graph.value_info[:]
    for tensor in graph.initializer:
        del tensor.metadata_props[:]
    return sum(_strip_node(node) for node in graph.node)


def _strip_node(node: NodeProto) -> bool:
    kept = [entry for entry in node.metadata_props if entry.key == SCOPES]
    del node.metadata_props[:]
    node.metadata_props.extend(kept)
    return bool(kept)
