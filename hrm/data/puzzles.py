"""Puzzles without answers, from an ``.npz`` file."""

from __future__ import annotations

import zipfile
import zlib
from typing import TYPE_CHECKING, Any

import numpy as np

from hrm.errors import DatasetError

if TYPE_CHECKING:
    from pathlib import Path

    import numpy.typing as npt

    from hrm.config import HRMConfig


def read_inputs(path: Path, config: HRMConfig) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]]:
    """``inputs`` [N, S] and ``puzzle_identifiers`` [N] of an ``.npz``; identifiers that it lacks are 0.

    Raises:
        DatasetError: the file cannot be read, or its arrays do not fit the model.
    """
    arrays = _arrays(path)
    if "inputs" not in arrays:
        raise _broken(path, f"it has no array `inputs`; found: {', '.join(sorted(arrays)) or 'none'}")
    inputs = np.atleast_1d(arrays["inputs"])
    identifiers = arrays.get("puzzle_identifiers", np.zeros(len(inputs), dtype=np.int32))
    if inputs.ndim != 2 or inputs.shape[1] != config.seq_len or not len(inputs):
        raise _broken(path, f"`inputs` is {list(inputs.shape)}, not [puzzles, {config.seq_len}]")
    if identifiers.shape != (len(inputs),):
        raise _broken(path, f"`puzzle_identifiers` is {list(identifiers.shape)}, not [{len(inputs)}]")
    _check_ids(path, "inputs", inputs, config.vocab_size)
    if config.puzzle_emb_ndim:
        _check_ids(path, "puzzle_identifiers", identifiers, config.num_puzzle_identifiers)
    return inputs.astype(np.int32), identifiers.astype(np.int32)


def _arrays(path: Path) -> dict[str, npt.NDArray[Any]]:
    try:
        with zipfile.ZipFile(path):  # numpy would also open other kinds of files
            pass
        with np.load(path, allow_pickle=False) as stored:
            return dict(stored)
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise _broken(path, str(error)) from error


def _check_ids(path: Path, name: str, ids: npt.NDArray[np.int32], limit: int) -> None:
    if not np.issubdtype(ids.dtype, np.integer):
        raise _broken(path, f"`{name}` is {ids.dtype}, not whole numbers")
    if ids.min() < 0 or ids.max() >= limit:
        raise _broken(path, f"`{name}` goes from {ids.min()} to {ids.max()}; the model knows 0 to {limit - 1}")


def _broken(path: Path, why: str) -> DatasetError:
    return DatasetError(
        f"cannot use the puzzles in {path}",
        why=why,
        hint="write them with numpy.savez(file, inputs=…): token ids, one row a puzzle",
    )
