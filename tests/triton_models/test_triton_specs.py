from __future__ import annotations

from typing import TYPE_CHECKING

import onnx
import pytest
from onnx import TensorProto, helper
from tiny_graphs import tiny_graph

from export.contract import TensorSpec
from hrm.errors import BundleError, EngineError
from triton_models.specs import engine_specs

if TYPE_CHECKING:
    from pathlib import Path


def test_inputs_and_outputs_are_read_from_the_graph(tmp_path: Path) -> None:
    path = tmp_path / "planner.onnx"
    path.write_bytes(tiny_graph("planner", 0))
    state = ("batch", "tokens", 4)
    inputs, outputs = engine_specs(path)
    assert inputs == (TensorSpec("z_H", "float32", state), TensorSpec("z_L", "float32", state))
    assert outputs == (
        TensorSpec("z_H_out", "float32", state),
        TensorSpec("logits", "float32", ("batch", "sequence", 5)),
        TensorSpec("q_halt", "float32", ("batch",)),
        TensorSpec("q_continue", "float32", ("batch",)),
    )


def test_a_file_that_is_no_graph_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(b"\xff" * 100)
    with pytest.raises(BundleError, match="is not a graph of hrm-trt"):
        engine_specs(path)


def test_a_type_that_clients_cannot_send_is_refused(tmp_path: Path) -> None:
    value = helper.make_tensor_value_info("z_H", TensorProto.BFLOAT16, ["batch", 4])
    result = helper.make_tensor_value_info("z_H_out", TensorProto.BFLOAT16, ["batch", 4])
    graph = helper.make_graph([helper.make_node("Identity", ["z_H"], ["z_H_out"])], "g", [value], [result])
    onnx.save(helper.make_model(graph), tmp_path / "model.onnx")
    with pytest.raises(EngineError, match="'z_H' is bfloat16"):
        engine_specs(tmp_path / "model.onnx")
