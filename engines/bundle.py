"""A bundle on disk: the engines that solve a puzzle together, the carry they start from, and what the gate said.

<bundle>/bundle.json       the manifest below
         carry.npz         z_H, z_L [D]: the initial carry, in the type of the engines' inputs
         puzzle_table.npy  [identifiers, E], only where the table is too large for a graph
         encoder.onnx      one file per engine; a TensorRT plan has what its builder said of it in <plan>.json
         ...
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, Self

from pydantic import ValidationError, model_validator

from engines.act import PolicyName
from export.contract import Module
from hrm.documents import Document
from hrm.errors import BundleError
from hrm.files import sha256_file, sha256_json

if TYPE_CHECKING:
    from pathlib import Path

Topology = Literal["segment", "planner-executor"]
MANIFEST = "bundle.json"
MODULES: dict[Topology, tuple[Module, ...]] = {
    "segment": ("encoder", "segment"),
    "planner-executor": ("encoder", "executor", "planner"),
}


class Range(Document):
    """The sizes that an engine is built for along one axis."""

    min: int
    opt: int
    max: int

    @model_validator(mode="after")
    def _is_ordered(self) -> Self:
        if not 1 <= self.min <= self.opt <= self.max:
            raise ValueError("it should be 1 ≤ min ≤ opt ≤ max")
        return self


class Profile(Document):
    """The batches and sequence lengths that an engine is built for."""

    batch: Range
    sequence: Range


class StoredFile(Document):
    """A file of the bundle and the digest it must have."""

    file: str
    sha256: str
    bytes: int


class EngineFile(StoredFile):
    """One engine of the bundle."""

    module: Module
    precision: str
    sidecar: StoredFile | None = None
    """What the builder said of it."""


class GateRecord(Document):
    """One verdict: this bundle's engines under one policy against PyTorch under ``fixed``."""

    bundle: str
    engines: tuple[str, ...]
    target: str
    precision: str
    policy: PolicyName
    evidence: Literal["on-target", "emulated"]
    baseline_exact: float
    engine_exact: float
    flips_lost: int
    flips_won: int
    n: int
    lower_bound: float
    upper_bound: float
    tolerance: float
    unit: Literal["points", "relative"]
    verdict: Literal["pass", "fail", "inconclusive"]
    reason: str
    mean_depth: float
    threshold: float | None = None
    emulated: tuple[str, ...] = ()
    """Digests of the graphs that ran on a CPU in place of the engines."""


class BundleManifest(Document):
    """What a bundle is, where it came from and what it is worth."""

    format_version: Literal[1] = 1
    name: str
    topology: Topology
    target: str
    precision: str
    runtime: str
    architecture: dict[str, Any]
    """``HRMConfig.to_dict()``"""
    profile: Profile
    engines: tuple[EngineFile, ...]
    carry: StoredFile
    puzzle_table: StoredFile | None = None
    vocabulary: tuple[str, ...] | None = None
    """What each token id is written as; only for tasks of a user's own (``hrm.data.vocabulary``)."""
    origin: dict[str, Any]
    """Digests of the checkpoint and the data set, versions, and how attention is computed."""
    gates: tuple[GateRecord, ...] = ()

    @property
    def digest(self) -> str:
        """The identity of what runs: the engines' and the carry's bytes, whatever the name and the verdicts."""
        return sha256_json([self.topology, sorted(file.sha256 for file in self._running)])

    @property
    def files(self) -> tuple[StoredFile, ...]:
        """Every file beside the manifest."""
        return (*self._running, *(engine.sidecar for engine in self.engines if engine.sidecar is not None))

    @property
    def _running(self) -> tuple[StoredFile, ...]:
        table = () if self.puzzle_table is None else (self.puzzle_table,)
        return (self.carry, *table, *self.engines)

    def engine(self, module: Module) -> EngineFile:
        """The engine of ``module``."""
        return next(engine for engine in self.engines if engine.module == module)

    def passed(self, *, emulated: bool = True) -> tuple[str, ...]:
        """The policies whose gate passed for exactly these engines; without ``emulated``, on their own target alone."""
        ours = sorted(engine.sha256 for engine in self.engines)
        return tuple(
            gate.policy
            for gate in self.gates
            if gate.verdict == "pass" and sorted(gate.engines) == ours and (emulated or gate.evidence == "on-target")
        )


def read_manifest(directory: Path) -> BundleManifest:
    """The manifest of the bundle in ``directory``.

    Raises:
        BundleError: there is none, or it is not one of this version's.
    """
    path = directory / MANIFEST
    try:
        return BundleManifest.model_validate_json(path.read_bytes())
    except OSError as error:
        raise BundleError(
            f"no bundle at {directory}",
            why=f"{path.name} cannot be read: {error.strerror}",
            hint="`hrm-trt build` makes one and prints its name",
        ) from error
    except ValidationError as error:
        first = error.errors()[0]
        raise BundleError(
            f"{path} is not a bundle's manifest",
            why=f"{'.'.join(map(str, first['loc'])) or 'document'}: {first['msg']}",
            hint="build the bundle again with this version of hrm-trt",
        ) from error


def verify_files(directory: Path, manifest: BundleManifest) -> None:
    """Check every file's digest against the manifest.

    Raises:
        BundleError: a file is missing or is not the one that was built and gated.
    """
    for stored in manifest.files:
        path = directory / stored.file
        found = sha256_file(path) if path.is_file() else "no file"
        if found != stored.sha256:
            raise BundleError(
                f"{path} is not the file that was built",
                why=f"its digest should be {stored.sha256[:12]}… and is {found[:12]}",
                hint="build the bundle again: what was gated is no longer there",
            )
