from itertools import islice

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sudokus import BOARDS, canonical

from hrm.generation.sudoku.board import Board
from hrm.generation.sudoku.checking import are_solved
from hrm.generation.sudoku.grids import draw_grid
from hrm.generation.sudoku.keys import symmetry_keys
from hrm.generation.sudoku.making import draw_candidates
from hrm.generation.sudoku.symmetry import draw_symmetry

boards = st.sampled_from(BOARDS)
seeds = st.integers(0, 2**32)


def draw_marked_grid(board, seed):
    """A full grid [S] and a puzzle [S] of some of its clues, unique or not."""
    random = np.random.default_rng(seed)
    solution = draw_grid(board, random)
    return np.where(random.random(board.cells) < random.random(), solution, 0).astype(np.uint8), solution


@settings(deadline=None)
@given(boards, seeds)
def test_an_image_of_a_puzzle_and_its_solution_is_one_again(board, seed):
    puzzle, solution = draw_marked_grid(board, seed)
    symmetry = draw_symmetry(board, np.random.default_rng(seed + 1))
    image = symmetry.apply(puzzle)
    assert are_solved(board, image[None], symmetry.apply(solution)[None]).all()
    assert (image > 0).sum() == (puzzle > 0).sum()


def test_every_rearrangement_of_a_4x4_grid_is_drawn():
    random = np.random.default_rng(0)
    drawn = {draw_symmetry(Board(2, 2), random).sources.tobytes() for _ in range(3000)}
    assert len(drawn) == 2 * (2 * 2 * 2) ** 2


@pytest.mark.parametrize(("board", "transposes"), [(Board(2, 3), False), (Board(3, 3), True)])
def test_rows_become_columns_only_where_boxes_are_square(board, transposes):
    random = np.random.default_rng(0)
    symmetries = [draw_symmetry(board, random) for _ in range(100)]
    first_rows = [np.unique(symmetry.sources[: board.side] // board.side) for symmetry in symmetries]
    assert any(len(rows) > 1 for rows in first_rows) == transposes


@settings(deadline=None)
@given(boards, seeds)
def test_a_key_is_the_same_for_every_image(board, seed):
    puzzle, solution = draw_marked_grid(board, seed)
    random = np.random.default_rng(seed + 1)
    symmetries = [draw_symmetry(board, random) for _ in range(4)]
    puzzles = np.stack([puzzle, *(symmetry.apply(puzzle) for symmetry in symmetries)])
    solutions = np.stack([solution, *(symmetry.apply(solution) for symmetry in symmetries)])
    assert len(set(symmetry_keys(board, puzzles, solutions))) == 1


def test_the_36_different_minimal_4x4_puzzles_have_36_keys():
    board = Board(2, 2)
    drawn = list(islice(draw_candidates(board, np.random.default_rng(0)), 1000))
    puzzles, solutions = (np.stack([getattr(each, name) for each in drawn]) for name in ("puzzle", "solution"))
    assert len(set(symmetry_keys(board, puzzles, solutions))) == 36


def test_6x6_puzzles_share_a_key_only_if_they_are_equivalent():
    board, random = Board(2, 3), np.random.default_rng(1)
    solutions = np.repeat([draw_grid(board, random)], 150, axis=0)
    clues = random.permuted(np.tile(np.arange(board.cells) < 3, (150, 1)), axis=1)
    puzzles = np.where(clues, solutions, 0)
    keys = symmetry_keys(board, puzzles, solutions)
    images = [canonical(board, *pair) for pair in zip(puzzles, solutions, strict=True)]
    assert len(set(images)) == 139  # so few clues in one grid: some puzzles are equivalent
    assert len(set(keys)) == len(set(zip(keys, images, strict=True))) == 139


def test_puzzles_that_share_a_grid_have_different_keys():
    board, random = Board(3, 3), np.random.default_rng(0)
    solution = draw_grid(board, random)
    puzzles = np.stack([np.where(random.random(board.cells) < 0.4, solution, 0) for _ in range(500)]).astype(np.uint8)
    assert len(set(symmetry_keys(board, puzzles, np.broadcast_to(solution, puzzles.shape)))) == 500
