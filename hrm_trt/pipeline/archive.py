"""One file that carries artefacts to another machine and back: a zip with a manifest of every file's digest."""

from __future__ import annotations

import shutil
import zipfile
from typing import TYPE_CHECKING, Self, TypeVar

from pydantic import ValidationError

from hrm.documents import Document
from hrm.errors import KitError
from hrm.files import atomic_path, sha256_file
from hrm_trt.pipeline.store import MANIFEST as ARTEFACT

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from hrm_trt.pipeline.store import Artefact

_ARTEFACTS = "artefacts"
_HINT = "pack it again, and copy it whole"


class Reference(Document):
    """An artefact of a store, by what the store calls it."""

    stage: str
    key: str

    @classmethod
    def to(cls, artefact: Artefact) -> Self:
        """The reference to ``artefact``."""
        return cls(stage=artefact.manifest.stage, key=artefact.manifest.key)

    @property
    def place(self) -> str:
        """Where it lies, in an archive as in a store."""
        return f"{_ARTEFACTS}/{self.stage}/{self.key}"


class Contents(Document):
    """What every archive says of itself; the kinds of archive add to it."""

    files: dict[str, str]
    """Digests by name."""


Manifest = TypeVar("Manifest", bound=Contents)


def is_archive(path: Path) -> bool:
    """Whether ``path`` is a file that an archive may be in."""
    return path.is_file() and zipfile.is_zipfile(path)


def artefact_files(artefact: Artefact, leave_out: tuple[str, ...] = ()) -> dict[str, Path]:
    """The files of an artefact, by their names in an archive."""
    place = Reference.to(artefact).place
    names = (ARTEFACT, *(name for name in artefact.manifest.files if name not in leave_out))
    return {f"{place}/{name}": artefact.path / name for name in names}


def digests(files: Mapping[str, Path]) -> dict[str, str]:
    """What a manifest says of ``files``."""
    return {name: sha256_file(path) for name, path in sorted(files.items())}


def write(path: Path, name: str, manifest: Contents, files: Mapping[str, Path]) -> None:
    """Write ``manifest`` under ``name`` and ``files`` to the archive ``path``, whole or not at all.

    Raises:
        StorageError: the disk is full or failing.
        UnwritableError: the place cannot be written.
    """
    with atomic_path(path) as scratch, zipfile.ZipFile(scratch, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.writestr(name, manifest.model_dump_json(indent=2))
        for inside, source in sorted(files.items()):
            archive.write(source, inside)


def read(path: Path, name: str, kind: type[Manifest]) -> Manifest:
    """The manifest of the archive ``path``.

    Raises:
        KitError: it is no archive of this kind, or is cut short.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            return kind.model_validate_json(archive.read(name))
    except KeyError as error:
        raise KitError(f"{path} has no {name}", why="it is another kind of file", hint=_HINT) from error
    except (OSError, zipfile.BadZipFile, ValidationError) as error:
        why = str(error).strip().partition("\n")[0]
        raise KitError(
            f"{path} cannot be read", why=f"it is damaged, or of another version: {why}", hint=_HINT
        ) from error


def extract(path: Path, manifest: Contents, home: Path) -> None:
    """Put every file that ``manifest`` names below ``home``, digests checked; nothing else is looked at.

    Raises:
        KitError: a file is missing, is another than was packed, or would lie elsewhere.
        StorageError: the disk is full or failing.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            for name, digest in manifest.files.items():
                _extract(archive, name, digest, home)
    except zipfile.BadZipFile as error:
        raise KitError(f"{path} is damaged", why=str(error), hint=_HINT) from error


def _extract(archive: zipfile.ZipFile, name: str, digest: str, home: Path) -> None:
    target = home / name
    if not target.resolve().is_relative_to(home.resolve()):
        raise KitError(f"{archive.filename} would write outside its place", why=f"it holds {name}", hint=_HINT)
    try:
        source = archive.open(name)
    except KeyError as error:
        raise KitError(f"{archive.filename} is incomplete", why=f"{name} is missing", hint=_HINT) from error
    with atomic_path(target) as scratch, source, scratch.open("wb") as file:
        shutil.copyfileobj(source, file)
    found = sha256_file(target)
    if found != digest:
        target.unlink()
        raise KitError(
            f"{archive.filename} was changed on its way",
            why=f"{name} should have the digest {digest[:12]}… and has {found[:12]}…",
            hint=_HINT,
        )
