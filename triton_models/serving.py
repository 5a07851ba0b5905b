"""Which versions a repository's configurations have a server load, and how that changes on disk."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from engines.targets import TARGETS
from hrm.config import HRMConfig
from hrm.errors import RepositoryError
from triton_models.config import CONFIG, PLATFORMS, ModelDescription, config_text, tensor
from triton_models.manifest import model_name
from triton_models.repository import current_version, read_marker, read_versions
from triton_models.shelf import remember_models, remove_models, remove_version, write_if_other
from triton_models.solver_model import graph_batches, solver_bundle, solver_config

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from export.contract import TensorSpec
    from triton_models.config import Tensor
    from triton_models.manifest import ServedModel, VersionManifest


def describe(model: str, versions: Sequence[VersionManifest]) -> ModelDescription:
    """What Triton has to know about the engine ``model`` to serve those of ``versions`` that have it, one at least."""
    having = [(version, served) for version in versions if (served := version.model(model))]
    newest, served = having[-1]
    platform = PLATFORMS[served.runtime]
    batches = {batch for version, _ in having for batch in _graph_batches(version)}
    return ModelDescription(
        name=model,
        platform=platform,
        max_batch=served.max_batch,
        inputs=tuple(map(tensor, served.inputs)),
        outputs=tuple(map(tensor, served.outputs)),
        versions=tuple(version.version for version, _ in having),
        filename=_default_file(served) or platform.filename,
        filenames=_files_by_capability(served),
        graph_inputs=tuple(_sized(spec, newest) for spec in served.inputs) if batches else (),
        graph_batches=tuple(sorted(batches)),
        # A look-up: threads of its own would spin on after it, on the cores that the next segment needs.
        threads=1 if platform.kind == "KIND_CPU" and served.module == "encoder" else None,
    )


def difference(older: VersionManifest, newer: VersionManifest) -> str | None:
    """The first engine of both that one configuration cannot stand for; None where Triton can serve both at once."""
    for model in newer.models:
        if model.module != "solver" and older.model(model.name):
            then, now = describe(model.name, [older]), describe(model.name, [newer])
            if _lasting(then) != _lasting(now):
                return model.name
    return None


def fitting(version: VersionManifest, others: Iterable[VersionManifest]) -> list[VersionManifest]:
    """Those of ``others`` that Triton can serve at once with ``version``."""
    return [each for each in others if difference(each, version) is None]


def check_side_by_side(versions: Sequence[VersionManifest]) -> None:
    """Refuse versions of which one could not be served beside the newest.

    Raises:
        RepositoryError: an engine's tensors, batch limit, targets or runtime differ.
    """
    newest = versions[-1]
    for older in versions[:-1]:
        model = difference(older, newest)
        if model is not None:
            raise RepositoryError(
                f"version {older.version} of {model} and the new one cannot be served side by side",
                why="their tensors, batch limit, targets or runtime differ, and Triton has one configuration per model",
                hint="publish under another --name, or with --keep 1 to replace the older versions",
            )


def configure_engines(repository: Path, name: str, versions: Sequence[VersionManifest]) -> None:
    """Have every engine of the set ``name`` served in those of ``versions`` that have it."""
    for model in read_marker(repository).sets[name]:
        if model != model_name(name, "solver") and any(version.model(model) for version in versions):
            write_if_other(repository / model / CONFIG, config_text(describe(model, versions)))


def make_current(repository: Path, version: VersionManifest) -> None:
    """Have the solver of ``version`` served, in place of any other: the step that commits it."""
    solver = solver_of(version)
    write_if_other(repository / solver.name / CONFIG, solver_config(version, solver))


def solver_of(version: VersionManifest) -> ServedModel:
    """The solver of ``version``.

    Raises:
        RepositoryError: it has none.
    """
    if version.solver is None:
        raise RepositoryError(
            f"version {version.version} of {version.name} cannot be made the current one",
            why="it was published before there was a solver, and its engines alone answer no puzzle",
            hint="publish its bundle again",
        )
    return version.solver


def make_none_current(repository: Path, name: str) -> None:
    """Have no solver of the set ``name`` served."""
    (repository / model_name(name, "solver") / CONFIG).unlink(missing_ok=True)


def remove(repository: Path, name: str, versions: Sequence[VersionManifest], scratch: Path) -> None:
    """Remove ``versions`` of the set ``name``, which no configuration names any more, and models that end with them."""
    for version in versions:
        remove_version(repository, version, scratch)
    left = {model.name for version in read_versions(repository, name) for model in version.models}
    remove_models(repository, set(read_marker(repository).sets[name]) - left, scratch)
    remember_models(repository, name)


def last_versions(repository: Path, name: str, keep: int) -> list[VersionManifest]:
    """The last ``keep`` versions of the set ``name``, and the current one wherever it stands; oldest first."""
    versions, current = read_versions(repository, name), current_version(repository, name)
    recent = {version.version for version in versions[-keep:]}
    return [version for version in versions if version.version in recent | {current}]


def _lasting(model: ModelDescription) -> ModelDescription:
    """``model`` without what may differ between versions that are served at once."""
    return replace(model, versions=(), graph_batches=(), graph_inputs=())


def _graph_batches(version: VersionManifest) -> Iterable[int]:
    bundle = solver_bundle(version)
    return graph_batches(bundle.target, version.slots, bundle.profile)


def _files_by_capability(model: ServedModel) -> tuple[tuple[str, str], ...]:
    return tuple(
        (target.compute_capability, engine.file)
        for engine in model.engines
        for target in TARGETS.values()
        if target.name == engine.target and target.compute_capability is not None
    )


def _default_file(model: ServedModel) -> str | None:
    """What a GPU that no target names should try: a plan for all newer ones, if there is one."""
    portable = (engine.file for engine in model.engines if engine.hardware_compatible)
    return next(portable, model.engines[0].file if model.engines else None)


def _sized(spec: TensorSpec, version: VersionManifest) -> Tensor:
    """``spec`` with the sizes of the model in place of the axes' names."""
    config = HRMConfig.from_dict(solver_bundle(version).architecture)
    sizes: dict[int | str, int | str] = {"tokens": config.tokens, "sequence": config.seq_len}
    return tensor(spec._replace(shape=tuple(sizes.get(size, size) for size in spec.shape)))
