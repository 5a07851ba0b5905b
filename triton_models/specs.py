"""What an engine takes and gives, read from its file: a machine that publishes needs no runtime."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from engines.tensorrt.sidecar import read_sidecar
from export.contract import Signature, TensorSpec
from export.metadata import read_graph
from hrm.errors import EngineError
from triton_models.config import DATA_TYPES
from triton_models.manifest import ServedEngine

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path


def engine_specs(path: Path) -> Signature:
    """The inputs and outputs of the engine in ``path``: an ONNX graph, or a plan with its sidecar.

    Raises:
        BundleError: the file is no ONNX graph, or a plan without a sidecar.
        EngineError: a tensor has a type that Triton's backends don't take.
        MissingError: onnx is not installed.
    """
    if path.suffix == ".plan":
        sidecar = read_sidecar(path)
        return Signature(sidecar.inputs, sidecar.outputs)
    graph = read_graph(path).graph
    weights = {tensor.name for tensor in graph.initializer}
    return Signature(_specs(value for value in graph.input if value.name not in weights), _specs(graph.output))


def served_engine(path: Path, target: str, file: str) -> ServedEngine:
    """What a version's manifest says of the engine in ``path``, which is published for ``target`` as ``file``.

    Raises:
        BundleError: a plan without a sidecar.
    """
    if path.suffix != ".plan":
        return ServedEngine(target=target, file=file)
    sidecar = read_sidecar(path)
    options = sidecar.options
    return ServedEngine(
        target=target,
        file=file,
        tensorrt=sidecar.version,
        version_compatible=options.version_compatible,
        hardware_compatible=options.hardware_compatible,
    )


def _specs(values: Iterable[Any]) -> tuple[TensorSpec, ...]:
    from onnx import helper

    specs = []
    for value in values:
        tensor = value.type.tensor_type
        dtype = helper.tensor_dtype_to_np_dtype(tensor.elem_type).name
        if dtype not in DATA_TYPES:
            raise EngineError(
                f"the engine's tensor {value.name!r} is {dtype}",
                why=f"Triton's backends and clients take {', '.join(DATA_TYPES)}",
                hint="export the graph with another type at its border",
            )
        shape = tuple(dim.dim_value if dim.HasField("dim_value") else dim.dim_param for dim in tensor.shape.dim)
        specs.append(TensorSpec(value.name, dtype, shape))
    return tuple(specs)
