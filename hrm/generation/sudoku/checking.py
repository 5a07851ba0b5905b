"""Whether published puzzles have exactly one solution, and whether it is the one that was published with them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from hrm.generation.official_csv import bad_line
from hrm.generation.sudoku.solver import SudokuSolver

if TYPE_CHECKING:
    from hrm.generation.sudoku.board import Board, Cells
    from hrm.generation.sudoku.collection import Collection
    from hrm.generation.writing import Progress

_BATCH = 256
"""Puzzles that share a solver: one that has learnt too much is slow."""


def check_puzzles(split: str, collection: Collection, board: Board, progress: Progress) -> None:
    """Check all puzzles of ``collection``, which go to ``split``.

    Raises:
        DatasetError: a puzzle has no solution, several, or another one than its answer.
    """
    for start in range(0, len(collection), _BATCH):
        stop = min(start + _BATCH, len(collection))
        _check_batch(collection.take(np.arange(start, stop)), board)
        progress(f"checking {split} puzzles", stop, len(collection))


def _check_batch(batch: Collection, board: Board) -> None:
    solver = SudokuSolver(board)
    solved = are_solved(board, batch.puzzles, batch.solutions).tolist()
    for line, puzzle, solution, is_solved in zip(batch.lines, batch.puzzles, batch.solutions, solved, strict=True):
        if not is_solved:
            raise bad_line(batch.path, line, _why_unsolved(solver, puzzle, solution))
        if not solver.solves_alone(puzzle, solution):
            raise bad_line(batch.path, line, "its question has several solutions")


def are_solved(board: Board, puzzles: Cells, solutions: Cells) -> npt.NDArray[np.bool_]:
    """[N]: whether each of ``solutions`` [N, S] is a full grid that agrees with its puzzle [N, S]."""
    agree = ((puzzles == 0) | (puzzles == solutions)).all(axis=1)
    digits = np.left_shift(np.uint16(1), solutions)
    complete = np.bitwise_or.reduce(digits[:, board.units], axis=2) == (2 << board.side) - 2
    result: npt.NDArray[np.bool_] = agree & complete.all(axis=1)
    return result


def _why_unsolved(solver: SudokuSolver, puzzle: Cells, solution: Cells) -> str:
    if not solver.solvable(puzzle):
        return "its question has no solution"
    changed = np.flatnonzero((puzzle > 0) & (puzzle != solution))
    if changed.size:
        cell = changed[0]
        return f"cell {cell + 1} is {puzzle[cell]} in its question and {solution[cell]} in its answer"
    return "its answer has a digit twice in a row, a column or a box"
