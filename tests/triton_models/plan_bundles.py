"""Bundles of stand-in TensorRT plans: a file that says what it stands for, and the sidecar of a real one.

No TensorRT is needed to publish a plan, and none to serve these: the tests' ``tensorrt`` backend finds the ONNX graph
that a plan stands for by the plan's digest.
"""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from engines.bundle import MANIFEST, BundleManifest, EngineFile, StoredFile, read_manifest
from engines.tensorrt.options import BuilderOptions
from engines.tensorrt.sidecar import Counts, Sidecar, sidecar_path
from hrm.files import sha256_bytes, sha256_file, write_json
from triton_models.specs import engine_specs

if TYPE_CHECKING:
    from pathlib import Path

    from export.contract import Module

TENSORRT = "11.1.0.106"


def as_plans(
    bundle: Path,
    directory: Path,
    target: str,
    *,
    tensorrt: str = TENSORRT,
    options: BuilderOptions | None = None,
    graphs: Path | None = None,
) -> Path:
    """A bundle for ``target`` of plans that stand for the graphs of a CPU bundle, with its verdicts.

    Args:
        bundle: the CPU bundle.
        directory: where to make the new one.
        target: the GPU.
        tensorrt: the version that seems to have built the plans.
        options: how it seems to have built them.
        graphs: where to put each graph under the digest of its plan, for the tests' backend.
    """
    directory.mkdir(parents=True)
    manifest = read_manifest(bundle)
    engines = []
    for engine in manifest.engines:
        plan = directory / f"{engine.module}.plan"
        plan.write_text(f"stands for {engine.sha256} on {target}, TensorRT {tensorrt}")
        _write_sidecar(plan, bundle / engine.file, engine.module, manifest, target, tensorrt, options)
        stored, sidecar = _stored(plan), _stored(sidecar_path(plan))
        engines.append(
            EngineFile(**stored.model_dump(), module=engine.module, precision=engine.precision, sidecar=sidecar)
        )
        if graphs is not None:
            graphs.mkdir(exist_ok=True)
            shutil.copyfile(bundle / engine.file, graphs / f"{stored.sha256}.onnx")
    for file in (manifest.carry, manifest.puzzle_table):
        if file is not None:
            shutil.copyfile(bundle / file.file, directory / file.file)
    _write_manifest(directory, manifest, target, tuple(engines))
    return directory


def _write_manifest(directory: Path, manifest: BundleManifest, target: str, engines: tuple[EngineFile, ...]) -> None:
    digests = tuple(engine.sha256 for engine in engines)
    changes = {"engines": digests, "target": target, "bundle": directory.name}
    gates = tuple(gate.model_copy(update=changes) for gate in manifest.gates)
    changed = {"name": directory.name, "target": target, "runtime": "tensorrt", "engines": engines, "gates": gates}
    write_json(directory / MANIFEST, manifest.model_copy(update=changed).model_dump(mode="json"))


def _write_sidecar(
    plan: Path,
    graph: Path,
    module: Module,
    manifest: BundleManifest,
    target: str,
    tensorrt: str,
    options: BuilderOptions | None,
) -> None:
    specs = engine_specs(graph)
    sidecar = Sidecar(
        runtime="tensorrt",
        version=tensorrt,
        target=target,
        module=module,
        graph=sha256_file(graph),
        inputs=specs.inputs,
        outputs=specs.outputs,
        profile=manifest.profile,
        shapes={},
        options=options or BuilderOptions(),
        counts=Counts(fp8_gemms=0, fp4_gemms=0, fp16_gemms=0, fused_attentions=0),
        gemms=(),
        layers=(),
        tensors=(),
        weight_bytes=None,
        activation_bytes=None,
        plan_bytes=plan.stat().st_size,
        peak_build_bytes=0,
        seconds=0.0,
    )
    sidecar_path(plan).write_text(sidecar.model_dump_json())


def _stored(path: Path) -> StoredFile:
    content = path.read_bytes()
    return StoredFile(file=path.name, sha256=sha256_bytes(content), bytes=len(content))
