import sys
from itertools import islice

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sudokus import BOARDS, count_solutions, is_minimal

from hrm.errors import MissingError
from hrm.generation.sudoku.board import Board
from hrm.generation.sudoku.checking import are_solved
from hrm.generation.sudoku.grids import draw_grid
from hrm.generation.sudoku.minimal import draw_minimal
from hrm.generation.sudoku.solver import SudokuSolver

SOLVERS = {board: SudokuSolver(board) for board in BOARDS[:2]}
"""Shared by all examples: what a solver learns from one puzzle must not spoil the next."""


def draw_puzzle(board, random):
    solution = draw_grid(board, random)
    share = random.uniform(0.2, 0.6)
    return np.where(random.random(board.cells) < share, solution, 0).astype(np.uint8), solution


@settings(deadline=None)
@given(st.sampled_from(BOARDS[:2]), st.integers(0, 2**32))
def test_a_solution_is_called_the_only_one_when_search_finds_no_other(board, seed):
    puzzle, solution = draw_puzzle(board, np.random.default_rng(seed))
    assert SOLVERS[board].solves_alone(puzzle, solution) == (count_solutions(board, puzzle) == 1)


@settings(deadline=None)
@given(st.sampled_from(BOARDS[:2]), st.integers(0, 2**32))
def test_a_puzzle_is_called_solvable_when_search_finds_a_solution(board, seed):
    random = np.random.default_rng(seed)
    puzzle, _ = draw_puzzle(board, random)
    cell = random.integers(board.cells)
    puzzle[cell] = random.integers(1, board.side + 1)
    clashes = any(np.bincount(puzzle[unit])[1:].max(initial=0) > 1 for unit in board.units)
    assert SOLVERS[board].solvable(puzzle) == (not clashes and count_solutions(board, puzzle, limit=1) > 0)


@pytest.mark.parametrize(("board", "count"), [(BOARDS[0], 60), (BOARDS[1], 25), (BOARDS[2], 1)])
def test_puzzles_have_one_solution_and_no_clue_too_many(board, count):
    drawn = islice(draw_minimal(board, SudokuSolver(board), np.random.default_rng(1)), count)
    for puzzle, solution in drawn:
        assert are_solved(board, puzzle[None], solution[None]).all()
        assert is_minimal(board, puzzle)


def test_every_4x4_grid_is_drawn():
    random = np.random.default_rng(1)
    assert len({draw_grid(Board(2, 2), random).tobytes() for _ in range(2000)}) == 288


@pytest.mark.parametrize("board", BOARDS)
def test_grids_are_full(board):
    random = np.random.default_rng(0)
    grids = np.stack([draw_grid(board, random) for _ in range(50)])
    assert are_solved(board, np.zeros_like(grids), grids).all()


def test_without_the_solver_the_package_to_install_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "pysat.solvers", None)
    with pytest.raises(MissingError, match="python-sat") as caught:
        SudokuSolver(Board(2, 2))
    assert "hrm-trt[data]" in caught.value.hint
