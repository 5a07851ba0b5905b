"""The official on-disk layout of a data set, opened and checked.

<directory>/<split>/dataset.json                    sizes, special ids and the names of the sets
                    <set>__inputs.npy               [N, S] token ids
                    <set>__labels.npy               [N, S]
                    <set>__puzzle_identifiers.npy   [puzzles]
                    <set>__puzzle_indices.npy       [puzzles + 1], where each puzzle's examples start
                    <set>__group_indices.npy        [groups + 1], where each group's puzzles start

The splits are ``train`` and ``test``, officially; hrm-trt makes ``calibration`` and ``search`` as well. Nothing is
unpickled, and token arrays stay on the disk until their rows are asked for.
"""

from __future__ import annotations

import tokenize
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import numpy.typing as npt
from pydantic import Field, NonNegativeInt, PositiveInt, TypeAdapter, ValidationError

from hrm.errors import DatasetError

if TYPE_CHECKING:
    from pathlib import Path

IGNORE = -100
"""The label of a cell that is not judged."""
METADATA = "dataset.json"
_RANKS = {"inputs": 2, "labels": 2, "puzzle_identifiers": 1, "puzzle_indices": 1, "group_indices": 1}
_DAMAGE = (ValueError, TypeError, OverflowError, SyntaxError, tokenize.TokenError)
"""What numpy raises for a file that is truncated, holds objects or has a damaged header."""
_HINT = "make the data set again with the official builder, or restore it from where it came from"

SetName = Annotated[str, Field(pattern=r"^[\w-]+$")]


@dataclass(frozen=True)
class DatasetInfo:
    """The sizes and special ids of a split, under their names in ``dataset.json``."""

    vocab_size: PositiveInt
    seq_len: PositiveInt
    num_puzzle_identifiers: PositiveInt
    pad_id: NonNegativeInt
    ignore_label_id: int | None
    blank_identifier_id: NonNegativeInt


@dataclass(frozen=True)
class Metadata(DatasetInfo):
    """What ``dataset.json`` says, with the names of the sets that make up the split."""

    sets: Annotated[tuple[SetName, ...], Field(min_length=1)]


@dataclass(frozen=True, eq=False)
class ArraySet:
    """One set: token arrays still on the disk, and each example's identifier and group in memory."""

    paths: dict[str, Path]
    """Where each array is, by its name in the layout."""
    inputs: npt.NDArray[Any]
    """[N, S], as stored"""
    labels: npt.NDArray[Any]
    """[N, S], as stored"""
    puzzle_identifiers: npt.NDArray[np.int32]
    """[N]"""
    groups: npt.NDArray[np.int32]
    """[N], from 0"""
    puzzle_starts: npt.NDArray[np.int64]
    """[puzzles + 1], the example at which each puzzle starts"""
    group_starts: npt.NDArray[np.int64]
    """[groups + 1], the puzzle at which each group starts"""

    @property
    def group_count(self) -> int:
        """Groups in this set."""
        return len(self.group_starts) - 1


def broken(path: Path, why: str) -> DatasetError:
    """The error for a file that does not belong in a data set of this layout."""
    return DatasetError(f"{path} is not part of a sound data set", why=why, hint=_HINT)


def split_names(directory: Path) -> list[str]:
    """The splits of the data set in ``directory``, in the order of their names."""
    return sorted(path.parent.name for path in directory.glob(f"*/{METADATA}"))


def split_files(directory: Path, split: str) -> list[Path]:
    """Every file that makes up ``split``.

    Raises:
        DatasetError: there is no such split, or its ``dataset.json`` is malformed.
    """
    sets = read_metadata(directory, split).sets
    return [
        directory / split / METADATA,
        *(_array_path(directory / split, name, field) for name in sets for field in _RANKS),
    ]


def read_metadata(directory: Path, split: str) -> Metadata:
    """What ``dataset.json`` says of ``split``.

    Raises:
        DatasetError: there is no such split, or the file is malformed.
    """
    path = directory / split / METADATA
    try:
        return TypeAdapter(Metadata).validate_json(path.read_bytes(), strict=True)
    except OSError as error:
        names = ", ".join(split_names(directory))
        raise DatasetError(
            f"{directory} has no {split} split",
            why=f"{path} cannot be read: {error.strerror}",
            hint=f"its splits are: {names}" if names else f"give a directory that holds {split}/{METADATA}",
        ) from error
    except ValidationError as error:
        first = error.errors()[0]
        raise broken(path, f"{'.'.join(map(str, first['loc'])) or 'document'}: {first['msg']}") from error


