"""Read a split of a data set into memory: int32 arrays, one row for every example."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Self

import numpy as np
import numpy.typing as npt

from hrm.data.layout import IGNORE, ArraySet, DatasetInfo, open_set, read_metadata
from hrm.data.tokens import empty_split, read_inputs, read_labels
from hrm.errors import DatasetError, UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from hrm.config import HRMConfig

__all__ = ["IGNORE", "DatasetInfo", "PuzzleSet", "check_fits", "read_info", "read_split"]


@dataclass(frozen=True, eq=False)
class PuzzleSet:
    """The examples of one split, N of them, in the order of the files."""

    info: DatasetInfo
    split: str
    inputs: npt.NDArray[np.int32]
    """[N, S], token ids"""
    labels: npt.NDArray[np.int32]
    """[N, S], token ids; ``IGNORE`` where a cell is not judged"""
    puzzle_identifiers: npt.NDArray[np.int32]
    """[N], the row of the puzzle table that each example uses"""
    groups: npt.NDArray[np.int32]
    """[N], the same for augmented copies of one puzzle"""

    def __len__(self) -> int:
        return len(self.inputs)

    def first(self, count: int) -> Self:
        """The first ``count`` examples, or all of them where there are fewer."""
        return replace(
            self,
            inputs=self.inputs[:count],
            labels=self.labels[:count],
            puzzle_identifiers=self.puzzle_identifiers[:count],
            groups=self.groups[:count],
        )


def read_info(directory: Path, split: str) -> DatasetInfo:
    """The sizes and special ids of ``split``.

    Raises:
        DatasetError: there is no such split, or its ``dataset.json`` is malformed.
    """
    return read_metadata(directory, split)


def read_split(directory: Path, split: str, limit: int | None = None) -> PuzzleSet:
    """The examples of ``split``; with ``limit``, its first ones, reading no more of the token arrays than those.

    Raises:
        DatasetError: the data set is incomplete, damaged, contradicts itself, or is empty.
        UsageError: ``limit`` leaves no example.
    """
    if limit is not None and limit < 1:
        raise UsageError(f"a limit of {limit} leaves no puzzle", why="a limit counts puzzles", hint="give 1 or more")
    metadata = read_metadata(directory, split)
    sets = [open_set(directory / split, name, metadata) for name in metadata.sets]
    rows = _rows(sets, limit)
    if not sum(rows):
        raise empty_split(directory, split)
    offsets = np.cumsum([0, *(part.group_count for part in sets)], dtype=np.int32)
    return PuzzleSet(
        info=metadata,
        split=split,
        inputs=np.concatenate([read_inputs(part, slice(n), metadata) for part, n in zip(sets, rows, strict=True)]),
        labels=np.concatenate([read_labels(part, slice(n), metadata) for part, n in zip(sets, rows, strict=True)]),
        puzzle_identifiers=np.concatenate([part.puzzle_identifiers for part in sets])[:limit],
        groups=np.concatenate([part.groups + offset for part, offset in zip(sets, offsets, strict=False)])[:limit],
    )


def check_fits(info: DatasetInfo, config: HRMConfig) -> None:
    """Check that a checkpoint can read the data set.

    Raises:
        DatasetError: the vocabulary or the length differs, or the checkpoint has too few puzzle embeddings.
    """
    if info.vocab_size != config.vocab_size:
        raise _misfit(f"its vocabulary has {info.vocab_size} ids, the checkpoint's has {config.vocab_size}")
    if info.seq_len != config.seq_len:
        raise _misfit(f"its puzzles have {info.seq_len} cells, the checkpoint's have {config.seq_len}")
    if config.puzzle_emb_ndim and info.num_puzzle_identifiers > config.num_puzzle_identifiers:
        raise _misfit(
            f"it has {info.num_puzzle_identifiers} puzzle identifiers, "
            f"the checkpoint has embeddings for {config.num_puzzle_identifiers}"
        )


def _misfit(why: str) -> DatasetError:
    return DatasetError(
        "the data set is not one for this checkpoint",
        why=why,
        hint="pass the data set that the checkpoint was trained on (data_path in its all_config.yaml)",
    )


def _rows(sets: list[ArraySet], limit: int | None) -> list[int]:
    """How many examples to take of each set, so that together they are the first ``limit``."""
    counts = [len(part.inputs) for part in sets]
    if limit is None:
        return counts
    return [max(0, min(n, limit - sum(counts[:index]))) for index, n in enumerate(counts)]
