"""Publishing gated bundles as a new version of a set of models; see ``repository`` for what lies where."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from engines.bundle import verify_files
from hrm.errors import BuildError, BundleError, RepositoryError, UsageError
from hrm.files import sync, write_json
from triton_models.config import CONFIG, config_text
from triton_models.preflight import check_model
from triton_models.release import plan
from triton_models.repository import MANIFEST, VersionManifest, content_digest, read_versions
from triton_models.shelf import claimed, clear_leftovers, describe, put_in_place, scratch_directory, settle

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from triton_models.release import Release


@dataclass(frozen=True)
class Published:
    """What a server finds after a publication."""

    repository: Path
    name: str
    version: int
    models: tuple[str, ...]
    policies: tuple[str, ...]
    gated: bool
    new: bool
    """False where the newest version was this already."""


def publish(
    bundles: Sequence[Path],
    repository: Path,
    name: str,
    *,
    keep: int,
    allow_ungated: bool = False,
    allow_emulated: bool = False,
) -> Published:
    """Publish bundles of one checkpoint, target and precision as the next version of the set ``name``.

    Publishing the same bytes with the same policies as the newest version changes nothing and returns that version.

    Args:
        bundles: bundle directories, at most one of each topology.
        repository: made if it does not exist.
        name: the models are called ``<name>_<module>``.
        keep: how many versions stay, at least 1.
        allow_ungated: publish without a passing verdict, and say so in the version's manifest.
        allow_emulated: publish what passed on a CPU in place of its own target; the manifest has its gates' evidence.

    Raises:
        BundleError: a bundle is damaged, or does not belong to the others.
        GateError: a bundle has not passed under ``fixed``, or only on a CPU in place of its own target.
        RepositoryError: the repository holds something else, or the set's older versions take other tensors.
        BuildError: Triton could not load what would be published.
        StorageError: the disk is full or failing.
        UnwritableError: the repository cannot be written.
    """
    if keep < 1:
        raise UsageError(f"cannot keep {keep} versions", why="the new one has to stay", hint="pass --keep 1 or more")
    release = plan(bundles, name, allow_ungated=allow_ungated, allow_emulated=allow_emulated)
    with claimed(repository, name, release.models), scratch_directory(repository, name) as scratch:
        clear_leftovers(repository, name, scratch)
        versions = read_versions(repository, name)
        new = not (versions and _is_published(release, repository, versions[-1]))
        if not new:
            version = versions[-1]
        else:
            version = release.numbered(versions[-1].version + 1 if versions else 1)
            _check_one_configuration((*versions, version)[-keep:])
            _stage(release, version, scratch / "new")
            put_in_place(scratch / "new", repository, version)
        settle(repository, name, keep, scratch)
    models = tuple(model.name for model in version.models)
    return Published(repository, name, version.version, models, version.policies, version.gated, new)


def _is_published(release: Release, repository: Path, newest: VersionManifest) -> bool:
    """Whether the newest version is this release, and undamaged."""
    if content_digest(newest.gated, newest.policies, newest.bundles) != release.content:
        return False
    try:
        for bundle in newest.bundles:
            verify_files(repository, bundle)
    except BundleError:
        return False
    return True


def _check_one_configuration(versions: Sequence[VersionManifest]) -> None:
    """Triton has one configuration per model, so all versions that stay must fit the newest one's."""
    newest = versions[-1]
    shared = ((older, model.name) for older in versions[:-1] for model in newest.models if older.model(model.name))
    for older, model in shared:
        then, now = describe(model, [older]), describe(model, [newest])
        if replace(then, versions=()) != replace(now, versions=()):
            raise RepositoryError(
                f"version {older.version} of {model} and the new one cannot be served side by side",
                why="their tensors, batch limit or runtime differ, and Triton has one configuration per model",
                hint="publish under another --name, or with --keep 1 to replace the older versions",
            )


def _stage(release: Release, version: VersionManifest, root: Path) -> None:
    """Write ``version`` below ``root`` as a repository of its own, and check that Triton could load it."""
    for placed, source in release.files(version).items():
        target = root / placed
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)
        sync(target)
    for model in version.models:
        (root / model.name / CONFIG).write_text(config_text(describe(model.name, [version])))
        write_json(root / model.name / str(version.version) / MANIFEST, version.model_dump(mode="json"))
        sync(root / model.name / str(version.version))
        for problem in check_model(root / model.name):
            raise BuildError(f"Triton could not load {problem.model}", why=problem.what, hint=problem.hint)
