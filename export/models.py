"""Whole ONNX models: the segment from its two parts, with inputs and outputs; checked; as files."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx
from onnx import checker, helper, shape_inference

from export.compose import compose_segment
from export.contract import signature
from export.faults import fault
from hrm.files import write_bytes

if TYPE_CHECKING:
    from pathlib import Path

    from export.contract import Module, TensorSpec, Variant
    from hrm.config import HRMConfig


def segment_model(
    executor: onnx.ModelProto, planner: onnx.ModelProto, config: HRMConfig, variant: Variant
) -> onnx.ModelProto:
    """The segment that calls ``executor`` and ``planner``, in all operator sets that they use.

    Raises:
        ExportError: the two store different tensors under one name.
    """
    declared = signature(config, variant, "segment")
    graph = compose_segment(executor.graph, planner.graph, config, [spec.name for spec in declared.outputs])
    graph.input.extend(map(value_info, declared.inputs))
    graph.output.extend(map(value_info, declared.outputs))
    opsets = {opset.domain: opset for model in (planner, executor) for opset in model.opset_import}
    version = max(executor.ir_version, planner.ir_version)
    return helper.make_model(graph, ir_version=version, opset_imports=list(opsets.values()))


def value_info(spec: TensorSpec) -> onnx.ValueInfoProto:
    """An input or output as a graph declares it."""
    return helper.make_tensor_value_info(spec.name, helper.np_dtype_to_tensor_dtype(np.dtype(spec.dtype)), spec.shape)


def check_model(model: onnx.ModelProto, module: Module) -> None:
    """Refuse what is not valid ONNX; operators of other domains are taken as they are.

    Raises:
        ExportError: ``model`` is not valid.
    """
    try:
        checker.check_model(model, full_check=True)
    except (checker.ValidationError, shape_inference.InferenceError) as error:
        raise fault(f"the {module} is not valid ONNX", str(error).strip().partition("\n")[0]) from error


def write_graph(model: onnx.ModelProto, path: Path) -> None:
    """Write ``model`` to ``path`` whole or not at all.

    Raises:
        StorageError: the disk is full or failing.
        UnwritableError: the place cannot be written.
    """
    write_bytes(path, model.SerializeToString(deterministic=True))
