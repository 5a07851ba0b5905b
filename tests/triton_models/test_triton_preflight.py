from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from tiny_bundles import tiny_bundle
from tiny_graphs import tiny_graph

from hrm.errors import RepositoryError
from triton_models.preflight import check_model, preflight
from triton_models.publish import publish

Damage = Callable[[Path], object]
"""What is done to the directory of ``tiny_segment``."""


def edited(old: str, new: str) -> Damage:
    def damage(model: Path) -> None:
        text = (model / "config.pbtxt").read_text()
        assert old in text
        (model / "config.pbtxt").write_text(text.replace(old, new, 1))

    return damage


def engine_replaced(model: Path) -> None:
    (model / "1/model.onnx").write_bytes(tiny_graph("segment", seed=1))


def engine_of_another_module(model: Path) -> None:
    (model / "1/model.onnx").write_bytes(tiny_graph("executor", seed=0))


DAMAGES: dict[str, tuple[Damage, str]] = {
    "no config": (lambda model: (model / "config.pbtxt").unlink(), "config.pbtxt cannot be read"),
    "unknown field": (edited("max_batch_size", "max_bach_size"), "is not a configuration"),
    "another name": (edited("tiny_segment", "sudoku_segment"), "names the model 'sudoku_segment'"),
    "unknown platform": (edited("onnxruntime_onnx", "tensorflow_graphdef"), "platform 'tensorflow_graphdef'"),
    "no file name": (edited('default_model_filename: "model.onnx"', ""), "default_model_filename is missing"),
    "negative batch": (edited("max_batch_size: 4", "max_batch_size: -3"), "max_batch_size is -3"),
    "no batches": (edited("max_batch_size: 4", ""), "max_batch_size is 0"),
    "batch over the profile": (edited("max_batch_size: 4", "max_batch_size: 64"), "was built for 4"),
    "no data type": (edited("data_type: TYPE_FP32", ""), "input 'z_H' has no data_type"),
    "no dims": (edited("  dims: -1\n  dims: 4\n", ""), "input 'z_H' has dims []"),
    "dims of 0": (edited("dims: 4", "dims: 0"), "input 'z_H' has dims [-1, 0]"),
    "dims of -2": (edited("dims: -1", "dims: -2"), "input 'z_H' has dims [-2, 4]"),
    "other dims": (edited("dims: 4", "dims: 5"), "input 'z_H' is TYPE_FP32 [-1, 5]; the engine's is TYPE_FP32 [-1, 4]"),
    "other type": (
        edited("TYPE_FP32", "TYPE_FP16"),
        "input 'z_H' is TYPE_FP16 [-1, 4]; the engine's is TYPE_FP32 [-1, 4]",
    ),
    "no reshape": (
        edited("  reshape {\n  }\n", ""),
        "output 'q_halt' is TYPE_FP32 [1]; the engine's is TYPE_FP32 [1], reshaped to []",
    ),
    "unknown input": (edited('"z_L"', '"z_M"'), "input 'z_M' is not one of the engine's"),
    "missing input": (edited('"z_L"', '"z_M"'), "the engine's input 'z_L' is not in the configuration"),
    "no version policy": (edited("versions: 1", ""), "names no version to serve"),
    "absent version": (edited("versions: 1", "versions: 1 versions: 7"), "version 7 is to be served"),
    "no version directory": (lambda model: shutil.rmtree(model / "1"), "version 1 is to be served"),
    "unfinished version": (lambda model: (model / "2.tmp").mkdir(), "'2.tmp' is not named by a version number"),
    "leading zero": (lambda model: (model / "02").mkdir(), "'02' is not named by a version number"),
    "empty version": (lambda model: (model / "2").mkdir(), "version 2: there is no model.onnx"),
    "no manifest": (lambda model: (model / "1/manifest.json").unlink(), "manifest.json cannot be read"),
    "renamed version": (lambda model: (model / "1").rename(model / "2"), "its manifest is version 1's"),
    "no engine": (lambda model: (model / "1/model.onnx").unlink(), "version 1: there is no model.onnx"),
    "engine replaced": (engine_replaced, "model.onnx is not the file that was published"),
    "engine of another module": (engine_of_another_module, "output 'logits' is not one of the engine's"),
    "engine damaged": (lambda model: (model / "1/model.onnx").write_bytes(b"\xff" * 99), "is not a graph of hrm-trt"),
}


def test_what_publish_writes_has_no_problems(repository: Path) -> None:
    assert preflight(repository) == ()


@pytest.mark.parametrize("case", DAMAGES)
def test_every_problem_is_named_with_its_model(repository: Path, case: str) -> None:
    damage, what = DAMAGES[case]
    damage(repository / "tiny_segment")
    problems = preflight(repository)
    assert {problem.model for problem in problems} == {"tiny_segment"}
    assert any(what in problem.what for problem in problems), problems
    assert all(problem.hint for problem in problems)


def test_a_lost_carry_is_found(repository: Path) -> None:
    (repository / "tiny_encoder/1/carry.npz").unlink()
    assert [problem.what for problem in preflight(repository)] == ["version 1: there is no carry.npz"]


def test_a_changed_puzzle_table_is_found(tmp_path: Path) -> None:
    bundle = tiny_bundle(tmp_path / "bundle", puzzle_table=np.zeros((2, 4), np.float32))
    publish([bundle], tmp_path / "repository", "tiny", keep=1)
    np.save(tmp_path / "repository/tiny_encoder/1/puzzle_table.npy", np.ones((2, 4), np.float32))
    (problem,) = preflight(tmp_path / "repository")
    assert problem.what == "version 1: puzzle_table.npy is not the file that was published"


def test_an_engine_that_takes_one_batch_size_only_is_found(repository: Path) -> None:
    path = repository / "tiny_executor/1/model.onnx"
    model = onnx.load(path)
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 8
    onnx.save(model, path)
    problems = [problem.what for problem in check_model(repository / "tiny_executor")]
    assert "version 1: the engine's input 'z_L' has no free batch axis: [8, 'tokens', 4]" in problems


def test_models_that_others_put_there_are_left_alone(repository: Path) -> None:
    (repository / "resnet").mkdir()
    assert preflight(repository) == ()


def test_a_place_that_is_no_repository_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RepositoryError, match="not a model repository of hrm-trt"):
        preflight(tmp_path)


def test_a_marker_of_a_later_format_is_refused(repository: Path) -> None:
    marker = json.loads((repository / "hrm-trt.json").read_text())
    (repository / "hrm-trt.json").write_text(json.dumps(marker | {"format_version": 2}))
    with pytest.raises(RepositoryError, match="format_version"):
        preflight(repository)
