"""A key of a puzzle that its symmetries leave as it is.

Each cell gets a colour: at first whether it is a clue, then, round by round, its own colour with the colours of its
row, band, column, stack and box and of the cells with its digit in the solution. Colours are 64-bit hashes, and cells
of a unit are summed, so their order plays no part. (This is colour refinement, or the 1-dimensional Weisfeiler-Leman
algorithm.) Equivalent puzzles always share a key. Puzzles that share one by chance are taken for equivalent: one of
them is lost, and nothing else happens.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from hrm.generation.sudoku.board import Board, Cells

ROUNDS = 4
Colours = npt.NDArray[np.uint64]


def symmetry_keys(board: Board, puzzles: Cells, solutions: Cells) -> list[bytes]:
    """The key of each of ``puzzles`` [N, S] with its solution [N, S].

    Where boxes are square, rows and columns play the same part; otherwise transposition is no symmetry.
    """
    digits = np.arange(1, board.side + 1)[:, None] == solutions[:, None, :]  # [N, side, S]
    colours = _mix((puzzles > 0).astype(np.uint64))
    for _ in range(ROUNDS):
        lines = _lines(board, colours)
        of_digit = np.einsum("nd,nds->ns", (digits * colours[:, None, :]).sum(axis=2, dtype=np.uint64), digits)
        of_box = _sums(board.box_of, colours)
        colours = _mix(colours + lines + _mix(of_box ^ _salt(1)) + _mix(of_digit ^ _salt(2)))
    return [blake2b(row.tobytes(), digest_size=16).digest() for row in np.sort(colours, axis=1)]


def _lines(board: Board, colours: Colours) -> Colours:
    """What each cell [N, S] sees along its row and its band, and along its column and its stack."""
    square = board.rows == board.columns
    across = _line(board.row_of, board.rows, colours)
    down = _line(board.column_of, board.columns, colours)
    return _mix(across ^ _salt(3)) + _mix(down ^ _salt(3 if square else 4))


def _line(line_of: npt.NDArray[np.int64], lines_in_band: int, colours: Colours) -> Colours:
    return _mix(_sums(line_of, colours)) + _sums(line_of // lines_in_band, colours)


def _sums(unit_of: npt.NDArray[np.int64], colours: Colours) -> Colours:
    """The sum [N, S] of the colours in each cell's unit."""
    members = unit_of == np.arange(unit_of.max() + 1)[:, None]  # [units, S]
    sums: Colours = colours @ members.T.astype(np.uint64)
    return sums[:, unit_of]


def _salt(number: int) -> np.uint64:
    return np.uint64(0x9E3779B97F4A7C15 * number % 2**64)


def _mix(values: Colours) -> Colours:
    """A well spread image of each value: the finaliser of SplitMix64 (Steele, Lea and Flood, 2014)."""
    values = values + _salt(1)
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))
