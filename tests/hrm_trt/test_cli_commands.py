from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from typer.testing import CliRunner

from hrm.data.dataset import read_split
from hrm.data.tasks import task_of
from hrm_trt.cli import app

if TYPE_CHECKING:
    from collections.abc import Callable

BUNDLE = "sudoku-4x4-cpu-fp32"
CHECKPOINT = Path(__file__).parents[2] / "checkpoints/sudoku-4x4"
DATASET = CHECKPOINT / "dataset"
PNG = b"\x89PNG\r\n\x1a\n"


PUZZLES = read_split(DATASET, "test")
SUDOKU = task_of(PUZZLES.info.vocab_size, PUZZLES.info.seq_len)
PUZZLE, SOLUTION = SUDOKU.format(PUZZLES.inputs[0]), SUDOKU.format(PUZZLES.labels[0])


def test_a_puzzle_is_solved_from_the_test_set_and_drawn(cli: Callable[..., Any], demo: Path, tmp_path: Path) -> None:
    drawn = cli("solve", "--example", 0, "--png", "answer.png", "--workdir", demo)
    assert (drawn.code, drawn.out) == (0, f"{SOLUTION}\n")
    assert "solved" in drawn.err
    assert (tmp_path / "answer.png").read_bytes().startswith(PNG)


@pytest.mark.parametrize("written", [PUZZLE, PUZZLE.replace(".", "0"), " ".join(PUZZLE)])
def test_a_puzzle_is_solved_as_text(cli: Callable[..., Any], demo: Path, written: str) -> None:
    solved = cli("solve", written, "--workdir", demo, "--json").document
    assert (solved["puzzle"], solved["solution"], solved["solved"]) == (PUZZLE, SOLUTION, None)


def test_a_puzzle_is_solved_from_a_file(cli: Callable[..., Any], demo: Path, tmp_path: Path) -> None:
    (tmp_path / "puzzle.txt").write_text("\n".join(re.findall("....", PUZZLE)) + "\n")
    assert cli("solve", "puzzle.txt", "--workdir", demo).out == f"{SOLUTION}\n"


def test_a_puzzle_is_solved_from_stdin(command: Callable[..., Any], demo: Path) -> None:
    assert command("solve", "-", "--workdir", demo, stdin=PUZZLE).out == f"{SOLUTION}\n"


@pytest.mark.parametrize("policy", ["fixed", "adaptive"])
def test_each_segment_is_told(cli: Callable[..., Any], demo: Path, policy: str) -> None:
    told = cli("solve", "--example", 0, "--policy", policy, "--workdir", demo, "--json").document
    assert len(told["segments"]) == told["depth"]
    assert (told["depth"] == 8) == (policy == "fixed")
    assert told["segments"][-1]["answer"] == told["solution"]
    assert told["solved"] is True


@pytest.mark.parametrize("model", [BUNDLE, f"{BUNDLE}-planner-executor", "DEMO/repository/sudoku-4x4", "PATH"])
def test_a_model_is_named_in_every_way(
    cli: Callable[..., Any], demo: Path, demo_bundle: tuple[Path, Any], model: str
) -> None:
    given = model.replace("DEMO", str(demo)).replace("PATH", str(demo_bundle[0]))
    solved = cli("solve", "--example", 0, "--model", given, "--workdir", demo, "--json").document
    assert (solved["solution"], solved["model"]) == (SOLUTION, given)


def test_the_work_directory_may_be_named_by_the_environment(command: Callable[..., Any], demo: Path) -> None:
    assert command("solve", PUZZLE, HRM_TRT_WORKDIR=str(demo)).out == f"{SOLUTION}\n"


@pytest.mark.parametrize(
    ("what", "kind", "words"),
    [
        ("CHECKPOINT", "checkpoint", ["lm_head.weight", "hidden_size"]),
        ("CHECKPOINT/step_3750", "checkpoint", ["lm_head.weight"]),
        ("GRAPH", "graph", ["encoder", "input_embeddings", "puzzle_identifiers"]),
        ("BUNDLE/segment.onnx", "graph", ["z_H_out", "q_continue"]),
        (BUNDLE, "bundle", ["segment", "fixed", "scaled_dot_product_attention"]),
        ("BUNDLE", "bundle", ["segment.onnx"]),
        ("DEMO/repository", "repository", ["sudoku-4x4", "sudoku-4x4_encoder"]),
        ("DEMO/repository/sudoku-4x4", "bundle", ["adaptive"]),
    ],
)
def test_whatever_it_makes_can_be_inspected(
    cli: Callable[..., Any], demo: Path, demo_bundle: tuple[Path, Any], what: str, kind: str, words: list[str]
) -> None:
    (graph,) = demo.glob("artefacts/export/*/encoder.onnx")
    places = {"CHECKPOINT": CHECKPOINT, "GRAPH": graph, "DEMO": demo, "BUNDLE": demo_bundle[0]}
    for name, place in places.items():
        what = what.replace(name, str(place))
    document = cli("inspect", what, "--workdir", demo, "--json").document
    assert (document["kind"], document["what"]) == (kind, what)
    assert all(word in json.dumps(document) for word in words)
    shown = cli("inspect", what, "--workdir", demo)
    assert (shown.code, shown.err) == (0, "")
    assert shown.out.startswith(f"{kind} ")


