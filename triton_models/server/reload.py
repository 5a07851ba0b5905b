"""Having a server serve what its repository says: after a restart, a crash, or a roll-out through another server."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hrm.errors import RepositoryError
from triton_models.repository import current_manifest, named_sets, read_versions
from triton_models.server.loading import engines_of_set, limits_of
from triton_models.server.probe import probe
from triton_models.serving import fitting

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

    from triton_models.manifest import VersionManifest
    from triton_models.server.loading import Loading
    from triton_models.server.probe import Health, Limits


def serve_current(loading: Loading, repository: Path, name: str) -> Health:
    """Serve the version of the set ``name`` that the repository says, and look at an answer.

    A solver that answers in that version is left alone. One that answers in another goes on until the new one does,
    unless their engines cannot be served at once. What does not answer is loaded afresh.

    Raises:
        RepositoryError: no version of the set is current, or the server reads another repository.
        ServerError: a model cannot be loaded, or gives no sound answer.
    """
    version, engines = _current(repository, name), engines_of_set(repository, name)
    served, answers = loading.control.ready(name), loading.answers(name)
    if answers and served == (version.version,):
        health = probe(loading.control, name, loading.seconds, limits_of(version))
    else:
        if not answers:
            _unload(loading, (name, *engines))
        elif not _fit(repository, version, served):
            loading.stop(name)
        loading.engines(version)
        health = loading.solver(version)
    if answers:
        loading.wait_for_end(name, set(served) - {version.version})
    loading.refresh(repository, name, engines)
    return health


def current_limits(repository: Path, names: Collection[str]) -> dict[str, Limits]:
    """What must answer for each of the sets called ``names``, or all: its current version, within its limits.

    Raises:
        RepositoryError: there is no such set, or no version of it is current.
    """
    return {name: limits_of(_current(repository, name)) for name in named_sets(repository, names)}


def _current(repository: Path, name: str) -> VersionManifest:
    version = current_manifest(repository, name)
    if version is None:
        raise RepositoryError(
            f"no version of {name} in {repository} is to be served",
            why="its solver's configuration names none that is there",
            hint=f"publish its bundle, or name a version: `hrm-trt rollback {name} --to N --repository {repository}`",
        )
    return version


def _fit(repository: Path, version: VersionManifest, served: tuple[int, ...]) -> bool:
    """Whether the engines of ``version`` can be loaded beside those of the versions that are served."""
    beside = {each.version for each in fitting(version, read_versions(repository, version.name))}
    return set(served) <= beside


def _unload(loading: Loading, models: tuple[str, ...]) -> None:
    """Unload a set that does not answer, and wait for nothing: what died never ends.

    Triton keeps what is loaded and did not change, dead or alive, when it is asked to load it again.
    """
    for model in filter(loading.control.ready, models):
        loading.tell(f"unloading {model}")
        loading.control.unload(model)
