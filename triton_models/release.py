"""What a publication consists of: bundles that belong together and passed, and how they become models."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from engines.bundle import BundleManifest, EngineFile, StoredFile
from export.contract import CARRY, PUZZLE_TABLE
from hrm.errors import BundleError
from hrm.files import sha256_bytes
from triton_models.config import PLATFORMS
from triton_models.manifest import ServedModel, VersionManifest, model_name
from triton_models.solver_model import solver_model
from triton_models.specs import engine_specs, served_engine

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from export.contract import Module


@dataclass(frozen=True)
class Source:
    """A bundle to publish, on disk."""

    directory: Path
    manifest: BundleManifest


@dataclass(frozen=True)
class Release:
    """Bundles of one checkpoint and precision under one name: of each target the same topologies."""

    name: str
    sources: tuple[Source, ...]
    gated: bool
    slots: int
    queue: int
    code: Mapping[str, bytes]
    """The solver's files, by their path in its version's directory."""

    @property
    def policies(self) -> tuple[str, ...]:
        """The policies that passed in every bundle, with one threshold."""
        first, *others = (_passed(source.manifest) for source in self.sources)
        shared = set(first.items()).intersection(*(other.items() for other in others))
        return tuple(policy for policy, threshold in first.items() if (policy, threshold) in shared)

    @property
    def models(self) -> tuple[str, ...]:
        """The models' names; the solver's is the last."""
        return (*(model_name(self.name, module) for module in self._engines), self.name)

    def numbered(self, version: int) -> VersionManifest:
        """The manifest of this release as ``version``.

        Raises:
            BundleError: an engine is no ONNX graph, or takes other tensors than the same module's for another target.
            EngineError: an engine has tensors that Triton does not take.
        """
        outline = self._outline(version)
        return outline.model_copy(update={"models": (*map(self._served, self._engines), *outline.models)})

    @property
    def content(self) -> str:
        """``VersionManifest.content`` of this release; no engine is opened for it."""
        return self._outline(1).content

    def _outline(self, version: int) -> VersionManifest:
        """The manifest, with the solver's model alone."""
        return VersionManifest(
            name=self.name,
            version=version,
            gated=self.gated,
            policies=self.policies,
            slots=self.slots,
            queue=self.queue,
            published=datetime.now(UTC),
            models=(self._solver(version),),
            bundles=tuple(_relocated(source.manifest, self.name, version) for source in self.sources),
        )

    def files(self, version: VersionManifest) -> dict[str, Path]:
        """What each file of ``version`` is copied from, but for the solver's code."""
        pairs = zip(self.sources, version.bundles, strict=True)
        return {
            placed.file: source.directory / stored.file
            for source, bundle in pairs
            for stored, placed in zip(source.manifest.files, bundle.files, strict=True)
        }

    def _manifest(self, version: int, *engines: ServedModel) -> VersionManifest:
        return VersionManifest(
            name=self.name,
            version=version,
            gated=self.gated,
            policies=self.policies,
            slots=self.slots,
            queue=self.queue,
            published=datetime.now(UTC),
            models=(*engines, self._solver(version)),
            bundles=tuple(_relocated(source.manifest, self.name, version) for source in self.sources),
        )

    @property
    def _engines(self) -> dict[Module, dict[str, tuple[Source, EngineFile]]]:
        """Every module's engine for every target."""
        found: dict[Module, dict[str, tuple[Source, EngineFile]]] = {}
        for source in self.sources:
            for engine in source.manifest.engines:
                found.setdefault(engine.module, {}).setdefault(source.manifest.target, (source, engine))
        return found

    def _served(self, module: Module) -> ServedModel:
        engines = self._engines[module]
        paths = {target: source.directory / engine.file for target, (source, engine) in engines.items()}
        (first, specs), *others = ((target, engine_specs(path)) for target, path in paths.items())
        for target, other in others:
            if other != specs:
                raise BundleError(
                    f"the {module} of {target} and that of {first} cannot be one model",
                    why="their tensors differ, and Triton has one configuration per model",
                    hint="build both from one checkpoint with one precision, or publish each under its own --name",
                )
        manifest = self.sources[0].manifest
        return ServedModel(
            name=model_name(self.name, module),
            module=module,
            runtime=manifest.runtime,
            max_batch=manifest.profile.batch.max,
            inputs=specs.inputs,
            outputs=specs.outputs,
            engines=tuple(
                served_engine(path, target, engine_filename(manifest.runtime, target)) for target, path in paths.items()
            ),
        )

    def _solver(self, version: int) -> ServedModel:
        sequence = self.sources[0].manifest.architecture["seq_len"]
        home = f"{self.name}/{version}"
        code = tuple(
            StoredFile(file=f"{home}/{file}", sha256=sha256_bytes(content), bytes=len(content))
            for file, content in self.code.items()
        )
        return solver_model(self.name, sequence, self.slots).model_copy(update={"code": code})


def engine_filename(runtime: str, target: str) -> str:
    """What the engine of ``target`` is called in a version's directory."""
    filename = PLATFORMS[runtime].filename
    return filename if target == "cpu" else filename.replace(".", f"_{target}.")


def _passed(manifest: BundleManifest) -> dict[str, float | None]:
    thresholds: dict[str, float | None] = {gate.policy: gate.threshold for gate in manifest.gates}
    return {policy: thresholds[policy] for policy in manifest.passed()}


def _relocated(manifest: BundleManifest, name: str, version: int) -> BundleManifest:
    """``manifest`` with its files where ``version`` has them, relative to the repository."""
    filename = engine_filename(manifest.runtime, manifest.target)
    beside_solver = f"{model_name(name, 'solver')}/{version}"
    engines = tuple(
        _placed(engine, f"{model_name(name, engine.module)}/{version}/{filename}") for engine in manifest.engines
    )
    carry = manifest.carry.model_copy(update={"file": f"{beside_solver}/{CARRY}"})
    table = manifest.puzzle_table and manifest.puzzle_table.model_copy(
        update={"file": f"{beside_solver}/{PUZZLE_TABLE}"}
    )
    return manifest.model_copy(update={"engines": engines, "carry": carry, "puzzle_table": table})


def _placed(engine: EngineFile, file: str) -> EngineFile:
    sidecar = engine.sidecar and engine.sidecar.model_copy(update={"file": f"{file}.json"})
    return engine.model_copy(update={"file": file, "sidecar": sidecar})
