"""What a GPU uses, as its driver counts it (NVML, through the package nvidia-ml-py)."""

from __future__ import annotations

_MILLI = 1e-3


def gpu_joules() -> float | None:
    """What the machine's first GPU has used since its driver was loaded; None where nothing tells.

    GPUs count it from Volta on. It is the whole board's, with whatever else runs on it.
    """
    try:
        import pynvml
    except ImportError:
        return None
    try:
        pynvml.nvmlInit()
        millijoules = pynvml.nvmlDeviceGetTotalEnergyConsumption(pynvml.nvmlDeviceGetHandleByIndex(0))
    except pynvml.NVMLError:
        return None
    return float(millijoules) * _MILLI
