"""Who answers the puzzles for a bundle: its engines where they run here, else its graphs on a CPU."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from engines.bundle import MODULES
from export.contract import CARRY, PUZZLE_TABLE
from hrm.files import sha256_json
from hrm_trt.pipeline.judging import Candidate, judge_bundle
from hrm_trt.pipeline.quantising import simulate
from validation.checks import Check

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from engines.act import Stepper
    from engines.bundle import BundleManifest
    from hrm_trt.pipeline.preparing import Prepared
    from hrm_trt.pipeline.recipe import Pair
    from hrm_trt.pipeline.store import Artefact, FileRecord
    from hrm_trt.pipeline.trial import Trial


@dataclass(frozen=True)
class Built:
    """A bundle on disk."""

    manifest: BundleManifest
    path: Path


def candidate(
    trial: Trial, prepared: Prepared, manifest: BundleManifest, bundle: Path | None, control: Built | None
) -> Candidate:
    """Who answers for a bundle.

    Args:
        trial: the puzzles.
        prepared: the graphs that the bundle is made from.
        manifest: the bundle's.
        bundle: where it is; its graphs answer for one that could not be built here.
        control: the same bundle without quantisation, where it is quantised and built.
    """
    if bundle is None or not _runs_here(prepared.pair):
        unquantised = _unquantised_graphs(trial, prepared, manifest)
        return _graphs(trial, prepared.graphs, manifest, prepared, _control(trial, unquantised))
    unquantised = None if control is None else _engines(trial, control.manifest, control.path, ())
    return _engines(trial, manifest, bundle, _control(trial, unquantised))


def _runs_here(pair: Pair) -> bool:
    if pair.runtime == "onnxruntime":
        return True
    from engines.tensorrt.library import lacks

    return lacks(pair.runtime, pair.target) is None


def _engines(trial: Trial, manifest: BundleManifest, bundle: Path, checks: tuple[Check, ...]) -> Candidate:
    def stepper() -> Stepper:
        from engines.loading import load_engines

        return load_engines(bundle, manifest, trial.execution)

    return Candidate(manifest, manifest.digest, stepper, _package(manifest.runtime), checks=checks)


def _package(runtime: str) -> str:
    if runtime == "onnxruntime":
        return runtime
    from engines.tensorrt.library import LIBRARIES

    return LIBRARIES[runtime].package


def _graphs(
    trial: Trial, graphs: Artefact, manifest: BundleManifest, prepared: Prepared, checks: tuple[Check, ...]
) -> Candidate:
    """ONNX Runtime on a CPU, with the values that the engines compute with; FP4 is simulated."""
    has_fp4 = graphs is prepared.graphs and "nvfp4" in prepared.assignment.values()
    shown = simulate(trial.store, graphs, str(prepared.pair.precision)) if has_fp4 else graphs
    modules = MODULES[manifest.topology]
    files = shown.manifest.files
    digests = tuple(files[f"{module}.onnx"].sha256 for module in modules)

    def stepper() -> Stepper:
        from engines.loading import load_graphs

        return load_graphs(shown.path, modules, manifest.architecture, trial.execution)

    return Candidate(
        manifest,
        sha256_json([manifest.topology, digests, _states(files)]),
        stepper,
        "onnxruntime",
        emulated=digests,
        checks=checks,
    )


def _states(files: Mapping[str, FileRecord]) -> list[str]:
    """The digests of what graphs start from."""
    return [files[name].sha256 for name in (CARRY, PUZZLE_TABLE) if name in files]


def _unquantised_graphs(trial: Trial, prepared: Prepared, manifest: BundleManifest) -> Candidate | None:
    if prepared.control is None:
        return None
    origin = {key: value for key, value in manifest.origin.items() if key not in prepared.origin}
    name = f"{manifest.name} without quantisation"
    control = manifest.model_copy(update={"name": name, "precision": "fp16", "origin": origin})
    return _graphs(trial, prepared.control, control, prepared, ())


def _control(trial: Trial, unquantised: Candidate | None) -> tuple[Check, ...]:
    """Without quantisation the accuracy must be kept, or quantisation is blamed for another's fault."""
    if unquantised is None:
        return ()
    judged, *_ = judge_bundle(trial, unquantised, ("fixed",))
    lost = f"{judged.verdict.flips_lost} lost and {judged.verdict.flips_won} won without quantisation"
    return (Check(name="unquantised control", ok=judged.verdict.verdict != "fail", reason=lost),)
