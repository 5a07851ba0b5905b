"""Whether tensors are those of an HRM: the right names and shapes, and finite."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from hrm.checkpoint.refusals import refusal
from hrm.network import HRM

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from torch import Tensor

    from hrm.config import HRMConfig

_DTYPES = (torch.float32, torch.bfloat16, torch.float16)
_CHUNK = 1 << 20


def verify(config: HRMConfig, tensors: Mapping[str, Tensor], weights: Path) -> None:
    """Check that ``tensors`` are all that an HRM of ``config`` needs and nothing else.

    Raises:
        CheckpointError: names the first tensor that is missing, unexpected, of another shape or type, or not finite.
    """
    with torch.device("meta"):
        expected = {name: tensor.shape for name, tensor in HRM(config).state_dict().items()}
    for fault, names in (("missing", expected.keys() - tensors), ("unexpected", tensors.keys() - expected.keys())):
        if names:
            others = f", and {len(names) - 1} more" if len(names) > 1 else ""
            raise refusal(weights, f"the tensor {min(names)} is {fault}{others}")
    for name, tensor in tensors.items():
        fault_of_one = _fault(tensor, expected[name])
        if fault_of_one:
            raise refusal(weights, f"the tensor {name} {fault_of_one}")


def _fault(tensor: Tensor, shape: torch.Size) -> str | None:
    if tensor.shape != shape:
        return f"has the shape {list(tensor.shape)}, and should have {list(shape)}"
    if tensor.dtype not in _DTYPES:
        return f"is of type {tensor.dtype}, and should be float32, bfloat16 or float16"
    if tensor.layout != torch.strided or tensor.device.type != "cpu" or not tensor.is_contiguous():
        return "is not stored densely, value after value"
    if not all(chunk.isfinite().all() for chunk in torch.split(tensor.view(-1), _CHUNK)):
        return "holds NaN or infinity"
    return None
