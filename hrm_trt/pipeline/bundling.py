"""Bundles out of the store's artefacts: a directory of hard links and a manifest."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from engines.bundle import MANIFEST, MODULES, BundleManifest, EngineFile, Profile, StoredFile
from export.contract import CARRY, PUZZLE_TABLE
from hrm.files import write_bytes
from hrm_trt.pipeline.store import Step

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from engines.bundle import GateRecord, Topology
    from export.contract import Module
    from hrm.data.vocabulary import Vocabulary
    from hrm_trt.pipeline.store import Artefact, FileRecord, Store


@dataclass(frozen=True)
class Parts:
    """What every bundle of one target and precision is put together from."""

    target: str
    precision: str
    runtime: str
    profile: Profile
    loaded: Artefact
    graphs: Artefact
    engines: Mapping[Module, Artefact]
    origin: Mapping[str, Any]
    vocabulary: Vocabulary | None
    """The symbols of a user's own task."""


def bundle_name(name: str, target: str, precision: str, topology: Topology) -> str:
    """What a bundle is called; the topology is named where it is not one engine per segment."""
    return f"{name}-{target}-{precision}" + ("" if topology == "segment" else f"-{topology}")


def assemble(
    store: Store, parts: Parts, name: str, topology: Topology, gates: tuple[GateRecord, ...] = ()
) -> tuple[BundleManifest, Artefact]:
    """The bundle called ``name``; without ``gates`` it has not been judged yet."""
    manifest = _manifest(parts, name, topology, gates)
    document = manifest.model_dump(mode="json")

    def work(home: Path) -> Any:
        for module in MODULES[topology]:
            file = manifest.engine(module).file
            _link(parts.engines[module].path / file, home / file)
        for stored in (manifest.carry, manifest.puzzle_table):
            if stored is not None:
                _link(parts.graphs.path / stored.file, home / stored.file)
        write_bytes(home / MANIFEST, manifest.model_dump_json(indent=2).encode())

    subject = f"{name}, {'gated' if gates else 'not gated yet'}"
    step = Step("bundle", subject, inputs=document, code=("hrm_trt.pipeline.bundling", "engines.bundle"))
    return manifest, store.make(step, work)


def _manifest(parts: Parts, name: str, topology: Topology, gates: tuple[GateRecord, ...]) -> BundleManifest:
    files = parts.graphs.manifest.files
    return BundleManifest(
        name=name,
        topology=topology,
        target=parts.target,
        precision=parts.precision,
        runtime=parts.runtime,
        architecture=parts.loaded.value["architecture"],
        profile=parts.profile,
        engines=tuple(_engine(parts, module) for module in MODULES[topology]),
        carry=_stored(CARRY, files),
        puzzle_table=_stored(PUZZLE_TABLE, files) if PUZZLE_TABLE in files else None,
        vocabulary=parts.vocabulary,
        origin=dict(parts.origin),
        gates=gates,
    )


def _engine(parts: Parts, module: Module) -> EngineFile:
    ((file, record),) = parts.engines[module].manifest.files.items()
    return EngineFile(module=module, precision=parts.precision, file=file, sha256=record.sha256, bytes=record.bytes)


def _stored(file: str, files: Mapping[str, FileRecord]) -> StoredFile:
    return StoredFile(file=file, sha256=files[file].sha256, bytes=files[file].bytes)


def _link(source: Path, target: Path) -> None:
    """Artefacts never change, so a bundle shares their bytes where the file system can."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