def open_set(directory: Path, name: str, metadata: Metadata) -> ArraySet:
    """Open the set ``name`` of the split in ``directory`` and check that its arrays agree with each other.

    Raises:
        DatasetError: an array is missing, damaged, or disagrees with ``dataset.json`` or with another array.
    """
    paths = {field: _array_path(directory, name, field) for field in _RANKS}
    arrays = {field: _open_array(path, _RANKS[field]) for field, path in paths.items()}
    inputs, labels = arrays["inputs"], arrays["labels"]
    _check_shapes(paths["inputs"], inputs.shape, labels.shape, metadata)
    identifiers = arrays["puzzle_identifiers"]
    _check_identifiers(paths["puzzle_identifiers"], identifiers, metadata)
    examples = _lengths(paths["puzzle_indices"], arrays["puzzle_indices"], len(identifiers), len(inputs), "examples")
    starts = arrays["group_indices"]
    puzzles = _lengths(paths["group_indices"], starts, len(starts) - 1, len(identifiers), "puzzles")
    groups = np.repeat(np.arange(len(puzzles), dtype=np.int32), puzzles)
    return ArraySet(
        paths=paths,
        inputs=inputs,
        labels=labels,
        puzzle_identifiers=np.repeat(identifiers.astype(np.int32), examples),
        groups=np.repeat(groups, examples),
        puzzle_starts=arrays["puzzle_indices"].astype(np.int64),
        group_starts=starts.astype(np.int64),
    )


def _array_path(directory: Path, name: str, field: str) -> Path:
    return directory / f"{name}__{field}.npy"


def _open_array(path: Path, rank: int) -> npt.NDArray[Any]:
    try:
        # np.load's memory-mapped branch; np.load itself would also open archives, and advises pickle in its errors.
        array = np.lib.format.open_memmap(path, mode="r")
    except OSError as error:
        raise broken(path, f"it cannot be read: {error.strerror}") from error
    except _DAMAGE as error:
        raise broken(path, f"it is not a whole .npy file of numbers: {error}") from error
    if array.dtype.kind not in "iu":
        raise broken(path, f"it holds {array.dtype}, not whole numbers")
    if array.ndim != rank:
        raise broken(path, f"its shape is {array.shape}, and it should have {rank} axes")
    return array


def _check_shapes(path: Path, inputs: tuple[int, ...], labels: tuple[int, ...], metadata: Metadata) -> None:
    if inputs[1] != metadata.seq_len:
        raise broken(path, f"a puzzle has {inputs[1]} cells here and {metadata.seq_len} (seq_len) in {METADATA}")
    if labels != inputs:
        raise broken(path, f"the inputs' shape is {inputs}, the labels' {labels}")


def _check_identifiers(path: Path, identifiers: npt.NDArray[Any], metadata: Metadata) -> None:
    count = metadata.num_puzzle_identifiers
    wrong = identifiers[(identifiers < 0) | (identifiers >= count)]
    if wrong.size:
        raise broken(path, f"it holds identifier {wrong[0]}, and {METADATA} knows {count} (from 0)")


def _lengths(path: Path, starts: npt.NDArray[Any], parts: int, total: int, unit: str) -> npt.NDArray[np.int64]:
    """How many of ``total`` things each of ``parts`` parts holds, from the index at which each starts."""
    wide = starts.astype(np.int64)
    if len(wide) != parts + 1 or not len(wide):
        raise broken(path, f"it holds {len(wide)} indices, and {parts + 1} are needed")
    lengths = np.diff(wide)
    if (lengths < 0).any():
        raise broken(path, f"its indices fall after number {int(lengths.argmin())}: they must never do so")
    if wide[0] != 0 or wide[-1] != total:
        raise broken(path, f"it runs from {wide[0]} to {wide[-1]}, and there are {total} {unit}, counted from 0")
    return lengths
