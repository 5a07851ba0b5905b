"""The state of a run on disk: whole or absent, and bound to the recipe that made it."""

from __future__ import annotations

import pickle
import struct
import zipfile
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch

from hrm.errors import CheckpointError
from hrm.files import atomic_path

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FILE = "state.pt"
_DAMAGE = (
    OSError, RuntimeError, EOFError, ValueError, LookupError, TypeError, AttributeError, AssertionError, OverflowError,
    struct.error, pickle.UnpicklingError, zipfile.BadZipFile,
)  # fmt: skip
"""What a file raises that is truncated, not one of PyTorch's own, or not the state of this run."""


def save(path: Path, state: dict[str, Any]) -> None:
    """Write the state in one step: a kill while it is written leaves the one before.

    Raises:
        StorageError: the disk is full or failing.
        UnwritableError: the place cannot be written.
    """
    with atomic_path(path) as scratch, scratch.open("wb") as file:
        try:
            torch.save(state, file)
        except RuntimeError as error:  # PyTorch finds its archive unfinished, and says nothing of the disk
            if isinstance(error.__context__, OSError):
                raise error.__context__ from error
            raise


def load(path: Path, device: torch.device) -> dict[str, Any] | None:
    """The last state that was saved; None where none was.

    Raises:
        CheckpointError: the file is damaged.
    """
    if not path.exists():
        return None
    with refusing(path):
        state: dict[str, Any] = torch.load(path, map_location=device, weights_only=True)
    return state


@contextmanager
def refusing(path: Path) -> Iterator[None]:
    """Turn what reading a damaged state raises into one error that names its file.

    Raises:
        CheckpointError: the block failed at reading it.
    """
    try:
        yield
    except _DAMAGE as error:
        raise CheckpointError(
            f"{path} cannot be read",
            why=" ".join(str(error).split())[:200],
            hint="remove it to train from the start, or restore it; the run's best weights are beside it",
        ) from error
