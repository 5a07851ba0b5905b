"""Engines for GPUs on a machine that has none: what is built, on what evidence it is judged, and what is refused."""

from __future__ import annotations

import os
import shutil
from operator import ne
from typing import TYPE_CHECKING, Any

import onnx
import pytest

from engines.bundle import read_manifest
from engines.tensorrt.sidecar import read_sidecar
from export.quantise.sites import uniform
from hrm.config import HRMConfig
from hrm_trt.pipeline.recipe import make_recipe
from hrm_trt.pipeline.run import run
from hrm_trt.pipeline.workdir import Workdir
from tests.hrm_trt.conftest import SAMPLE

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from hrm_trt.pipeline.result import BuildResult

SETTINGS: dict[str, Any] = {
    "name": "sample",
    "checkpoint": str(SAMPLE),
    "dataset": str(SAMPLE / "dataset"),
    "topologies": ["segment"],
    "calibration": {"puzzles": 16},
    "profile": {"batch": {"min": 1, "opt": 8, "max": 8}},
    "gate": {"limit": 24, "policies": ["fixed"]},
}
LOW = ("fp8", "nvfp4")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Workdir, BuildResult]:
    """FP8 and NVFP4 for SM_120, and FP8 for Hopper."""
    workdir = Workdir(tmp_path_factory.mktemp("gpu"))
    result = run(make_recipe({**SETTINGS, "targets": ["sm_120"], "precisions": LOW}), workdir)
    return workdir, result


@pytest.mark.slow
def test_plans_are_built_without_a_gpu_and_judged_by_what_runs_on_a_cpu(built: tuple[Workdir, BuildResult]) -> None:
    _, result = built
    rows = {(row.precision, row.module): row for row in result.engines}
    assert {row.status for row in rows.values()} <= {"built", "cached"}
    assert {row.runtime for row in rows.values()} == {"tensorrt-rtx"}
    assert {gate.evidence for gate in result.gates} == {"emulated"}
    assert {gate.precision for gate in result.gates} == set(LOW)
    for gate in result.gates:
        assert set(gate.engines) == {rows[gate.precision, module].sha256 for module in ("encoder", "segment")}
        assert len(gate.emulated) == 2
        assert gate.verdict == "inconclusive"  # 24 puzzles
    assert result.exit_code == 5


@pytest.mark.slow
@pytest.mark.parametrize("precision", LOW)
def test_a_bundle_says_what_it_computes_in_and_how_that_came_about(
    built: tuple[Workdir, BuildResult], precision: str
) -> None:
    workdir, _ = built
    bundle = workdir.bundle(f"sample-sm_120-{precision}")
    manifest = read_manifest(bundle)
    assert {engine.module: engine.precision for engine in manifest.engines} == {"encoder": "fp16", "segment": precision}
    config = HRMConfig.from_dict(manifest.architecture)
    assert manifest.origin["assignment"] == uniform(config, ("executor",), precision)  # type: ignore[arg-type]
    assert (manifest.origin["calibration"]["split"], manifest.origin["calibration"]["puzzles"]) == ("train", 16)
    counts = read_sidecar(bundle / "segment.plan").counts
    calls = config.H_cycles * config.L_cycles * 4 * config.L_layers
    assert (counts.fp8_gemms, counts.fp4_gemms) == ((calls, 0) if precision == "fp8" else (0, calls))


@pytest.mark.slow
def test_hopper_is_judged_here_and_finished_there(cli: Callable[..., Any], built: tuple[Workdir, BuildResult]) -> None:
    workdir, before = built
    recipe = make_recipe({**SETTINGS, "targets": ["sm_90"], "precisions": ["fp8"]})
    result = run(recipe, workdir)
    assert {row.status for row in result.engines} == {"needs-target"}
    assert all("tensorrt" in str(row.reason) and "hrm-trt build" in str(row.command) for row in result.engines)
    (gate,) = result.gates
    (same,) = (gate for gate in before.gates if gate.precision == "fp8")
    assert (gate.engines, gate.evidence, gate.emulated) == ((), "emulated", same.emulated)
    assert (gate.flips_lost, gate.flips_won) == (same.flips_lost, same.flips_won)
    assert not workdir.bundle("sample-sm_90-fp8").exists()


