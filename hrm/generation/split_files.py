"""The files of one split, written puzzle by puzzle: it may be larger than the memory."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import numpy.typing as npt

from hrm.data.layout import METADATA
from hrm.errors import DatasetError
from hrm.files import sync, write_json

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from hrm.data.layout import DatasetInfo
    from hrm.generation.groups import Group, Puzzle


def write_split(directory: Path, groups: Iterable[Group], info: DatasetInfo) -> dict[str, int]:
    """Write ``groups`` to ``directory`` as one split, named like it.

    Returns:
        How many groups, puzzles and examples it has.

    Raises:
        DatasetError: there is no puzzle, or one does not fit ``info``.
        OSError: the disk is full or failing.
    """
    directory.mkdir()
    starts = _Starts()
    with (
        _TokenFile(directory / "all__inputs.npy", info.seq_len) as inputs,
        _TokenFile(directory / "all__labels.npy", info.seq_len) as labels,
    ):
        for group in groups:
            for puzzle in group:
                _check_puzzle(puzzle, f"puzzle {len(starts.identifiers) + 1} of the {directory.name} split", info)
                inputs.append(puzzle.inputs)
                labels.append(puzzle.labels)
                starts.add_puzzle(puzzle)
            starts.end_group()
    counts = starts.counts()
    if not counts["puzzles"]:
        why, hint = "it has no puzzle", "ask for at least one puzzle, or leave the split out"
        raise _unfit(f"the {directory.name} split", why, hint)
    for name, array in starts.arrays().items():
        np.save(directory / f"all__{name}.npy", array)
    means = {"total_groups": counts["groups"], "mean_puzzle_examples": counts["examples"] / counts["puzzles"]}
    write_json(directory / METADATA, {**asdict(info), **means, "sets": ["all"]})
    for path in directory.iterdir():
        sync(path)
    return counts


class _Starts:
    """Where puzzles and groups begin, and each puzzle's identifier."""

    def __init__(self) -> None:
        self.identifiers: list[int] = []
        self._examples = [0]
        self._puzzles = [0]

    def add_puzzle(self, puzzle: Puzzle) -> None:
        self.identifiers.append(puzzle.identifier)
        self._examples.append(self._examples[-1] + len(puzzle.inputs))

    def end_group(self) -> None:
        self._puzzles.append(len(self.identifiers))

    def counts(self) -> dict[str, int]:
        return {
            "groups": len(self._puzzles) - 1,
            "puzzles": len(self.identifiers),
            "examples": self._examples[-1],
        }

    def arrays(self) -> dict[str, npt.NDArray[np.int32]]:
        lists = {
            "puzzle_identifiers": self.identifiers,
            "puzzle_indices": self._examples,
            "group_indices": self._puzzles,
        }
        return {name: np.array(values, dtype=np.int32) for name, values in lists.items()}


class _TokenFile:
    """A .npy file of ``uint8`` [rows, width] whose number of rows is not known before the last one.

    numpy pads the header so that it keeps its length whatever the number of rows: it is written again at the end.
    """

    def __init__(self, path: Path, width: int) -> None:
        self._width = width
        self._rows = 0
        self._file = path.open("wb")
        self._write_header()

    def append(self, rows: npt.NDArray[np.uint8]) -> None:
        """Append ``rows`` [n, width]."""
        self._file.write(rows.tobytes())
        self._rows += len(rows)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with self._file:
            self._file.seek(0)
            self._write_header()

    def _write_header(self) -> None:
        header: dict[str, Any] = {"descr": "|u1", "fortran_order": False, "shape": (self._rows, self._width)}
        np.lib.format.write_array_header_1_0(self._file, header)


def _check_puzzle(puzzle: Puzzle, subject: str, info: DatasetInfo) -> None:
    shape, labels = puzzle.inputs.shape, puzzle.labels.shape
    if shape != labels or len(shape) != 2 or shape[1] != info.seq_len or not shape[0]:
        why = f"its inputs are {list(shape)} and its labels {list(labels)}, not [examples, {info.seq_len}]"
        raise _unfit(subject, why, "make every puzzle of one length")
    for name, ids in (("inputs", puzzle.inputs), ("labels", puzzle.labels)):
        if ids.dtype != np.uint8 or ids.max() >= info.vocab_size:
            why = f"its {name} are {ids.dtype} up to {ids.max()}, not uint8 below {info.vocab_size}"
            raise _unfit(subject, why, "use only ids of the vocabulary")
    if not 0 <= puzzle.identifier < info.num_puzzle_identifiers:
        why = f"its identifier is {puzzle.identifier}, and there are {info.num_puzzle_identifiers}, counted from 0"
        raise _unfit(subject, why, "count every puzzle of the task among the identifiers")


def _unfit(subject: str, why: str, hint: str) -> DatasetError:
    return DatasetError(f"{subject} cannot be written", why=why, hint=hint)
