import io

import numpy as np
import pytest
from rich.console import Console

from hrm.data.tasks import task_of
from hrm.data.terminal import answer_board, puzzle_board

FOUR = task_of(6, 16)
PUZZLE = FOUR.parse("4..1 ..2. .... 1...")
ANSWER = FOUR.parse("4231 3124 2413 1342")


def printed(board, *, colour: bool = False, encoding: str = "utf-8") -> str:
    file = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    console = Console(
        file=file, width=80, force_terminal=colour, color_system="truecolor" if colour else None, legacy_windows=False
    )
    console.print(board)
    file.seek(0)
    return file.read()


def test_a_sudoku_has_its_boxes():
    assert printed(puzzle_board(FOUR, PUZZLE)) == (
        "╭─────┬─────╮\n│ 4 . │ . 1 │\n│ . . │ 2 . │\n├─────┼─────┤\n│ . . │ . . │\n│ 1 . │ . . │\n╰─────┴─────╯\n"
    )


def test_a_six_by_six_has_boxes_of_two_rows_and_three_columns():
    lines = printed(puzzle_board(task_of(8, 36), np.ones(36, dtype=np.int32))).splitlines()
    assert lines[1] == "│ . . . │ . . . │"
    assert [index for index, line in enumerate(lines) if line.startswith("├")] == [3, 6]


def test_a_wrong_cell_is_marked_without_colours():
    tokens = ANSWER.copy()
    tokens[1] = 5
    assert "│ 4 4!│ 3 1 │" in printed(answer_board(FOUR, PUZZLE, tokens, ANSWER))


def test_colours_tell_given_filled_wrong_and_changed():
    tokens, previous = ANSWER.copy(), ANSWER.copy()
    tokens[1] = 5
    previous[2] = 2
    text = printed(answer_board(FOUR, PUZZLE, tokens, ANSWER, previous), colour=True)
    assert "\x1b[1m4 " in text
    assert "\x1b[1;31;48;5;237m4!" in text
    assert "\x1b[36;48;5;237m3 " in text
    assert "\x1b[36m2 " in text


def test_a_plain_terminal_gets_ascii():
    assert printed(puzzle_board(FOUR, PUZZLE), encoding="ascii").isascii()


@pytest.mark.parametrize("sizes", [(11, 81), (6, 900), (12, 900), (100, 50)])
def test_every_board_fits_eighty_columns(sizes):
    task = task_of(*sizes)
    tokens = np.random.default_rng(0).integers(2, sizes[0], sizes[1]).astype(np.int32)
    board = answer_board(task, tokens, tokens[::-1].copy(), tokens)
    lines = printed(board).splitlines()
    assert len({len(line) for line in lines}) == 1
    assert len(lines[0]) <= 80
    assert len(lines) >= task.rows
    assert "…" not in printed(board)


def test_a_maze_shows_walls_ends_and_the_way():
    maze = task_of(6, 9)
    puzzle, answer = maze.parse("S #  ## G"), maze.parse("So# o##oG")
    lines = printed(answer_board(maze, puzzle, answer, answer)).splitlines()
    assert lines[1:4] == ["│ S o # │", "│   o # │", "│ # o G │"]


def test_an_arc_grid_is_cut_to_its_size_and_coloured():
    arc = task_of(12, 900)
    grid = np.zeros(900, dtype=np.int32)
    grid[[0, 1, 30, 31]] = [2, 3, 4, 6]
    lines = printed(puzzle_board(arc, grid)).splitlines()
    assert lines[1:3] == ["│ 0 1 │", "│ 2 4 │"]
    assert "48;2;0;116;217" in printed(puzzle_board(arc, grid), colour=True)


def test_a_wrong_tile_is_red_and_marked():
    maze = task_of(6, 9)
    puzzle, label, answer = maze.parse("S #  ## G"), maze.parse("So# o##oG"), maze.parse("So#oo##oG")
    assert "│ o!o # │" in printed(answer_board(maze, puzzle, answer, label))
    text = printed(answer_board(maze, puzzle, answer, label), colour=True)
    assert text.count("\x1b[1;37;41mo!") == 1
    assert "\x1b[1;4;37;41mo!" in printed(answer_board(maze, puzzle, answer, label, label), colour=True)
