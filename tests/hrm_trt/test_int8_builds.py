"""INT8 engines for CPUs: calibrated, gated on the CPU itself, and as accurate as PyTorch on the official sample."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from engines.bundle import read_manifest
from export.quantise.sites import uniform
from hrm.config import HRMConfig
from hrm_trt.pipeline.recipe import make_recipe
from hrm_trt.pipeline.run import run
from hrm_trt.pipeline.workdir import Workdir
from tests.hrm_trt.conftest import SAMPLE

if TYPE_CHECKING:
    from hrm_trt.pipeline.result import BuildResult

BUNDLES = ("sample-cpu-int8", "sample-cpu-int8-planner-executor")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Workdir, BuildResult]:
    workdir = Workdir(tmp_path_factory.mktemp("int8"))
    settings = {
        "name": "sample",
        "checkpoint": str(SAMPLE),
        "dataset": str(SAMPLE / "dataset"),
        "precisions": ["int8"],
        "calibration": {"puzzles": 32},
        "gate": {"limit": 500},
    }
    return workdir, run(make_recipe(settings), workdir, until="validate")


@pytest.mark.slow
def test_it_passes_the_gate_on_the_cpu_itself(built: tuple[Workdir, BuildResult]) -> None:
    _, result = built
    assert result.exit_code == 0
    assert {(gate.bundle, gate.policy): gate.verdict for gate in result.gates} == {
        (bundle, policy): "pass" for bundle in BUNDLES for policy in ("fixed", "adaptive")
    }
    assert {gate.evidence for gate in result.gates} == {"on-target"}


@pytest.mark.slow
def test_executor_and_planner_are_both_quantised_and_say_how(built: tuple[Workdir, BuildResult]) -> None:
    workdir, _ = built
    manifest = read_manifest(workdir.bundle(BUNDLES[1]))
    assert {engine.module: engine.precision for engine in manifest.engines} == {
        "encoder": "fp32",
        "executor": "int8",
        "planner": "int8",
    }
    config = HRMConfig.from_dict(manifest.architecture)
    assert manifest.origin["assignment"] == uniform(config, ("executor", "planner"), "int8")
    assert manifest.origin["calibration"]["puzzles"] == 32
