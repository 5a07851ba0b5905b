"""The steps of a publication, for those who have something to do between them; ``publish`` takes them all."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hrm.errors import UsageError
from triton_models.checks.solver import settings_fault
from triton_models.manifest import VersionManifest, model_name
from triton_models.planning import plan
from triton_models.repository import current_manifest, damaged, read_versions
from triton_models.serving import (
    check_side_by_side,
    configure_engines,
    difference,
    fitting,
    last_versions,
    make_current,
    make_none_current,
    remove,
)
from triton_models.shelf import claimed, clear_leftovers, put_in_place, scratch_directory
from triton_models.staging import stage

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from triton_models.release import Release
    from triton_models.repository import Verify

QUEUE = 1024
"""Requests that wait for a slot, unless a publisher says otherwise."""


@dataclass(frozen=True)
class Published:
    """What a server finds after a publication."""

    repository: Path | str
    """A directory, or the URL of what lies elsewhere."""
    name: str
    version: int
    models: tuple[str, ...]
    policies: tuple[str, ...]
    gated: bool
    new: bool
    """False where the newest version was this already."""


@dataclass(frozen=True)
class Publication:
    """A version that lies in the repository and is not served yet.

    A server that is running can load the engines now; ``commit`` is what makes a server that starts serve it.
    """

    repository: Path
    version: VersionManifest
    previous: VersionManifest | None
    """The version that is current until ``commit``."""
    side_by_side: bool
    """Whether the engines' configurations name the previous version too, so that its solver goes on answering."""
    new: bool
    keep: int
    scratch: Path

    @property
    def published(self) -> Published:
        """What the publication comes to."""
        version = self.version
        models = tuple(model.name for model in version.models)
        return Published(
            self.repository, version.name, version.version, models, version.policies, version.gated, self.new
        )

    def commit(self) -> None:
        """Make the version the current one."""
        make_current(self.repository, self.version)

    def tidy(self) -> None:
        """Serve and keep the last versions alone, after ``commit``."""
        name, kept = self.version.name, last_versions(self.repository, self.version.name, self.keep)
        configure_engines(self.repository, name, kept)
        older = [version for version in read_versions(self.repository, name) if version not in kept]
        remove(self.repository, name, older, self.scratch)

    def abandon(self) -> None:
        """Make the previous version the current one again, and remove this one if it is new."""
        name = self.version.name
        stay = [each for each in read_versions(self.repository, name) if not (self.new and each == self.version)]
        if self.previous is None or not self.side_by_side:
            make_none_current(self.repository, name)
        else:
            make_current(self.repository, self.previous)  # while the engines' configurations still name both
        configure_engines(self.repository, name, stay if self.previous is None else fitting(self.previous, stay))
        if self.previous is not None:
            make_current(self.repository, self.previous)
        remove(self.repository, name, [self.version] if self.new else [], self.scratch)


@contextlib.contextmanager
def publication(
    bundles: Sequence[Path],
    repository: Path,
    name: str,
    *,
    keep: int,
    slots: int | None = None,
    queue: int = QUEUE,
    allow_ungated: bool = False,
    allow_emulated: bool = False,
    verify: Verify = damaged,
) -> Iterator[Publication]:
    """Put bundles of one checkpoint and precision in place as the next version of the set ``name``, not yet current.

    Afterwards the engines' configurations name it beside the versions that are kept and the current one, so a server
    that loads them serves both. Nobody else can publish to the repository meanwhile.

    Args:
        bundles: bundle directories, at most one of each target and topology, and the same topologies for each target.
        repository: made if it does not exist.
        name: the solver is called this, and the engines ``<name>_<module>``.
        keep: how many versions stay, at least 1.
        slots: how many puzzles run at once; the batch that the engines are fastest at if None.
        queue: how many puzzles may wait for a slot.
        allow_ungated: publish without a passing verdict, and say so in the version's manifest.
        allow_emulated: publish what passed on a CPU in place of its own target; the manifest has its gates' evidence.
        verify: finds files that are not what was published.

    Raises:
        BundleError: a bundle is damaged, or does not belong to the others.
        GateError: a bundle has not passed under ``fixed``, or only on a CPU in place of its own target.
        RepositoryError: the repository holds something else, or the set's older versions take other tensors.
        UsageError: the engines don't take batches of ``slots``, or ``keep`` or ``queue`` leave room for nothing.
        BuildError: Triton could not load what would be published.
        StorageError: the disk is full or failing.
        UnwritableError: the repository cannot be written.
    """
    if keep < 1:
        raise UsageError(f"cannot keep {keep} versions", why="the new one has to stay", hint="pass --keep 1 or more")
    release = plan(bundles, name, slots=slots, queue=queue, allow_ungated=allow_ungated, allow_emulated=allow_emulated)
    with claimed(repository, name, release.models), scratch_directory(repository, name) as scratch:
        clear_leftovers(repository, name, scratch)
        yield _put_beside(release, repository, keep, scratch, verify)


def _put_beside(release: Release, repository: Path, keep: int, scratch: Path, verify: Verify) -> Publication:
    """Make a version of ``release``, unless it is the newest one already, and have its engines served."""
    versions = read_versions(repository, release.name)
    previous = current_manifest(repository, release.name)
    new = not (versions and _is_published(release, repository, versions[-1], verify))
    version = release.numbered(versions[-1].version + 1 if versions else 1) if new else versions[-1]
    kept = [*versions, version][-keep:] if new else versions[-keep:]
    check_side_by_side(kept)
    if new:
        stage(release, version, scratch / "new")
        put_in_place(scratch / "new", repository, version)
    side_by_side = previous is None or difference(previous, version) is None
    if not side_by_side:
        make_none_current(repository, release.name)  # its engines go now, and a solver without them would only fail
    served = [each for each in read_versions(repository, release.name) if each in kept or each == previous]
    configure_engines(repository, release.name, fitting(version, served))
    return Publication(repository, version, previous, side_by_side, new, keep, scratch)


def _is_published(release: Release, repository: Path, newest: VersionManifest, verify: Verify) -> bool:
    """Whether the newest version is this release, and undamaged."""
    if newest.content != release.content:
        return False
    settings = repository / model_name(newest.name, "solver") / str(newest.version)
    return not any(verify(repository, newest.files)) and settings_fault(settings, newest) is None
