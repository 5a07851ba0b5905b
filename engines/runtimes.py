"""Everything that can run an HRM, and why this machine cannot where it can't. To ask imports nothing heavy."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

from engines.targets import RuntimeName
from engines.tensorrt.gpu import present
from engines.tensorrt.library import lacks, missing, needs
from hrm.errors import MissingError
from hrm.toolchain import missing_compiler

if TYPE_CHECKING:
    from engines.torch_runtime import DeviceName, TensorStepper
    from hrm.network import HRM

NetworkRuntime = Literal["torch", "torch-compile", "transformer-engine"]
"""What runs a checkpoint's weights as they are; ``RuntimeName`` is what bundles are built for."""
AnyRuntimeName = Literal[NetworkRuntime, RuntimeName]
RUNTIMES: tuple[AnyRuntimeName, ...] = (
    "torch",
    "torch-compile",
    "onnxruntime",
    "tensorrt",
    "tensorrt-rtx",
    "torch-tensorrt",
    "transformer-engine",
)
"""In the order in which tables list them."""
NETWORK_RUNTIMES: tuple[NetworkRuntime, ...] = get_args(NetworkRuntime)
_CUDA_PROVIDER = "capi/libonnxruntime_providers_cuda.so"
"""What onnxruntime-gpu has and onnxruntime has not: to ask ONNX Runtime itself would be to import it."""
FP8_FROM = 89
"""The first architecture with FP8 products, Ada's, as ``sm_89``."""


def obstacles() -> dict[str, str | None]:
    """Every runtime, ONNX Runtime also on CUDA, and why it cannot run on this machine; None where it can."""
    found: dict[str, str | None] = {}
    for name in RUNTIMES:
        found[name] = obstacle(name)
        if name == "onnxruntime":
            found[f"{name} cuda"] = without_onnx_cuda()
    return found


def obstacle(runtime: AnyRuntimeName) -> str | None:
    """Why ``runtime`` cannot run on this machine, which also builds what it runs; None where it can."""
    match runtime:
        case "torch":
            return _absent("torch", "cpu")
        case "torch-compile":
            return _absent("torch", "cpu") or missing_compiler()
        case "onnxruntime":
            return _absent("onnxruntime", "cpu")
        case "transformer-engine":
            return _absent("transformer_engine", "transformer-engine") or _without_fp8()
        case _:
            return _without_plans(runtime)


def without_onnx_cuda() -> str | None:
    """Why ONNX Runtime cannot run engines for CPUs on this machine's GPU, with the carry there; None where it can."""
    absent = _absent("onnxruntime", "cuda") or _absent("torch", "cuda")
    if absent is not None:
        return absent
    package = find_spec("onnxruntime")
    homes = [] if package is None else package.submodule_search_locations or []
    if not any(Path(home, _CUDA_PROVIDER).is_file() for home in homes):
        return (
            "this onnxruntime is built for CPUs alone; onnxruntime-gpu takes its place (`pip uninstall onnxruntime`, "
            "`pip install 'hrm-trt[cuda]'`)"
        )
    return None if present() is not None else "its CUDA provider runs on NVIDIA GPUs, and this machine has none"


def open_network(
    runtime: NetworkRuntime, network: HRM, device: DeviceName = "cpu", batch: int = 32, threads: int = 0
) -> TensorStepper:
    """``network``, or a copy of it on ``device``, as ``runtime`` runs it, with the carry in tensors.

    Args:
        runtime: which one; ``transformer-engine`` runs on CUDA alone.
        network: computes in its own type.
        device: where it will run.
        batch: the largest batch that will come, for what is compiled ahead.
        threads: of a CPU, for the whole process; 0 leaves them as they are.

    Raises:
        EngineError: the runtime cannot take this network.
        MissingError: this machine lacks what the runtime needs.
    """
    reason = obstacle(runtime)
    if reason is None and runtime == "transformer-engine" and device == "cpu":
        reason = "it computes on a GPU, and the CPU was asked for"
    if reason is not None:
        raise MissingError(
            f"{runtime} cannot run here", why=reason, hint="`hrm-trt doctor` lists what this machine can run"
        )
    if runtime == "transformer-engine":
        from engines.transformer_engine import fp8_stepper

        return fp8_stepper(network)
    if runtime == "torch-compile":
        from engines.torch_compile import compiled_stepper

        return compiled_stepper(network, device, batch, threads)
    from engines.torch_runtime import tensor_stepper

    return tensor_stepper(network, device, threads)


def _absent(module: str, extra: str) -> str | None:
    if find_spec(module) is not None:
        return None
    return f"{module.replace('_', '-')} is not installed (`pip install 'hrm-trt[{extra}]'`)"


def _without_plans(runtime: RuntimeName) -> str | None:
    """Why engines of TensorRT in one of its forms are not for this machine."""
    absent, gpu = missing(runtime), present()
    if absent is None and gpu is None:
        return f"{runtime} runs on NVIDIA GPUs, and this machine has no NVIDIA GPU"
    return absent or lacks(runtime, str(gpu)) or needs(runtime, str(gpu))


def _without_fp8() -> str | None:
    gpu = present()
    if gpu is not None and int(gpu.removeprefix("sm_")) >= FP8_FROM:
        return None
    found = "no NVIDIA GPU" if gpu is None else gpu
    return f"transformer-engine multiplies in FP8 on NVIDIA GPUs from sm_{FP8_FROM}, and this machine has {found}"
