"""Everything that hrm-trt raises on purpose, and the exit code that each becomes.

HrmTrtError                    1   never raised itself
├── UsageError                 2   the command or its input is wrong
│   ├── CheckpointError            not a checkpoint, truncated, hostile, another architecture
│   ├── DatasetError               not a data set, or not one for this checkpoint
│   ├── RecipeError                unknown key, target or precision
│   ├── BundleError                not a bundle, or changed since it was built
│   ├── KitError                   not a kit, or changed since it was packed
│   ├── RepositoryError            not a model repository, or not ours to write to
│   │   └── OtherRepositoryError       not the one that the server reads
│   └── UnwritableError            a path that this user cannot write
├── MissingError               3   this machine lacks something that was asked for by name
│   └── UnreachableError           no server answers at the URL
├── BuildError                 4   a stage could not make its artefact
│   ├── ExportError                the graph is not what the network computes
│   ├── CalibrationError           magnitudes that no scale can be made from
│   ├── EngineError                a runtime refused a graph or failed while running it
│   └── StorageError               the disk is full or failing
├── ServerError                4   a server refuses, fails, or answers wrongly
│   └── RolloutError               it could not be brought to serve another version, and serves what it did
├── InconclusiveError          5   too few puzzles to say pass or fail
└── GateError                  6   an engine loses too much accuracy, or was never gated
"""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from pathlib import Path

MORE_SPACE = "free some space, or pass --workdir or --output on another disk, and run the same command again"
"""What to do about a full disk."""
_DISK_FAULTS = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO}


class HrmTrtError(Exception):
    """An error that a user can act on: what happened, why, and what to do next."""

    exit_code: ClassVar[int] = 1

    def __init__(self, what: str, *, why: str, hint: str) -> None:
        super().__init__(what)
        self.what = what
        self.why = why
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.what}\n  why:  {self.why}\n  next: {self.hint}"


class UsageError(HrmTrtError):
    """The command or its input is wrong."""

    exit_code = 2


class CheckpointError(UsageError):
    """The checkpoint cannot be read as an HRM."""


class DatasetError(UsageError):
    """The data set cannot be read, or does not fit the checkpoint."""


class RecipeError(UsageError):
    """The recipe asks for something that does not exist."""


class BundleError(UsageError):
    """The bundle cannot be read, or its files are not the ones that were built."""


class KitError(UsageError):
    """The kit cannot be read, or its files are not the ones that were packed."""


class RepositoryError(UsageError):
    """The model repository cannot be read, or holds something that hrm-trt did not write."""


class OtherRepositoryError(RepositoryError):
    """The server does not read this model repository."""


class UnwritableError(UsageError):
    """A path that this user cannot write."""


class MissingError(HrmTrtError):
    """This machine lacks something that was asked for by name."""

    exit_code = 3


class UnreachableError(MissingError):
    """No server answers at the URL."""


class BuildError(HrmTrtError):
    """A stage could not make its artefact."""

    exit_code = 4


class ExportError(BuildError):
    """The exported graph is not what the network computes, or not of the form that was promised."""


class CalibrationError(BuildError):
    """What was measured for quantisation cannot be used."""


class EngineError(BuildError):
    """A runtime refused a graph, or failed while running it."""


class TrainingError(BuildError):
    """Training cannot go on."""


class StorageError(BuildError):
    """The disk is full or failing."""


class ServerError(HrmTrtError):
    """A server refuses, fails, or answers wrongly."""

    exit_code = 4


class RolloutError(ServerError):
    """A server could not be brought to serve another version of a model."""


class InconclusiveError(HrmTrtError):
    """Too few puzzles to say pass or fail."""

    exit_code = 5


class GateError(HrmTrtError):
    """An engine loses too much accuracy, or was never gated."""

    exit_code = 6


def missing_package(package: str, extra: str, purpose: str) -> MissingError:
    """The error for an optional package that is not installed; ``extra`` is the one that brings it."""
    return MissingError(
        f"{purpose} needs the package {package}",
        why=f"{package} is not installed in this environment",
        hint=f"pip install 'hrm-trt[{extra}]'",
    )


def from_os_error(error: OSError, path: Path | str) -> HrmTrtError:
    """The error a user should see for an operating system's refusal to write ``path``."""
    reason = error.strerror or str(error)
    if error.errno in _DISK_FAULTS:
        return StorageError(
            f"cannot write {path}",
            why=f"{reason}; nothing that existed before was changed",
            hint=MORE_SPACE,
        )
    return UnwritableError(f"cannot write {path}", why=reason, hint="choose a place that this user may write to")
