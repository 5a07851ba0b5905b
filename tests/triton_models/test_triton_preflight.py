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

from hrm.errors import BuildError, RepositoryError
from triton_models.config import message_text, parse_config
from triton_models.preflight import check_model, preflight
from triton_models.publish import publish

Damage = Callable[[Path], object]
"""What is done to the directory of a model."""


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
    assert {problem.model for problem in problems} - {"tiny"} == {"tiny_segment"}  # the solver may miss it, too
    assert any(what in problem.what for problem in problems), problems
    assert all(problem.hint for problem in problems)


def settings_changed(**values: object) -> Damage:
    def damage(model: Path) -> None:
        path = model / "1/settings.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | values))

    return damage


SOLVER_DAMAGES: dict[str, tuple[Damage, str]] = {
    "no config": (lambda model: (model / "config.pbtxt").unlink(), "config.pbtxt cannot be read"),
    "another name": (edited('"tiny"', '"sudoku"'), "names the model 'sudoku'"),
    "another backend": (edited('"python"', '"pytorch"'), "backend is 'pytorch'"),
    "two versions": (edited("versions: 1", "versions: 1 versions: 2"), "names the versions [1, 2]"),
    "no version": (edited("versions: 1", ""), "names no version to serve"),
    "another batcher": (edited("dynamic_batching", "sequence_batching"), "dynamic_batching is missing"),
    "a batcher that waits": (
        edited("dynamic_batching {", "dynamic_batching { max_queue_delay_microseconds: 500"),
        "dynamic_batching has options",
    ),
    "no queue": (edited('string_value: "1024"', 'string_value: "0"'), "the parameter queue is '0'"),
    "no number for a queue": (edited('string_value: "1024"', 'string_value: "-1"'), "the parameter queue is '-1'"),
    "missing input": (edited('"max_depth"', '"depth"'), "the solver's input 'max_depth' is not in the configuration"),
    "obligatory input": (
        edited("  optional: true\n", ""),
        "input 'puzzle_identifiers' is TYPE_INT32 [1]; the solver's is optional TYPE_INT32 [1]",
    ),
    "other dims": (edited("dims: 3", "dims: 4"), "input 'inputs' is TYPE_INT32 [4]; the solver's is TYPE_INT32 [3]"),
    "too many slots": (edited('string_value: "1"', 'string_value: "5"'), "the parameter slots is '5'"),
    "no number of slots": (edited('string_value: "1"', 'string_value: "many"'), "the parameter slots is 'many'"),
    "more than the slots": (edited("max_batch_size: 1", "max_batch_size: 2"), "max_batch_size is 2; there are 1 slots"),
    "no parameters": (edited('key: "slots"', 'key: "seats"'), "the parameter slots is missing"),
    "odd log": (edited('string_value: "false"', 'string_value: "yes"'), "the parameter log_requests is 'yes'"),
    "no entry": (lambda model: (model / "1/model.py").unlink(), "version 1: there is no model.py"),
    "other code": (
        lambda model: (model / "1/engines/slots.py").write_text("pass"),
        "version 1: slots.py is not the file that was published",
    ),
    "lost code": (
        lambda model: (model / "1/triton_models/solver/bls.py").unlink(),
        "version 1: there is no bls.py",
    ),
    "no settings": (lambda model: (model / "1/settings.json").unlink(), "settings.json cannot be read"),
    "no JSON": (lambda model: (model / "1/settings.json").write_text("{"), "settings.json is not JSON"),
    "no object": (lambda model: (model / "1/settings.json").write_text("[]"), "settings.json is not an object"),
    "other version": (settings_changed(version=2), "settings.json has version 2; its manifest has 1"),
    "other policy": (settings_changed(policies={"fixed": None, "adaptive": None}), "settings.json has policies"),
    "other sizes": (settings_changed(hidden_size=8), "settings.json has hidden_size 8; its manifest has 4"),
    "unknown setting": (settings_changed(colour="red"), "settings.json has colour 'red'; its manifest has None"),
    "no manifest": (lambda model: (model / "1/manifest.json").unlink(), "manifest.json cannot be read"),
    "unfinished version": (lambda model: (model / "2.tmp").mkdir(), "'2.tmp' is not named by a version number"),
}


@pytest.mark.parametrize("case", SOLVER_DAMAGES)
def test_what_is_wrong_with_a_solver_is_named(repository: Path, case: str) -> None:
    damage, what = SOLVER_DAMAGES[case]
    damage(repository / "tiny")
    problems = preflight(repository)
    assert {problem.model for problem in problems} == {"tiny"}
    assert any(what in problem.what for problem in problems), problems
    assert all(problem.hint for problem in problems)


def test_a_solver_without_a_batcher_is_found(repository: Path) -> None:
    path = repository / "tiny/config.pbtxt"
    config = parse_config(path.read_text())
    config.ClearField("dynamic_batching")
    path.write_text(message_text(config))
    (problem,) = preflight(repository)
    assert "dynamic_batching is missing" in problem.what


def test_an_engine_that_does_not_serve_the_solvers_version_is_found(repository: Path, both: list[Path]) -> None:
    publish(both, repository, "tiny", keep=2, slots=2)
    edited("versions: 2", "")(repository / "tiny_encoder")
    (problem,) = preflight(repository)
    assert (problem.model, problem.what) == (
        "tiny",
        "version 2: it calls version 2 of tiny_encoder, which serves [1]",
    )


def carry_of(dtype: str, size: int) -> dict[str, np.ndarray]:
    return {name: np.zeros(size, dtype) for name in ("z_H", "z_L")}


@pytest.mark.parametrize("carry", [carry_of("float16", 4), carry_of("float32", 5), {"z_H": np.zeros(4, np.float32)}])
def test_a_carry_that_the_engines_do_not_take_is_not_published(tmp_path: Path, carry: dict[str, np.ndarray]) -> None:
    bundle = tiny_bundle(tmp_path / "bundle", carry=carry)
    with pytest.raises(BuildError, match="could not load tiny") as caught:
        publish([bundle], tmp_path / "repository", "tiny", keep=1)
    assert "the engines take float32 ['batch', 'tokens', 4]" in caught.value.why


@pytest.mark.parametrize("table", [np.zeros((2, 4), np.float16), np.zeros((2, 5), np.float32), np.zeros((3, 4), "f4")])
def test_a_puzzle_table_that_the_encoder_does_not_take_is_not_published(tmp_path: Path, table: np.ndarray) -> None:
    bundle = tiny_bundle(tmp_path / "bundle", puzzle_table=table)
    with pytest.raises(BuildError, match="could not load tiny") as caught:
        publish([bundle], tmp_path / "repository", "tiny", keep=1)
    assert "puzzle_table.npy is" in caught.value.why


def test_a_lost_carry_is_found(repository: Path) -> None:
    (repository / "tiny/1/carry.npz").unlink()
    assert [problem.what for problem in preflight(repository)] == ["version 1: there is no carry.npz"]


def test_a_changed_puzzle_table_is_found(tmp_path: Path) -> None:
    bundle = tiny_bundle(tmp_path / "bundle", puzzle_table=np.zeros((2, 4), np.float32))
    publish([bundle], tmp_path / "repository", "tiny", keep=1)
    np.save(tmp_path / "repository/tiny/1/puzzle_table.npy", np.ones((2, 4), np.float32))
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
