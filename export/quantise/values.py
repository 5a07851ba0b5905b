"""The numbers themselves: what a tensor is stored as in 8 and in 4 bits, to the bit what ModelOpt would store."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import ml_dtypes
import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

BLOCK = 16
"""Values that share an NVFP4 scale, along the axis that is summed over."""
E4M3_MAX = 448.0
E4M3_LEAST = 2.0**-9
"""The smallest E4M3 number above zero: a block's scale is never less."""
E2M1_MAX = 6.0
E4M3, E2M1 = ml_dtypes.float8_e4m3fn, ml_dtypes.float4_e2m1fn


class Nvfp4(NamedTuple):
    """A matrix in NVFP4: ``codes × block_scales × scale``."""

    codes: npt.NDArray[Any]
    """E2M1 [N, K]."""
    block_scales: npt.NDArray[Any]
    """E4M3 [N, K / 16]."""
    scale: np.float32


def fp8_scale(amax: float) -> np.float16:
    """The scale at which ``amax`` is the largest E4M3 number; 0 where float16 has none so small."""
    return np.float16(amax / E4M3_MAX)


def nvfp4_scale(amax: float) -> np.float32:
    """The scale at which ``amax`` is the largest E2M1 number times the largest block scale."""
    return np.float32(np.float32(amax) / np.float32(E2M1_MAX * E4M3_MAX))


def to_fp8(values: npt.NDArray[Any], scale: np.float16) -> npt.NDArray[Any]:
    """E4M3 codes of ``values``, clipped to what ``scale`` can say."""
    # ModelOpt multiplies where a graph divides, by PyTorch's 448 / amax, which is 448 · (1 / amax).
    factor = np.float32(1) / (np.float32(E4M3_MAX) * np.float32(scale)) * np.float32(E4M3_MAX)
    return _to_e4m3(np.clip(values.astype(np.float32) * factor, -E4M3_MAX, E4M3_MAX))


def to_nvfp4(values: npt.NDArray[Any], scale: np.float32) -> Nvfp4:
    """Codes and block scales of ``values`` [N, K], K a multiple of 16."""
    rows, width = values.shape
    blocks = values.astype(np.float32).reshape(rows, width // BLOCK, BLOCK)
    wanted = np.abs(blocks).max(-1) / (np.float32(E2M1_MAX) * scale)
    wanted[wanted == 0] = 1  # a block of zeros
    block_scales = _to_e4m3(np.clip(wanted, E4M3_LEAST, E4M3_MAX))
    units = blocks / (block_scales.astype(np.float32) * scale)[..., None] + 0  # no negative zeros
    codes = _nearest(np.clip(units, -E2M1_MAX, E2M1_MAX), fraction_bits=1, least_exponent=0).astype(E2M1)
    return Nvfp4(codes.reshape(rows, width), block_scales, scale)


def from_nvfp4(stored: Nvfp4) -> npt.NDArray[np.float32]:
    """The values [N, K] that ``stored`` stands for."""
    scales = stored.block_scales.astype(np.float32) * stored.scale
    return (stored.codes.astype(np.float32).reshape(*scales.shape, BLOCK) * scales[..., None]).reshape(
        stored.codes.shape
    )


def _to_e4m3(values: npt.NDArray[np.float32]) -> npt.NDArray[Any]:
    codes: npt.NDArray[Any] = _nearest(values, fraction_bits=3, least_exponent=-6).astype(E4M3)
    return codes


def _nearest(values: npt.NDArray[np.float32], fraction_bits: int, least_exponent: int) -> npt.NDArray[np.float32]:
    """The nearest numbers of a small float, ties to even; ml_dtypes would round to float16 on the way."""
    _, exponents = np.frexp(values)
    steps = np.ldexp(np.float32(1), np.maximum(exponents - 1, least_exponent) - fraction_bits)
    nearest: npt.NDArray[np.float32] = np.rint(values / steps) * steps
    return nearest
