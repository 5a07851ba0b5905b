"""Whether a server's TensorRT loads the plans of a model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from engines.tensorrt.fit import loads
from hrm.errors import RepositoryError
from triton_models.images import image_for
from triton_models.repository import list_published, read_version

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from triton_models.checks.common import Finding


def has_plans(repository: Path) -> bool:
    """Whether any version in ``repository`` has a TensorRT plan.

    Raises:
        RepositoryError: not a repository of ours.
    """
    models = (model for version in list_published(repository) for model in version.models)
    return any(engine.tensorrt for model in models for engine in model.engines)


def plan_findings(config: Any, directory: Path, tensorrt: str) -> Iterator[Finding]:
    """The plans in ``directory`` that are to be served and that a server with ``tensorrt`` cannot load."""
    for number in config.version_policy.specific.versions:
        try:
            model = read_version(directory / str(number)).model(directory.name)
        except RepositoryError:
            continue  # `engine_findings` says so
        for engine in () if model is None else model.engines:
            built = engine.tensorrt
            if built and not loads(built, tensorrt, version_compatible=engine.version_compatible):
                what = f"version {number}: {engine.file} was built by TensorRT {built}; the server has {tensorrt}"
                yield what, _hint(built)


def _hint(built: str) -> str:
    image = image_for(built)
    serve = f"an image with TensorRT {built}" if image is None else image
    return f"serve it with {serve}, or build the engines again with the server's TensorRT"
