"""Sudokus as they are published: the puzzles of a CSV file."""

from __future__ import annotations

import re
from array import array
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from hrm.errors import DatasetError
from hrm.generation.official_csv import bad_line, read_rows

if TYPE_CHECKING:
    from pathlib import Path

    from hrm.generation.sudoku.board import Board, Cells
    from hrm.generation.sudoku.tokens import Pair

_TO_DIGITS = bytes.maketrans(b".0123456789", bytes([0, *range(10)]))


@dataclass(frozen=True, eq=False)
class Collection:
    """N puzzles of one file."""

    path: Path
    lines: npt.NDArray[np.int32]
    """[N], where each puzzle is in the file"""
    puzzles: Cells
    """[N, S]"""
    solutions: Cells
    """[N, S], as the file has them"""

    def __len__(self) -> int:
        return len(self.lines)

    def take(self, indices: npt.NDArray[np.int64]) -> Collection:
        """The puzzles at ``indices``."""
        return Collection(self.path, self.lines[indices], self.puzzles[indices], self.solutions[indices])

    def pairs(self) -> list[Pair]:
        """Each puzzle with its solution."""
        return list(zip(self.puzzles, self.solutions, strict=True))


def read_collection(path: Path, board: Board, min_rating: float | None) -> Collection:
    """The puzzles of ``path`` that are rated ``min_rating`` or more; a blank is ``.`` or ``0``.

    Raises:
        DatasetError: the file cannot be read, a puzzle has the wrong length or an unknown symbol, or none is left.
    """
    question = _Column("question", ".0123456789"[: board.side + 2], board.cells)
    answer = _Column("answer", "123456789"[: board.side], board.cells)
    lines, puzzles, solutions = array("i"), bytearray(), bytearray()
    for row in read_rows(path):
        try:
            puzzle, solution = question.digits(row.question), answer.digits(row.answer)
        except ValueError as error:
            raise bad_line(path, row.line, str(error)) from error
        if min_rating is None or row.rating >= min_rating:
            lines.append(row.line)
            puzzles += puzzle
            solutions += solution
    if not lines:
        raise DatasetError(
            f"{path} has no puzzle to use", why=f"none is rated {min_rating} or more", hint="lower the least rating"
        )
    return Collection(
        path,
        np.frombuffer(lines, dtype=np.int32),
        np.frombuffer(puzzles, dtype=np.uint8).reshape(-1, board.cells),
        np.frombuffer(solutions, dtype=np.uint8).reshape(-1, board.cells),
    )


class _Column:
    """A column whose texts have one of ``symbols`` for each cell."""

    def __init__(self, name: str, symbols: str, cells: int) -> None:
        self._name = name
        self._symbols = symbols
        self._cells = cells
        self._sound = re.compile(f"[{symbols}]{{{cells}}}")

    def digits(self, text: str) -> bytes:
        """One byte for each cell: its digit, 0 for a blank.

        Raises:
            ValueError: there are too many or too few cells, or one that is not known.
        """
        if self._sound.fullmatch(text):
            return text.encode().translate(_TO_DIGITS)
        if len(text) != self._cells:
            raise ValueError(f"its {self._name} has {len(text)} cells, not {self._cells}")
        cell, symbol = next((cell, each) for cell, each in enumerate(text, 1) if each not in self._symbols)
        raise ValueError(f"cell {cell} of its {self._name} is {symbol!r}, none of {self._symbols}")
