"""The same bits twice: what makes each runtime repeat itself, and how far that holds.

It holds for the same puzzles in the same order and batches, with the same versions on the same kind of machine. Nothing
here is random: what differs between runs is the order in which sums are added up, and with it the last bits.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from engines.onnx_session import RuntimeOptions
from hrm.errors import UsageError

if TYPE_CHECKING:
    from engines.runtimes import AnyRuntimeName

WORKSPACE = "CUBLAS_WORKSPACE_CONFIG"
_FIXED = ":4096:8"
"""Eight buffers of 4 MiB: one of the two values with which cuBLAS repeats itself."""
_ON_TORCH = ("torch", "torch-compile", "torch-tensorrt", "transformer-engine")

GUARANTEES: dict[AnyRuntimeName, str] = {
    "torch": "the number of threads is fixed, PyTorch takes deterministic kernels alone, and cuBLAS gets a fixed "
    "workspace",
    "torch-compile": "as torch; Inductor chooses kernels without timing them, so that another process chooses the same",
    "onnxruntime": "the number of threads is fixed, and sessions take deterministic kernels alone",
    "tensorrt": "nothing is needed: a plan always runs the kernels that were chosen by timing when it was built, and "
    "TensorRT excepts only random fills and scatters, of which an HRM has none; a plan that is built again may differ",
    "tensorrt-rtx": "nothing is needed: kernels are made for the very shapes before the first answer, so that no later "
    "call gets others; another driver or GPU may make others",
    "torch-tensorrt": "as torch for what PyTorch runs; engines are compiled anew in every process, and kernels chosen "
    "by timing, so that it holds within one process",
    "transformer-engine": "as torch; scales come from the numbers at hand and from no earlier call",
}
"""What holds once ``repeat`` was called, by runtime, for people."""


def repeat(runtime: AnyRuntimeName, threads: int) -> RuntimeOptions:
    """Make ``runtime`` give the same bits for the same calls, in this process from here on.

    Call it before anything is opened, compiled or run.

    Args:
        runtime: what will run; for PyTorch's the setting is the process's, and slows down some operators.
        threads: of a CPU. Sums are split among them, so that another number may give other bits.

    Returns:
        What to open bundles and graphs with (``engines.loading``).

    Raises:
        UsageError: no number of threads is given, or this process has used the GPU without a fixed workspace.
    """
    if threads < 1:
        raise UsageError(
            "answers can only be repeated with a fixed number of threads",
            why=f"threads is {threads}, which takes every core that a machine happens to have",
            hint="name a number of threads from 1 on",
        )
    if runtime in _ON_TORCH:
        _repeat_torch(threads)
    return RuntimeOptions(threads=threads, deterministic=True)


def _repeat_torch(threads: int) -> None:
    import torch
    from torch._inductor import config as inductor

    used: bool = torch.cuda.is_initialized()  # type: ignore[no-untyped-call]
    if used and WORKSPACE not in os.environ:
        raise UsageError(
            "PyTorch cannot be made to repeat itself any more",
            why="this process has used the GPU already, and cuBLAS took a workspace of its own choice",
            hint=f"start again with {WORKSPACE}={_FIXED} in the environment",
        )
    os.environ.setdefault(WORKSPACE, _FIXED)
    torch.use_deterministic_algorithms(mode=True)
    torch.backends.cudnn.benchmark = False
    torch.set_num_threads(threads)
    inductor.deterministic = True
