"""What would keep a server from loading our models, found without a server."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hrm.errors import RepositoryError
from triton_models.checks.common import EDIT, PUBLISH, config_findings, directory_findings
from triton_models.checks.engines import engine_findings
from triton_models.checks.plans import plan_findings
from triton_models.checks.solver import solver_findings
from triton_models.config import CONFIG, parse_config
from triton_models.repository import numbered, read_marker, read_version
from triton_models.solver_model import BACKEND

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True)
class Problem:
    """Something that keeps a model from being loaded or from answering rightly."""

    model: str
    what: str
    hint: str


def preflight(repository: Path, tensorrt: str | None = None) -> tuple[Problem, ...]:
    """Check every model that hrm-trt wrote to ``repository``; others are left alone.

    Args:
        repository: the model repository.
        tensorrt: the version that the server has, or its beginning; plans are not held to any if None.

    Raises:
        RepositoryError: not a repository of ours.
        MissingError: onnx or tritonclient is not installed.
    """
    models = sorted(model for models in read_marker(repository).sets.values() for model in models)
    return tuple(problem for model in models for problem in check_model(repository / model, tensorrt))


def check_model(directory: Path, tensorrt: str | None = None) -> tuple[Problem, ...]:
    """Check one model directory: its configuration, its versions, and the one against the others.

    Raises:
        MissingError: onnx or tritonclient is not installed.
    """
    try:
        config = parse_config((directory / CONFIG).read_text())
    except OSError as error:
        return (Problem(directory.name, f"{CONFIG} cannot be read: {error.strerror}", PUBLISH),)
    except ValueError as error:
        return (Problem(directory.name, f"{CONFIG} is not a configuration: {error}", EDIT),)
    own = solver_findings if _is_solver(config, directory) else engine_findings
    findings = (
        *config_findings(config, directory.name),
        *directory_findings(config, directory),
        *own(config, directory),
        *(() if tensorrt is None else plan_findings(config, directory, tensorrt)),
    )
    return tuple(Problem(directory.name, what, hint) for what, hint in findings)


def _is_solver(config: Any, directory: Path) -> bool:
    """Whether the model is a set's solver, by its configuration or, where that is wrong, by a version's manifest."""
    if config.backend == BACKEND:
        return True
    for _, path in numbered(directory):
        try:
            model = read_version(path).model(directory.name)
        except RepositoryError:
            continue
        if model is not None:
            return model.module == "solver"
    return False
