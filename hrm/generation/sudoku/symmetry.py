"""The symmetries of Sudoku that the official builder augments puzzles with.

Digits are relabelled; bands change places, and rows within a band; stacks change places, and columns within a stack;
and, where boxes are square, rows become columns. A box of another shape would not be a box after that.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from hrm.generation.sudoku.board import Board, Cells


@dataclass(frozen=True, eq=False)
class Symmetry:
    """One symmetry: where each cell comes from, and what each digit becomes."""

    sources: npt.NDArray[np.int64]
    """[S], the old cell at each new one"""
    digits: Cells
    """[side + 1], from old to new; a blank stays one"""

    def apply(self, cells: Cells) -> Cells:
        """Puzzles or solutions [..., S], transformed."""
        return self.digits[cells[..., self.sources]]


def draw_symmetry(board: Board, random: np.random.Generator) -> Symmetry:
    """One of the symmetries of ``board``, all of them equally likely."""
    rows = _draw_lines(board.columns, board.rows, random)
    columns = _draw_lines(board.rows, board.columns, random)
    sources = rows[:, None] * board.side + columns
    if board.rows == board.columns and random.integers(2):
        sources = sources.T
    digits = np.concatenate([[0], random.permutation(board.side) + 1])
    return Symmetry(sources.ravel(), digits.astype(np.uint8))


def _draw_lines(bands: int, lines: int, random: np.random.Generator) -> npt.NDArray[np.int64]:
    """An order of ``bands × lines`` rows (or columns) that keeps those of one band (or stack) together."""
    order = [band * lines + random.permutation(lines) for band in random.permutation(bands)]
    return np.concatenate(order)
