"""Writing a version aside, as a repository of its own, and checking it before anybody sees it."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from hrm.errors import BuildError
from hrm.files import sync, write_json
from triton_models.config import CONFIG, config_text
from triton_models.preflight import check_model
from triton_models.repository import MANIFEST
from triton_models.serving import describe
from triton_models.solver.settings import SETTINGS
from triton_models.solver_model import solver_config, solver_settings

if TYPE_CHECKING:
    from pathlib import Path

    from triton_models.manifest import ServedModel, VersionManifest
    from triton_models.release import Release


def stage(release: Release, version: VersionManifest, root: Path) -> None:
    """Write ``version`` below ``root``, and check that Triton could load it.

    Raises:
        BuildError: it could not.
    """
    for placed, source in release.files(version).items():
        target = root / placed
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)
        sync(target)
    for file, content in release.code.items():
        target = root / release.name / str(version.version) / file
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
        sync(target)
    for model in version.models:
        _describe(version, model, root / model.name)
    for model in version.models:
        for problem in check_model(root / model.name):
            raise BuildError(f"Triton could not load {problem.model}", why=problem.what, hint=problem.hint)


def _describe(version: VersionManifest, model: ServedModel, directory: Path) -> None:
    """Write what Triton, the solver and hrm-trt read of ``model``."""
    home = directory / str(version.version)
    if model.module == "solver":
        write_json(home / SETTINGS, solver_settings(version))
        text = solver_config(version, model)
    else:
        text = config_text(describe(model.name, [version]))
    (directory / CONFIG).write_text(text)
    write_json(home / MANIFEST, version.model_dump(mode="json"))
    sync(home)
