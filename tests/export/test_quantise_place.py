import math

import numpy as np
import pytest
import quantised
from onnx import TensorProto, numpy_helper

from export.models import check_model, segment_model
from export.quantise.calibration import SiteAmax
from export.quantise.place import quantise_graph
from export.quantise.sites import sites, uniform
from hrm.errors import CalibrationError, ExportError

PRECISIONS = ["fp8", "nvfp4"]


@pytest.fixture(scope="module")
def calibrated(trained):
    return quantised.calibration(trained)


@pytest.fixture(scope="module", params=PRECISIONS)
def precision(request):
    return request.param


@pytest.fixture(scope="module")
def executor(trained, fp16_graphs, calibrated, precision):
    return quantised.quantised(fp16_graphs["executor"], uniform(trained.config, ["executor"], precision), calibrated)


def stored(model):
    return {tensor.name: tensor for tensor in model.graph.initializer}


def test_every_linear_is_counted(trained, fp16_graphs, calibrated, precision):
    planner = quantised.quantised(fp16_graphs["planner"], {}, calibrated)
    found = quantise_graph(planner, uniform(trained.config, ["planner"], precision), calibrated)
    assert found == {"fp16": 1, precision: 8}


def test_the_graph_is_valid_and_called_as_before(executor, fp16_graphs):
    check_model(executor, "executor")
    before = fp16_graphs["executor"].graph
    assert executor.graph.input == before.input
    assert executor.graph.output == before.output


def test_weights_are_stored_in_8_or_4_bits(executor, trained, precision):
    tensors = stored(executor)
    for site in sites(trained.config, "executor"):
        n, k = trained.get_submodule(site).weight.shape
        weight = tensors[f"{site}.weight.{precision}"]
        if precision == "fp8":
            assert (weight.data_type, list(weight.dims)) == (TensorProto.FLOAT8E4M3FN, [k, n])
            assert len(weight.raw_data) == n * k
        else:
            assert (weight.data_type, list(weight.dims)) == (TensorProto.FLOAT4E2M1, [n, k])
            assert len(weight.raw_data) == n * k // 2
            assert len(tensors[f"{weight.name}.block_scales"].raw_data) == n * k // 16
        assert f"{site}.weight.T" not in tensors


def test_the_file_shrinks_with_the_weights(executor, fp16_graphs, precision):
    weights = sum(len(tensor.raw_data) for name, tensor in stored(fp16_graphs["executor"]).items() if "level" in name)
    saved = fp16_graphs["executor"].ByteSize() - executor.ByteSize()
    bits = {"fp8": 8, "nvfp4": 4.5}[precision]
    assert saved > weights * (1 - bits / 16) - 40_000  # nodes and their scopes


def test_scales_are_those_of_the_calibration(executor, calibrated, precision):
    tensors = stored(executor)
    for site, amax in calibrated.sites.items():
        if site.startswith("L_level"):
            for operand, value in (("input", amax.input), ("weight", amax.weight)):
                scale = numpy_helper.to_array(tensors[f"{site}.{operand}.{precision}.scale"])
                assert scale.dtype == {"fp8": np.float16, "nvfp4": np.float32}[precision]
                assert float(scale) == pytest.approx(value / {"fp8": 448, "nvfp4": 6 * 448}[precision], rel=1e-3)


def test_nothing_but_the_linears_changes(executor, fp16_graphs):
    """In attention, between norms, nowhere: take the new nodes away and the old ones are left, in their order."""
    new = [node for node in executor.graph.node if "/" in node.name]
    old = [node for node in executor.graph.node if "/" not in node.name]
    before = fp16_graphs["executor"].graph.node
    assert [node.name for node in old] == [node.name for node in before]
    changed = [node.name for node, was in zip(old, before, strict=True) if node != was]
    assert changed == [node.name for node in old if node.op_type == "MatMul"]
    assert {node.name.split("/")[0] for node in new} == set(changed)
    assert all(node.metadata_props for node in new)


def test_a_segment_stores_each_weight_once(executor, fp16_graphs, trained, precision):
    segment = segment_model(executor, fp16_graphs["planner"], trained.config, "fp16")
    check_model(segment, "segment")
    names = [tensor.name for tensor in segment.graph.initializer]
    assert len(names) == len(set(names))
    assert set(names) == set(stored(executor)) | set(stored(fp16_graphs["planner"]))
    assert segment.ByteSize() < executor.ByteSize() + fp16_graphs["planner"].ByteSize() + 600_000


