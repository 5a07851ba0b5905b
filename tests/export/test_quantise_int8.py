"""INT8 in float32 graphs: what is stored, what it computes, and what ONNX Runtime makes of it."""

import numpy as np
import onnx
import onnxruntime
import pytest
import quantised
import tiny
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from onnx import TensorProto, numpy_helper

from export.models import check_model, segment_model
from export.quantise.asked import count_precisions
from export.quantise.calibration import SiteAmax
from export.quantise.int8 import column_scales, to_int8
from export.quantise.sites import sites, uniform
from hrm.errors import ExportError

magnitudes = st.floats(-100, 100, width=32)


@pytest.fixture(scope="module")
def calibrated(trained):
    return quantised.calibration(trained)


@pytest.fixture(scope="module")
def int8_graphs(trained, fp32_graphs, calibrated):
    return {
        module: quantised.quantised(fp32_graphs[module], uniform(trained.config, [module], "int8"), calibrated)
        for module in ("executor", "planner")
    }


@given(arrays.arrays(np.float32, st.tuples(st.integers(1, 9), st.integers(1, 5)), elements=magnitudes))
def test_a_weight_is_within_half_a_step_of_its_integers(weight):
    scales = column_scales(weight)
    integers = to_int8(weight, scales)
    assert (np.abs(integers.astype(int)) <= 64).all()
    assert (np.abs(integers * scales - weight) <= scales * np.float32(0.501) + np.finfo(np.float32).tiny).all()
    assert (integers[:, ~weight.any(axis=0)] == 0).all()


def test_weights_are_stored_in_8_bits_with_a_scale_for_each_column(trained, int8_graphs):
    stored = {tensor.name: tensor for tensor in int8_graphs["executor"].graph.initializer}
    for site in sites(trained.config, "executor"):
        weight = trained.get_submodule(site).weight.detach().numpy().T
        integers, scales = stored[f"{site}.weight.int8"], stored[f"{site}.weight.int8.scale"]
        assert (integers.data_type, list(integers.dims)) == (TensorProto.INT8, list(weight.shape))
        values = numpy_helper.to_array(integers) * numpy_helper.to_array(scales)
        np.testing.assert_allclose(values, weight, atol=np.abs(weight).max() / 64)
        assert f"{site}.weight.T" not in stored


def test_graphs_are_valid_and_called_as_before(fp32_graphs, int8_graphs, trained):
    segment = segment_model(int8_graphs["executor"], int8_graphs["planner"], trained.config, "fp32")
    for module, model in (*int8_graphs.items(), ("segment", segment)):
        check_model(model, module)
        assert model.graph.input == fp32_graphs[module].graph.input
        assert model.graph.output == fp32_graphs[module].graph.output
    config = trained.config
    assert count_precisions(segment.graph) == {
        "fp32": 1,  # the logits, in the last cycle
        "int8": config.H_cycles * (config.L_cycles + 1) * 8,
    }


def test_onnx_runtime_computes_every_linear_in_integers(int8_graphs, tmp_path):
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "optimised.onnx")
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    onnxruntime.InferenceSession(int8_graphs["executor"].SerializeToString(), options)
    operators = [node.op_type for node in onnx.load(tmp_path / "optimised.onnx").graph.node]
    assert operators.count("MatMulIntegerToFloat") == 8
    assert "DequantizeLinear" not in operators


@pytest.mark.parametrize("sign", [1, -1])
def test_sums_do_not_overflow_where_all_is_at_its_largest(sign):
    """As they would in 16 bits on a CPU without VNNI, with weights of 8 bits."""
    weight = np.full((64, 4), sign, np.float32)
    model = quantised.one_linear(weight, dtype=TensorProto.FLOAT)
    quantised.quantise_graph(
        model, {quantised.SITE: "int8"}, quantised.of({quantised.SITE: SiteAmax(input=127, weight=1)})
    )
    largest = np.full((1, 3, 64), 127, np.float32)
    (found,) = tiny.session(model).run(None, {"x": largest})
    np.testing.assert_allclose(found, sign * 127 * 64, rtol=1e-6)


def test_a_row_does_not_depend_on_its_neighbours(int8_graphs):
    session = tiny.session(int8_graphs["executor"])
    generator = np.random.default_rng(0)
    shape = (5, *(node.shape[1] if isinstance(node.shape[1], int) else 16 for node in session.get_inputs()[:1]))
    width = session.get_inputs()[0].shape[2]
    feeds = {node.name: generator.normal(size=(*shape, width)).astype(np.float32) for node in session.get_inputs()}
    feeds["z_L"][1:] *= 50  # neighbours of another magnitude
    together = session.run(None, feeds)[0]
    alone = session.run(None, {name: values[:1] for name, values in feeds.items()})[0]
    np.testing.assert_array_equal(together[:1], alone)


def test_float16_graphs_are_refused(trained, fp16_graphs, calibrated):
    with pytest.raises(ExportError, match="cannot be quantised") as caught:
        quantised.quantised(fp16_graphs["executor"], uniform(trained.config, ["executor"], "int8"), calibrated)
    assert "what surrounds int8 is float32" in caught.value.why