@pytest.fixture(scope="module")
def pytorch() -> dict[str, Any]:
    """The checkpoint's metrics on 64 puzzles."""
    line = ["evaluate", "--checkpoint", str(CHECKPOINT), "--dataset", str(DATASET), "--limit", "64", "--json"]
    return dict(json.loads(CliRunner().invoke(app.app, line).stdout))


def test_a_checkpoint_is_measured_by_the_official_names(pytorch: dict[str, Any]) -> None:
    assert {"exact_accuracy", "accuracy", "steps", "q_halt_accuracy", "count"} <= set(pytorch)
    assert (pytorch["count"], pytorch["steps"], pytorch["policy"]) == (64, 8.0, "fixed")
    assert 0.9 < pytorch["exact_accuracy"] <= pytorch["accuracy"] <= 1


@pytest.mark.parametrize("model", [BUNDLE, f"{BUNDLE}-planner-executor"])
def test_a_bundle_measures_the_same(cli: Callable[..., Any], demo: Path, pytorch: dict[str, Any], model: str) -> None:
    engine = cli("evaluate", "--model", model, "--limit", 64, "--workdir", demo, "--json").document
    for metric in ("exact_accuracy", "count", "steps"):
        assert engine[metric] == pytorch[metric]


def test_stopping_early_costs_fewer_segments(cli: Callable[..., Any], demo: Path) -> None:
    line = ("evaluate", "--policy", "adaptive", "--limit", 64, "--workdir", demo, "--json")
    assert 1 < cli(*line).document["steps"] < 8


@pytest.mark.parametrize("line", ["--model sudoku-4x4-cpu-fp32", f"--checkpoint {CHECKPOINT} --dataset {DATASET}"])
def test_every_output_is_saved(cli: Callable[..., Any], demo: Path, tmp_path: Path, line: str) -> None:
    more = ("--limit", 5, "--save-outputs", "out.npz", "--workdir", demo)
    assert cli("evaluate", *line.split(), *more).code == 0
    with np.load(tmp_path / "out.npz") as saved:
        outputs = dict(saved)
    shapes = {"logits": (8, 5, 16, 6), "q_halt": (8, 5), "q_continue": (8, 5), "inputs": (5, 16)}
    assert {name: array.shape for name, array in outputs.items()} == shapes
    assert all(np.isfinite(array).all() for array in outputs.values())
    np.testing.assert_array_equal(outputs["inputs"], PUZZLES.inputs[:5])


def test_puzzles_without_answers_are_run(cli: Callable[..., Any], demo: Path, tmp_path: Path) -> None:
    np.savez(tmp_path / "in.npz", inputs=PUZZLES.inputs[:5])
    line = ("evaluate", "--inputs", "in.npz", "--save-outputs", "out.npz", "--workdir", demo, "--json")
    assert cli(*line).document["count"] == 5
    with np.load(tmp_path / "out.npz") as saved:
        assert saved["logits"].shape == (8, 5, 16, 6)
        np.testing.assert_array_equal(saved["logits"][-1].argmax(-1), PUZZLES.labels[:5])


def test_what_was_published_can_be_checked_and_used_without_the_work_directory(
    cli: Callable[..., Any], copy_demo: Callable[..., Path], tmp_path: Path
) -> None:
    workdir = copy_demo()
    line = ("publish", BUNDLE, f"{BUNDLE}-planner-executor", "--repository", "models", "--name", "four")
    published = cli(*line, "--workdir", workdir, "--json").document
    assert (published["version"], published["gated"], published["policies"]) == (1, True, ["fixed", "adaptive"])
    shutil.rmtree(workdir)
    assert cli("preflight", "models", "--json").document["problems"] == []
    assert cli("solve", PUZZLE, "--model", "models/four").out == f"{SOLUTION}\n"
    (tmp_path / "models/four_segment/1/model.onnx").unlink()
    broken = cli("preflight", "models", "--json")
    assert broken.code == 2
    assert json.loads(broken.out)["problems"][0]["model"] == "four_segment"


def test_a_checkpoint_is_the_same_after_conversion(cli: Callable[..., Any], tmp_path: Path) -> None:
    converted = cli("convert", CHECKPOINT, "out.safetensors", "--json").document
    first = cli("inspect", CHECKPOINT, "--json").document
    second = cli("inspect", "out.safetensors", "--json").document
    assert converted["bytes"] == (tmp_path / "out.safetensors").stat().st_size
    assert sorted(second["tensors"], key=str) == sorted(first["tensors"], key=str)
    assert second["parameters"] == first["parameters"]
    assert converted["architecture"]["seq_len"] == second["seq_len"] == 16
