"""Writing to a repository so that a server never sees half of anything, whenever the writer is killed.

Directories are written in a scratch directory inside the encoder's and renamed into place or out of it; what a killed
publisher left there, and versions that lack a model, are cleared by the next one.
"""

from __future__ import annotations

import contextlib
import shutil
from typing import TYPE_CHECKING

import filelock

from hrm.errors import RepositoryError, from_os_error
from hrm.files import sync, write_bytes, write_json
from triton_models.config import CONFIG
from triton_models.manifest import Marker, model_name
from triton_models.ownership import check_ours
from triton_models.repository import (
    LOCK,
    MARKER,
    SCRATCH,
    numbered,
    read_marker,
    read_version,
    read_versions,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from triton_models.manifest import VersionManifest

_LOCK_SECONDS = 600.0


@contextlib.contextmanager
def claimed(repository: Path, name: str, models: Sequence[str]) -> Iterator[None]:
    """Hold the repository, made if need be, with the models of the set ``name`` marked as ours.

    Raises:
        RepositoryError: it holds something that hrm-trt did not write, or another publisher keeps it.
        StorageError: the disk is full or failing.
        UnwritableError: it cannot be written.
    """
    try:
        check_ours(repository)
        repository.mkdir(parents=True, exist_ok=True)
        with filelock.FileLock(repository / LOCK, timeout=_LOCK_SECONDS):
            check_ours(repository)
            _mark(repository, name, models)
            yield
    except filelock.Timeout as error:
        raise RepositoryError(
            f"{repository} is being published to by another process",
            why=f"it has held {LOCK} for {_LOCK_SECONDS:.0f} seconds",
            hint="wait for it to end, and run the same command again",
        ) from error
    except OSError as error:
        raise from_os_error(error, repository) from error


@contextlib.contextmanager
def scratch_directory(repository: Path, name: str) -> Iterator[Path]:
    """An empty directory of the set's own, on the repository's disk, that servers ignore."""
    encoder = repository / model_name(name, "encoder")
    scratch = encoder / SCRATCH
    if scratch.exists():
        shutil.rmtree(scratch)
    scratch.mkdir(parents=True)
    try:
        yield scratch
    finally:
        shutil.rmtree(scratch)
        if not any(encoder.iterdir()):
            encoder.rmdir()


def clear_leftovers(repository: Path, name: str, scratch: Path) -> None:
    """Remove versions that lack a model, and files that were never renamed into place.

    Raises:
        RepositoryError: a version directory holds something that hrm-trt did not write.
    """
    complete = {version.version: version for version in read_versions(repository, name)}
    for model in read_marker(repository).sets[name]:
        _unlink_unfinished(repository / model, CONFIG)
        for number, path in list(numbered(repository / model)):
            read_version(path)
            if number not in complete or complete[number].model(model) is None:
                _discard(path, scratch)


def put_in_place(staged: Path, repository: Path, version: VersionManifest) -> None:
    """Rename the model directories' ``version`` from below ``staged`` to below ``repository``."""
    for model in version.models:
        directory = repository / model.name
        directory.mkdir(exist_ok=True)
        (staged / model.name / str(version.version)).rename(directory / str(version.version))
        sync(directory)
    sync(repository)


def remove_version(repository: Path, version: VersionManifest, scratch: Path) -> None:
    """Remove the directories of ``version``."""
    for path in (repository / model.name / str(version.version) for model in version.models):
        if path.exists():
            _discard(path, scratch)


def remove_models(repository: Path, models: Iterable[str], scratch: Path) -> None:
    """Remove whole model directories; of the one that the scratch directory is in, all the rest."""
    for path in (repository / model for model in models):
        if path == scratch.parent:
            (path / CONFIG).unlink(missing_ok=True)
            for _, version in list(numbered(path)):
                _discard(version, scratch)
        elif path.exists():
            _discard(path, scratch)


def remember_models(repository: Path, name: str) -> None:
    """Have the marker name the models of the set ``name`` that are still there; none of them leaves no set."""
    marker = read_marker(repository)
    _write_marker(repository, marker, name, [each for each in marker.sets[name] if _holds_anything(repository / each)])


def write_if_other(path: Path, text: str) -> None:
    """Leave an unchanged file alone: a server that polls would load its model again."""
    if not path.exists() or path.read_text() != text:
        write_bytes(path, text.encode())


def _mark(repository: Path, name: str, models: Sequence[str]) -> None:
    _unlink_unfinished(repository, MARKER)
    marker = read_marker(repository) if (repository / MARKER).exists() else Marker()
    ours = marker.sets.get(name, ())
    for model in models:
        if model not in ours and (repository / model).exists():
            raise RepositoryError(
                f"{repository / model} is not a model of the set {name}",
                why=f"{MARKER} does not list it as a model of {name}; nothing there was changed",
                hint="publish under another --name",
            )
    _write_marker(repository, marker, name, [*ours, *(model for model in models if model not in ours)])


def _write_marker(repository: Path, marker: Marker, name: str, models: Sequence[str]) -> None:
    if marker.sets.get(name) != tuple(models):
        sets = marker.sets | {name: tuple(models)}
        changed = marker.model_copy(update={"sets": {each: theirs for each, theirs in sets.items() if theirs}})
        write_json(repository / MARKER, changed.model_dump(mode="json"))


def _holds_anything(model: Path) -> bool:
    return model.exists() and any(path.name != SCRATCH for path in model.iterdir())


def _unlink_unfinished(directory: Path, name: str) -> None:
    for path in directory.glob(f".{name}.*"):
        path.unlink()


def _discard(path: Path, scratch: Path) -> None:
    """Take a directory out of sight in one step, then delete it."""
    grave = scratch / f"{path.parent.name}-{path.name}"
    path.rename(grave)
    shutil.rmtree(grave)
