import pytest
import quantised
from onnx import GraphProto

from export.models import segment_model
from export.quantise.asked import AskedGemm, asked, attentions, count_precisions
from export.quantise.sites import sites, uniform


@pytest.fixture(scope="module")
def mixed(plain, plain_graphs):
    """An executor of every precision."""
    qkv, o, gate_up, _ = sites(plain.config, "executor")
    return quantised.quantised(
        plain_graphs["executor"], {qkv: "fp8", gate_up: "nvfp4", o: "fp16"}, quantised.calibration(plain)
    )


def test_an_exported_graph_asks_for_nothing(plain, plain_graphs):
    found = asked(plain_graphs["planner"].graph)
    assert [product.site for product in found] == [*sites(plain.config, "planner"), "lm_head"]
    assert {product.precision for product in found} == {"fp16"}
    names = {node.name: node.op_type for node in plain_graphs["planner"].graph.node}
    assert {names[product.node] for product in found} == {"MatMul"}


def test_a_graph_asks_for_each_linear_by_itself(plain, mixed):
    found = [(product.site, product.precision) for product in asked(mixed.graph)]
    assert found == list(zip(sites(plain.config, "executor"), ["fp8", "fp16", "nvfp4", "fp16"], strict=True))
    assert count_precisions(mixed.graph) == {"fp16": 2, "fp8": 1, "nvfp4": 1}


def test_a_segment_asks_once_a_call(trained, fp16_graphs):
    config = trained.config
    executor = quantised.quantised(
        fp16_graphs["executor"], uniform(config, ["executor"], "fp8"), quantised.calibration(trained)
    )
    segment = segment_model(executor, fp16_graphs["planner"], config, "fp16").graph
    calls = config.H_cycles * config.L_cycles
    assert count_precisions(segment) == {"fp16": config.H_cycles * 8 + 1, "fp8": calls * 8}
    site = sites(config, "executor")[0]
    assert AskedGemm("cycle0/executor1/node_linear", site, "fp8") in asked(segment)
    assert len(attentions(segment)) == config.H_cycles * (config.L_cycles * 2 + 2)
    assert attentions(segment)[0].startswith("cycle0/executor0/")


@pytest.mark.parametrize(("position", "precision"), [(0, "fp8"), (2, "nvfp4")])
def test_a_lost_activation_is_still_asked_for(mixed, position, precision):
    graph = GraphProto()
    graph.CopyFrom(mixed.graph)
    before = asked(graph)
    product = next(node for node in graph.node if node.name == before[position].node)
    quantise = next(node for node in graph.node if node.name == f"{product.name}/input/quantise")
    product.input[0] = quantise.input[0]
    assert before[position].precision == precision
    assert asked(graph) == before


def test_attentions_are_found_in_either_form(fp32_graphs, fp16_graphs):
    for graphs in (fp32_graphs, fp16_graphs):
        assert len(attentions(graphs["executor"].graph)) == 2
        assert attentions(graphs["encoder"].graph) == ()
