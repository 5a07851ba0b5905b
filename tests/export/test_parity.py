import sys

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from export.parity import TOLERANCES, Sizes, check_parity, default_sizes
from hrm.config import PAPER
from hrm.errors import ExportError, MissingError

LAYER = "L_level.layers.1.mlp.down_proj.weight.T"


def changed(model, name, change):
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    tensor = next(tensor for tensor in copy.graph.initializer if tensor.name == name)
    array = numpy_helper.to_array(tensor).copy()
    change(array)
    tensor.CopyFrom(numpy_helper.from_array(array, name))
    return copy


def transpose_first_rows(array):
    array[:96] = array[:96].T.copy()


def test_graphs_agree_with_pytorch_at_every_size(trained, graphs, variant):
    sizes = [Sizes(1, 16), Sizes(1, 1), Sizes(2, 15), Sizes(7, 16), Sizes(13, 5)]
    rows = check_parity(trained, graphs, variant, sizes)
    assert len(rows) == len(sizes) * (1 + 1 + 4 + 5)
    assert {(row.batch, row.sequence) for row in rows} == set(sizes)
    assert all(row.error <= row.tolerance == TOLERANCES[variant][row.module] for row in rows)


def test_errors_of_float16_are_measured_not_zero(trained, fp16_graphs):
    assert all(row.error > 0 for row in check_parity(trained, fp16_graphs, "fp16"))


def test_default_sizes_hold_one_row_a_prime_batch_and_a_short_sequence():
    assert default_sizes(PAPER) == (Sizes(1, 81), Sizes(3, 20), Sizes(5, 1))


@pytest.mark.parametrize("module", ["executor", "segment"])
def test_one_wrong_weight_matrix_is_refused(trained, graphs, variant, module):
    sabotaged = changed(graphs[module], LAYER, transpose_first_rows)
    with pytest.raises(ExportError, match=module) as caught:
        check_parity(trained, {module: sabotaged}, variant)
    assert "batch 1, sequence 16" in caught.value.why
    assert "_out is off by" in caught.value.why
    assert f"{TOLERANCES[variant][module]:.0e} is allowed" in caught.value.why


def test_one_wrong_number_is_refused(trained, fp32_graphs):
    def nudge(array):
        array[5, 7] += 0.01

    with pytest.raises(ExportError, match="executor"):
        check_parity(trained, {"executor": changed(fp32_graphs["executor"], LAYER, nudge)}, "fp32")


def test_not_a_number_is_refused(trained, fp32_graphs):
    def poison(array):
        array[0, 0] = np.nan

    with pytest.raises(ExportError, match="planner"):
        check_parity(trained, {"planner": changed(fp32_graphs["planner"], "lm_head.weight.T", poison)}, "fp32")


def test_missing_onnxruntime_is_named(trained, fp32_graphs, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(MissingError, match="onnxruntime") as caught:
        check_parity(trained, fp32_graphs, "fp32")
    assert caught.value.hint == "pip install 'hrm-trt[cpu]'"
