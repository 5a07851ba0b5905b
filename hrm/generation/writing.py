"""Write a data set in the official layout, whole or not at all."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hrm.data.record import DatasetRecord, SplitRecord, digest_split, write_record
from hrm.data.vocabulary import VOCABULARY
from hrm.errors import DatasetError
from hrm.files import write_json
from hrm.generation.split_files import write_split
from hrm.generation.staging import staged

if TYPE_CHECKING:
    from pathlib import Path

    from hrm.data.layout import DatasetInfo
    from hrm.data.record import Origin
    from hrm.generation.groups import Group

Progress = Callable[[str, int, int], None]
"""What is being made ("test puzzles"), how many there are, and how many there will be."""


@dataclass(frozen=True)
class NewDataset:
    """A data set that is to be written."""

    info: DatasetInfo
    splits: Mapping[str, Iterable[Group]]
    """Consumed one after the other, each of them once."""
    identifiers: Sequence[str]
    """What each puzzle identifier stands for; the first is ``<blank>``."""
    origin: Origin
    vocabulary: Sequence[str] | None = None
    """What each token id is written as; only for tasks of a user's own."""


def refuse_occupied(directory: Path) -> None:
    """Check that a data set may be written to ``directory``: it is absent or empty.

    Raises:
        DatasetError: it holds something, or is a file.
    """
    if directory.is_dir():
        inside = next(directory.iterdir(), None)
        if inside is None:
            return
        why = f"it holds {inside.name}, and nothing there is overwritten"
    elif directory.exists():
        why = "it is a file"
    else:
        return
    raise DatasetError(
        f"no data set can be written to {directory}", why=why, hint="choose a new directory, or remove this one first"
    )


def write_dataset(directory: Path, dataset: NewDataset) -> DatasetRecord:
    """Write ``dataset`` to ``directory`` in one step, with its record.

    Raises:
        DatasetError: the directory holds something or is being written by another run, a split is empty, or a puzzle
            does not fit ``dataset.info``.
        StorageError: the disk is full or failing.
        UnwritableError: the place cannot be written.
    """
    refuse_occupied(directory)
    splits: dict[str, SplitRecord] = {}
    with staged(directory) as staging:
        for split, groups in dataset.splits.items():
            counts = write_split(staging / split, groups, dataset.info)
            splits[split] = SplitRecord(**counts, digest=digest_split(staging, split))
        write_json(staging / "identifiers.json", list(dataset.identifiers))
        if dataset.vocabulary is not None:
            write_json(staging / VOCABULARY, list(dataset.vocabulary))
        record = DatasetRecord(**dataset.origin.model_dump(), splits=splits)
        write_record(staging, record)
    return record
