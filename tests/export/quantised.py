"""Graphs in low precision, calibrated on nothing but their own weights, and ModelOpt's numbers to compare with."""

import onnx
import torch
from onnx import TensorProto, helper, numpy_helper

from export.quantise.calibration import Calibration, SiteAmax
from export.quantise.place import quantise_graph
from export.quantise.sites import sites

BLOCK = 16


def calibration(network, *, largest_input=8.0, modules=("executor", "planner")):
    """As if every linear had met inputs up to ``largest_input``."""
    names = [site for module in modules for site in sites(network.config, module)]
    weights = {name: network.get_submodule(name).weight.abs().max().item() for name in names}
    return of({name: SiteAmax(input=largest_input, weight=weight) for name, weight in weights.items()})


def of(amax):
    return Calibration(
        method="max",
        sites=amax,
        segments={},
        checkpoint="",
        dataset="",
        split="train",
        puzzles=1,
        seed=0,
        versions={},
    )


def quantised(model, assignment, calibrated):
    """A quantised copy of ``model``."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    quantise_graph(copy, assignment, calibrated)
    return copy


SITE = "L_level.layers.0.mlp.down_proj"


def one_linear(weight, name=f"{SITE}.weight.T", dtype=TensorProto.FLOAT16):
    """A model that is one product of ``x`` [B, T, K] with ``weight`` [K, N]."""
    rows, columns = weight.shape
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", name], ["y"], name="node_linear")],
        "executor",
        [helper.make_tensor_value_info("x", dtype, ["batch", "tokens", rows])],
        [helper.make_tensor_value_info("y", dtype, ["batch", "tokens", columns])],
        [numpy_helper.from_array(weight.astype(helper.tensor_dtype_to_np_dtype(dtype)), name)],
    )
    return helper.make_model(graph, ir_version=10, opset_imports=[helper.make_opsetid("", 23)])


def modelopt_nvfp4(values, amax):
    """``values`` [..., K] after ModelOpt's NVFP4, de-quantised in their own type."""
    from modelopt.torch.quantization.qtensor import NVFP4QTensor

    scale = torch.tensor(amax, dtype=torch.float32) / (6.0 * 448.0)
    stored, block_scales, scale = NVFP4QTensor.quantize(torch.from_numpy(values.copy()), BLOCK, None, scale)
    return stored.dequantize(scale=block_scales, double_scale=scale, block_sizes={-1: BLOCK}).numpy()


def bits(values):
    """The bytes of ``values``; ModelOpt has no negative zero, and 0 is 0."""
    return (values + values.dtype.type(0)).tobytes()


def modelopt_fp8(values, amax):
    """``values`` after ModelOpt's FP8, de-quantised."""
    from modelopt.torch.quantization.tensor_quant import scaled_e4m3

    return scaled_e4m3(torch.from_numpy(values), torch.tensor(amax), None, 4, 3).numpy()


MODELOPT = {"fp8": modelopt_fp8, "nvfp4": modelopt_nvfp4}
