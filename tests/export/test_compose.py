import pytest
import tiny
from onnx import GraphProto

from export.compose import compose_segment
from hrm.errors import ExportError


def test_only_the_last_planner_call_keeps_its_heads(graphs):
    names = [node.name for node in graphs["segment"].graph.node]
    heads = [node.name for node in graphs["segment"].graph.node if node.input[-1].startswith("q_head")]
    assert [name.split("/")[0] for name in heads] == ["cycle1"]
    assert len(names) == len(set(names))
    assert {name.rpartition("/")[0] for name in names} == {
        f"cycle{cycle}/{call}" for cycle in (0, 1) for call in ("executor0", "executor1", "planner")
    }


def test_different_tensors_under_one_name_are_refused(plain_graphs):
    planner = GraphProto()
    planner.CopyFrom(plain_graphs["planner"].graph)
    table = next(tensor for tensor in planner.initializer if tensor.name == "rotary.cos")
    table.raw_data = bytes(len(table.raw_data))
    with pytest.raises(ExportError, match="segment") as caught:
        compose_segment(plain_graphs["executor"].graph, planner, tiny.PLAIN, ["z_H_out"])
    assert "rotary.cos" in caught.value.why
