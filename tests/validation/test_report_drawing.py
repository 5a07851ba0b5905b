import re

import numpy as np
import pytest

from hrm.data.cells import answer_cells, puzzle_cells
from hrm.data.tasks import task_of
from validation.report.drawing import draw


def covered(path):
    """The cells under a path of rectangles."""
    runs = re.findall(r"M(\d+) (\d+)h(\d+)v1h-\d+z", path)
    assert "".join(f"M{x} {y}h{width}v1h-{width}z" for x, y, width in runs) == path
    return {(int(y), int(x) + step) for x, y, width in runs for step in range(int(width))}


def test_a_sudoku_shows_what_is_given_filled_and_wrong():
    task = task_of(6, 16)
    inputs = task.parse("1..." "..2." "...." "...4")  # fmt: skip
    labels = task.parse("1234" "3421" "2143" "4312")  # fmt: skip
    tokens = task.parse("1234" "3421" "2143" "4322")  # fmt: skip
    drawing = draw(task, answer_cells(task, inputs, tokens, labels))
    styles = {(int(symbol.y), int(symbol.x)): (symbol.text, symbol.style) for symbol in drawing.symbols}
    assert styles[0, 0] == ("1", "given")
    assert styles[0, 1] == ("2", "filled")
    assert styles[3, 2] == ("2", "wrong")
    assert styles[3, 3] == ("2", "wrong")  # a given cell that was overwritten
    (wrong,) = drawing.tiles
    assert (wrong.style, covered(wrong.path)) == ("wrong", {(3, 2), (3, 3)})
    assert drawing.thick == "M0 2h4M2 0v4"


def test_blank_cells_stay_empty():
    task = task_of(6, 16)
    drawing = draw(task, puzzle_cells(task, task.parse("1" + 15 * ".")))
    assert [symbol.text for symbol in drawing.symbols] == ["1"]
    assert drawing.tiles == ()


def test_a_maze_is_tiles_with_start_and_goal():
    task = task_of(6, 25)
    drawing = draw(task, puzzle_cells(task, task.parse("S ###" "#  ##" "## ##" "##  #" "###oG")))  # fmt: skip
    tiles = {tile.style: covered(tile.path) for tile in drawing.tiles}
    assert tiles["way"] == {(4, 3)}
    assert tiles["start"] == {(0, 0)}
    assert len(tiles["wall"]) == sum("S ####  #### ####  ####oG".count(symbol) for symbol in "#")
    assert [symbol.text for symbol in drawing.symbols] == ["S", "G"]
    assert drawing.tiled


def test_an_arc_grid_is_cut_to_its_size():
    task = task_of(12, 900)
    tokens = np.zeros((30, 30), dtype=np.int32)
    tokens[:2, :3] = [[2, 3, 4], [5, 5, 5]]
    drawing = draw(task, puzzle_cells(task, tokens.ravel()))
    assert (drawing.rows, drawing.columns) == (2, 3)
    assert {tile.style: covered(tile.path) for tile in drawing.tiles}["arc-3"] == {(1, 0), (1, 1), (1, 2)}
    assert drawing.symbols == ()


@pytest.mark.parametrize(("vocab", "length"), [(300, 100), (7, 5)])
def test_any_other_sequence_shows_its_numbers(vocab, length):
    task = task_of(vocab, length)
    drawing = draw(task, puzzle_cells(task, np.arange(length, dtype=np.int32) % vocab))
    assert len(drawing.symbols) == length
    assert drawing.dense == (vocab > 10)
