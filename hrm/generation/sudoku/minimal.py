"""Minimal puzzles: one solution, and no clue that could be left out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hrm.generation.sudoku.grids import draw_grid

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np

    from hrm.generation.sudoku.board import Board, Cells
    from hrm.generation.sudoku.solver import SudokuSolver


def draw_minimal(board: Board, solver: SudokuSolver, random: np.random.Generator) -> Iterator[tuple[Cells, Cells]]:
    """Minimal puzzles [S] of random grids, each with its solution [S], without end."""
    while True:
        solution = draw_grid(board, random)
        puzzle = solution.copy()
        puzzle[_superfluous(solution, random.permutation(board.cells).tolist(), solver)] = 0
        yield puzzle, solution


def _superfluous(solution: Cells, order: list[int], solver: SudokuSolver) -> list[int]:
    """The cells that need no clue when clues are taken away in this order, as long as the solution stays the only one.

    A clue is needed if the others allow another digit in its cell: any second solution must differ there, or it
    would have been one before. Once needed, it stays so, because clues only ever get fewer.
    """
    literals = solver.literals(solution)
    clues = {cell: literals[cell] for cell in order}
    superfluous = []
    for cell in order:
        clue = clues.pop(cell)
        if solver.satisfiable([-clue, *clues.values()]):
            clues[cell] = clue
        else:
            superfluous.append(cell)
    return superfluous
