"""The project's own file: safetensors, with the configuration in its metadata."""

from __future__ import annotations

import json
import os
import re
from typing import TYPE_CHECKING, Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from hrm.checkpoint.settings import checked
from hrm.checkpoint.verify import verify
from hrm.errors import CheckpointError
from hrm.files import atomic_path

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from torch import Tensor

    from hrm.config import HRMConfig

_FORMAT_VERSION = 1
_KEY = "hrm"  # one key for all: safetensors writes several in an order of its own each time


def save(config: HRMConfig, tensors: Mapping[str, Tensor], path: Path) -> None:
    """Write one safetensors file, in one step; the same input gives the same bytes.

    Args:
        config: the architecture.
        tensors: under the names of ``hrm.network``, on the CPU, in any of float32, bfloat16 and float16.
        path: the file, ``*.safetensors``.

    Raises:
        CheckpointError: the tensors are not those of ``config``.
        StorageError: the disk is full or failing.
        UnwritableError: the place cannot be written.
    """
    verify(config, tensors, path)
    document = {"format_version": _FORMAT_VERSION, "config": config.to_dict()}
    with atomic_path(path) as scratch:
        _write(dict(tensors), scratch, {_KEY: json.dumps(document, sort_keys=True)})


def _write(tensors: dict[str, Tensor], path: Path, metadata: dict[str, str]) -> None:
    try:
        save_file(tensors, path, metadata=metadata)
    except SafetensorError as error:
        number = re.search(r"os error ([0-9]+)", str(error))
        if number is None:
            raise
        raise OSError(int(number[1]), os.strerror(int(number[1]))) from error


def read(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """The settings and the tensors (mapped into memory) of a file that ``save`` wrote.

    Raises:
        CheckpointError: not safetensors, truncated, or not written by hrm-trt.
    """
    try:
        with safe_open(path, framework="pt") as file:
            settings = _settings(file.metadata(), path)
            return settings, {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  (not a dict)
    except (SafetensorError, OSError) as error:
        raise CheckpointError(
            f"{path} is not a safetensors file",
            why=str(error),
            hint="it may be cut short: fetch it again, or convert the original checkpoint again",
        ) from error


def _settings(metadata: Mapping[str, str] | None, path: Path) -> dict[str, Any]:
    try:
        document = json.loads((metadata or {})[_KEY])
        version, config = document["format_version"], document["config"]
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(
            f"{path} does not say which HRM it is",
            why="it is a safetensors file without the metadata that hrm-trt writes",
            hint="`hrm-trt convert` makes one from the official checkpoint",
        ) from error
    if version != _FORMAT_VERSION or not isinstance(config, dict):
        raise CheckpointError(
            f"{path} was written by another version of hrm-trt",
            why=f"its format_version is {version!r}, and this version reads {_FORMAT_VERSION}",
            hint="convert the original checkpoint again with this version",
        )
    return checked(config, path)
