"""The tokens of a set, read from the disk and checked row by row."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from hrm.data.layout import IGNORE, broken
from hrm.errors import DatasetError

if TYPE_CHECKING:
    from pathlib import Path

    from hrm.data.layout import ArraySet, DatasetInfo

Rows = slice | npt.NDArray[np.int64]


def read_inputs(part: ArraySet, rows: Rows, info: DatasetInfo) -> npt.NDArray[np.int32]:
    """The inputs [R, S] of some rows.

    Raises:
        DatasetError: an id is outside the vocabulary.
    """
    stored = part.inputs[rows]
    _check_ids(part.paths["inputs"], stored, (stored >= 0) & (stored < info.vocab_size), info)
    return stored.astype(np.int32)


def read_labels(part: ArraySet, rows: Rows, info: DatasetInfo) -> npt.NDArray[np.int32]:
    """The labels [R, S] of some rows, ``IGNORE`` where a cell is not judged.

    Raises:
        DatasetError: an id is outside the vocabulary.
    """
    stored = part.labels[rows]
    ignored = stored == IGNORE
    if info.ignore_label_id is not None:
        ignored |= stored == info.ignore_label_id
    _check_ids(part.paths["labels"], stored, ignored | ((stored >= 0) & (stored < info.vocab_size)), info)
    labels = stored.astype(np.int32)
    labels[ignored] = IGNORE
    return labels


def empty_split(directory: Path, split: str) -> DatasetError:
    """The error for a split without an example."""
    return DatasetError(
        f"the {split} split of {directory} is empty",
        why="its arrays hold no example",
        hint="choose another split, or make the data set again",
    )


def _check_ids(path: Path, stored: npt.NDArray[Any], valid: npt.NDArray[np.bool_], info: DatasetInfo) -> None:
    if valid.all():
        return
    row, cell = np.argwhere(~valid)[0]
    raise broken(path, f"cell {cell} of row {row} holds {stored[row, cell]}; ids go from 0 to {info.vocab_size - 1}")