def test_a_segment_takes_its_planner_from_nvfp4_alone(trained, fp16_graphs, calibrated):
    planner = quantised.quantised(fp16_graphs["planner"], uniform(trained.config, ["planner"], "nvfp4"), calibrated)
    segment = segment_model(fp16_graphs["executor"], planner, trained.config, "fp16")
    check_model(segment, "segment")
    assert [opset.domain for opset in segment.opset_import] == ["", "trt"]


def test_the_same_calibration_writes_the_same_bytes(executor, trained, fp16_graphs, calibrated, precision):
    again = quantised.quantised(fp16_graphs["executor"], uniform(trained.config, ["executor"], precision), calibrated)
    assert again.SerializeToString(deterministic=True) == executor.SerializeToString(deterministic=True)


@pytest.mark.parametrize("site", ["lm_head", "q_head", "embed_tokens", "L_level.layers.0.self_attn", "encoder"])
def test_heads_and_embeddings_are_refused(fp16_graphs, calibrated, site):
    with pytest.raises(ExportError, match=site) as caught:
        quantised.quantised(fp16_graphs["planner"], {site: "fp8"}, calibrated)
    assert "only the linears of executor and planner layers" in caught.value.why


@pytest.mark.parametrize("site", ["L_level.layers.9.mlp.down_proj", "H_level.layers.0.mlp.down_proj"])
def test_a_linear_of_another_graph_is_refused(fp16_graphs, calibrated, site):
    with pytest.raises(ExportError, match=site) as caught:
        quantised.quantised(fp16_graphs["executor"], {site: "fp8"}, calibrated)
    assert "L_level.layers.1.mlp.down_proj" in caught.value.why


def test_a_site_that_was_not_calibrated_is_refused(trained, fp16_graphs):
    partial = quantised.calibration(trained, modules=("planner",))
    with pytest.raises(CalibrationError, match="L_level") as caught:
        quantised.quantised(fp16_graphs["executor"], {sites(trained.config, "executor")[0]: "fp8"}, partial)
    assert "was not calibrated" in caught.value.why


@pytest.mark.parametrize("value", [0.0, -1.0, math.nan, math.inf])
@pytest.mark.parametrize("operand", ["input", "weight"])
@pytest.mark.parametrize("precision", PRECISIONS)
def test_a_maximum_that_no_scale_is_made_from_is_refused(operand, value, precision):
    amax = SiteAmax(**({"input": 1.0, "weight": 1.0} | {operand: value}))
    model = quantised.one_linear(np.ones((16, 16)))
    with pytest.raises(CalibrationError) as caught:
        quantise_graph(model, {quantised.SITE: precision}, quantised.of({quantised.SITE: amax}))
    assert operand in caught.value.why


def test_a_scale_too_small_for_float16_is_refused():
    model = quantised.one_linear(np.ones((16, 16)))
    with pytest.raises(CalibrationError, match="FP8") as caught:
        quantise_graph(model, {quantised.SITE: "fp8"}, quantised.of({quantised.SITE: SiteAmax(input=1e-6, weight=1.0)}))
    assert "too small for float16" in caught.value.why


@pytest.mark.parametrize("width", [8, 24, 40])
def test_nvfp4_needs_whole_blocks(width):
    model = quantised.one_linear(np.ones((width, 16)))
    calibrated = quantised.of({quantised.SITE: SiteAmax(input=1.0, weight=1.0)})
    with pytest.raises(ExportError, match="NVFP4") as caught:
        quantise_graph(model, {quantised.SITE: "nvfp4"}, calibrated)
    assert f"sums over {width} values" in caught.value.why
    assert quantise_graph(model, {quantised.SITE: "fp8"}, calibrated)["fp8"] == 1


def test_a_float32_graph_is_refused(trained, fp32_graphs, calibrated):
    with pytest.raises(ExportError, match="L_level") as caught:
        quantised.quantised(fp32_graphs["executor"], uniform(trained.config, ["executor"], "fp8"), calibrated)
    assert "float32" in caught.value.why


def test_a_segment_is_composed_and_not_quantised(trained, fp16_graphs, calibrated):
    with pytest.raises(ExportError, match="linears"):
        quantised.quantised(fp16_graphs["segment"], uniform(trained.config, ["executor"], "fp8"), calibrated)
