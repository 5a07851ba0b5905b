"""The four graphs of one variant, checked."""

from __future__ import annotations

from typing import TYPE_CHECKING, get_args

from export.contract import LOWERINGS, PUZZLE_TABLE_LIMIT, signature
from export.faults import fault
from export.metadata import describe, stamp
from export.models import check_model, segment_model, value_info
from export.modules import TracedModule
from export.refine import census, count, refine
from export.trace import trace

if TYPE_CHECKING:
    from collections.abc import Callable

    import onnx

    from export.contract import Module, Signature, Variant
    from hrm.network import HRM

_TRACED = get_args(TracedModule)


def _silent(message: str) -> None:
    """Tell nobody."""


def export_graphs(
    network: HRM,
    variant: Variant,
    *,
    source_digest: str,
    progress: Callable[[str], None] = _silent,
    table_limit: int = PUZZLE_TABLE_LIMIT,
) -> dict[Module, onnx.ModelProto]:
    """Encoder, executor, planner and segment of a float32 ``network``: the same bytes for the same network.

    Args:
        network: the float32 network.
        variant: how the graphs are written.
        source_digest: digest of the checkpoint, kept in the graphs' metadata.
        progress: called with each module's name before work on it begins.
        table_limit: bytes of the puzzle table above which the encoder is given the puzzle's row.

    Raises:
        ExportError: a graph cannot be made, or is not of the form that was promised.
    """
    graphs: dict[Module, onnx.ModelProto] = {}
    for traced in _TRACED:
        progress(traced)
        graphs[traced] = _traced(network, variant, traced, table_limit)
    progress("segment")
    graphs["segment"] = segment_model(graphs["executor"], graphs["planner"], network.config, variant)
    for module, model in graphs.items():
        declared = signature(network.config, variant, module, table_limit)
        stamp(model, describe(network.config, variant, module, declared, source_digest))
        count(model.graph, census(network.config, module, table_limit), LOWERINGS[variant].attention_op)
        check_model(model, module)
    return graphs


def _traced(network: HRM, variant: Variant, module: TracedModule, table_limit: int) -> onnx.ModelProto:
    model = trace(network, variant, module, table_limit)
    parameters = {name for name, _ in (*network.named_parameters(), *network.named_buffers())}
    refine(model.graph, census(network.config, module, table_limit), parameters)
    _declare(model.graph, module, signature(network.config, variant, module, table_limit))
    return model


def _declare(graph: onnx.GraphProto, module: Module, declared: Signature) -> None:
    """Give the inputs and outputs the contract's shapes, once their names and types are known to be the contract's."""
    found = [(value.name, value.type.tensor_type.elem_type) for value in (*graph.input, *graph.output)]
    wanted = [value_info(spec) for spec in (*declared.inputs, *declared.outputs)]
    if found != [(value.name, value.type.tensor_type.elem_type) for value in wanted]:
        raise fault(f"the {module} does not have the inputs and outputs that were promised", f"it has {found}")
    graph.name = module
    del graph.input[:], graph.output[:]
    graph.input.extend(wanted[: len(declared.inputs)])
    graph.output.extend(wanted[len(declared.inputs) :])
