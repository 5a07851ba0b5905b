"""Artefacts by content: made once, whole or absent, safe against kills and against other builds.

    <root>/artefacts/<stage>/<key>/   the files, and artefact.json, which is written last
           partial/<key>/             being made, by whoever holds the lock
           locks/<key>.lock

A key is the digest of everything that an artefact depends on: its inputs' digests, its options, the code that makes
it and the libraries that matter.
"""

from __future__ import annotations

import functools
import importlib.metadata
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import filelock
from pydantic import ValidationError

from hrm.documents import Document
from hrm.errors import KitError, from_os_error
from hrm.files import sha256_file, sha256_files, sha256_json, sync, write_json
from hrm_trt.pipeline.events import Emit, Finished, Noted, Started, ignore

MANIFEST = "artefact.json"


class FileRecord(Document):
    """One file of an artefact."""

    sha256: str
    bytes: int
    modified: int
    """Nanoseconds; a file with another time is read again before it is trusted."""


class Manifest(Document):
    """What an artefact was made from and what it holds."""

    format_version: Literal[1] = 1
    stage: str
    key: str
    inputs: dict[str, Any]
    libraries: dict[str, str | None]
    code: str
    files: dict[str, FileRecord]
    value: Any
    seconds: float


class Artefact:
    """A finished artefact in the store."""

    def __init__(self, path: Path, manifest: Manifest, *, cached: bool) -> None:
        self.path = path
        self.manifest = manifest
        self.cached = cached

    @property
    def value(self) -> Any:
        """What the stage returned, as JSON values."""
        return self.manifest.value

    @property
    def digest(self) -> str:
        """The identity of the files and the value, whenever and however fast they were made."""
        files = {name: stored.sha256 for name, stored in self.manifest.files.items()}
        return sha256_json([files, self.value])


@dataclass(frozen=True)
class Step:
    """One artefact to make, and all that it depends on.

    Args:
        stage: what kind of artefact.
        subject: which one, for people.
        inputs: what it is made from, as JSON values: digests and options, never paths.
        code: modules and packages of this project whose code the result depends on.
        libraries: installed packages whose version the result depends on.
    """

    stage: str
    subject: str
    inputs: Mapping[str, Any]
    code: tuple[str, ...]
    libraries: tuple[str, ...] = ()

    @functools.cached_property
    def versions(self) -> dict[str, str | None]:
        """The libraries' installed versions."""
        return {name: version(name) for name in self.libraries}

    @functools.cached_property
    def key(self) -> str:
        """The name of the artefact."""
        return sha256_json([self.stage, dict(self.inputs), self.versions, code_digest(self.code)])


Work = Callable[[Path], Any]
"""Writes an artefact's files into the directory it is given and returns a JSON value."""


