"""Sessions of ONNX Runtime on the CPU or on CUDA: how they are opened, and every way in which they say no."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import Field

from export.contract import TensorSpec
from hrm.documents import Document
from hrm.errors import EngineError, MissingError, missing_package

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from engines.torch_runtime import DeviceName

_NUMPY_TYPES = {
    "tensor(float)": "float32",
    "tensor(float16)": "float16",
    "tensor(int32)": "int32",
    "tensor(int64)": "int64",
}
_FATAL_ONLY = 4
"""Errors are raised as well, and are told once."""
_SETTINGS = {"session.force_spinning_stop": "1"}
"""Each session has threads of its own, which otherwise spin on after a call, on the cores that the next engine needs:
an encoder's call between two segments halved their speed on 2 cores."""
_CUDA = "CUDAExecutionProvider"
_PROVIDERS: dict[DeviceName, tuple[str, dict[str, str]]] = {
    "cpu": ("CPUExecutionProvider", {}),
    "cuda": (_CUDA, {"device_id": "0", "use_tf32": "0"}),
}
"""TF32, which is on by default, would round the factors of float32 products to 10 bits."""
_RECORDED = {"session.record_ep_graph_assignment_info": "1"}
"""What has each node's place read. ``session.disable_cpu_ep_fallback`` would refuse every graph of ours: to it a
reshape's sizes on the CPU are a fallback too."""
SHAPE_OPERATORS = frozenset({"Concat", "Gather", "Shape", "Slice", "Squeeze", "Unsqueeze"})
"""What ONNX Runtime leaves on the CPU beside a GPU on purpose, where it computes sizes; all have CUDA kernels too."""


class RuntimeOptions(Document):
    """What an engine may use of the machine."""

    threads: int = Field(0, ge=0)
    """Threads inside one operator; 0 lets the runtime take every core."""
    memory_arena: bool = True
    """Keep freed memory for the next call: faster, and the peak stays resident."""
    deterministic: bool = False
    """Take only kernels that give the same bits every time; ``engines.determinism`` says what else that takes."""


def open_session(
    path: Path,
    options: RuntimeOptions,
    device: DeviceName = "cpu",
    *,
    rewritten: bytes | None = None,
    optimised: Path | None = None,
) -> Any:
    """An inference session of the graph in ``path`` that computes on ``device`` alone.

    Args:
        path: an ONNX file.
        options: what it may use of the machine.
        device: where it computes; CUDA is the first GPU.
        rewritten: what the file was made to before it is opened; None for the file itself.
        optimised: where to write the graph that will run, portable to other machines; None for not at all.

    Raises:
        EngineError: ONNX Runtime refuses the graph, or would compute some of it elsewhere.
        MissingError: ONNX Runtime is not installed, or cannot use CUDA.
    """
    refused = faults()
    import onnxruntime

    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = options.threads
    settings.enable_cpu_mem_arena = options.memory_arena
    settings.use_deterministic_compute = options.deterministic
    settings.log_severity_level = _FATAL_ONLY
    for name, value in (_SETTINGS if device == "cpu" else _SETTINGS | _RECORDED).items():
        settings.add_session_config_entry(name, value)
    if optimised is not None:
        # Higher levels choose memory layouts for one machine; this one is portable.
        settings.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
        settings.optimized_model_filepath = str(optimised)
    try:
        # Without `enable_fallback` it would try again on the CPU, and say so on stdout.
        session = onnxruntime.InferenceSession(
            rewritten or str(path), settings, [_PROVIDERS[device]], enable_fallback=0
        )
    except refused as error:
        raise EngineError(
            f"ONNX Runtime refuses {path.name}",
            why=first_line(error),
            hint="`hrm-trt doctor` shows the installed version; the one that is pinned runs this graph",
        ) from error
    if device == "cuda":
        _check_placed(path, session)
    return session


def failure(path: Path, feeds: Mapping[str, Any], error: Exception) -> EngineError:
    """What to raise when a session of ``path`` fails on ``feeds``, arrays or tensors."""
    shapes = {name: f"{value.dtype}{list(value.shape)}" for name, value in feeds.items()}
    return EngineError(
        f"{path.name} failed on {shapes}",
        why=first_line(error),
        hint="`hrm-trt inspect` shows the shapes and types that it takes",
    )


def faults() -> tuple[type[Exception], ...]:
    """Every exception by which ONNX Runtime says no.

    Raises:
        MissingError: it is not installed.
    """
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


def tensor_spec(node: Any) -> TensorSpec:
    """An input or output of a session, as the contract writes it."""
    return TensorSpec(node.name, _NUMPY_TYPES[node.type], tuple(node.shape))


def first_line(error: Exception) -> str:
    """What ``error`` says, without what follows."""
    return str(error).strip().splitlines()[0]


def _check_placed(path: Path, session: Any) -> None:
    """See that CUDA computes the graph: where its libraries are not found, ONNX Runtime takes the CPU and goes on."""
    if _CUDA not in session.get_providers():
        raise MissingError(
            "ONNX Runtime cannot compute on CUDA here",
            why="its CUDA provider does not load: what it links to (cuBLAS, cuDNN) or the GPU's driver is not there",
            hint="install PyTorch for the same major version of CUDA, which brings the libraries, or use the CPU",
        )
    placed: dict[str, set[str]] = {}
    for part in session.get_provider_graph_assignment_info():
        placed.setdefault(part.ep_name, set()).update(node.op_type for node in part.get_nodes())
    on_gpu = placed.pop(_CUDA, set())
    strays = sorted(set().union(*placed.values()) - SHAPE_OPERATORS)
    if strays or not on_gpu:
        raise EngineError(
            f"{path.name} does not run on CUDA alone",
            why=f"ONNX Runtime would compute {', '.join(strays) or 'all of it'} on the CPU, without kernels for CUDA",
            hint="run it on the CPU, or take the bundle with the precision fp32",
        )
