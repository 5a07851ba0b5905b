"""NVFP4: both operands in E2M1, 16 values to an E4M3 scale, and one float32 scale for the tensor.

The weight is stored in 4 bits, [N, K] so that blocks lie along K, and unpacked by ONNX's own operators. The
activation's blocks get their scales as they come, for which ONNX has no operator: TensorRT's own quantises, in the
domain ``trt``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from onnx import TensorProto

from export.quantise.nodes import Linear, Placed, node, tensor
from export.quantise.values import BLOCK, nvfp4_scale, to_nvfp4
from hrm.errors import ExportError

if TYPE_CHECKING:
    from onnx import NodeProto

DOMAIN, DYNAMIC_QUANTISE = "trt", "TRT_FP4DynamicQuantize"
"""TensorRT's operator: (values, scale) → (E2M1, E4M3 block scales)."""


def place_nvfp4(linear: Linear) -> Placed:
    """Dynamic Q and two DQs around the activation, two DQs behind the weight.

    Raises:
        ExportError: the linear sums over a number of values that is no multiple of 16.
    """
    width = linear.weight.shape[0]
    if width % BLOCK:
        raise ExportError(
            f"{linear.site} cannot be quantised to NVFP4",
            why=f"it sums over {width} values, and NVFP4 has blocks of {BLOCK}",
            hint="choose fp8 or fp16 for it",
        )
    site = linear.site
    stored = to_nvfp4(linear.weight.T, nvfp4_scale(linear.amax.weight))
    tensors = [
        tensor(f"{site}.input.nvfp4.scale", nvfp4_scale(linear.amax.input)),
        tensor(f"{site}.weight.nvfp4", stored.codes),
        tensor(f"{site}.weight.nvfp4.block_scales", stored.block_scales),
        tensor(f"{site}.weight.nvfp4.scale", stored.scale),
    ]
    input_scale, *weight = (each.name for each in tensors)
    before, behind = _quantise(linear, input_scale), _unpack(linear, *weight)
    return Placed([*before, *behind], tensors, (before[-1].output[0], behind[-1].output[0]))


def _quantise(linear: Linear, scale: str) -> list[NodeProto]:
    """The activation, rounded."""
    activation = linear.product.input[0]
    form = {"axis": -1, "block_size": BLOCK, "scale_type": TensorProto.FLOAT8E4M3FN}
    quantise = node(linear, "input", "quantise", DYNAMIC_QUANTISE, activation, scale, domain=DOMAIN, **form)
    block_scales = f"{quantise.name}/block_scales"
    quantise.output.append(block_scales)
    return [quantise, *_dequantise(linear, "input", quantise.output[0], block_scales, scale)]


def _unpack(linear: Linear, stored: str, block_scales: str, scale: str) -> list[NodeProto]:
    """The weight [K, N]."""
    scales, values, cast = _dequantise(linear, "weight", stored, block_scales, scale)
    transpose = node(linear, "weight", "transpose", "Transpose", values.output[0], perm=[1, 0])
    cast.input[0] = transpose.output[0]
    return [scales, values, transpose, cast]


def _dequantise(linear: Linear, operand: str, codes: str, block_scales: str, scale: str) -> list[NodeProto]:
    scales = node(linear, operand, "dequantise_scales", "DequantizeLinear", block_scales, scale)
    form = {"axis": -1, "block_size": BLOCK}
    values = node(linear, operand, "dequantise", "DequantizeLinear", codes, scales.output[0], **form)
    return [scales, values, node(linear, operand, "cast", "Cast", values.output[0], to=TensorProto.FLOAT16)]