class Store:
    """A directory of artefacts.

    Args:
        root: where they live; made when first needed.
        emit: told when an artefact is begun and when it is there.
    """

    def __init__(self, root: Path, emit: Emit = ignore) -> None:
        self.root = root
        self.emit = emit

    def make(self, step: Step, work: Work) -> Artefact:
        """The artefact of ``step``; ``work`` makes it if it isn't there.

        Raises:
            StorageError: the disk is full or failing.
            UnwritableError: the store cannot be written.
        """
        home = self.root / "artefacts" / step.stage / step.key
        began = time.perf_counter()
        artefact = read_artefact(home)
        if artefact is None:
            with self._lock(step.key):
                artefact = read_artefact(home) or self._fill(home, step, work)
        self.emit(Finished(step.stage, step.subject, time.perf_counter() - began, artefact.cached))
        return artefact

    def adopt(self, source: Path) -> Artefact:
        """The artefact that lies at ``source``, which another store has made, in this one.

        Raises:
            KitError: there is none, or it is damaged.
            StorageError: the disk is full or failing.
            UnwritableError: the store cannot be written.
        """
        found = read_artefact(source)
        if found is None:
            raise KitError(f"{source.name} is no artefact", why="it is incomplete", hint="pack it again")
        stage, key = found.manifest.stage, found.manifest.key
        home = self.root / "artefacts" / stage / key
        with self._lock(key):
            known = read_artefact(home)
            if known is None:
                with self._writing(home, key) as scratch:
                    shutil.copytree(source, scratch, dirs_exist_ok=True)
        return known or Artefact(home, found.manifest, cached=False)

    def _fill(self, home: Path, step: Step, work: Work) -> Artefact:
        self.emit(Started(step.stage, step.subject))
        began = time.perf_counter()
        with self._writing(home, step.key) as scratch:
            value = work(scratch)
            files = sorted(path for path in scratch.rglob("*") if path.is_file())
            manifest = Manifest(
                stage=step.stage,
                key=step.key,
                inputs=dict(step.inputs),
                libraries=step.versions,
                code=code_digest(step.code),
                files={path.relative_to(scratch).as_posix(): _describe(path) for path in files},
                value=value,
                seconds=time.perf_counter() - began,
            )
            write_json(scratch / MANIFEST, manifest.model_dump(mode="json"))
        return Artefact(home, manifest, cached=False)

    @contextmanager
    def _writing(self, home: Path, key: str) -> Iterator[Path]:
        """A directory to fill; it becomes ``home`` in one step when the block ends well.

        The key's lock is held, so what lies here was left by a process that was killed.
        """
        scratch = self.root / "partial" / key
        try:
            _remove(scratch)
            scratch.mkdir(parents=True)
            yield scratch
            sync(scratch)
            home.parent.mkdir(parents=True, exist_ok=True)
            _remove(home)  # only ever something that failed to read
            scratch.rename(home)
            sync(home.parent)
        except OSError as error:  # inputs were read and checked before: what fails here is writing
            raise from_os_error(error, error.filename or self.root) from error
        finally:
            shutil.rmtree(scratch, ignore_errors=True)

    @contextmanager
    def _lock(self, key: str) -> Iterator[None]:
        path = self.root / "locks" / f"{key}.lock"
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            lock = self._acquire(path)
        except OSError as error:
            raise from_os_error(error, path) from error
        try:
            yield
        finally:
            lock.release()

    def _acquire(self, path: Path) -> filelock.BaseFileLock:
        lock = filelock.FileLock(path)
        try:
            lock.acquire(timeout=0)
        except filelock.Timeout:
            self.emit(Noted("another build is making the same artefact; waiting for it"))
            lock.acquire()
        return lock


_ALIASES = {"onnxruntime": ("onnxruntime", "onnxruntime-gpu")}


def version(package: str) -> str | None:
    """The installed version of ``package``, under whichever name it is distributed; None where it is not installed."""
    for name in _ALIASES.get(package, (package,)):
        with suppress(importlib.metadata.PackageNotFoundError):
            return importlib.metadata.version(name)
    return None


@functools.cache
def code_digest(packages: tuple[str, ...]) -> str:
    """The digest of these packages' files (``export``, ``hrm.data``…): a changed stage is a new stage."""
    home = Path(__file__).parents[2]
    sources: list[Path] = []
    for package in packages:
        place = home.joinpath(*package.split("."))
        sources += _sources(place) if place.is_dir() else [place.with_suffix(".py")]
    return sha256_files(sources, home)


def _sources(package: Path) -> list[Path]:
    """Every file of a package, templates among them; not what Python compiles, even while it is at it."""
    return [path for path in package.rglob("*") if path.is_file() and "__pycache__" not in path.parts]


def _describe(path: Path) -> FileRecord:
    sync(path)
    status = path.stat()
    return FileRecord(sha256=sha256_file(path), bytes=status.st_size, modified=status.st_mtime_ns)


def _is_whole(path: Path, record: FileRecord) -> bool:
    status = path.stat()
    if status.st_size != record.bytes:
        return False
    return status.st_mtime_ns == record.modified or sha256_file(path) == record.sha256


def read_artefact(home: Path) -> Artefact | None:
    """The artefact at ``home`` if it is whole."""
    try:
        manifest = Manifest.model_validate_json((home / MANIFEST).read_bytes())
        whole = all(_is_whole(home / name, record) for name, record in manifest.files.items())
    except (OSError, ValidationError):
        return None
    return Artefact(home, manifest, cached=True) if whole else None


def _remove(path: Path) -> None:
    if path.exists():
        shutil.rmtree(path)
