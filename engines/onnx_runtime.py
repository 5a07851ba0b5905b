"""The ``onnxruntime`` runtime: an engine is a graph optimised ahead of time, run by an inference session."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import Field

from export.contract import TensorSpec
from hrm.documents import Document
from hrm.errors import MORE_SPACE, EngineError, StorageError, missing_package
from hrm.files import atomic_path

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from engines.protocol import Array

_NUMPY_TYPES = {
    "tensor(float)": "float32",
    "tensor(float16)": "float16",
    "tensor(int32)": "int32",
    "tensor(int64)": "int64",
}
_UNWRITTEN = "Protobuf serialization failed"
"""All that ONNX Runtime says of a disk that takes no more."""
_FATAL_ONLY = 4
"""Errors are raised as well, and are told once."""
_SETTINGS = {"session.force_spinning_stop": "1"}
"""Each session has threads of its own, which otherwise spin on after a call, on the cores that the next engine needs:
an encoder's call between two segments halved their speed on 2 cores."""


class RuntimeOptions(Document):
    """What an engine may use of the machine."""

    threads: int = Field(0, ge=0)
    """Threads inside one operator; 0 lets the runtime take every core."""
    memory_arena: bool = True
    """Keep freed memory for the next call: faster, and the peak stays resident."""
    deterministic: bool = False
    """Take only kernels that give the same bits every time; ``engines.determinism`` says what else that takes."""


def build(graph: Path, engine: Path) -> None:
    """Optimise ``graph`` into ``engine``: constants folded, nodes fused for any CPU of this architecture.

    Graphs in float32, those with INT8 in them too, get ONNX Runtime's own operators where it has no fusion for what
    the exporter writes.

    Raises:
        BundleError: ``graph`` is none of hrm-trt's.
        EngineError: ONNX Runtime refuses the graph.
        ExportError: the graph is not what the exporter of this version writes.
    """
    from engines.onnx_cpu.kernels import use_kernels
    from export.metadata import metadata_of, read_graph

    model = read_graph(graph)
    metadata = metadata_of(model, graph)
    if metadata.variant == "fp32":
        use_kernels(model, metadata)
    with atomic_path(engine) as scratch:
        try:
            _session(graph, RuntimeOptions(), rewritten=model.SerializeToString(), optimised=scratch)
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
        self._session = _session(path, options)
        self.inputs = tuple(_spec(node) for node in self._session.get_inputs())
        self.outputs = tuple(_spec(node) for node in self._session.get_outputs())
        self._names = [spec.name for spec in self.outputs]

    def run(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        """Compute every output from ``feeds``.

        Raises:
            EngineError: the session failed, for wrong shapes or types or for lack of memory.
        """
        faults = _faults()
        try:
            values = self._session.run(self._names, dict(feeds))
        except faults as error:
            shapes = {name: f"{value.dtype}{list(value.shape)}" for name, value in feeds.items()}
            raise EngineError(
                f"{self._path.name} failed on {shapes}",
                why=_first_line(error),
                hint="`hrm-trt inspect` shows the shapes and types that it takes",
            ) from error
        return dict(zip(self._names, values, strict=True))


def _session(path: Path, options: RuntimeOptions, rewritten: bytes | None = None, optimised: Path | None = None) -> Any:
    """A session of the file at ``path``, or of what it was ``rewritten`` to; kept in ``optimised`` if that is given."""
    faults = _faults()
    import onnxruntime

    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = options.threads
    settings.enable_cpu_mem_arena = options.memory_arena
    settings.use_deterministic_compute = options.deterministic
    settings.log_severity_level = _FATAL_ONLY
    for name, value in _SETTINGS.items():
        settings.add_session_config_entry(name, value)
    if optimised is not None:
        # Higher levels choose memory layouts for one machine; this one is portable.
        settings.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
        settings.optimized_model_filepath = str(optimised)
    try:
        return onnxruntime.InferenceSession(rewritten or str(path), settings, providers=["CPUExecutionProvider"])
    except faults as error:
        raise EngineError(
            f"ONNX Runtime refuses {path.name}",
            why=_first_line(error),
            hint="`hrm-trt doctor` shows the installed version; the one that is pinned runs this graph",
        ) from error


def _faults() -> tuple[type[Exception], ...]:
    """Every exception by which ONNX Runtime says no."""
    try:
        from onnxruntime.capi import onnxruntime_pybind11_state as state
    except ImportError as error:
        raise missing_package("onnxruntime", "cpu", "running ONNX engines") from error
    return (
        state.Fail,
        state.InvalidArgument,
        state.InvalidGraph,
        state.InvalidProtobuf,
        state.NoSuchFile,
        state.NotImplemented,
        state.RuntimeException,
        ValueError,
    )


def _spec(node: Any) -> TensorSpec:
    return TensorSpec(node.name, _NUMPY_TYPES[node.type], tuple(node.shape))


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0]
