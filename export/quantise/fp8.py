"""FP8: both operands in E4M3 with one scale each, in ONNX's own operators.

The activation is quantised and de-quantised, the weight is stored in 8 bits and de-quantised: the form that TensorRT
fuses into an FP8 GEMM, and that ONNX Runtime computes as it is. Scales are float16, the type of what they give.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from export.quantise.nodes import Linear, Placed, node, tensor
from export.quantise.values import E4M3, fp8_scale, to_fp8
from hrm.errors import CalibrationError

if TYPE_CHECKING:
    from collections.abc import Iterator

_ZERO = "fp8.zero"
"""A zero point says that E4M3 is meant; it is stored once."""


def place_fp8(linear: Linear) -> Placed:
    """Q/DQ around the activation, DQ behind the weight [K, N].

    Raises:
        CalibrationError: a scale is too small for float16.
    """
    _check(linear)
    site, amax, activation = linear.site, linear.amax, linear.product.input[0]
    stored, input_scale, weight_scale = f"{site}.weight.fp8", f"{site}.input.fp8.scale", f"{site}.weight.fp8.scale"
    scale = fp8_scale(amax.weight)
    quantise = node(linear, "input", "quantise", "QuantizeLinear", activation, input_scale, _ZERO)
    dequantise = node(linear, "input", "dequantise", "DequantizeLinear", quantise.output[0], input_scale, _ZERO)
    unpack = node(linear, "weight", "dequantise", "DequantizeLinear", stored, weight_scale, _ZERO)
    return Placed(
        nodes=[quantise, dequantise, unpack],
        tensors=[
            tensor(_ZERO, np.zeros((), E4M3)),
            tensor(input_scale, fp8_scale(amax.input)),
            tensor(weight_scale, scale),
            tensor(stored, to_fp8(linear.weight, scale)),
        ],
        operands=(dequantise.output[0], unpack.output[0]),
    )


def _check(linear: Linear) -> None:
    for operand, amax in _operands(linear):
        if not fp8_scale(amax) > 0:
            raise CalibrationError(
                f"{linear.site} cannot be quantised to FP8",
                why=f"the largest magnitude of its {operand} is {amax}, and its scale is too small for float16",
                hint="choose fp16 for it",
            )


def _operands(linear: Linear) -> Iterator[tuple[str, float]]:
    yield "input", linear.amax.input
    yield "weight", linear.amax.weight
