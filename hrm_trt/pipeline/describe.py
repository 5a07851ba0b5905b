"""What artefacts say of themselves in a build's result and in a bundle's manifest."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any

from hrm_trt import __version__
from hrm_trt.pipeline.building import engine_file
from hrm_trt.pipeline.result import EngineRow, GraphRow
from hrm_trt.pipeline.store import version

if TYPE_CHECKING:
    from export.contract import Module
    from hrm.checkpoint import Located
    from hrm_trt.pipeline.preparing import Prepared
    from hrm_trt.pipeline.recipe import Pair
    from hrm_trt.pipeline.result import Status
    from hrm_trt.pipeline.state import Build
    from hrm_trt.pipeline.store import Artefact

_LIBRARIES = ("torch", "onnx", "onnxruntime", "numpy")


def checkpoint(located: Located, loaded: Artefact) -> dict[str, Any]:
    """Which checkpoint this is, wherever it lies."""
    return {
        "name": located.name,
        "sha256": loaded.manifest.inputs["checkpoint"],
        "revision": located.revision,
        "parameters": loaded.value["parameters"],
        "attention": loaded.value["attention"],
        "architecture": loaded.value["architecture"],
    }


def versions() -> dict[str, str | None]:
    """The versions that a bundle depends on."""
    return {"hrm-trt": __version__} | {name: version(name) for name in _LIBRARIES}


def graphs(prepared: Prepared) -> list[GraphRow]:
    """The graphs of one pair."""
    return [
        GraphRow(
            variant=prepared.variant if not prepared.assignment else prepared.pair.precision,
            module=file.removesuffix(".onnx"),
            path=str(prepared.graphs.path / file),
            sha256=record.sha256,
            bytes=record.bytes,
        )
        for file, record in prepared.graphs.manifest.files.items()
        if file.endswith(".onnx")
    ]


def engine(artefact: Artefact, pair: Pair, module: Module) -> EngineRow:
    """An engine that is there."""
    file = engine_file(artefact)
    record = artefact.manifest.files[file]
    return EngineRow(
        target=pair.target,
        precision=pair.precision,
        runtime=pair.runtime,
        module=module,
        status="cached" if artefact.cached else "built",
        path=str(artefact.path / file),
        sha256=record.sha256,
        seconds=artefact.manifest.seconds,
        bytes=record.bytes,
    )


def no_engine(pair: Pair, module: Module, status: Status, reason: str, command: str | None) -> EngineRow:
    """An engine that was asked for and is not there."""
    return EngineRow(pair.target, pair.precision, pair.runtime, module, status, reason, command=command)


def finishing_command(build: Build, pair: Pair) -> str:
    """What packs all that a machine with the right GPU needs, and what that machine is told."""
    dataset = "" if build.recipe.dataset is None else f" --dataset {shlex.quote(str(build.recipe.dataset))}"
    options = (
        f"--checkpoint {shlex.quote(build.recipe.checkpoint)}{dataset} --target {pair.target}"
        f" --precision {pair.precision} --runtime {pair.runtime}"
    )
    if pair.runtime == "torch-tensorrt":  # it compiles weights, and a kit has graphs
        return f"on the GPU machine: hrm-trt build {options}"
    kit = f"{build.name}-{pair.target}-{pair.precision}.kit"
    return f"hrm-trt pack {kit} {options}, and on the GPU machine: hrm-trt build {kit}"
