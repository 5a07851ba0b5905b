"""A small executor written by hand, as the exporter writes one: a block of attention and MLP, in milliseconds."""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from engines.bundle import Profile, Range
from export.contract import signature
from export.metadata import describe, stamp
from export.quantise.calibration import Calibration, SiteAmax
from export.quantise.place import quantise_graph
from export.quantise.sites import sites, uniform
from hrm.config import HRMConfig

CONFIG = HRMConfig(
    vocab_size=7,
    seq_len=10,
    num_puzzle_identifiers=5,
    hidden_size=32,
    num_heads=2,
    H_layers=1,
    L_layers=1,
    H_cycles=1,
    L_cycles=1,
    halt_max_steps=2,
    puzzle_emb_ndim=32,
)
SITES = sites(CONFIG, "executor")
WIDTH = 64
"""Of the MLP."""
ATTENTION = "node_attention"
DIGEST = "0123456789abcdef" * 4


def span(least, best, most):
    return Range(min=least, opt=best, max=most)


PROFILE = Profile(batch=span(1, 2, 4), sequence=span(10, 10, 10))


def node(kind, inputs, output, name=None, **attributes):
    outputs = output if isinstance(output, list) else [output]
    return helper.make_node(kind, inputs, outputs, name=name or f"node_{outputs[0]}", **attributes)


def executor():
    """z_L, z_H, input_embeddings [B, T, 32] to z_L_out; what surrounds the four linears is left out."""
    width, heads = CONFIG.hidden_size, CONFIG.num_heads
    qkv, o_proj, gate_up, down = (f"{site}.weight.T" for site in SITES)
    shapes = {qkv: (width, 3 * width), o_proj: (width, width), gate_up: (width, 2 * WIDTH), down: (WIDTH, width)}
    generator = np.random.default_rng(0)
    weights = {name: (generator.standard_normal(shape) / 8).astype(np.float16) for name, shape in shapes.items()}
    constants = {"heads": np.array([0, 0, 3 * heads, width // heads]), "flat": np.array([0, 0, width])}
    nodes = [
        node("Add", ["z_L", "z_H"], "state"),
        node("Add", ["state", "input_embeddings"], "x"),
        node("MatMul", ["x", qkv], "projected", "node_linear"),
        node("Reshape", ["projected", "heads"], "projected_heads"),
        node("Split", ["projected_heads"], ["q", "k", "v"], "node_split", axis=2, num_outputs=3),
        *(node("Transpose", [each], f"{each}_first", perm=[0, 2, 1, 3]) for each in "qkv"),
        node("Attention", ["q_first", "k_first", "v_first"], "attended", ATTENTION),
        node("Transpose", ["attended"], "heads_last", perm=[0, 2, 1, 3]),
        node("Reshape", ["heads_last", "flat"], "joined"),
        node("MatMul", ["joined", o_proj], "mixed", "node_linear_1"),
        node("Add", ["x", "mixed"], "y"),
        node("MatMul", ["y", gate_up], "gates", "node_linear_2"),
        node("Split", ["gates"], ["gate", "up"], "node_split_2", axis=-1, num_outputs=2),
        node("Sigmoid", ["gate"], "gate_open"),
        node("Mul", ["gate", "gate_open"], "silu"),
        node("Mul", ["silu", "up"], "inner"),
        node("MatMul", ["inner", down], "outer", "node_linear_3"),
        node("Add", ["y", "outer"], "z_L_out"),
    ]
    declared = signature(CONFIG, "fp16", "executor")
    values = [
        helper.make_tensor_value_info(spec.name, TensorProto.FLOAT16, spec.shape)
        for spec in (*declared.inputs, *declared.outputs)
    ]
    tensors = [numpy_helper.from_array(value, name) for name, value in {**weights, **constants}.items()]
    graph = helper.make_graph(nodes, "executor", values[:3], values[3:], tensors)
    model = helper.make_model(graph, ir_version=10, opset_imports=[helper.make_opsetid("", 23)])
    stamp(model, describe(CONFIG, "fp16", "executor", declared, DIGEST))
    return model


def quantised(precision):
    """The same in ``fp8`` or ``nvfp4``."""
    model = executor()
    amax = {site: SiteAmax(input=8.0, weight=0.5) for site in SITES}
    quantise_graph(model, uniform(CONFIG, ["executor"], precision), calibration(amax))
    return model


def calibration(amax):
    """One that found these magnitudes, by site."""
    return Calibration(
        method="max", sites=amax, segments={}, checkpoint="", dataset="", split="train", puzzles=1, seed=0, versions={}
    )


def node_named(model, name):
    return next(each for each in model.graph.node if each.name == name)


def lose_activation_quantisation(model, name):
    """Let the product ``name`` read its activation as it is, as a pass might that takes a Q/DQ for nothing."""
    makers = {output: each for each in model.graph.node for output in each.output}
    product = node_named(model, name)
    dequantise = makers[product.input[0]]
    quantise = makers[dequantise.input[0]]
    product.input[0] = quantise.input[0]
    for each in (dequantise, quantise):
        model.graph.node.remove(each)
    return model


def split_before_heads(model):
    """Queries, keys and values cut apart in front of their heads: the same values, and TensorRT makes a batched product
    of it, for which it has no NVFP4 kernel.
    """
    heads, split = node_named(model, "node_projected_heads"), node_named(model, "node_split")
    place = list(model.graph.node).index(heads)
    model.graph.node.remove(heads)
    model.graph.node.remove(split)
    parts = [
        node("Split", ["projected"], ["q_flat", "k_flat", "v_flat"], "node_split", axis=-1, num_outputs=3),
        *(node("Reshape", [f"{each}_flat", "a_third"], each) for each in "qkv"),
    ]
    for part in reversed(parts):
        model.graph.node.insert(place, part)
    shape = np.array([0, 0, CONFIG.num_heads, CONFIG.head_dim])
    model.graph.initializer.append(numpy_helper.from_array(shape, "a_third"))
    return model


def break_attention(model):
    """Attention in pieces, with something between its softmax and its second product."""
    attention = node_named(model, ATTENTION)
    place = list(model.graph.node).index(attention)
    q, k, v = attention.input
    pieces = [
        node("Transpose", [k], "k_last", perm=[0, 1, 3, 2]),
        node("MatMul", [q, "k_last"], "scores"),
        node("Softmax", ["scores"], "chances", ATTENTION, axis=-1),
        node("CumSum", ["chances", "batch_axis"], "summed"),
        node("MatMul", ["summed", v], attention.output[0]),
    ]
    model.graph.node.remove(attention)
    for piece in reversed(pieces):
        model.graph.node.insert(place, piece)
    model.graph.initializer.append(numpy_helper.from_array(np.array(0, np.int64), "batch_axis"))
    return model


def save(model, directory):
    path = directory / "executor.onnx"
    onnx.save(model, path)
    return path
