"""A split that may be too large for memory: rows are read when they are asked for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from hrm.data.layout import broken, open_set, read_metadata
from hrm.data.tokens import empty_split, read_inputs, read_labels

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    import numpy.typing as npt

    from hrm.data.layout import ArraySet, DatasetInfo
    from hrm.data.tokens import Rows

_CHUNK = 65536


@dataclass(frozen=True, eq=False)
class Examples:
    """The examples of one split, on the disk."""

    info: DatasetInfo
    arrays: ArraySet

    def read(self, rows: Rows) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32], npt.NDArray[np.int32]]:
        """Inputs [R, S], labels [R, S] (``IGNORE`` where a cell is not judged) and puzzle identifiers [R].

        Raises:
            DatasetError: an id is outside the vocabulary.
        """
        inputs = read_inputs(self.arrays, rows, self.info)
        return inputs, read_labels(self.arrays, rows, self.info), self.arrays.puzzle_identifiers[rows]


def open_examples(directory: Path, split: str) -> Examples:
    """Open ``split`` and check every token of it once.

    Raises:
        DatasetError: the split is incomplete, damaged, empty, or made of several sets.
    """
    metadata = read_metadata(directory, split)
    if len(metadata.sets) != 1:
        raise broken(directory / split, f"it holds {len(metadata.sets)} sets, and training reads one")
    examples = Examples(metadata, open_set(directory / split, metadata.sets[0], metadata))
    count = len(examples.arrays.inputs)
    if not count:
        raise empty_split(directory, split)
    for start in range(0, count, _CHUNK):
        examples.read(slice(start, start + _CHUNK))
    return examples
