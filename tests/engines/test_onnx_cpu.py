"""Graphs in ONNX Runtime's own operators: the same values as before, from the operators that were meant."""

from collections import Counter
from dataclasses import replace

import numpy as np
import onnx
import onnxruntime
import pytest
from trt_graphs import CONFIG, DIGEST, calibration

from engines.onnx_cpu.kernels import use_kernels
from export.graphs import export_graphs
from export.metadata import metadata_of
from export.models import check_model, segment_model
from export.quantise.calibration import SiteAmax
from export.quantise.place import quantise_graph
from export.quantise.sites import sites, uniform
from hrm.errors import ExportError
from hrm.network import random_network

NETWORK = replace(CONFIG, L_layers=2, H_cycles=2)
LAYERS = 2 * (2 + 1)
"""Of the segment."""


@pytest.fixture(scope="module", params=["rope", "learned"])
def graphs(request):
    network = random_network(replace(NETWORK, pos_encodings=request.param), 0)
    return network, export_graphs(network, "fp32", source_digest=DIGEST)


@pytest.fixture
def int8_segment(graphs):
    network, plain = graphs
    parts = {}
    for module in ("executor", "planner"):
        parts[module] = copy_of(plain[module])
        names = sites(network.config, module)
        calibrated = calibration({name: SiteAmax(input=6.0, weight=1.0) for name in names})
        quantise_graph(parts[module], uniform(network.config, [module], "int8"), calibrated)
    model = segment_model(parts["executor"], parts["planner"], network.config, "fp32")
    model.metadata_props.extend(plain["segment"].metadata_props)
    return model


def copy_of(model):
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    return copy


def rewritten(model):
    copy = copy_of(model)
    use_kernels(copy, metadata_of(copy, "graph"))
    return copy


def optimised(model, path):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    options.optimized_model_filepath = str(path)
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    onnxruntime.InferenceSession(model.SerializeToString(), options)
    return Counter(node.op_type for node in onnx.load(path).graph.node)


def outputs(model, batch, tokens):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options)
    generator = np.random.default_rng(0)
    shape = (batch, tokens, CONFIG.hidden_size)
    feeds = {node.name: generator.standard_normal(shape).astype(np.float32) for node in session.get_inputs()}
    return session.run(None, feeds)


@pytest.mark.parametrize("module", ["executor", "planner", "segment"])
@pytest.mark.parametrize(("batch", "tokens"), [(1, CONFIG.tokens), (5, CONFIG.tokens), (3, 4)])
def test_it_computes_what_it_did(graphs, module, batch, tokens):
    model = graphs[1][module]
    for found, wanted in zip(outputs(rewritten(model), batch, tokens), outputs(model, batch, tokens), strict=True):
        np.testing.assert_allclose(found, wanted, atol=2e-5 * np.abs(wanted).max())


def test_inputs_outputs_and_metadata_stay(graphs):
    for module, model in graphs[1].items():
        found = rewritten(model)
        check_model(found, module)
        assert (found.graph.input, found.graph.output) == (model.graph.input, model.graph.output)
        assert found.metadata_props == model.metadata_props


def test_a_block_is_products_one_attention_and_two_norms(graphs, tmp_path):
    network, models = graphs
    counts = optimised(rewritten(models["segment"]), tmp_path / "engine.onnx")
    assert counts["MultiHeadAttention"] == LAYERS
    assert counts["SkipSimplifiedLayerNormalization"] == 2 * LAYERS
    assert counts["RotaryEmbedding"] == (2 * LAYERS if network.rotary is not None else 0)
    assert counts["MatMul"] == 7 * LAYERS + 1  # Q, K, V, output, gate, up, down; and the logits
    copies = {"Transpose", "Concat", "Softmax", "Pow", "ReduceMean"}
    assert not copies.intersection(counts)


def test_the_parts_of_a_weight_are_stored_once(graphs, tmp_path):
    optimised(rewritten(graphs[1]["segment"]), tmp_path / "engine.onnx")
    before = sum(len(tensor.raw_data) for tensor in graphs[1]["segment"].graph.initializer)
    after = sum(len(tensor.raw_data) for tensor in onnx.load(tmp_path / "engine.onnx").graph.initializer)
    assert after < 1.05 * before


def test_int8_products_stay_in_integers(int8_segment, tmp_path):
    counts = optimised(rewritten(int8_segment), tmp_path / "engine.onnx")
    assert counts["MatMulIntegerToFloat"] == 7 * LAYERS
    assert counts["QuantizeLinear"] == 4 * LAYERS  # one for all that multiply the same
    assert "DequantizeLinear" not in counts
    for found, wanted in zip(
        outputs(rewritten(int8_segment), 1, CONFIG.tokens), outputs(int8_segment, 1, CONFIG.tokens), strict=True
    ):
        np.testing.assert_allclose(found, wanted, atol=0.05 * np.abs(wanted).max())


def test_a_graph_that_was_rewritten_already_is_refused(graphs):
    model = rewritten(graphs[1]["executor"])
    with pytest.raises(ExportError, match="fuse_attention"):
        use_kernels(model, metadata_of(model, "graph"))


def test_attention_of_another_shape_is_refused(graphs):
    model = copy_of(graphs[1]["executor"])
    softmax = next(node for node in model.graph.node if node.op_type == "Softmax")
    weighted = next(node for node in model.graph.node if softmax.output[0] in node.input)
    weighted.op_type = "Mul"
    with pytest.raises(ExportError, match="not what was expected") as caught:
        use_kernels(model, metadata_of(model, "graph"))
    assert "one MatMul should take it" in caught.value.why
