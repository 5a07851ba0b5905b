"""Going back to a version that was kept: what a repository needs of a roll-back, on disk."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from hrm.errors import RepositoryError
from triton_models.publication import Publication
from triton_models.repository import current_manifest, current_version, damaged, named_sets, read_marker, read_versions
from triton_models.serving import configure_engines, difference, fitting, make_none_current, solver_of
from triton_models.shelf import claimed, clear_leftovers, scratch_directory

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from triton_models.manifest import VersionManifest
    from triton_models.repository import Verify


@contextlib.contextmanager
def going_back(
    repository: Path, name: str, version: int | None = None, verify: Verify = damaged
) -> Iterator[Publication]:
    """Take a version that was kept as one to be published again: served when that is committed.

    Args:
        repository: a repository of ours.
        name: the set's.
        version: the newest of those before the current one if None.
        verify: finds files that are not what was published.

    Raises:
        RepositoryError: there is no such set or version, it has no solver, or its files were changed.
        UnwritableError: the repository cannot be written.
    """
    with _set_at_work(repository, name) as scratch:
        clear_leftovers(repository, name, scratch)
        wanted = _find(repository, name, _before_current(repository, name) if version is None else version)
        solver_of(wanted)
        for path, what in verify(repository, wanted.files):
            raise RepositoryError(
                f"version {wanted.version} of {name} cannot be made the current one",
                why=f"in {path.parent} {what}",
                hint="choose another version, or publish its bundle again",
            )
        versions, previous = read_versions(repository, name), current_manifest(repository, name)
        side_by_side = previous is None or difference(previous, wanted) is None
        if not side_by_side:
            make_none_current(repository, name)  # its engines go now, and a solver without them would only fail
        configure_engines(repository, name, fitting(wanted, versions))
        yield Publication(repository, wanted, previous, side_by_side, new=False, keep=len(versions), scratch=scratch)


def restore(repository: Path, name: str, version: int) -> None:
    """Make a version that was kept the current one again; errors as for ``going_back``."""
    with going_back(repository, name, version) as work:
        work.commit()


@contextlib.contextmanager
def _set_at_work(repository: Path, name: str) -> Iterator[Path]:
    """Hold a repository with the set ``name``; the scratch directory in it."""
    named_sets(repository, [name])
    with claimed(repository, name, read_marker(repository).sets[name]), scratch_directory(repository, name) as scratch:
        yield scratch


def _before_current(repository: Path, name: str) -> int:
    current = current_version(repository, name)
    older = [each.version for each in read_versions(repository, name) if current and each.version < current]
    if not older:
        raise RepositoryError(
            f"there is no version of {name} to go back to",
            why=f"version {current} is the current one, and none before it was kept" if current else "none is current",
            hint="name one with --to; `hrm-trt repository status` lists what is there",
        )
    return max(older)


def _find(repository: Path, name: str, version: int) -> VersionManifest:
    versions = read_versions(repository, name)
    for each in versions:
        if each.version == version:
            return each
    raise RepositoryError(
        f"{name} has no version {version}",
        why=f"there are: {', '.join(str(each.version) for each in versions) or 'none'}",
        hint="`hrm-trt publish --keep N` says how many versions stay",
    )
