"""The documents of a model repository: which models are ours, and what each version of a set is."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from engines.bundle import BundleManifest, StoredFile
from export.contract import Module, TensorSpec
from hrm.documents import Document
from hrm.files import sha256_json

if TYPE_CHECKING:
    from collections.abc import Iterator

ServedModule = Module | Literal["solver"]
"""An engine's module, or the orchestrator that calls the engines."""
REFERENCE_POLICY = "fixed"


class Marker(Document):
    """Which models of a repository are ours."""

    format_version: Literal[1] = 1
    sets: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    """Names to their models."""


class ServedEngine(Document):
    """The engine of one target in a version's directory."""

    target: str
    file: str
    """Its name there."""
    tensorrt: str | None = None
    """Of a plan: the TensorRT that built it."""
    version_compatible: bool = False
    """Of a plan: whether newer TensorRTs of the same major version load it as well."""
    hardware_compatible: bool = False
    """Of a plan: whether newer GPUs run it as well."""


class ServedModel(Document):
    """One model of a version, as Triton serves it."""

    name: str
    module: ServedModule
    runtime: str
    max_batch: int
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    engines: tuple[ServedEngine, ...] = ()
    """One for each target; none in the solver, nor in versions from before there was one."""
    code: tuple[StoredFile, ...] = ()
    """The solver's own files, relative to the repository."""


class VersionManifest(Document):
    """One version of a set: its models, and the bundles they come from with their verdicts and origins."""

    format_version: Literal[1] = 1
    name: str
    version: int
    gated: bool
    """Whether every bundle passed under ``fixed``; False only where the publisher asked for that."""
    policies: tuple[str, ...]
    """Those that passed in every bundle; no others are offered."""
    slots: int = 1
    """Puzzles that the solver runs at once."""
    queue: int = 0
    """Puzzles that may wait for a slot."""
    published: datetime
    """UTC"""
    models: tuple[ServedModel, ...]
    bundles: tuple[BundleManifest, ...]
    """Their files relative to the repository."""

    def model(self, name: str) -> ServedModel | None:
        """The model of this name, if the version has it."""
        return next((model for model in self.models if model.name == name), None)

    @property
    def solver(self) -> ServedModel | None:
        """The orchestrator; versions from before there was one have none."""
        return next((model for model in self.models if model.module == "solver"), None)

    @property
    def content(self) -> str:
        """Digest of what makes a version another one: bytes, limits, policies and the stamp; not its number."""
        bundles = [[b.digest, b.target, b.runtime, b.profile.model_dump()] for b in self.bundles]
        code = [file.sha256 for model in self.models for file in model.code]
        limits = [self.slots, self.queue]
        return sha256_json([self.gated, self.policies, self._thresholds, bundles, code, limits])

    @property
    def files(self) -> Iterator[StoredFile]:
        """Every file of the version beside its manifests and settings, with the digest it must have."""
        for bundle in self.bundles:
            yield from bundle.files
        for model in self.models:
            yield from model.code

    @property
    def _thresholds(self) -> list[tuple[str, float | None]]:
        gates = (gate for bundle in self.bundles for gate in bundle.gates)
        return [(gate.policy, gate.threshold) for gate in gates if gate.policy in self.policies]


def model_name(name: str, module: ServedModule) -> str:
    """The model, and so the directory, of one module of the set ``name``."""
    return name if module == "solver" else f"{name}_{module}"
