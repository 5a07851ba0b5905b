"""The simulation twin: a graph that computes on a CPU what an NVFP4 graph's numbers come out as on a GPU.

ONNX Runtime has neither TensorRT's operator nor 4-bit tensors. One rewrite, always the same and on record, makes
standard operators of both: an activation is rounded by a function of the model's own, a weight is unpacked ahead.
FP8 stays as it is: ONNX Runtime computes it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from onnx import ModelProto, helper, numpy_helper

from export.passes.expect import expect
from export.passes.unused import drop_unused
from export.passes.weights import SUFFIX
from export.quantise.asked import STORED, origin, site_of
from export.quantise.nvfp4 import DOMAIN, DYNAMIC_QUANTISE
from export.quantise.rounding import FUNCTION, FUNCTION_DOMAIN, rounding_function
from export.quantise.values import Nvfp4, from_nvfp4
from hrm.files import sha256_bytes

if TYPE_CHECKING:
    from collections.abc import Mapping

    from onnx import GraphProto, NodeProto, TensorProto

RULE = "nvfp4-in-standard-operators/1"
"""The rewrite's name and version."""


def simulate(model: ModelProto) -> tuple[ModelProto, dict[str, Any]]:
    """The twin of ``model``, and the record of its rewrite.

    Returns:
        A model of ONNX's own operators with the same inputs and outputs; and the rule, how often it rewrote
        activations and weights, and the SHA-256 of both models' bytes, ``source`` and ``result``.

    Raises:
        ExportError: NVFP4 is not in the form that ``quantise_graph`` places it in.
    """
    twin = ModelProto()
    twin.CopyFrom(model)
    weights = _unpack_weights(twin.graph)
    activations = _round_activations(twin.graph)
    drop_unused(twin.graph)
    _declare(twin, calls=activations)
    record = {
        "rule": RULE,
        "activations": activations,
        "weights": weights,
        "source": _digest(model),
        "result": _digest(twin),
    }
    return twin, record


def _unpack_weights(graph: GraphProto) -> int:
    """Give every product of an NVFP4 weight that weight in float16; returns how many weights there are."""
    stored = {tensor.name: tensor for tensor in graph.initializer}
    makers = _makers(graph)
    unpacked: dict[str, TensorProto] = {}
    for node in graph.node:
        weight = stored.get(origin(node.input[1], makers)) if node.op_type == "MatMul" else None
        if weight is not None and STORED.get(weight.data_type) == "nvfp4":
            name = site_of(weight.name) + SUFFIX
            if name not in unpacked:
                unpacked[name] = numpy_helper.from_array(_float16(weight.name, stored), name)
            node.input[1] = name
    graph.initializer.extend(unpacked.values())
    return len(unpacked)


def _float16(weight: str, stored: Mapping[str, TensorProto]) -> Any:
    """The stored NVFP4 matrix [N, K] named ``weight``, as a linear multiplies with it: [K, N]."""
    names = (weight, f"{weight}.block_scales", f"{weight}.scale")
    codes, block_scales, scale = (numpy_helper.to_array(stored[name]) for name in names)
    return from_nvfp4(Nvfp4(codes, block_scales, np.float32(scale))).T.astype(np.float16)


def _round_activations(graph: GraphProto) -> int:
    """Put a call of the rounding function in place of every dynamic quantisation; returns how many there were."""
    makers = _makers(graph)
    rounded = {
        origin(node.input[0], makers): node.input[0]
        for node in graph.node
        if node.op_type == "MatMul" and node.input[0] in makers
    }
    quantised = [node for node in graph.node if node.op_type == DYNAMIC_QUANTISE]
    expect("simulate", sum(node.output[0] in rounded for node in quantised), len(quantised))
    for node in quantised:
        call = helper.make_node(FUNCTION, node.input, [rounded[node.output[0]]], name=node.name, domain=FUNCTION_DOMAIN)
        call.metadata_props.extend(node.metadata_props)
        makers[call.output[0]].output[0] = f"{node.name}/unused"
        node.CopyFrom(call)
    return len(quantised)


def _declare(twin: ModelProto, calls: int) -> None:
    """Say what the ``calls`` of the rounding function mean, and that TensorRT's operator is gone."""
    opsets = [opset for opset in twin.opset_import if opset.domain != DOMAIN]
    if calls:
        twin.functions.append(rounding_function(opsets))
        opsets.append(helper.make_opsetid(FUNCTION_DOMAIN, 1))
    del twin.opset_import[:]
    twin.opset_import.extend(opsets)


def _makers(graph: GraphProto) -> dict[str, NodeProto]:
    return {output: node for node in graph.node for output in node.output}


def _digest(model: ModelProto) -> str:
    return sha256_bytes(model.SerializeToString(deterministic=True))
