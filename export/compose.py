"""The segment, put together from one executor and one planner graph instead of tracing all its layers again.

One ACT step runs the executor ``L_cycles`` times and then the planner, ``H_cycles`` times over. Every call is a copy
of the module's nodes; weights are stored once; only the last planner call keeps its heads.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from onnx import GraphProto

from export.faults import fault
from export.passes.rename import rename
from export.passes.unused import needed

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from onnx import NodeProto, TensorProto

    from hrm.config import HRMConfig

_OUT = "_out"


def compose_segment(
    executor: GraphProto, planner: GraphProto, config: HRMConfig, outputs: Collection[str]
) -> GraphProto:
    """The nodes and initializers of a segment that computes ``outputs``; its inputs and outputs are not declared yet.

    Raises:
        ExportError: the two graphs store different tensors under one name.
    """
    segment = GraphProto(name="segment", initializer=_union(executor, planner))
    state = {"z_H": "z_H", "z_L": "z_L", "input_embeddings": "input_embeddings"}
    results: dict[str, str] = {}
    for call, graph in _schedule(executor, planner, config):
        results |= {value.name: f"{call}/{value.name}" for value in graph.output}
        segment.node.extend(_call(graph, call, state))
        state |= {name.removesuffix(_OUT): value for name, value in results.items() if name.endswith(_OUT)}
    rename(segment, {results[name]: name for name in outputs})
    kept = needed(segment.node, outputs)
    del segment.node[:]
    segment.node.extend(kept)
    return segment


def _schedule(executor: GraphProto, planner: GraphProto, config: HRMConfig) -> Iterator[tuple[str, GraphProto]]:
    for cycle in range(config.H_cycles):
        for step in range(config.L_cycles):
            yield f"cycle{cycle}/executor{step}", executor
        yield f"cycle{cycle}/planner", planner


def _call(graph: GraphProto, call: str, arguments: dict[str, str]) -> Iterable[NodeProto]:
    copy = GraphProto(node=graph.node)
    rename(copy, arguments | {name: f"{call}/{name}" for node in graph.node for name in node.output})
    for node in copy.node:
        node.name = f"{call}/{node.name}"
    return copy.node


def _union(executor: GraphProto, planner: GraphProto) -> list[TensorProto]:
    stored = {tensor.name: tensor for tensor in executor.initializer}
    for tensor in planner.initializer:
        if stored.setdefault(tensor.name, tensor) != tensor:
            why = f"executor and planner store different tensors named {tensor.name}"
            raise fault("the segment cannot be put together", why)
    return [stored[name] for name in sorted(stored)]
