"""Where a data set came from: a record beside it, bound to each of its splits by a digest."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import JsonValue, NonNegativeInt, ValidationError

from hrm.data.layout import broken, split_files, split_names
from hrm.documents import Document
from hrm.errors import DatasetError
from hrm.files import sha256_files, write_json

if TYPE_CHECKING:
    from pathlib import Path

RECORD = "record.json"


class SplitRecord(Document):
    """The size of one split, and the digest of its files."""

    groups: NonNegativeInt
    """Puzzles as they were before any augmentation."""
    puzzles: NonNegativeInt
    examples: NonNegativeInt
    digest: str
    """``digest_split`` of the files that the record speaks of."""


class Origin(Document):
    """Where a data set comes from; null where it is not known."""

    source: str
    """What the puzzles are and who made them, or where they were downloaded."""
    version: str | None
    """The revision of the source."""
    seed: int | None
    """The seed of what was drawn at random."""
    augmentations: int | None
    """Augmented copies of each training puzzle on disk, beside the puzzle itself."""
    licence: str | None
    options: dict[str, JsonValue]
    """What makes the same data set again; empty where it is not known."""


class DatasetRecord(Origin):
    """The origin of a data set, and its splits."""

    format_version: Literal[2] = 2
    splits: dict[str, SplitRecord]
    """Every split that was made, whether or not it is shipped."""


def digest_split(directory: Path, split: str) -> str:
    """Hex SHA-256 over the names and contents of the files of one split.

    Raises:
        DatasetError: the split or one of its files is missing.
    """
    try:
        return sha256_files(split_files(directory, split), directory)
    except OSError as error:
        raise broken(directory, f"{error.filename} cannot be read: {error.strerror}") from error


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
    """Check every split that is there against the record, where there is one; reads all of their files.

    A split that the record speaks of may be absent: a data set may be shipped without its training puzzles.

    Raises:
        DatasetError: the record is malformed, or a split has changed or is not among its splits.
    """
    record = read_record(directory)
    if record is None:
        return
    for split in split_names(directory):
        found = digest_split(directory, split)
        known = record.splits[split].digest if split in record.splits else None
        if found != known:
            raise DatasetError(
                f"the {split} split of {directory} has changed since its record was written",
                why=f"{RECORD} names {'no such split' if known is None else f'the digest {known[:12]}…'},"
                f" and the files have {found[:12]}…",
                hint=f"restore the files, or, if the change was meant, bring {RECORD} up to date with digest {found}",
            )


def write_record(directory: Path, record: DatasetRecord) -> None:
    """Write ``record`` beside the data set.

    Raises:
        StorageError: the disk is full or failing.
        UnwritableError: the place cannot be written.
    """
    write_json(directory / RECORD, record.model_dump())
