"""A model repository on disk: what lies where, and how it is read.

<repository>/hrm-trt.json             the marker: which model directories hrm-trt wrote
             .hrm-trt.lock            held by a publisher at work
             <name>/                  the solver, which clients call; one directory per model, as Triton wants it
                 config.pbtxt         names the current version and no other; written last of all
                 <N>/model.py         what Triton starts
                     engines/, …      copies of what it imports
                     settings.json    sizes, policies, and the models that it calls, all of version N
                     carry.npz        the initial carry
                     puzzle_table.npy the puzzle table, where it is too large for a graph
                     manifest.json    the version's manifest, the same in every model of the set
             <name>_encoder/          an engine
                 config.pbtxt         names every version that the solver may call
                 <N>/model.onnx       the engine for CPUs, or one model_<target>.plan for each GPU with its sidecar
                     manifest.json
                 .hrm-trt/            what a publisher has not put in place yet, or is removing
             <name>_segment/          and _executor, _planner

A set is what one name stands for: its models share their version numbers, and a solver calls engines of its own version
only. So the solver's configuration is what commits a version: a server that starts at any moment finds one whole
version behind it. A version counts only when every model of it is there. Files in a version's manifest are relative to
the repository, so a published bundle is opened by the code that opens bundle directories.

Triton reads ``<N>.tmp`` as version N (it parses the leading digits), so nothing unfinished has such a name.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from pydantic import ValidationError

from hrm.documents import Document
from hrm.errors import RepositoryError
from hrm.files import is_file, sha256_file
from triton_models.config import CONFIG, parse_config
from triton_models.manifest import Marker, VersionManifest, model_name

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator
    from pathlib import Path

    from engines.bundle import BundleManifest, StoredFile, Topology

    Verify = Callable[[Path, Iterable[StoredFile]], Iterator[tuple[Path, str]]]
    """``damaged``, or what does the same for files that lie elsewhere."""

MARKER = "hrm-trt.json"
LOCK = ".hrm-trt.lock"
SCRATCH = ".hrm-trt"
MANIFEST = "manifest.json"
D = TypeVar("D", bound=Document)


def read_marker(repository: Path) -> Marker:
    """The marker of a repository of ours.

    Raises:
        RepositoryError: there is none, or it is not one that this version reads.
    """
    return _read(repository / MARKER, Marker, "is not a model repository of hrm-trt")


def is_version_name(name: str) -> bool:
    """Whether a directory of this name is a version: Triton reads ``2.tmp`` as 2, and ignores ``02``."""
    return name.isascii() and name.isdecimal() and not name.startswith("0")


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


def damaged(repository: Path, files: Iterable[StoredFile]) -> Iterator[tuple[Path, str]]:
    """Those of ``files`` that are not what was published, and what is wrong with them."""
    for file in {file.file: file for file in files}.values():
        path = repository / file.file
        if not path.is_file():
            yield path, f"there is no {path.name}"
        elif sha256_file(path) != file.sha256:
            yield path, f"{path.name} is not the file that was published"


def list_published(repository: Path) -> tuple[VersionManifest, ...]:
    """Every version of every set, by name and number: models, digests, verdicts.

    Raises:
        RepositoryError: not a repository of ours.
    """
    names = sorted(read_marker(repository).sets)
    return tuple(version for name in names for version in read_versions(repository, name))


def named_sets(repository: Path, names: Collection[str]) -> tuple[str, ...]:
    """``names``, in order; every set of ``repository`` if there are none.

    Raises:
        RepositoryError: not a repository of ours, or one of them is not there.
    """
    sets = sorted(read_marker(repository).sets)
    for name in names:
        if name not in sets:
            raise RepositoryError(
                f"{repository} holds no set named {name}",
                why=f"published there: {', '.join(sets) or 'nothing'}",
                hint="`hrm-trt repository status REPOSITORY` lists what is there",
            )
    return tuple(names or sets)


def is_published(path: Path) -> bool:
    """Whether ``path`` reads REPOSITORY/NAME, with a set of that name in a repository of ours."""
    return is_file(path.parent / MARKER) and path.name in read_marker(path.parent).sets


def current_version(repository: Path, name: str) -> int | None:
    """The version that a server would serve: the one that the solver's configuration names.

    None where there is no such configuration: nothing of the set was ever committed, or its versions have no solver.

    Raises:
        MissingError: tritonclient is not installed.
    """
    try:
        config = parse_config((repository / model_name(name, "solver") / CONFIG).read_text())
    except (OSError, ValueError):
        return None
    return max(config.version_policy.specific.versions, default=None)


def current_manifest(repository: Path, name: str) -> VersionManifest | None:
    """The version that ``current_version`` names, if it is there.

    Raises:
        RepositoryError: a version directory of the set holds something else.
        MissingError: tritonclient is not installed.
    """
    current = current_version(repository, name)
    return next((version for version in read_versions(repository, name) if version.version == current), None)


def open_published(path: Path, topology: Topology | None = None) -> tuple[Path, BundleManifest]:
    """The bundle of the current version at REPOSITORY/NAME, and the directory that its files are relative to.

    Args:
        path: REPOSITORY/NAME.
        topology: which bundle of the set; the first that was published if None.

    Raises:
        RepositoryError: no such repository, set or topology.
        MissingError: tritonclient is not installed.
    """
    repository, name = path.parent, path.name
    sets = read_marker(repository).sets
    version = _served(repository, name) if name in sets else None
    for bundle in () if version is None else version.bundles:
        if topology in (None, bundle.topology):
            return repository, bundle
    raise RepositoryError(
        f"{repository} holds no {topology or 'bundle'} named {name}",
        why=f"published there: {', '.join(sorted(sets)) or 'nothing'}",
        hint="`hrm-trt inspect REPOSITORY` lists what is there",
    )


def _served(repository: Path, name: str) -> VersionManifest | None:
    """The current version; of a set whose versions have no solver yet, the newest."""
    before_solvers = (version for version in reversed(read_versions(repository, name)) if version.solver is None)
    return current_manifest(repository, name) or next(before_solvers, None)


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
