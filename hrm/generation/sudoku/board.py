"""The geometry of a Sudoku: which cells make up a row, a column and a box."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
import numpy.typing as npt

BoxName = Literal["2x2", "2x3", "3x3"]
"""Rows and columns of a box."""
BOXES: tuple[BoxName, ...] = ("2x2", "2x3", "3x3")
Cells = npt.NDArray[np.uint8]
"""[S] or [N, S]: digits from 1, and 0 for a blank."""


@dataclass(frozen=True)
class Board:
    """A Sudoku whose boxes have ``rows`` rows and ``columns`` columns; cells are counted row by row."""

    rows: int
    columns: int

    @classmethod
    def named(cls, box: BoxName) -> Board:
        """The board whose boxes are called ``box``."""
        rows, columns = map(int, box.split("x"))
        return cls(rows, columns)

    @property
    def side(self) -> int:
        """Digits, and cells in a row, a column or a box."""
        return self.rows * self.columns

    @property
    def cells(self) -> int:
        """Cells of a grid (S)."""
        return self.side**2

    @cached_property
    def row_of(self) -> npt.NDArray[np.int64]:
        """[S], the row of each cell."""
        return np.arange(self.cells) // self.side

    @cached_property
    def column_of(self) -> npt.NDArray[np.int64]:
        """[S], the column of each cell."""
        return np.arange(self.cells) % self.side

    @cached_property
    def box_of(self) -> npt.NDArray[np.int64]:
        """[S], the box of each cell; boxes are counted row by row as well."""
        return self.row_of // self.rows * self.rows + self.column_of // self.columns

    @cached_property
    def units(self) -> npt.NDArray[np.int64]:
        """[3 × side, side]: the cells of every row, every column and every box."""
        kinds = (self.row_of, self.column_of, self.box_of)
        return np.concatenate([np.argsort(kind, kind="stable").reshape(self.side, self.side) for kind in kinds])
