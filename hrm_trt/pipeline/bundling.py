"""Bundles out of the store's artefacts: a directory of hard links and a manifest."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from engines.bundle import MANIFEST, MODULES, BundleManifest, EngineFile, StoredFile
from export.contract import CARRY, PUZZLE_TABLE
from hrm.files import write_bytes
from hrm_trt.pipeline.building import SIDECAR, engine_file
from hrm_trt.pipeline.preparing import Prepared
from hrm_trt.pipeline.store import Step

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from engines.bundle import GateRecord, Profile, Topology
    from export.contract import Module
    from hrm.data.vocabulary import Vocabulary
    from hrm_trt.pipeline.store import Artefact, FileRecord, Store


@dataclass(frozen=True)
class Parts:
    """What every bundle of one pair is put together from."""

    prepared: Prepared
    profile: Profile
    architecture: dict[str, Any]
    engines: Mapping[Module, Artefact]
    """None where this machine cannot build them."""
    controls: Mapping[Module, Artefact]
    """The engines of what is quantised as they are without it."""
    origin: Mapping[str, Any]
    vocabulary: Vocabulary | None
    """The symbols of a user's own task."""

    def control(self) -> Parts:
        """The same without quantisation."""
        graphs = self.prepared.control or self.prepared.graphs
        plain = Prepared(self.prepared.pair._replace(precision="fp16"), graphs)
        return replace(self, prepared=plain, engines={**self.engines, **self.controls}, controls={})

    def manifest(self, name: str, topology: Topology, gates: tuple[GateRecord, ...] = ()) -> BundleManifest:
        """The manifest of the bundle called ``name``; without ``gates`` it has not been judged yet."""
        pair, graphs = self.prepared.pair, self.prepared.graphs
        files = graphs.manifest.files
        exported = {module: files[f"{module}.onnx"].sha256 for module in MODULES[topology]}
        return BundleManifest(
            name=name,
            topology=topology,
            target=pair.target,
            precision=pair.precision,
            runtime=pair.runtime,
            architecture=self.architecture,
            profile=self.profile,
            engines=tuple(self._engine(module) for module in MODULES[topology]) if self.engines else (),
            carry=_stored(CARRY, files),
            puzzle_table=_stored(PUZZLE_TABLE, files) if PUZZLE_TABLE in files else None,
            vocabulary=self.vocabulary,
            origin={**self.origin, "graphs": exported, **self.prepared.origin},
            gates=gates,
        )

    def _engine(self, module: Module) -> EngineFile:
        files = self.engines[module].manifest.files
        file = engine_file(self.engines[module])
        sidecar = file + SIDECAR
        return EngineFile(
            module=module,
            precision=self.prepared.precision(module),
            file=file,
            sha256=files[file].sha256,
            bytes=files[file].bytes,
            sidecar=_stored(sidecar, files) if sidecar in files else None,
        )


def bundle_name(name: str, target: str, precision: str, topology: Topology) -> str:
    """What a bundle is called; the topology is named where it is not one engine per segment."""
    return f"{name}-{target}-{precision}" + ("" if topology == "segment" else f"-{topology}")


def assemble(
    store: Store, parts: Parts, name: str, topology: Topology, gates: tuple[GateRecord, ...] = ()
) -> tuple[BundleManifest, Artefact]:
    """The bundle called ``name``; without ``gates`` it has not been judged yet."""
    manifest = parts.manifest(name, topology, gates)

    def work(home: Path) -> Any:
        for engine in manifest.engines:
            for stored in (engine, engine.sidecar):
                if stored is not None:
                    _link(parts.engines[engine.module].path / stored.file, home / stored.file)
        for stored in (manifest.carry, manifest.puzzle_table):
            if stored is not None:
                _link(parts.prepared.graphs.path / stored.file, home / stored.file)
        write_bytes(home / MANIFEST, manifest.model_dump_json(indent=2).encode())

    subject = f"{name}, {'gated' if gates else 'not gated yet'}"
    inputs = manifest.model_dump(mode="json")
    step = Step("bundle", subject, inputs=inputs, code=("hrm_trt.pipeline.bundling", "engines.bundle"))
    return manifest, store.make(step, work)


def _stored(file: str, files: Mapping[str, FileRecord]) -> StoredFile:
    return StoredFile(file=file, sha256=files[file].sha256, bytes=files[file].bytes)


def _link(source: Path, target: Path) -> None:
    """Artefacts never change, so a bundle shares their bytes where the file system can."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
