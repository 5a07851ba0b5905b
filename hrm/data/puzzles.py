"""Puzzles without answers, from arrays or from an ``.npz`` file."""

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
        raise _broken(f"in {path}", f"it has no array `inputs`; found: {', '.join(sorted(arrays)) or 'none'}")
    return check_inputs(arrays["inputs"], arrays.get("puzzle_identifiers"), config, where=f"in {path}")


def check_inputs(
    inputs: npt.NDArray[Any], identifiers: npt.NDArray[Any] | None, config: HRMConfig, where: str = "that were given"
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]]:
    """Token ids [N, S] and puzzle identifiers [N], 0 if None, as a model takes them.

    Raises:
        DatasetError: they do not fit the model; ``where`` says which puzzles are meant.
    """
    inputs = np.atleast_1d(inputs)
    if identifiers is None:
        identifiers = np.zeros(len(inputs), dtype=np.int32)
    if inputs.ndim != 2 or inputs.shape[1] != config.seq_len or not len(inputs):
        raise _broken(where, f"`inputs` is {list(inputs.shape)}, not [puzzles, {config.seq_len}]")
    if identifiers.shape != (len(inputs),):
        raise _broken(where, f"`puzzle_identifiers` is {list(identifiers.shape)}, not [{len(inputs)}]")
    _check_ids(where, "inputs", inputs, config.vocab_size)
    if config.puzzle_emb_ndim:
        _check_ids(where, "puzzle_identifiers", identifiers, config.num_puzzle_identifiers)
    return inputs.astype(np.int32), identifiers.astype(np.int32)


def _arrays(path: Path) -> dict[str, npt.NDArray[Any]]:
    try:
        with zipfile.ZipFile(path):  # numpy would also open other kinds of files
            pass
        with np.load(path, allow_pickle=False) as stored:
            return dict(stored)
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise _broken(f"in {path}", str(error)) from error


def _check_ids(where: str, name: str, ids: npt.NDArray[Any], limit: int) -> None:
    if not np.issubdtype(ids.dtype, np.integer):
        raise _broken(where, f"`{name}` is {ids.dtype}, not whole numbers")
    if ids.min() < 0 or ids.max() >= limit:
        raise _broken(where, f"`{name}` goes from {ids.min()} to {ids.max()}; the model knows 0 to {limit - 1}")


def _broken(where: str, why: str) -> DatasetError:
    return DatasetError(
        f"cannot use the puzzles {where}",
        why=why,
        hint="`inputs` are token ids, one row a puzzle; a file of them is what numpy.savez(file, inputs=…) writes",
    )
