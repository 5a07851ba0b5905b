"""INT8 for CPUs: 8-bit integers on both sides of a product, accumulated in 32 bits.

The activation has one scale, fixed by calibration: a scale that is made from a batch as it comes would let a puzzle's
answer depend on its neighbours. The weight has one for each of its columns, and 7 bits: CPUs without VNNI add pairs of
products in 16 bits, which 255 × 127 × 2 would overflow without a word and 255 × 64 × 2 does not. It is ONNX's own Q/DQ
form, which ONNX Runtime fuses into ``MatMulIntegerToFloat``; what surrounds it stays in float32.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from export.quantise.nodes import Linear, Placed, node, tensor

if TYPE_CHECKING:
    import numpy.typing as npt

_LARGEST_INPUT, _LARGEST_WEIGHT = 127, 64
_ZERO, _MIDDLE = "int8.zero", 128
"""Stored once: activations are unsigned around 128, the form that CPUs' dot products take; weights are signed."""


def place_int8(linear: Linear) -> Placed:
    """Q/DQ around the activation, DQ behind the weight [K, N]."""
    site, activation = linear.site, linear.product.input[0]
    stored, input_scale, weight_scale = f"{site}.weight.int8", f"{site}.input.int8.scale", f"{site}.weight.int8.scale"
    scales = column_scales(linear.weight)
    quantise = node(linear, "input", "quantise", "QuantizeLinear", activation, input_scale, _ZERO)
    dequantise = node(linear, "input", "dequantise", "DequantizeLinear", quantise.output[0], input_scale, _ZERO)
    unpack = node(linear, "weight", "dequantise", "DequantizeLinear", stored, weight_scale, axis=1)
    return Placed(
        nodes=[quantise, dequantise, unpack],
        tensors=[
            tensor(_ZERO, np.uint8(_MIDDLE)),
            tensor(input_scale, np.float32(linear.amax.input / _LARGEST_INPUT)),
            tensor(weight_scale, scales),
            tensor(stored, to_int8(linear.weight, scales)),
        ],
        operands=(dequantise.output[0], unpack.output[0]),
    )


def column_scales(weight: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    """The scale [N] at which each column's largest magnitude is 64; 1 for a column of zeros, or as good as that."""
    scales = np.abs(weight).max(axis=0).astype(np.float32) / np.float32(_LARGEST_WEIGHT)
    return np.where(scales > 0, scales, np.float32(1))


def to_int8(weight: npt.NDArray[Any], scales: npt.NDArray[np.float32]) -> npt.NDArray[np.int8]:
    """The nearest integers of ``weight`` [K, N], ties to even."""
    return np.clip(np.rint(weight / scales), -_LARGEST_WEIGHT, _LARGEST_WEIGHT).astype(np.int8)
