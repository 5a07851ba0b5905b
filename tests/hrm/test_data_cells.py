import numpy as np

from hrm.data.cells import Mark, answer_cells, extent, puzzle_cells
from hrm.data.dataset import IGNORE
from hrm.data.tasks import task_of

FOUR = task_of(6, 16)
ARC = task_of(12, 900)
PUZZLE = FOUR.parse("4..1 ..2. .... 1...")
ANSWER = FOUR.parse("4231 3124 2413 1342")


def marks(cells):
    return [cell.mark for cell in cells]


def arc_grid(*rows):
    grid = np.zeros((30, 30), dtype=np.int32)
    for index, row in enumerate(rows):
        grid[index, : len(row)] = row
    return grid.ravel()


def test_a_puzzle_shows_what_is_given():
    cells = puzzle_cells(FOUR, PUZZLE)
    assert marks(cells)[:4] == [Mark.GIVEN, Mark.EMPTY, Mark.EMPTY, Mark.GIVEN]
    assert [cell.symbol for cell in cells[:4]] == ["4", ".", ".", "1"]
    assert (cells[6].row, cells[6].column) == (1, 2)


def test_a_right_answer_has_given_and_filled_cells():
    cells = answer_cells(FOUR, PUZZLE, ANSWER, ANSWER)
    assert marks(cells)[:4] == [Mark.GIVEN, Mark.FILLED, Mark.FILLED, Mark.GIVEN]
    assert Mark.WRONG not in marks(cells)


def test_cells_that_differ_from_their_label_are_wrong():
    tokens = ANSWER.copy()
    tokens[[1, 9]] = tokens[[9, 1]]
    wrong = [
        index for index, mark in enumerate(marks(answer_cells(FOUR, PUZZLE, tokens, ANSWER))) if mark is Mark.WRONG
    ]
    assert wrong == [1, 9]


def test_an_overwritten_given_is_wrong_even_without_labels():
    tokens = ANSWER.copy()
    tokens[0] = 2
    assert marks(answer_cells(FOUR, PUZZLE, tokens))[0] is Mark.WRONG


def test_cells_that_are_not_judged_are_empty():
    labels = ANSWER.copy()
    labels[5] = IGNORE
    assert marks(answer_cells(FOUR, PUZZLE, ANSWER, labels))[5] is Mark.EMPTY


def test_what_changed_since_the_segment_before_is_known():
    previous = ANSWER.copy()
    previous[3] = 5
    changed = [cell.changed for cell in answer_cells(FOUR, PUZZLE, ANSWER, previous=previous)]
    assert [index for index, moved in enumerate(changed) if moved] == [3]


def test_an_arc_grid_ends_where_its_colours_end():
    grid = arc_grid([2, 3, 1], [4, 11, 1], [1, 1, 1])
    assert extent(ARC, puzzle_cells(ARC, grid)) == (2, 2)
    assert extent(FOUR, puzzle_cells(FOUR, PUZZLE)) == (4, 4)


def test_an_arc_end_in_place_of_a_colour_is_wrong_and_shown():
    label = arc_grid([2, 3, 1])
    cells = answer_cells(ARC, label, arc_grid([2, 1, 1]), np.where(label == 0, IGNORE, label))
    assert marks(cells)[:4] == [Mark.FILLED, Mark.WRONG, Mark.EMPTY, Mark.EMPTY]


def test_an_arc_colour_in_place_of_an_end_is_wrong_and_shown():
    label = arc_grid([2, 3, 1])
    tokens = arc_grid([2, 3, 5])
    cells = answer_cells(ARC, label, tokens, np.where(label == 0, IGNORE, label))
    assert cells[2].mark is Mark.WRONG
    assert extent(ARC, cells) == (1, 3)
