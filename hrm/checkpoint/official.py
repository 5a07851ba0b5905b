"""The weights that the official training code writes: ``torch.save`` of a state dict, read without running it."""

from __future__ import annotations

import pickle
import re
import struct
import zipfile
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from hrm.checkpoint.refusals import refusal, shown
from hrm.errors import CheckpointError

if TYPE_CHECKING:
    from pathlib import Path

_LFS_POINTER = b"version https://git-lfs"
# What a zip archive or a pickle can raise when its bytes were not written by torch.save.
_FAULTS = (
    zipfile.BadZipFile, pickle.UnpicklingError, OSError, EOFError, RuntimeError, AssertionError, AttributeError,
    LookupError, TypeError, ValueError, OverflowError, struct.error,
)  # fmt: skip


def read(path: Path) -> dict[str, Tensor]:
    """The tensors of a checkpoint under their names in ``hrm.network``, mapped into memory where possible.

    Only tensors are unpickled (``weights_only``); anything else in the file is refused and never run.

    Raises:
        CheckpointError: not a file of ``torch.save``, truncated, or holding more than named tensors.
    """
    state = _unpickle(path)
    if not isinstance(state, dict):
        raise refusal(path, f"it holds a {type(state).__name__}, not a state dict")
    tensors: dict[str, Tensor] = {}
    for key, value in state.items():
        if not (isinstance(key, str) and isinstance(value, Tensor)):
            raise refusal(path, f"its entry {shown(key)} is a {type(value).__name__}, not a tensor")
        name = key.replace("_orig_mod.", "").removeprefix("model.inner.")
        if name in tensors:
            raise refusal(path, f"it holds the tensor {name} twice")
        tensors[name] = value.detach()
    return tensors


def _unpickle(path: Path) -> object:
    try:
        with zipfile.ZipFile(path) as archive:
            stored = all(entry.compress_type == zipfile.ZIP_STORED for entry in archive.infolist())
        return torch.load(path, map_location="cpu", weights_only=True, mmap=stored)
    except _FAULTS as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: Exception) -> CheckpointError:
    with path.open("rb") as file:
        start = file.read(len(_LFS_POINTER))
    why, hint = "it is not a file that torch.save wrote", "pass the step_<N> or checkpoint that training wrote"
    blocked = re.search(r"GLOBAL (\S+)", str(error))
    if blocked:
        why = f"its pickle asks for {blocked[1]}, which is no tensor; nothing of it was run"
        hint = "do not open this file with anything that unpickles; get the checkpoint from a source you trust"
    elif not start:
        why, hint = "it is empty", "fetch the file again"
    elif start == _LFS_POINTER:
        why, hint = "it is a Git LFS pointer, not the file it points to", "run `git lfs pull` in its repository"
    elif start.startswith(b"PK"):
        why, hint = "it is damaged or cut short", "fetch the file again, and compare its size with the source's"
    return CheckpointError(f"{path} is not a checkpoint", why=why, hint=hint)
