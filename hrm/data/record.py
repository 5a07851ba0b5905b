"""Where a data set came from: a record beside it, bound to its files by their digest."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import ValidationError

from hrm.data.layout import broken, split_files, split_names
from hrm.documents import Document
from hrm.errors import DatasetError
from hrm.files import sha256_files, write_json

if TYPE_CHECKING:
    from pathlib import Path

RECORD = "record.json"


class DatasetRecord(Document):
    """The origin of a data set; null where it is not known."""

    format_version: Literal[1] = 1
    source: str
    """What the puzzles are and who made them, or where they were downloaded."""
    version: str | None
    """The revision of the source."""
    seed: int | None
    """The seed of what was drawn at random."""
    augmentations: int | None
    """Augmented copies of each training puzzle on disk, beside the puzzle itself."""
    licence: str | None
    digest: str
    """``digest_dataset`` of the files that the record speaks of."""


def digest_split(directory: Path, split: str) -> str:
    """Hex SHA-256 over the names and contents of the files of one split.

    Raises:
        DatasetError: the split or one of its files is missing.
    """
    return _digest(directory, split_files(directory, split))


def digest_dataset(directory: Path) -> str:
    """Hex SHA-256 over the names and contents of the files of every split; the record itself is left out.

    Raises:
        DatasetError: there is no split, or a file is missing.
    """
    splits = split_names(directory)
    if not splits:
        raise DatasetError(
            f"no data set at {directory}",
            why="no directory in it holds a dataset.json",
            hint="give the directory that holds train/ and test/",
        )
    return _digest(directory, [path for split in splits for path in split_files(directory, split)])


def read_record(directory: Path) -> DatasetRecord | None:
    """The record of the data set in ``directory``; None where it has none.

    Raises:
        DatasetError: the record is malformed.
    """
    path = directory / RECORD
    if not path.exists():
        return None
    try:
        record = DatasetRecord.model_validate_json(path.read_bytes())
    except OSError as error:
        raise broken(path, f"it cannot be read: {error.strerror}") from error
    except ValidationError as error:
        first = error.errors()[0]
        raise broken(path, f"{'.'.join(map(str, first['loc'])) or 'document'}: {first['msg']}") from error
    return record


def check_record(directory: Path) -> None:
    """Check that the files are still the ones that the record speaks of, where there is one; reads all of them.

    Raises:
        DatasetError: the record is malformed, or the files have changed.
    """
    record = read_record(directory)
    if record is None:
        return
    found = digest_dataset(directory)
    if found != record.digest:
        raise DatasetError(
            f"the data set at {directory} has changed since its record was written",
            why=f"{RECORD} names the digest {record.digest[:12]}…, and the files have {found[:12]}…",
            hint=f"restore the files, or, if the change was meant, bring {RECORD} up to date with digest {found}",
        )


def write_record(directory: Path, record: DatasetRecord) -> None:
    """Write ``record`` beside the data set.

    Raises:
        StorageError: the disk is full or failing.
        UnwritableError: the place cannot be written.
    """
    write_json(directory / RECORD, record.model_dump())


def _digest(directory: Path, paths: list[Path]) -> str:
    try:
        return sha256_files(paths, directory)
    except OSError as error:
        raise broken(directory, f"{error.filename} cannot be read: {error.strerror}") from error