@pytest.mark.slow
def test_an_rtx_plan_is_no_tensorrt_plan(
    cli: Callable[..., Any], built: tuple[Workdir, BuildResult], tmp_path: Path
) -> None:
    workdir, _ = built
    line = ("publish", "sample-sm_120-fp8", "--repository", "r", "--workdir", workdir.root, "--allow-ungated")
    cli(*line).assert_refused(2, "runs only in a TensorRT-RTX runtime of its own release", "hrm-trt pack")
    assert not (tmp_path / "r").exists()
    cli("solve", "." * 16, "--model", "sample-sm_120-fp8", "--workdir", workdir.root).assert_refused(3, "no NVIDIA GPU")


@pytest.mark.slow
def test_an_engine_shows_what_was_asked_for_and_what_was_built(
    cli: Callable[..., Any], built: tuple[Workdir, BuildResult]
) -> None:
    plan = built[0].bundle("sample-sm_120-nvfp4") / "segment.plan"
    document = cli("inspect", plan, "--json").document
    products = document["products with weights"]
    assert {(row["asked"], row["got"]) for row in products} == {("nvfp4", "nvfp4"), ("fp16", "fp16")}
    config = HRMConfig.from_dict(read_manifest(plan.parent).architecture)
    layers = config.H_cycles * (config.L_cycles * config.L_layers + config.H_layers)
    assert document["fused attentions"] == layers


@pytest.mark.slow
def test_a_lost_quantisation_fails_the_build_by_name(built: tuple[Workdir, BuildResult], tmp_path: Path) -> None:
    shutil.copytree(built[0].root, tmp_path / "work", symlinks=True)
    workdir = Workdir(tmp_path / "work")
    (segment,) = (
        path for path in workdir.root.glob("artefacts/quantise/*/segment.onnx") if b".weight.fp8" in path.read_bytes()
    )
    status = segment.stat()
    segment.write_bytes(_without_one_quantisation(segment, status.st_size))
    os.utime(segment, ns=(status.st_atime_ns, status.st_mtime_ns))  # or the store would make it again
    shutil.rmtree(workdir.root / "artefacts/build")
    result = run(make_recipe({**SETTINGS, "targets": ["sm_120"], "precisions": ["fp8"]}), workdir, until="build")
    assert result.exit_code == 4
    reasons = {str(row.reason) for row in result.engines}
    assert any("mlp.down_proj" in reason and "asked fp8, got" in reason for reason in reasons)


def _without_one_quantisation(path: Path, size: int) -> bytes:
    """The graph with one product's activation as it was before quantisation, at the same length."""
    model = onnx.load(path)
    makers = {output: node for node in model.graph.node for output in node.output}
    product = next(node for node in model.graph.node if node.op_type == "MatMul" and "node_linear_3" in node.name)
    dequantise = makers[product.input[0]]
    product.input[0] = makers[dequantise.input[0]].input[0]
    model.doc_string = " "
    lack = size - len(model.SerializeToString())
    model.doc_string += " " * lack
    while len(model.SerializeToString()) > size:
        model.doc_string = model.doc_string[:-1]
    return model.SerializeToString()


def test_low_precision_needs_puzzles_to_calibrate_on(cli: Callable[..., Any], tmp_path: Path) -> None:
    line = ("build", "--checkpoint", SAMPLE, "--target", "sm_120", "--precision", "fp8", "--until", "build")
    cli(*line).assert_refused(2, "no puzzles to calibrate fp8 on", "--dataset")
    assert list(tmp_path.iterdir()) == []


