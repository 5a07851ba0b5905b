"""What a publication consists of: bundles that belong together and passed, and how they become models."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from engines.bundle import MODULES, BundleManifest, EngineFile, read_manifest, verify_files
from export.contract import CARRY, PUZZLE_TABLE
from hrm.errors import BundleError, GateError
from triton_models.config import PLATFORMS, unservable
from triton_models.repository import ServedModel, VersionManifest, check_name, content_digest, model_name
from triton_models.specs import engine_specs

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

REFERENCE_POLICY = "fixed"


@dataclass(frozen=True)
class Source:
    """A bundle to publish, on disk."""

    directory: Path
    manifest: BundleManifest


@dataclass(frozen=True)
class Release:
    """Bundles of one checkpoint, target and precision, under one name."""

    name: str
    sources: tuple[Source, ...]
    gated: bool

    @property
    def policies(self) -> tuple[str, ...]:
        """The policies that passed in every bundle."""
        first, *others = (source.manifest.passed() for source in self.sources)
        return tuple(policy for policy in first if all(policy in passed for passed in others))

    @property
    def models(self) -> tuple[str, ...]:
        """The models' names."""
        return tuple(model_name(self.name, engine.module) for _, engine in self._engines())

    @property
    def content(self) -> str:
        """See ``content_digest``."""
        return content_digest(self.gated, self.policies, [source.manifest for source in self.sources])

    def numbered(self, version: int) -> VersionManifest:
        """The manifest of this release as ``version``.

        Raises:
            BundleError: an engine is no ONNX graph.
            EngineError: an engine has tensors that Triton does not take.
        """
        return VersionManifest(
            name=self.name,
            version=version,
            gated=self.gated,
            policies=self.policies,
            published=datetime.now(UTC),
            models=tuple(self._served(source, engine) for source, engine in self._engines()),
            bundles=tuple(_relocated(source.manifest, self.name, version) for source in self.sources),
        )

    def files(self, version: VersionManifest) -> dict[str, Path]:
        """What each file of ``version`` is copied from."""
        pairs = zip(self.sources, version.bundles, strict=True)
        return {
            placed.file: source.directory / stored.file
            for source, bundle in pairs
            for stored, placed in zip(source.manifest.files, bundle.files, strict=True)
        }

    def _engines(self) -> Iterator[tuple[Source, EngineFile]]:
        """Every module's engine, once."""
        seen = set()
        for source in self.sources:
            for engine in source.manifest.engines:
                if engine.module not in seen:
                    seen.add(engine.module)
                    yield source, engine

    def _served(self, source: Source, engine: EngineFile) -> ServedModel:
        specs = engine_specs(source.directory / engine.file)
        return ServedModel(
            name=model_name(self.name, engine.module),
            module=engine.module,
            runtime=source.manifest.runtime,
            max_batch=source.manifest.profile.batch.max,
            inputs=specs.inputs,
            outputs=specs.outputs,
        )


def plan(bundles: Sequence[Path], name: str, *, allow_ungated: bool, allow_emulated: bool) -> Release:
    """Read the bundles and decide whether they may be published.

    Raises:
        BundleError: not a bundle, changed since it was built, not like the others, or nothing that Triton can run.
        GateError: a bundle has no passing verdict under ``fixed`` for its bytes, and ``allow_ungated`` is False; or
            none on its own target, and ``allow_emulated`` is False.
        RepositoryError: no model can have this name.
    """
    check_name(name)
    found = (Source(directory, read_manifest(directory)) for directory in bundles)
    sources = tuple(sorted(found, key=lambda source: list(MODULES).index(source.manifest.topology)))
    for source in sources:
        verify_files(source.directory, source.manifest)
        _check_servable(source)
    _check_alike(sources)
    ungated = [source for source in sources if REFERENCE_POLICY not in source.manifest.passed()]
    if ungated and not allow_ungated:
        raise _refusal(ungated[0].manifest)
    for source in sources if not (allow_emulated or allow_ungated) else ():
        if REFERENCE_POLICY not in source.manifest.passed(emulated=False):
            raise _only_emulated(source.manifest)
    return Release(name, sources, gated=not ungated)


def _check_servable(source: Source) -> None:
    reason = unservable(source.manifest.runtime)
    if reason is not None:
        raise BundleError(
            f"Triton cannot serve the bundle {source.manifest.name}",
            why=reason,
            hint=f"build it for a runtime that Triton has ({', '.join(PLATFORMS)}), with `hrm-trt pack` on the machine "
            "with the GPU, and publish that",
        )


def _check_alike(sources: Sequence[Source]) -> None:
    """One set has one encoder and one carry, and each topology once."""
    first = sources[0].manifest
    for other in (source.manifest for source in sources[1:]):
        if _common(other) != _common(first) or other.topology == first.topology:
            raise BundleError(
                f"the bundles {first.name} and {other.name} cannot be published under one name",
                why="they must differ in topology and share encoder, carry, target, precision, runtime and profile",
                hint="publish them one by one, each under its own --name",
            )


def _common(manifest: BundleManifest) -> tuple[object, ...]:
    table = manifest.puzzle_table and manifest.puzzle_table.sha256
    shared = (manifest.engine("encoder").sha256, manifest.carry.sha256, table)
    kind = (manifest.target, manifest.precision, manifest.runtime)
    return *shared, *kind, manifest.profile, manifest.architecture


def _only_emulated(manifest: BundleManifest) -> GateError:
    return GateError(
        f"the bundle {manifest.name} may not be published",
        why=f"it passed on a CPU that emulated {manifest.target}, and its engines have not run on one",
        hint="gate it there (`hrm-trt pack`), or pass --allow-emulated; the manifest says which evidence there is",
    )


def _refusal(manifest: BundleManifest) -> GateError:
    verdicts = [f"{gate.verdict} ({gate.reason})" for gate in manifest.gates if gate.policy == REFERENCE_POLICY]
    return GateError(
        f"the bundle {manifest.name} may not be published",
        why=f"no passing verdict under `{REFERENCE_POLICY}` for these bytes; found: {', '.join(verdicts) or 'none'}",
        hint="`hrm-trt build` gates it; --allow-ungated publishes it all the same and stamps the version",
    )


def _relocated(manifest: BundleManifest, name: str, version: int) -> BundleManifest:
    """``manifest`` with its files where ``version`` has them, relative to the repository."""
    filename = PLATFORMS[manifest.runtime].filename
    beside_encoder = f"{model_name(name, 'encoder')}/{version}"
    engines = tuple(
        _placed(engine, f"{model_name(name, engine.module)}/{version}/{filename}") for engine in manifest.engines
    )
    carry = manifest.carry.model_copy(update={"file": f"{beside_encoder}/{CARRY}"})
    table = manifest.puzzle_table and manifest.puzzle_table.model_copy(
        update={"file": f"{beside_encoder}/{PUZZLE_TABLE}"}
    )
    return manifest.model_copy(update={"engines": engines, "carry": carry, "puzzle_table": table})


def _placed(engine: EngineFile, file: str) -> EngineFile:
    sidecar = engine.sidecar and engine.sidecar.model_copy(update={"file": f"{file}.json"})
    return engine.model_copy(update={"file": file, "sidecar": sidecar})
