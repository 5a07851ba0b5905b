"""The settings in a checkpoint's own words: ``arch`` in ``all_config.yaml``, or the JSON in our safetensors."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Any

import yaml

from hrm.checkpoint.refusals import shown
from hrm.config import HRMConfig
from hrm.errors import CheckpointError

if TYPE_CHECKING:
    from pathlib import Path

_ARCHITECTURE = "HierarchicalReasoningModel_ACTV1"
_LARGEST = 1e9
_KINDS = {field.name: str(field.type) for field in fields(HRMConfig)}
_WANTED = {"int": "a whole number", "float": f"a number above 0 and up to {_LARGEST:g}", "str": "a name"}
# PyYAML lets these through when a tag or a date does not fit its value.
_YAML_FAULTS = (yaml.YAMLError, ValueError, TypeError, LookupError, AttributeError, RecursionError)


def read_official(path: Path) -> dict[str, Any]:
    """The settings of ``HRMConfig`` that an ``all_config.yaml`` gives, types checked; the rest is left out.

    Raises:
        CheckpointError: not YAML, not an HRM's configuration, or a value that makes no sense.
    """
    document = _parse(path)
    arch = document.get("arch") if isinstance(document, dict) else None
    if not isinstance(arch, dict):
        raise CheckpointError(
            f"{path} is not the configuration of an HRM",
            why="it has no mapping `arch` at its top",
            hint="pass the directory that the official training code wrote",
        )
    name = arch.get("name")
    if not isinstance(name, str) or name.rpartition("@")[2] != _ARCHITECTURE:
        raise CheckpointError(
            f"{path} is of another architecture",
            why=f"arch.name is {shown(name)}, and hrm-trt knows {_ARCHITECTURE}",
            hint="pass a checkpoint of that class from sapientinc/HRM",
        )
    return checked(arch, path)


def checked(values: dict[str, Any], source: Path) -> dict[str, Any]:
    """The settings of ``HRMConfig`` among ``values``, each of the right type.

    Raises:
        CheckpointError: a whole number is none, a name is none, or a number is not above 0 and up to 1e9.
    """
    settings = {name: values[name] for name in _KINDS if name in values}
    for name, value in settings.items():
        kind = _KINDS[name]
        if not _is_a(kind, value):
            raise CheckpointError(
                f"{source} is not the configuration of an HRM",
                why=f"{name} is {shown(value)}, not {_WANTED[kind]}",
                hint="check it against the training run that wrote it",
            )
    return {name: float(value) if _KINDS[name] == "float" else value for name, value in settings.items()}


def _is_a(kind: str, value: object) -> bool:
    if isinstance(value, bool):  # to Python, True is a whole number
        return False
    if kind == "float":
        return isinstance(value, int | float) and 0 < value <= _LARGEST
    return isinstance(value, int if kind == "int" else str)


def _parse(path: Path) -> object:
    try:
        return yaml.safe_load(path.read_bytes())
    except _YAML_FAULTS as error:
        raise CheckpointError(
            f"{path} is not YAML",
            why=" ".join(str(error).split()) or type(error).__name__,
            hint="fetch the file again, or restore it from the training run",
        ) from error
