"""What the lines of a CSV with a header, or of JSON lines, say: records, and where each stands."""

from __future__ import annotations

import csv
import json
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

from hrm.errors import DatasetError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path
    from typing import TextIO

Line = tuple[int, "Mapping[str, Any]"]
"""A record and its line."""


class Place(NamedTuple):
    """Where a row stands; lines count from 1."""

    path: Path
    line: int

    def __str__(self) -> str:
        return f"{self.path}, line {self.line}"


def faulty(place: Place, why: str, hint: str) -> DatasetError:
    """The error for a row that cannot be used."""
    return DatasetError(f"cannot use {place}", why=why, hint=hint)


def read_records(path: Path) -> Iterator[tuple[Place, Mapping[str, Any]]]:
    """The records of one file in UTF-8, told by its ending: ``.csv`` or ``.jsonl``.

    Raises:
        UsageError: the file's ending is another one.
        DatasetError: the file or a line of it cannot be read.
    """
    if path.suffix not in _READERS:
        raise UsageError(
            f"cannot read {path}",
            why="what kind of file it is is told by its ending",
            hint=f"name it {path.stem}.csv, with a header, or {path.stem}.jsonl, one object a line",
        )
    with _opened(path) as file:
        for line, record in _READERS[path.suffix](path, file):
            yield Place(path, line), record


@contextmanager
def _opened(path: Path) -> Iterator[TextIO]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            yield file
    except UnicodeDecodeError as error:
        raise DatasetError(f"cannot read {path}", why=f"it is not UTF-8: {error.reason}", hint="convert it") from error
    except OSError as error:
        raise DatasetError(f"cannot read {path}", why=error.strerror or str(error), hint="check the path") from error


def _read_csv(path: Path, file: TextIO) -> Iterator[Line]:
    reader = csv.DictReader(file, strict=True)
    try:
        names = reader.fieldnames or ()
        twice = next((name for name in names if list(names).count(name) > 1), None)
        if twice is not None:
            raise faulty(Place(path, 1), f"two columns are called {twice!r}", "give every column a name of its own")
        for record in reader:
            _check_width(Place(path, reader.line_num), record, len(names))
            yield reader.line_num, record
    except csv.Error as error:
        place = Place(path, reader.line_num + 1)  # the row after the last that was read
        raise faulty(place, str(error), 'quote cells as CSV does: "…", and "" for a quote') from error


def _check_width(place: Place, record: dict[str | None, Any], columns: int) -> None:
    """A row that is too long has cells under the name None, one that is too short has cells that are None."""
    cells = columns + len(record.get(None, ())) - sum(cell is None for cell in record.values())
    if cells != columns:
        raise faulty(place, f"it has {cells} cells, and the header has {columns}", "quote cells that hold a comma")


def _read_json(path: Path, file: TextIO) -> Iterator[Line]:
    hint = 'write one object a line: {"input": …, "answer": …}'
    for number, line in enumerate(file, 1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise faulty(Place(path, number), f"it is not JSON: {error}", hint) from error
        if not isinstance(record, dict):
            raise faulty(Place(path, number), "it is JSON, but not an object", hint)
        yield number, record


_READERS: dict[str, Callable[[Path, TextIO], Iterator[Line]]] = {".csv": _read_csv, ".jsonl": _read_json}
