"""Where the CSV files of an official collection are: a directory, one file, or a data set on the Hugging Face Hub."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from hrm.errors import DatasetError
from hrm.hub import download, is_address, repository

_SPLITS = ("train", "test")


@dataclass(frozen=True)
class OfficialFiles:
    """The CSV files of a collection."""

    source: str
    """What they are called in records: the Hub's address, or the file's or directory's name."""
    revision: str | None
    """The commit of a repository on the Hub."""
    paths: dict[str, Path]
    """The file of each split: ``train``, ``test`` or both."""


def locate_files(given: str) -> OfficialFiles:
    """The files at ``given``: ``hf://<repository>[@<revision>]``, or a directory, with ``train.csv`` and ``test.csv``.

    One file is taken for training puzzles, unless its name is ``test.csv``.

    Raises:
        DatasetError: there is none, or it cannot be fetched.
        MissingError: huggingface_hub is not installed.
    """
    if is_address(given):
        snapshot, commit = download(given, tuple(f"{split}.csv" for split in _SPLITS), "dataset")
        return OfficialFiles(f"hf://{repository(given)}", commit, _found(given, snapshot))
    path = Path(given)
    if path.is_file():
        return OfficialFiles(path.name, None, {"test" if path.name == "test.csv" else "train": path})
    return OfficialFiles(path.name, None, _found(given, path))


def _found(given: str, directory: Path) -> dict[str, Path]:
    paths = {split: directory / f"{split}.csv" for split in _SPLITS}
    found = {split: path for split, path in paths.items() if path.is_file()}
    if not found:
        raise DatasetError(
            f"no puzzles at {given}",
            why=f"it holds neither {' nor '.join(path.name for path in paths.values())}",
            hint="give a CSV file, a directory with train.csv and test.csv, or hf://<owner>/<data set>",
        )
    return found
