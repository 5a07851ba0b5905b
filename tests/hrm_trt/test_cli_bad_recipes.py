from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest
from traps import replace

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path


BAD_RECIPES = {
    "checkpont: x": ("unknown key checkpont", "`checkpoint`"),
    "checkpoint: x\ngate: {tolerence: 0.1}": ("unknown key gate.tolerence", "`tolerance`"),
    "dataset: x": ("lacks checkpoint", "`checkpoint:`"),
    "checkpoint: x\ntargets: [sm90]": ("'sm90'", "`sm_90`"),
    "checkpoint: x\ntargets: [gpu]": ("'gpu'", "cpu, sm_90, sm_100, sm_120"),
    "checkpoint: x\nprecisions: [fp61]": ("'fp61'", "`fp16`"),
    "checkpoint: x\nruntime: onnx": ("runtime cannot be 'onnx'",),
    "checkpoint: x\ngate: {tolerance: 1.5}": ("gate.tolerance cannot be 1.5", "less than 1"),
    "checkpoint: x\ngate: {limit: 0}": ("gate.limit cannot be 0",),
    "checkpoint: x\npublish: {repository: r, keep: 0}": ("publish.keep cannot be 0",),
    "checkpoint: x\nname: a/b": ("name cannot be 'a/b'",),
    "checkpoint: x\ntargets: cpu": ("targets cannot be 'cpu'",),
    "checkpoint: x\ntargets: [": ("cannot read the recipe",),
    "- checkpoint": ("is not a recipe", "not a mapping"),
    "": ("is not a recipe", "not a mapping"),
}


@pytest.mark.parametrize(("text", "words"), BAD_RECIPES.items())
def test_a_bad_recipe_is_refused_before_any_work(
    cli: Callable[..., Any], tmp_path: Path, text: str, words: Iterable[str]
) -> None:
    (tmp_path / "recipe.yaml").write_text(text)
    cli("build", "recipe.yaml").assert_refused(2, *words)
    assert [path.name for path in tmp_path.iterdir()] == ["recipe.yaml"]


def test_a_recipe_that_is_not_there_is_said(cli: Callable[..., Any]) -> None:
    cli("build", "nowhere.yaml").assert_refused(2, "nowhere.yaml", "No such file")


BAD_OPTIONS = {
    "--until tomorrow": ("'tomorrow' is no stage", "load, export, calibrate, quantise, build"),
    "--target sm91": ("'sm91'", "`sm_90`"),
    "--precision fp61": ("'fp61'", "`fp16`"),
    "--runtime tensorrt": ("fp32 for cpu cannot be built", "tensorrt does not run on cpu; onnxruntime does"),
    "--runtime tensort": ("runtime cannot be 'tensort'", "`tensorrt`"),
    "--policy adaptative": ("'adaptative'", "`adaptive`"),
    "--name ../x": ("name cannot be '../x'",),
    "--target sm_90 --precision nvfp4": ("nvfp4 for sm_90 cannot be built", "Hopper has no FP4 tensor cores"),
    "--target sm_90 --precision fp8 --runtime tensorrt-rtx": ("fp8 for sm_90 cannot be built", "tensorrt-rtx"),
    "--target sm_90 --precision fp8 --runtime torch-tensorrt": ("fp8 for sm_90 cannot be built", "FP16 network"),
    "--precision fp8": ("fp8 for cpu cannot be built", "no FP8"),
    "--target sm_120 --precision int8": ("int8 for sm_120 cannot be built", "CPU precision"),
}


@pytest.mark.parametrize(("options", "words"), BAD_OPTIONS.items())
def test_what_cannot_exist_is_refused_before_any_work(
    cli: Callable[..., Any], tmp_path: Path, options: str, words: Iterable[str]
) -> None:
    cli("build", *options.split()).assert_refused(2, *words)
    assert list(tmp_path.iterdir()) == []


UNPARSABLE = [
    "build --nonsense",
    "build --limit none",
    "build --limit 0",
    "evaluate --threshold 1.5",
    "solve --example -1",
    "solve --threads -1",
    "publish bundle --repository r --keep 0",
    "publish bundle",
    "preflight",
    "bogus",
]


@pytest.mark.parametrize("line", UNPARSABLE)
def test_a_command_line_that_cannot_be_parsed_is_exit_2(cli: Callable[..., Any], tmp_path: Path, line: str) -> None:
    refused = cli(*line.split())
    assert (refused.code, refused.out) == (2, "")
    assert "Usage: hrm-trt" in refused.err
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_be_built_beside_what_can_is_a_row(cli: Callable[..., Any], copy_demo: Callable[..., Path]) -> None:
    workdir = copy_demo()
    both = ("--target", "cpu", "--target", "sm_90", "--until", "build", "--workdir", workdir)
    result = cli("build", *both, "--json")
    assert result.code == 3
    rows = {(row["target"], row["module"]): row for row in result.document["engines"]}
    assert {target for target, _ in rows} == {"cpu", "sm_90"}
    for (target, _), row in rows.items():
        assert row["status"] == ("cached" if target == "cpu" else "needs-target")
        assert (row["path"] is None) == (row["sha256"] is None) == (target == "sm_90")
    assert "tensorrt" in rows["sm_90", "segment"]["reason"]
    assert rows["sm_90", "segment"]["command"].startswith("hrm-trt pack ")
    told = cli("build", *both)
    assert told.code == 3
    assert "needs-target" in told.out
    assert "hrm-trt build sudoku-4x4-sm_90-fp16.kit" in " ".join(told.out.split())


def test_an_engine_that_the_runtime_refuses_is_a_row(cli: Callable[..., Any], copy_demo: Callable[..., Path]) -> None:
    workdir = copy_demo("build", "repository")
    (graph,) = workdir.glob("artefacts/export/*/segment.onnx")
    status = graph.stat()
    replace(graph, b"x" * status.st_size)
    os.utime(graph, ns=(status.st_atime_ns, status.st_mtime_ns))  # or the store would make it again
    result = cli("build", "--workdir", workdir, "--json")
    assert result.code == 4
    rows = {row["module"]: row for row in result.document["engines"]}
    assert len(rows) == len(result.document["engines"])
    assert rows["segment"]["status"] == "failed"
    assert "segment.onnx" in rows["segment"]["reason"]
    assert (result.document["published"], (workdir / "repository").exists()) == ([], False)
