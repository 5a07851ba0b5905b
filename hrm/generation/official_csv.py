"""The CSV files in which the official Sudoku and maze puzzles are published: source,question,answer,rating."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING, NamedTuple

from hrm.errors import DatasetError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_COLUMNS = ("source", "question", "answer", "rating")


class Row(NamedTuple):
    """One puzzle, as written."""

    line: int
    """Where the row ends in the file, from 1."""
    question: str
    answer: str
    rating: float


def read_rows(path: Path) -> Iterator[Row]:
    """The rows of ``path``, one by one; its first line names the columns.

    Raises:
        DatasetError: the file cannot be read or decoded, has no row, or a row is ragged or has no number as its rating.
    """
    header = last = 0
    try:
        with path.open(encoding="utf-8", newline="") as file:
            reader = csv.reader(file, strict=True)
            _check_header(path, next(reader, []))
            header = last = reader.line_num
            for cells in reader:
                last = reader.line_num
                yield _row(path, last, cells)
    except OSError as error:
        raise DatasetError(
            f"cannot read {path}", why=error.strerror or str(error), hint="give the path of a CSV file of puzzles"
        ) from error
    except (csv.Error, UnicodeDecodeError) as error:
        raise bad_line(path, last + 1, f"it is not CSV in UTF-8: {error}") from error
    if last == header:
        raise DatasetError(
            f"{path} holds no puzzle", why="nothing follows the line that names the columns", hint="give another file"
        )


def bad_line(path: Path, line: int, why: str) -> DatasetError:
    """The error for a line that does not hold what it should."""
    return DatasetError(
        f"line {line} of {path} is not a puzzle of this task",
        why=why,
        hint=f"correct the line or leave it out; its columns are {','.join(_COLUMNS)}",
    )


def _check_header(path: Path, cells: list[str]) -> None:
    if len(cells) != len(_COLUMNS) or _number(cells[-1]) is not None:
        raise DatasetError(
            f"{path} does not begin with the names of its columns",
            why=f"its first line is {','.join(cells)[:80]!r}",
            hint=f"put the line {','.join(_COLUMNS)} at its top",
        )


def _row(path: Path, line: int, cells: list[str]) -> Row:
    if len(cells) != len(_COLUMNS):
        raise bad_line(path, line, f"it has {len(cells)} columns, not {len(_COLUMNS)}")
    _, question, answer, rating = cells
    number = _number(rating)
    if number is None:
        raise bad_line(path, line, f"its rating is {rating!r}, not a number")
    return Row(line, question, answer, number)


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
