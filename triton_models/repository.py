"""A model repository on disk: what lies where, the documents in it, and how they are read.

<repository>/hrm-trt.json             the marker: which model directories hrm-trt wrote
             .hrm-trt.lock            held by a publisher at work
             <name>_encoder/          one directory per model, as Triton wants it
                 config.pbtxt         names the versions to serve; written last
                 <N>/model.onnx       the engine
                     manifest.json    the version's manifest, the same in every model of the set
                     carry.npz        the initial carry  } only in the encoder's directory: every set has
                     puzzle_table.npy the puzzle table   } one, and a request needs them before its first segment
                 .hrm-trt/            what a publisher has not put in place yet, or is removing
             <name>_segment/          and _executor, _planner

A set is what one name stands for: its models share their version numbers. A version counts only when every model of it
is there. Files in a version's manifest are relative to the repository, so a published bundle is opened by the same code
as a bundle directory: with the repository in the directory's place.

Triton reads ``<N>.tmp`` as version N (it parses the leading digits), so nothing unfinished has such a name.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import TYPE_CHECKING, Literal, TypeVar

from pydantic import Field, ValidationError

from engines.bundle import BundleManifest, Topology
from export.contract import Module, TensorSpec
from hrm.documents import Document
from hrm.errors import RepositoryError, from_os_error
from hrm.files import is_file, sha256_json

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

MARKER = "hrm-trt.json"
LOCK = ".hrm-trt.lock"
SCRATCH = ".hrm-trt"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
MANIFEST = "manifest.json"
D = TypeVar("D", bound=Document)


class Marker(Document):
    """Which models of a repository are ours."""

    format_version: Literal[1] = 1
    sets: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    """Names to their models."""


class ServedModel(Document):
    """One model of a version, as Triton serves it."""

    name: str
    module: Module
    runtime: str
    max_batch: int
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]


class VersionManifest(Document):
    """One version of a set: its models, and the bundles they come from with their verdicts and origins."""

    format_version: Literal[1] = 1
    name: str
    version: int
    gated: bool
    """Whether every bundle passed under ``fixed``; False only where the publisher asked for that."""
    policies: tuple[str, ...]
    """Those that passed in every bundle; no others are offered."""
    published: datetime
    """UTC"""
    models: tuple[ServedModel, ...]
    bundles: tuple[BundleManifest, ...]
    """Their files relative to the repository."""

    def model(self, name: str) -> ServedModel | None:
        """The model of this name, if the version has it."""
        return next((model for model in self.models if model.name == name), None)


def model_name(name: str, module: Module) -> str:
    """The model, and so the directory, of one module of the set ``name``."""
    return f"{name}_{module}"


def content_digest(gated: bool, policies: Sequence[str], bundles: Sequence[BundleManifest]) -> str:
    """Digest of what makes a publication another one: bytes, limits, policies and the stamp; not its number."""
    thresholds = [[gate.policy, gate.threshold] for b in bundles for gate in b.gates if gate.policy in policies]
    parts = [[b.digest, b.target, b.runtime, b.profile.model_dump()] for b in bundles]
    return sha256_json([gated, policies, thresholds, parts])


def read_marker(repository: Path) -> Marker:
    """The marker of a repository of ours.

    Raises:
        RepositoryError: there is none, or it is not one that this version reads.
    """
    return _read(repository / MARKER, Marker, "is not a model repository of hrm-trt")


def is_version_name(name: str) -> bool:
    """Whether a directory of this name is a version: Triton reads ``2.tmp`` as 2, and ignores ``02``."""
    return name.isascii() and name.isdecimal() and not name.startswith("0")


def check_destination(repository: Path, name: str) -> None:
    """Refuse, before any work, what publishing would refuse at its end.

    Raises:
        RepositoryError: no model can have this name, or the repository holds something else.
        UnwritableError: it cannot be looked into.
    """
    check_name(name)
    try:
        check_ours(repository)
    except OSError as error:
        raise from_os_error(error, repository) from error


def check_name(name: str) -> None:
    """Refuse what cannot be a directory's name or stand in a URL.

    Raises:
        RepositoryError: no model can have this name.
    """
    if not _NAME.fullmatch(name):
        raise RepositoryError(
            f"{name!r} cannot be a model's name",
            why="it becomes the name of directories and a part of URLs",
            hint="use letters, digits, '-', '_' and '.', starting with a letter or digit",
        )


def check_ours(repository: Path) -> None:
    """Refuse a directory with contents but no marker; the beginnings of our own are no contents.

    Raises:
        RepositoryError: it holds something that hrm-trt did not write.
    """
    if (repository / MARKER).is_file():
        read_marker(repository)
        return
    entries = repository.iterdir() if repository.is_dir() else iter(())
    others = sorted(path.name for path in entries if path.name != LOCK and not path.name.startswith(f".{MARKER}."))
    if others:
        raise RepositoryError(
            f"{repository} is not a model repository of hrm-trt",
            why=f"it holds {others[0]} and no {MARKER}; nothing there was changed",
            hint="publish to an empty or new directory, and give the server both with --model-repository",
        )


def numbered(model: Path) -> Iterator[tuple[int, Path]]:
    """The version directories of a model."""
    if not model.is_dir():
        return
    for path in model.iterdir():
        if path.is_dir() and is_version_name(path.name):
            yield int(path.name), path


def read_version(directory: Path) -> VersionManifest:
    """The manifest in a version directory.

    Raises:
        RepositoryError: there is none, or it is not one that this version reads.
    """
    return _read(directory / MANIFEST, VersionManifest, "is not a version that hrm-trt published")


def read_versions(repository: Path, name: str) -> tuple[VersionManifest, ...]:
    """The complete versions of a set, oldest first.

    Raises:
        RepositoryError: a version directory of the set holds something else.
    """
    found = (read_version(path) for _, path in sorted(numbered(repository / model_name(name, "encoder"))))
    return tuple(version for version in found if _is_complete(repository, version))


def list_published(repository: Path) -> tuple[VersionManifest, ...]:
    """Every version of every set, by name and number: models, digests, verdicts.

    Raises:
        RepositoryError: not a repository of ours.
    """
    names = sorted(read_marker(repository).sets)
    return tuple(version for name in names for version in read_versions(repository, name))


def is_published(path: Path) -> bool:
    """Whether ``path`` reads REPOSITORY/NAME, with a set of that name in a repository of ours."""
    return is_file(path.parent / MARKER) and path.name in read_marker(path.parent).sets


def open_published(path: Path, topology: Topology | None = None) -> tuple[Path, BundleManifest]:
    """The newest published bundle at REPOSITORY/NAME, and the directory that its files are relative to.

    Args:
        path: REPOSITORY/NAME.
        topology: which bundle of the set; the first that was published if None.

    Raises:
        RepositoryError: no such repository, set or topology.
    """
    repository, name = path.parent, path.name
    sets = read_marker(repository).sets
    versions = read_versions(repository, name) if name in sets else ()
    bundles = versions[-1].bundles if versions else ()
    for bundle in bundles:
        if topology in (None, bundle.topology):
            return repository, bundle
    raise RepositoryError(
        f"{repository} holds no {topology or 'bundle'} named {name}",
        why=f"published there: {', '.join(sorted(sets)) or 'nothing'}",
        hint="`hrm-trt inspect REPOSITORY` lists what is there",
    )


def _is_complete(repository: Path, version: VersionManifest) -> bool:
    manifests = (repository / model.name / str(version.version) / MANIFEST for model in version.models)
    return all(path.is_file() and read_version(path.parent) == version for path in manifests)


def _read(path: Path, kind: type[D], what: str) -> D:
    try:
        return kind.model_validate_json(path.read_bytes())
    except OSError as error:
        why = f"{path.name} cannot be read: {error.strerror}"
    except ValidationError as error:
        first = error.errors()[0]
        why = f"{path.name}: {'.'.join(map(str, first['loc'])) or 'document'}: {first['msg']}"
    raise RepositoryError(
        f"{path.parent} {what}", why=why, hint="check the path; `hrm-trt publish` makes a repository in an empty place"
    )