def test_what_is_judged_on_is_never_calibrated_on(cli: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "recipe.yaml").write_text(
        f"checkpoint: {SAMPLE}\ndataset: {SAMPLE / 'dataset'}\ntargets: [sm_120]\nprecisions: [fp8]\n"
        "calibration: {split: test, puzzles: 8}\n"
    )
    refused = cli("build", "recipe.yaml", "--until", "quantise", "--workdir", "work")
    refused.assert_refused(2, "8 of the 8 puzzles to calibrate on are also in the test split")


def test_an_option_that_the_builder_lacks_is_refused(cli: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "recipe.yaml").write_text(
        f"checkpoint: {SAMPLE}\ntargets: [sm_120]\nbuilder: {{version_compatible: true}}\n"
    )
    cli("build", "recipe.yaml", "--until", "build").assert_refused(2, "version_compatible", "tensorrt-rtx")
    assert [path.name for path in tmp_path.iterdir()] == ["recipe.yaml"]


@pytest.mark.slow
def test_gptq_changes_which_nvfp4_values_are_stored_and_little_else(built: tuple[Workdir, BuildResult]) -> None:
    workdir, _ = built
    recipe = {**SETTINGS, "targets": ["sm_120"], "precisions": ["nvfp4"], "quantise": {"rounding": "gptq"}}
    result = run(make_recipe(recipe), workdir, until="quantise")
    (path,) = (row.path for row in result.graphs if row.module == "executor")
    (plain,) = (
        each
        for each in workdir.root.glob("artefacts/quantise/*/executor.onnx")
        if str(each) != path and b".weight.nvfp4" in each.read_bytes()
    )
    ours, theirs = ({t.name: t.raw_data for t in onnx.load(file).graph.initializer} for file in (path, plain))
    differ = {name: sum(map(ne, ours[name], theirs[name])) / len(ours[name]) for name in ours}
    changed = {name: share for name, share in differ.items() if share}
    assert ours.keys() == theirs.keys()
    values, scales = ({name for name in ours if name.endswith(end)} for end in (".weight.nvfp4", ".block_scales"))
    assert values <= changed.keys() <= values | scales
    # A scale is of the float32 weight here and of the float16 one there, which now and then is the next one.
    assert all(changed[name] < 0.02 for name in changed.keys() & scales)


@pytest.mark.slow
def test_what_is_to_be_served_is_left_to_the_classic_builder(
    built: tuple[Workdir, BuildResult], tmp_path: Path
) -> None:
    lenient = {"limit": 24, "policies": ["fixed"], "tolerance": 0.5, "min_puzzles": 1, "min_solved": 1}
    published = {"publish": {"repository": str(tmp_path / "models")}, "gate": lenient}
    recipe = make_recipe({**SETTINGS, **published, "targets": ["sm_120"], "precisions": ["fp8"]})
    result = run(recipe, built[0])
    assert [gate.verdict for gate in result.gates] == ["pass"]
    waiting = [row for row in result.engines if row.status == "needs-target"]
    assert {row.runtime for row in waiting} == {"tensorrt"}
    assert all("tensorrt_plan" in str(row.reason) and "--runtime tensorrt" in str(row.command) for row in waiting)
    assert (result.published, result.exit_code, (tmp_path / "models").exists()) == ([], 3, False)


@pytest.mark.slow
def test_torch_tensorrt_is_refused_here_with_the_reason(built: tuple[Workdir, BuildResult]) -> None:
    settings = {**SETTINGS, "topologies": ["planner-executor"], "runtime": "torch-tensorrt"}
    result = run(make_recipe({**settings, "targets": ["sm_90"]}), built[0], until="build")
    assert {row.module for row in result.engines} == {"encoder", "executor", "planner"}
    for row in result.engines:
        assert row.status == "needs-target"
        assert "torch-tensorrt" in str(row.reason)
        assert str(row.command).startswith("on the GPU machine: hrm-trt build --checkpoint")
    assert result.exit_code == 3
