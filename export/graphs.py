"""The four graphs of one variant, checked, and as files."""

from __future__ import annotations

from typing import TYPE_CHECKING, get_args

import numpy as np
import onnx
from onnx import checker, helper, shape_inference

from export.compose import compose_segment
from export.contract import LOWERINGS, PUZZLE_TABLE_LIMIT, signature
from export.faults import fault
from export.metadata import describe, stamp
from export.modules import TracedModule
from export.refine import census, count, refine
from export.trace import trace
from hrm.files import write_bytes

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from export.contract import Module, Signature, TensorSpec, Variant
    from hrm.config import HRMConfig
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
    graphs["segment"] = _segment(graphs["executor"], graphs["planner"], network.config, variant)
    for module, model in graphs.items():
        declared = signature(network.config, variant, module, table_limit)
        stamp(model, describe(network.config, variant, module, declared, source_digest))
        count(model.graph, census(network.config, module, table_limit), LOWERINGS[variant].attention_op)
        _check(model, module)
    return graphs


def write_graph(model: onnx.ModelProto, path: Path) -> None:
    """Write ``model`` to ``path`` whole or not at all.

    Raises:
        StorageError: the disk is full or failing.
        UnwritableError: the place cannot be written.
    """
    write_bytes(path, model.SerializeToString(deterministic=True))


def _traced(network: HRM, variant: Variant, module: TracedModule, table_limit: int) -> onnx.ModelProto:
    model = trace(network, variant, module, table_limit)
    parameters = {name for name, _ in (*network.named_parameters(), *network.named_buffers())}
    refine(model.graph, census(network.config, module, table_limit), parameters)
    _declare(model.graph, module, signature(network.config, variant, module, table_limit))
    return model


def _segment(
    executor: onnx.ModelProto, planner: onnx.ModelProto, config: HRMConfig, variant: Variant
) -> onnx.ModelProto:
    declared = signature(config, variant, "segment")
    graph = compose_segment(executor.graph, planner.graph, config, [spec.name for spec in declared.outputs])
    graph.input.extend(map(_value_info, declared.inputs))
    graph.output.extend(map(_value_info, declared.outputs))
    return helper.make_model(graph, ir_version=executor.ir_version, opset_imports=executor.opset_import)


def _declare(graph: onnx.GraphProto, module: Module, declared: Signature) -> None:
    """Give the inputs and outputs the contract's shapes, once their names and types are known to be the contract's."""
    found = [(value.name, value.type.tensor_type.elem_type) for value in (*graph.input, *graph.output)]
    wanted = [_value_info(spec) for spec in (*declared.inputs, *declared.outputs)]
    if found != [(value.name, value.type.tensor_type.elem_type) for value in wanted]:
        raise fault(f"the {module} does not have the inputs and outputs that were promised", f"it has {found}")
    graph.name = module
    del graph.input[:], graph.output[:]
    graph.input.extend(wanted[: len(declared.inputs)])
    graph.output.extend(wanted[len(declared.inputs) :])


def _value_info(spec: TensorSpec) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(spec.name, helper.np_dtype_to_tensor_dtype(np.dtype(spec.dtype)), spec.shape)


def _check(model: onnx.ModelProto, module: Module) -> None:
    try:
        checker.check_model(model, full_check=True)
    except (checker.ValidationError, shape_inference.InferenceError) as error:
        raise fault(f"the {module} is not valid ONNX", str(error).strip().partition("\n")[0]) from error
