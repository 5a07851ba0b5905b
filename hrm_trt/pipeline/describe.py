"""What artefacts say of themselves in a build's result and in a bundle's manifest."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from engines.targets import TARGETS
from hrm_trt import __version__
from hrm_trt.pipeline.result import EngineRow, GraphRow
from hrm_trt.pipeline.store import version

if TYPE_CHECKING:
    from engines.targets import PrecisionName, TargetName
    from export.contract import Module
    from hrm.checkpoint import Located
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


def graphs(artefact: Artefact) -> list[GraphRow]:
    """The graphs of one variant."""
    return [
        GraphRow(
            variant=artefact.manifest.inputs["variant"],
            module=file.removesuffix(".onnx"),
            path=str(artefact.path / file),
            sha256=record.sha256,
            bytes=record.bytes,
        )
        for file, record in artefact.manifest.files.items()
        if file.endswith(".onnx")
    ]


def engine(artefact: Artefact, target: TargetName, precision: PrecisionName, module: Module) -> EngineRow:
    """An engine that is there."""
    ((file, record),) = artefact.manifest.files.items()
    return EngineRow(
        target=target,
        precision=precision,
        runtime=TARGETS[target].runtime,
        module=module,
        status="cached" if artefact.cached else "built",
        path=str(artefact.path / file),
        sha256=record.sha256,
        seconds=artefact.manifest.seconds,
        bytes=record.bytes,
    )


def no_engine(target: TargetName, precision: PrecisionName, module: Module, status: Any, reason: str) -> EngineRow:
    """An engine that was asked for and is not there."""
    return EngineRow(target, precision, TARGETS[target].runtime, module, status, reason)
