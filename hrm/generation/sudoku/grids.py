"""Full grids, drawn at random."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hrm.generation.sudoku.symmetry import draw_symmetry

if TYPE_CHECKING:
    from hrm.generation.sudoku.board import Board, Cells


def draw_grid(board: Board, random: np.random.Generator) -> Cells:
    """A full grid [S]: digits tried in random order, then a random symmetry.

    Grids are well spread but not all equally likely: the cell with the fewest digits left is filled first.
    """
    filling = _Filling(board, random)
    filling.complete(list(range(board.cells)))
    grid = np.array(filling.digits, dtype=np.uint8)
    return draw_symmetry(board, random).apply(grid)


class _Filling:
    """A grid on its way to being full; sets of digits are bits of an integer."""

    def __init__(self, board: Board, random: np.random.Generator) -> None:
        orders = random.permuted(np.tile(np.arange(1, board.side + 1), (board.cells, 1)), axis=1)
        self.digits = [0] * board.cells
        self._orders: list[list[int]] = orders.tolist()
        kinds = (board.row_of, board.side + board.column_of, 2 * board.side + board.box_of)
        self._units: list[list[int]] = np.stack(kinds, axis=1).tolist()
        self._free = [(1 << board.side) - 1] * (3 * board.side)
        """The digits that each row, column and box still lacks."""

    def complete(self, empty: list[int]) -> bool:
        """Fill the ``empty`` cells; False, and nothing changed, where that cannot be done."""
        if not empty:
            return True
        cell = min(empty, key=lambda each: self._choices(each).bit_count())
        rest = [other for other in empty if other != cell]
        choices = self._choices(cell)
        for digit in self._orders[cell]:
            if choices >> (digit - 1) & 1:
                self._toggle(cell, digit)
                if self.complete(rest):
                    self.digits[cell] = digit
                    return True
                self._toggle(cell, digit)
        return False

    def _choices(self, cell: int) -> int:
        row, column, box = self._units[cell]
        return self._free[row] & self._free[column] & self._free[box]

    def _toggle(self, cell: int, digit: int) -> None:
        for unit in self._units[cell]:
            self._free[unit] ^= 1 << (digit - 1)
