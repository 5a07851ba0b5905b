"""Weights rounded to NVFP4 one input channel after the other, each making up for the errors of those before it.

Frantar et al., "GPTQ", arXiv 2210.17323. What comes out are NVFP4 values in float32: whatever quantises them again, by
the largest magnitude of each block and of the tensor, finds the same numbers. So graphs need no new operator.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from engines.calibration.blocks import BLOCK

if TYPE_CHECKING:
    from torch import Tensor

_E2M1 = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0)
_E4M3_MAX, _E4M3_LEAST = 448.0, 2.0**-9


def compensated(weight: Tensor, amax: float, moments: Tensor, damping: float = 0.01) -> Tensor:
    """``weight`` [N, K] in NVFP4, chosen for its products rather than for itself.

    A block's scale is that of its largest magnitude, which keeps its 6.

    Args:
        weight: float32, K a multiple of 16.
        amax: the largest magnitude of the whole tensor.
        moments: second moments of the rows that it is multiplied with, rounded as they will be: xᵀx, [K, K].
        damping: what is added to the diagonal of the inputs' second moments, in parts of their mean.
    """
    wide, hessian = weight.double(), moments.double().clone()
    hessian.diagonal().add_(damping * hessian.diagonal().mean())
    upper = torch.linalg.cholesky(torch.cholesky_inverse(torch.linalg.cholesky(hessian)), upper=True)
    blocks = wide.reshape(len(wide), -1, BLOCK)
    peak = blocks.abs().amax(-1, keepdim=True)
    scales = scale_of(peak.float(), amax).double().expand_as(blocks).flatten(-2)
    largest = (blocks.abs() == peak).flatten(-2)
    left, made = wide.clone(), torch.zeros_like(wide)
    for column in range(wide.shape[1]):
        now, scale = left[:, column], scales[:, column]
        made[:, column] = torch.where(largest[:, column], 6 * scale * wide[:, column].sign(), nearest(now, scale))
        off = (now - made[:, column]) / upper[column, column]
        left[:, column:] -= off[:, None] * upper[column, column:]
    return made.to(weight.dtype)


def scale_of(peak: Tensor, amax: float) -> Tensor:
    """The scale, as stored, at which ``peak`` is 6, in a tensor whose largest magnitude is ``amax``."""
    unit = amax / (6 * _E4M3_MAX)
    wanted = torch.where(peak == 0, 1.0, peak / (6 * unit)).clamp(_E4M3_LEAST, _E4M3_MAX)
    return wanted.to(torch.float8_e4m3fn).to(peak.dtype) * unit


def nearest(values: Tensor, scales: Tensor) -> Tensor:
    """E2M1's nearest to ``values`` in units of ``scales``."""
    grid = values.new_tensor(_E2M1)
    units = (values / scales).abs().clamp(max=6)
    middles = (grid[1:] + grid[:-1]) / 2
    return grid[torch.bucketize(units, middles)] * values.sign() * scales
