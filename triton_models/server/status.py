"""What a repository holds, which version of each set it names, and what a server makes of that."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from triton_models.repository import current_version, read_marker, read_versions
from triton_models.server.control import READY, versions_of
from triton_models.server.loading import engines_called

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from triton_models.manifest import VersionManifest
    from triton_models.server.control import Control, Held


@dataclass(frozen=True)
class SetStatus:
    """One set."""

    name: str
    current: int | None
    """The version that a server that starts would serve."""
    versions: tuple[VersionManifest, ...]
    """Oldest first."""
    served: tuple[int, ...] | None
    """Those whose solver takes requests; None where no server was asked."""
    differences: tuple[str, ...]
    """Where the server is not as the repository says."""


def status(repository: Path, control: Control | None = None) -> tuple[SetStatus, ...]:
    """Every set of ``repository`` by name, and how the server serves it, if there is one.

    Raises:
        RepositoryError: not a repository of ours.
        ServerError: the server does not answer.
        MissingError: tritonclient is not installed.
    """
    index = None if control is None else control.index()
    return tuple(_set_status(repository, name, index) for name in sorted(read_marker(repository).sets))


def _set_status(repository: Path, name: str, index: tuple[Held, ...] | None) -> SetStatus:
    versions, current = read_versions(repository, name), current_version(repository, name)
    wanted = next((version for version in versions if version.version == current), None)
    served = None if index is None else versions_of(index, name, READY)
    differences = () if index is None else tuple(_differences(name, wanted, index))
    return SetStatus(name, current, versions, served, differences)


def _differences(name: str, wanted: VersionManifest | None, index: tuple[Held, ...]) -> Iterator[str]:
    served = versions_of(index, name, READY)
    if wanted is None:
        if served:
            yield f"version {_listed(served)} of {name} is being served, and the repository names none"
        return
    if name not in {held.model for held in index}:
        yield f"the server does not see {name}: it reads another repository"
        return
    if served != (wanted.version,):
        yield f"the repository names version {wanted.version} of {name}, and {_listed(served)} is being served"
    for engine in engines_called(wanted):
        if wanted.version not in versions_of(index, engine, READY):
            yield f"{engine} is not loaded in version {wanted.version}"


def _listed(versions: tuple[int, ...]) -> str:
    return " and ".join(map(str, versions)) or "none"
