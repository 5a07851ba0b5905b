import onnx
import pytest
from onnx import TensorProto, helper

from export.passes.attention import count_attention
from export.passes.constants import PREFIX, name_constants
from export.passes.expect import expect
from export.passes.metadata import SCOPES, scopes, strip_metadata
from export.passes.weights import linears, name_weights
from export.refine import Census, count, refine
from hrm.errors import ExportError


def tensor(name, *values):
    return helper.make_tensor(name, TensorProto.FLOAT, [len(values)], values)


@pytest.fixture
def graph():
    """One linear whose weight the exporter has named by number, and two equal constants."""
    nodes = [
        helper.make_node("MatMul", ["x", "val_6"], ["y"], name="linear"),
        helper.make_node("MatMul", ["y", "y"], ["z"], name="scores"),
        helper.make_node("Add", ["z", "val_7"], ["s"], name="add"),
        helper.make_node("Add", ["s", "val_8"], ["t"], name="add_1"),
    ]
    for node, scope in zip(
        nodes, ["['', 'a.layers.0', 'a.layers.0.o_proj', 'linear']", *["['', 'n']"] * 3], strict=True
    ):
        helper.set_model_props(node, {SCOPES: scope, "pkg.torch.onnx.stack_trace": 'File "/home/me/x.py"'})
    weight = helper.make_tensor("val_6", TensorProto.FLOAT, [2, 2], [1, 2, 3, 4])
    return helper.make_graph(nodes, "g", [], [], [weight, tensor("table", 1), tensor("val_8", 1), tensor("val_7", 1)])


def test_strip_metadata_keeps_scopes_alone(graph):
    assert strip_metadata(graph) == 4
    assert {entry.key for node in graph.node for entry in node.metadata_props} == {SCOPES}
    assert scopes(graph.node[0]) == ("", "a.layers.0", "a.layers.0.o_proj")
    assert b"/home/me" not in graph.SerializeToString()


def test_name_weights_names_a_linears_weight_after_its_layer(graph):
    assert name_weights(graph) == 1
    assert [node.input[1] for node in linears(graph)] == ["a.layers.0.o_proj.weight.T"]


def test_name_constants_makes_equal_constants_one_and_leaves_parameters(graph):
    name_weights(graph)
    assert name_constants(graph, {"table"}) == 2
    names = [tensor.name for tensor in graph.initializer]
    assert len(names) == 3
    assert names == sorted(names)
    assert {"table", "a.layers.0.o_proj.weight.T"} < set(names)
    assert graph.node[2].input[1] == graph.node[3].input[1]
    assert graph.node[2].input[1].startswith(PREFIX)


def test_a_pass_that_fires_the_wrong_number_of_times_is_named():
    with pytest.raises(ExportError, match="name_weights") as caught:
        expect("name_weights", 15, 16)
    assert caught.value.why == "it should fire 16 times and fired 15 times"


def test_refine_refuses_a_graph_with_a_linear_too_many(graph):
    with pytest.raises(ExportError, match="name_weights"):
        refine(graph, Census(attentions=0, linears=2, tables=1), {"table"})


def test_a_weight_without_a_layer_is_refused(graph):
    del graph.node[0].metadata_props[:]
    with pytest.raises(ExportError, match="strip_metadata"):
        refine(graph, Census(attentions=0, linears=1, tables=1), {"table"})


def test_a_lost_attention_is_refused(fp16_graphs):
    graph = onnx.GraphProto()
    graph.CopyFrom(fp16_graphs["executor"].graph)
    assert count_attention(graph, "Attention") == 2
    with pytest.raises(ExportError, match="count_attention"):
        count(graph, Census(attentions=4, linears=8, tables=2), "Attention")
