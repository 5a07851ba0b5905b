"""The export stage's directory: all that engines are built from."""

import numpy as np
import pytest

from export.contract import CARRY, LOWERINGS, PUZZLE_TABLE
from export.stage import write_export


@pytest.mark.parametrize("variant", ["fp32", "fp16"])
def test_directory_has_graphs_and_the_checkpoints_carry(trained, variant, tmp_path):
    told = []
    rows = write_export(tmp_path, trained, variant, source_digest="0" * 64, progress=told.append)
    assert {path.name for path in tmp_path.iterdir()} == {
        "encoder.onnx",
        "executor.onnx",
        "planner.onnx",
        "segment.onnx",
        CARRY,
    }
    with np.load(tmp_path / CARRY) as carry:
        assert carry["z_H"].dtype == carry["z_L"].dtype == LOWERINGS[variant].dtype
        np.testing.assert_allclose(carry["z_H"], trained.H_init.numpy(), rtol=1e-3)
        np.testing.assert_allclose(carry["z_L"], trained.L_init.numpy(), rtol=1e-3)
    assert {row["module"] for row in rows} == {"encoder", "executor", "planner", "segment"}
    assert all(row["error"] <= row["tolerance"] for row in rows)
    assert told == ["encoder", "executor", "planner", "segment", "parity with PyTorch"]


def test_a_large_puzzle_table_lies_beside_the_graphs(trained, tmp_path):
    write_export(tmp_path, trained, "fp32", source_digest="0" * 64, progress=lambda part: None, table_limit=1)
    np.testing.assert_array_equal(np.load(tmp_path / PUZZLE_TABLE), trained.puzzle_emb.weights.numpy())
