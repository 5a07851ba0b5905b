"""The ``onnxruntime`` runtime: an engine is a graph optimised ahead of time, run by an inference session."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engines.onnx_session import RuntimeOptions, failure, faults, open_session, tensor_spec
from hrm.errors import MORE_SPACE, BundleError, EngineError, StorageError
from hrm.files import atomic_path

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from engines.protocol import Array

_UNWRITTEN = "Protobuf serialization failed"
"""All that ONNX Runtime says of a disk that takes no more."""


def build(graph: Path, engine: Path) -> None:
    """Optimise ``graph`` into ``engine``: constants folded, nodes fused for any CPU of this architecture.

    Graphs in float32, those with INT8 in them too, get ONNX Runtime's own operators where it has no fusion for what
    the exporter writes.

    Raises:
        EngineError: the graph is none of hrm-trt's, or ONNX Runtime refuses it.
        ExportError: the graph is not what the exporter of this version writes.
    """
    from engines.onnx_cpu.kernels import use_kernels
    from export.metadata import metadata_of, read_graph

    try:
        model = read_graph(graph)
        metadata = metadata_of(model, graph)
    except BundleError as error:
        raise EngineError(f"no engine can be built from {graph.name}", why=error.why, hint=error.hint) from error
    if metadata.variant == "fp32":
        use_kernels(model, metadata)
    with atomic_path(engine) as scratch:
        try:
            open_session(graph, RuntimeOptions(), rewritten=model.SerializeToString(), optimised=scratch)
        except EngineError as error:
            if _UNWRITTEN not in error.why:
                raise
            raise StorageError(
                f"cannot write {engine}",
                why=f"ONNX Runtime could not write all of it ({error.why}): the disk is full or failing",
                hint=MORE_SPACE,
            ) from error


class OnnxRuntimeEngine:
    """An ONNX file in an ONNX Runtime session on the CPU."""

    def __init__(self, path: Path, options: RuntimeOptions) -> None:
        self._path = path
        self._session = open_session(path, options)
        self.inputs = tuple(tensor_spec(node) for node in self._session.get_inputs())
        self.outputs = tuple(tensor_spec(node) for node in self._session.get_outputs())
        self._names = [spec.name for spec in self.outputs]

    def run(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        """Compute every output from ``feeds``.

        Raises:
            EngineError: the session failed, for wrong shapes or types or for lack of memory.
        """
        refused = faults()
        try:
            values = self._session.run(self._names, dict(feeds))
        except refused as error:
            raise failure(self._path, feeds, error) from error
        return dict(zip(self._names, values, strict=True))
