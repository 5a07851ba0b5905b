"""A network quantised in PyTorch, for judging and for training: values are rounded as the engines round them.

ModelOpt rounds to NVFP4 by one function, ``dynamic_block_quantize_op``, that refuses tensors off the GPU. For those
``round_blocks`` takes its place, by ModelOpt's own registry of backends: networks can be copied, and no call patched.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import torch
from torch.autograd import Function

from export.quantise.calibration import check_calibration
from export.quantise.sites import quantised
from hrm.errors import CalibrationError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from export.quantise.calibration import Calibration, SiteAmax
    from export.quantise.sites import Assignment
    from hrm.network import HRM

BLOCK = 16
"""Values that share a scale, along the axis that is summed over."""
BACKEND = "hrm-trt"
"""The name that ModelOpt knows ``round_blocks`` by."""
_E2M1_MAX, _E4M3_MAX, _E4M3_LEAST = 6.0, 448.0, 2.0**-9


def fake_quantised(network: HRM, assignment: Assignment, calibration: Calibration) -> HRM:
    """A copy of ``network`` whose assigned linears round both operands to FP8 or NVFP4, by ModelOpt.

    It computes in the network's own type otherwise, and can be trained: rounding passes gradients on unchanged.

    Raises:
        CalibrationError: a site was not calibrated, a maximum is zero, NaN or infinite, or a linear is too odd in
            size for NVFP4.
        MissingError: ModelOpt is not installed.
    """
    from engines.calibration import modelopt

    chosen = quantised(assignment)
    check_calibration(calibration)
    _check_sites(network, chosen, calibration.sites)
    copied = copy.deepcopy(network)
    formats = {"fp8": modelopt.FP8, "nvfp4": nvfp4(network.H_init.device)}
    modelopt.insert(copied, {name: formats[precision] for name, precision in chosen.items()})
    for name in chosen:
        linear, amax = copied.get_submodule(name), calibration.sites[name]
        modelopt.set_amax(linear, amax.input, amax.weight)
    return copied


def nvfp4(device: torch.device) -> dict[str, Any]:
    """ModelOpt's attributes of an NVFP4 quantiser for tensors on ``device``; they fit all of ModelOpt's algorithms."""
    from engines.calibration import modelopt

    if device.type == "cuda":
        return modelopt.NVFP4
    modelopt.register(BACKEND, StraightThrough.apply)
    return modelopt.NVFP4 | {"backend": BACKEND}


def round_blocks(values: Tensor, amax: Tensor) -> Tensor:
    """What ``values`` [..., K] come out as after NVFP4: E2M1 in blocks of 16, scales in E4M3 times ``amax`` / (6·448).

    Args:
        values: of any floating type; the last axis a multiple of 16 long.
        amax: the largest magnitude of the whole tensor, as calibrated.
    """
    tensor_scale = amax.to(torch.float32) / (_E2M1_MAX * _E4M3_MAX)
    blocks = values.to(torch.float32).reshape(*values.shape[:-1], -1, BLOCK)
    scales = blocks.abs().amax(-1, keepdim=True) / (_E2M1_MAX * tensor_scale)
    scales = torch.where(scales == 0, 1.0, scales).clamp(_E4M3_LEAST, _E4M3_MAX)
    scales = scales.to(torch.float8_e4m3fn).to(torch.float32) * tensor_scale
    return (_round_e2m1(blocks / scales) * scales).flatten(-2).to(values.dtype)


def _round_e2m1(values: Tensor) -> Tensor:
    """The nearest of ±{0, ½, 1, 1½, 2, 3, 4, 6}, ties to the even mantissa."""
    magnitudes = values.abs()
    steps = torch.where(magnitudes < 2, 0.5, torch.where(magnitudes < 4, 1.0, 2.0))
    return (torch.round(values / steps) * steps).clamp(-_E2M1_MAX, _E2M1_MAX)


class StraightThrough(Function):
    """``round_blocks`` with ModelOpt's gradient for it: as if nothing had been rounded."""

    @staticmethod
    def forward(_: Any, values: Tensor, amax: Tensor) -> Tensor:
        """Round ``values``."""
        return round_blocks(values, amax)

    @staticmethod
    def backward(_: Any, gradient: Tensor) -> tuple[Tensor, None]:
        """Pass ``gradient`` on."""
        return gradient, None


def _check_sites(network: HRM, chosen: Mapping[str, str], calibrated: Mapping[str, SiteAmax]) -> None:
    for name, precision in chosen.items():
        if name not in calibrated:
            raise CalibrationError(
                f"{name} cannot be quantised",
                why=f"it was not calibrated; calibrated are: {', '.join(calibrated) or 'none'}",
                hint="calibrate the modules that are to be quantised",
            )
        width = network.get_submodule(name).get_parameter("weight").shape[1]
        if precision == "nvfp4" and width % BLOCK:
            raise CalibrationError(
                f"{name} cannot be quantised to NVFP4",
                why=f"it sums over {width} values, and NVFP4 has blocks of {BLOCK}",
                hint="choose fp8 or fp16 for it",
            )
