"""The builder's words, read: as RTX said them, as releases before it say them, and as nobody would."""

import contextlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engines.tensorrt.evidence import count, is_attention
from engines.tensorrt.listing import Layer, Operand, parse_listing
from hrm.errors import EngineError

WORDS = Path(__file__).parent / "trt_words"
CLASSIC = """\
Total Activation Memory: 4096 bytes
Layers:
Name: /mlp/MatMul_myl0_1, LayerType: gemm, Inputs: [ { Name: __mye7_dconst, Dimensions: [64,32], \
Format/Datatype: FP8 }, { Name: x, Dimensions: [8,64], Format/Datatype: FP8 }], \
Outputs: [ { Name: y, Dimensions: [8,32], Format/Datatype: Half }], \
TacticName: sm90_gemm, StreamId: 0, Metadata: [ONNX Layer: /mlp/MatMul]
Name: copy, LayerType: Reformat, Inputs: [ { Name: y, Location: Device, Dimensions: [8,32], \
Format/Datatype: Row major linear FP16 format }], Outputs: [ { Name: z, Location: Device, Dimensions: [8,32], \
Format/Datatype: Row major linear FP32 }], ParameterType: Reformat, TacticValue: 0x0, StreamId: 0, Metadata:

Bindings:
x
z
"""


@pytest.fixture(params=["fp8", "nvfp4"])
def words(request):
    return request.param, (WORDS / f"{request.param}.txt").read_text()


def test_products_have_both_operands_in_the_precision_of_the_graph(words):
    precision, text = words
    counts = count(parse_listing(text).layers)
    assert (counts.fp8_gemms, counts.fp4_gemms) == ((4, 0) if precision == "fp8" else (0, 4))
    assert counts.fp16_gemms == 0
    assert counts.fused_attentions == 1


def test_layers_name_the_nodes_that_they_came_from(words):
    layers = parse_listing(words[1]).layers
    product = next(layer for layer in layers if layer.name.startswith("node_linear_2_"))
    assert {"node_linear_2", "node_linear_2/weight/dequantise"} <= set(product.nodes)
    assert product.inputs[0].shape == (-1, 32)
    assert [layer.nodes for layer in layers if is_attention(layer)] == [("node_attention",)]


def test_tensors_and_memory_are_told(words):
    listing = parse_listing(words[1])
    assert [tensor.name for tensor in listing.tensors] == ["z_L", "z_H", "input_embeddings", "z_L_out"]
    assert [tensor.mode for tensor in listing.tensors] == ["input", "input", "input", "output"]
    assert {tensor.type for tensor in listing.tensors} == {"fp16"}
    assert listing.tensors[0].profile == ((1, 11, 32), (32, 11, 32), (256, 11, 32))
    assert listing.weight_bytes > 0
    assert listing.activation_bytes > listing.weight_bytes


def test_the_form_of_older_releases_is_read():
    listing = parse_listing(CLASSIC)
    product, copy = listing.layers
    assert product.inputs == (Operand(name="x", type="fp8", shape=(8, 64)),)
    assert product.constants == (Operand(name="__mye7_dconst", type="fp8", shape=(64, 32)),)
    assert product.nodes == ("/mlp/MatMul",)
    assert (copy.inputs[0].type, copy.outputs[0].type) == ("fp16", "fp32")
    assert [tensor.name for tensor in listing.tensors] == ["x", "z"]
    assert (listing.activation_bytes, listing.weight_bytes) == (4096, None)


@pytest.mark.parametrize("text", ["", "Layers:\n\n", "Engine Layer Information:\nLayer(Myelin): x, Tactic: 0x0"])
def test_a_plan_of_which_nothing_is_said_is_no_evidence(text):
    with pytest.raises(EngineError, match="does not say what it built"):
        parse_listing(text)


def test_another_form_is_refused_with_what_it_says():
    with pytest.raises(EngineError, match="Layer 1 does things") as caught:
        parse_listing("Layers:\nLayer 1 does things\n")
    assert caught.value.exit_code == 4


names = st.text("abcXYZ019_/.+-:", min_size=1, max_size=12)
shapes = st.lists(st.integers(-1, 4096), max_size=4).map(tuple)
operands = st.builds(Operand, name=names, type=st.sampled_from(["fp8", "fp4", "fp16", "fp32", "int32"]), shape=shapes)
few = st.lists(operands, max_size=3).map(tuple)
layers = st.builds(
    Layer,
    name=names,
    kind=st.sampled_from(["gemm", "kgen", "shape_call"]),
    inputs=few,
    constants=few,
    outputs=few,
    tactic=names,
    nodes=st.lists(names, max_size=3).map(tuple),
)
SPOKEN = {"fp16": "Half", "fp32": "Float", "fp8": "FP8", "fp4": "FP4E2M1", "int32": "Int32"}


def say(layer):
    def listed(title, those):
        spoken = ", ".join(
            f"{{ Name: {each.name}, Dimensions: [{','.join(map(str, each.shape))}], Strides: [1], "
            f"Datatype: {SPOKEN[each.type]}, Format: (Linear) Row major linear format }}"
            for each in those
        )
        return f"{title}: [{f' {spoken}' if spoken else ''}]"

    parts = [listed("Inputs", layer.inputs), listed("Constants", layer.constants), listed("Outputs", layer.outputs)]
    origins = "".join(f"[ONNX Layer: {node}]" for node in layer.nodes)
    return (
        f"Name: {layer.name}, LayerType: {layer.kind}, {', '.join(parts)}, "
        f"TacticName: {layer.tactic}, StreamId: 0, Metadata: {origins}"
    )


@given(st.lists(layers, min_size=1, max_size=4))
def test_whatever_is_listed_is_read(expected):
    text = "\n".join(["before", "Layers:", *map(say, expected), "", "I/O Tensors:", "", "after"])
    assert list(parse_listing(text).layers) == expected


@given(st.text(), st.text())
def test_no_text_breaks_the_parser(before, after):
    with contextlib.suppress(EngineError):
        parse_listing(f"{before}\nLayers:\n{after}\nI/O Tensors:\n{after}")
