"""Rounding to NVFP4 in ONNX's own operators, as a local function: ``(values [B, T, K], scale) → rounded``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from onnx import FunctionProto, NodeProto, TensorProto, helper, numpy_helper

from export.quantise.values import BLOCK, E2M1_MAX, E4M3_LEAST, E4M3_MAX

if TYPE_CHECKING:
    from collections.abc import Iterable

    from onnx import OperatorSetIdProto

FUNCTION_DOMAIN, FUNCTION = "hrm_trt", "RoundNVFP4"


def rounding_function(opsets: Iterable[OperatorSetIdProto]) -> FunctionProto:
    """Float16 values as a GPU computes with them after dynamic quantisation; the numbers in between are float32."""
    nodes = [*_constants(), *_block_scales(), *_rounded()]
    return helper.make_function(FUNCTION_DOMAIN, FUNCTION, ["values", "scale"], ["rounded"], nodes, list(opsets))


def _block_scales() -> list[NodeProto]:
    """``blocks`` [B, T, K / 16, 16] and their ``scales``, rounded to E4M3 times the tensor's scale."""
    return [
        _node("Cast", "values", "wide", to=TensorProto.FLOAT),
        _node("Reshape", "wide in_blocks", "blocks"),
        _node("Abs", "blocks", "magnitudes"),
        _node("ReduceMax", "magnitudes last_axis", "largest", keepdims=1),
        _node("Mul", "scale e2m1_max", "unit"),
        _node("Div", "largest unit", "exact"),
        _node("Clip", "exact e4m3_least e4m3_max", "clipped"),
        _node("Cast", "clipped", "stored", to=TensorProto.FLOAT8E4M3FN),
        _node("Cast", "stored", "read", to=TensorProto.FLOAT),
        _node("Mul", "read scale", "scales"),
    ]


def _rounded() -> list[NodeProto]:
    """Each value to the nearest of ±{0, ½, 1, 1½, 2, 3, 4, 6} scales: steps of ½ below 2, of 1 below 4, else of 2."""
    return [
        _node("Div", "blocks scales", "units"),
        *_magic(),
        _node("Add", "units magic", "pushed"),
        _node("Sub", "pushed magic", "nearest"),
        _node("Clip", "nearest e2m1_least e2m1_max", "codes"),
        _node("Mul", "codes scales", "unpacked"),
        _node("Reshape", "unpacked in_rows", "rows"),
        _node("Cast", "rows", "rounded", to=TensorProto.FLOAT16),
    ]


def _magic() -> list[NodeProto]:
    """For each value a number so large that float32 has no finer steps there than E2M1 has at the value.

    The magnitude, at least 1, is cut to two bits (Veltkamp's splitting), which leaves 1, 1½, 2, 3, 4 or 6, and moved to
    the middle of its binade 22 powers of two up. Comparing and choosing would take ONNX Runtime twice as long.
    """
    return [
        _node("Abs", "units", "sizes"),
        _node("Clip", "sizes one e4m3_max", "at_least_one"),
        _node("Mul", "at_least_one splitter", "shifted"),
        _node("Sub", "shifted at_least_one", "low"),
        _node("Sub", "shifted low", "two_bits"),
        _node("Mul", "two_bits far", "magic"),
    ]


def _constants() -> list[NodeProto]:
    numbers = {
        "e2m1_max": E2M1_MAX,
        "e2m1_least": -E2M1_MAX,
        "e4m3_least": E4M3_LEAST,
        "e4m3_max": E4M3_MAX,
        "one": 1,
        "splitter": 2.0**22 + 1,
        "far": 1.25 * 2.0**22,
    }
    shapes = {"in_blocks": [0, 0, -1, BLOCK], "in_rows": [0, 0, -1], "last_axis": [-1]}
    arrays = {name: np.array(value, np.float32) for name, value in numbers.items()} | {
        name: np.array(value, np.int64) for name, value in shapes.items()
    }
    return [_node("Constant", "", name, value=numpy_helper.from_array(array)) for name, array in arrays.items()]


def _node(operator: str, inputs: str, output: str, **attributes: Any) -> NodeProto:
    return helper.make_node(operator, inputs.split(), [output], **attributes)
