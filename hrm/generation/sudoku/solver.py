"""Sudoku as a satisfiability problem: one solver, asked about one puzzle after another.

Clues are assumptions, so what the solver learns from one puzzle holds for all, and the next question gets easier. The
answers are a matter of logic: another solver, or another version of it, gives the same ones.
"""

from __future__ import annotations

from itertools import chain, combinations
from typing import TYPE_CHECKING

from hrm.errors import missing_package

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from hrm.generation.sudoku.board import Board, Cells


class SudokuSolver:
    """Answers questions about the full grids of a board.

    Raises:
        MissingError: python-sat is not installed.
    """

    def __init__(self, board: Board) -> None:
        try:
            from pysat.solvers import Minisat22
        except ImportError as error:
            raise missing_package("python-sat", "data", "checking that a Sudoku has one solution") from error
        self._side = board.side
        self._variables = board.cells * board.side
        self._solver = Minisat22(bootstrap_with=_rules(board))

    def literals(self, cells: Cells) -> list[int]:
        """[S]: for each cell the literal that it holds its digit; negated, that it does not. 0 for a blank."""
        return [cell * self._side + digit if digit else 0 for cell, digit in enumerate(cells.tolist())]

    def satisfiable(self, literals: Sequence[int]) -> bool:
        """Whether there is a grid of which all ``literals`` are true."""
        return bool(self._solver.solve(assumptions=literals))

    def solvable(self, puzzle: Cells) -> bool:
        """Whether ``puzzle`` [S] has a solution."""
        return self.satisfiable([literal for literal in self.literals(puzzle) if literal])

    def solves_alone(self, puzzle: Cells, solution: Cells) -> bool:
        """Whether ``solution`` [S], which is one of ``puzzle`` [S], is the only one."""
        self._variables += 1
        another = self._variables
        self._solver.add_clause(
            [-another, *(-literal for literal in self.literals(solution * (puzzle == 0)) if literal)]
        )
        clues = [literal for literal in self.literals(puzzle) if literal]
        alone = not self.satisfiable([another, *clues])
        self._solver.add_clause([-another])
        return alone


def _rules(board: Board) -> Iterator[list[int]]:
    """The clauses that every full grid satisfies: one digit in a cell, and each digit once in every unit."""
    digits = range(1, board.side + 1)
    of_cell = [[cell * board.side + digit for digit in digits] for cell in range(board.cells)]
    of_unit = [[cell * board.side + digit for cell in unit] for unit in board.units.tolist() for digit in digits]
    for literals in chain(of_cell, of_unit):
        yield literals
        yield from ([-one, -other] for one, other in combinations(literals, 2))
