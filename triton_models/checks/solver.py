"""What would keep a server from loading a set's solver, or the solver from calling its engines."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from export.contract import CARRY, PUZZLE_TABLE
from hrm.errors import RepositoryError
from triton_models.checks.common import EDIT, PUBLISH, Finding, manifest_findings, tensor_findings
from triton_models.config import CONFIG, parse_config
from triton_models.manifest import model_name
from triton_models.repository import numbered, read_version
from triton_models.solver.settings import SETTINGS
from triton_models.solver_model import BACKEND, KNOBS, solver_settings, solver_tensors

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from export.contract import TensorSpec
    from triton_models.manifest import VersionManifest


def solver_findings(config: Any, directory: Path) -> Iterator[Finding]:
    """What is wrong with the solver in ``directory``, beside what is asked of every model."""
    served = list(config.version_policy.specific.versions)
    if config.backend != BACKEND:
        yield f"backend is {config.backend!r}; the solver runs in {BACKEND!r}", EDIT
    if len(served) > 1:
        yield f"version_policy names the versions {served}; a solver serves one, the current one", EDIT
    if not config.HasField("dynamic_batching"):
        yield "dynamic_batching is missing: requests would reach the solver one by one", EDIT
    elif config.dynamic_batching != type(config.dynamic_batching)():
        yield "dynamic_batching has options; with queue policies, priorities or delays requests wait for nothing", EDIT
    for number, path in sorted(numbered(directory)):
        for what, hint in _version_findings(config, path, is_served=number in served):
            yield f"version {number}: {what}", hint


def settings_fault(directory: Path, version: VersionManifest) -> str | None:
    """Why the settings in a solver's version directory are not those of ``version``; None where they are."""
    try:
        found = json.loads((directory / SETTINGS).read_bytes())
    except OSError as error:
        return f"{SETTINGS} cannot be read: {error.strerror}"
    except ValueError as error:
        return f"{SETTINGS} is not JSON: {error}"
    wanted = solver_settings(version)
    if not isinstance(found, dict):
        return f"{SETTINGS} is not an object"
    other = [key for key in sorted({*wanted, *found}) if key not in found or found[key] != wanted.get(key)]
    if other:
        return f"{SETTINGS} has {other[0]} {found.get(other[0])!r}; its manifest has {wanted.get(other[0])!r}"
    return None


def _version_findings(config: Any, directory: Path, *, is_served: bool) -> Iterator[Finding]:
    try:
        version = read_version(directory)
    except RepositoryError as error:
        yield f"{error.what} ({error.why})", PUBLISH
        return
    damages = list(manifest_findings(directory, version))
    yield from damages
    fault = settings_fault(directory, version)
    if fault is not None:
        yield fault, PUBLISH
    if not damages and fault is None:
        yield from _array_findings(directory, version)
    if is_served:
        yield from _config_findings(config, version)
        yield from _engine_findings(directory.parent.parent, version)


def _config_findings(config: Any, version: VersionManifest) -> Iterator[Finding]:
    """What an operator may have changed for the worse."""
    if version.solver is not None:
        inputs, outputs = solver_tensors(version.solver)
        yield from tensor_findings("solver", "input", config.input, inputs)
        yield from tensor_findings("solver", "output", config.output, outputs)
    limit = min(bundle.profile.batch.max for bundle in version.bundles)
    knobs = {name: value.string_value for name, value in config.parameters.items()}
    for name in KNOBS:
        if name not in knobs:
            yield f"the parameter {name} is missing", EDIT
    slots, queue, log = (knobs.get(*known) for known in (("slots", "1"), ("queue", "1"), ("log_requests", "false")))
    if not _number(queue) >= 1:
        yield f"the parameter queue is {queue!r}; it is the number of puzzles that may wait, 1 or more", EDIT
    if not 1 <= _number(slots) <= limit:
        yield f"the parameter slots is {slots!r}; the engines take batches of 1 to {limit}", EDIT
    elif config.max_batch_size > int(slots):
        yield f"max_batch_size is {config.max_batch_size}; there are {slots} slots", EDIT
    if log not in ("true", "false"):
        yield f"the parameter log_requests is {log!r}; it is true or false", EDIT


def _number(text: str) -> int:
    """What ``text`` says, or 0."""
    return int(text) if text.isascii() and text.isdecimal() else 0


def _engine_findings(repository: Path, version: VersionManifest) -> Iterator[Finding]:
    """Whether the engines that the solver calls are there in its own version."""
    for model in solver_settings(version)["models"].values():
        try:
            config = parse_config((repository / model / CONFIG).read_text())
        except (OSError, ValueError):
            continue  # the engine's own check says so
        served = list(config.version_policy.specific.versions)
        if version.version not in served:
            yield f"it calls version {version.version} of {model}, which serves {served}", PUBLISH


def _array_findings(directory: Path, version: VersionManifest) -> Iterator[Finding]:
    """Whether the carry and the puzzle table are what the engines take."""
    import numpy as np

    settings = solver_settings(version)
    states, row = _engine_input(version, "z_H"), _engine_input(version, "puzzle_embedding")
    if states is not None:
        with np.load(directory / CARRY, allow_pickle=False) as stored:
            for name in ("z_H", "z_L"):
                found = (stored[name].shape, stored[name].dtype.name) if name in stored else None
                if found != ((settings["hidden_size"],), states.dtype) or states.shape[-1] != settings["hidden_size"]:
                    yield f"{name} of {CARRY} is {found}; the engines take {states.dtype} {list(states.shape)}", PUBLISH
    if row is None and settings["puzzle_table"] is None:
        return
    if row is None or settings["puzzle_table"] is None:
        yield f"the encoder takes {settings['puzzle_input']}; the puzzle table is {settings['puzzle_table']}", PUBLISH
        return
    table = np.load(directory / PUZZLE_TABLE, mmap_mode="r", allow_pickle=False)
    if (table.shape, table.dtype.name) != ((settings["identifiers"], row.shape[-1]), row.dtype):
        rows = f"{table.dtype} {list(table.shape)}"
        yield f"{PUZZLE_TABLE} is {rows}; the encoder takes {row.dtype} {list(row.shape)}", PUBLISH


def _engine_input(version: VersionManifest, name: str) -> TensorSpec | None:
    for model in solver_settings(version)["models"]:
        served = version.model(model_name(version.name, model))
        for spec in () if served is None else served.inputs:
            if spec.name == name:
                return spec
    return None
