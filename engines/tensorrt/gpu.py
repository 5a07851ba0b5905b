"""Which GPU this process would run on, asked of the driver: PyTorch is not needed."""

from __future__ import annotations

import shutil
import subprocess
from importlib.util import find_spec

_SECONDS = 20
"""A driver that takes longer to answer is no driver."""


def present() -> str | None:
    """The architecture of the first GPU, like ``sm_90``; None where there is none."""
    return _asked_of_cuda() if has_bindings() else _asked_of_nvidia_smi()


def has_bindings() -> bool:
    """Whether NVIDIA's Python bindings of CUDA are installed: no engine runs without."""
    return find_spec("cuda") is not None and find_spec("cuda.bindings") is not None


def _asked_of_cuda() -> str | None:
    from cuda.bindings import runtime

    attributes = (
        runtime.cudaDeviceAttr.cudaDevAttrComputeCapabilityMajor,
        runtime.cudaDeviceAttr.cudaDevAttrComputeCapabilityMinor,
    )
    answers = [runtime.cudaDeviceGetAttribute(attribute, 0) for attribute in attributes]
    if any(error != runtime.cudaError_t.cudaSuccess for error, _ in answers):
        return None
    return "sm_" + "".join(str(number) for _, number in answers)


def _asked_of_nvidia_smi() -> str | None:
    program = shutil.which("nvidia-smi")
    if program is None:
        return None
    try:
        asked = subprocess.run(  # noqa: S603  (a fixed question)
            [program, "--query-gpu=compute_cap", "--format=csv,noheader"],
            capture_output=True,
            text=True,
            check=False,
            timeout=_SECONDS,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return parse_capability(asked.stdout) if asked.returncode == 0 else None


def parse_capability(answer: str) -> str | None:
    """The architecture of the first line of what nvidia-smi says: ``9.0`` is ``sm_90``."""
    first = answer.strip().partition("\n")[0].strip()
    number = first.replace(".", "", 1)
    return f"sm_{number}" if number.isdigit() and number != first else None
