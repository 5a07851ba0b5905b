import io
from xml.etree import ElementTree

import matplotlib.image
import numpy as np
import pytest

from hrm.data.drawing import Panel, puzzle_figure, to_png, to_svg
from hrm.data.tasks import task_of

FOUR = task_of(6, 16)
PUZZLE = FOUR.parse("4..1 ..2. .... 1...")
ANSWER = FOUR.parse("4231 3124 2413 1342")
RED, BLUE = "#cf222e", "#1f6feb"


def wrong_answer():
    tokens = ANSWER.copy()
    tokens[1] = 5
    return tokens


def test_a_four_by_four_board_is_about_two_inches():
    width, height = puzzle_figure(FOUR, PUZZLE, [Panel("engine", ANSWER)]).get_size_inches()
    assert width / 2 == pytest.approx(2, abs=0.3)
    assert height == pytest.approx(2, abs=0.3)


def test_the_svg_is_one_element_with_titles_and_marks():
    text = to_svg(puzzle_figure(FOUR, PUZZLE, [Panel("PyTorch", ANSWER), Panel("engine", wrong_answer())], ANSWER))
    assert ElementTree.fromstring(text).tag.endswith("svg")
    for title in ("puzzle", "PyTorch", "engine"):
        assert f"<!-- {title} -->" in text
    assert BLUE in text
    assert text.count(f"fill: {RED}") == 1


def test_without_labels_only_an_overwritten_given_is_marked():
    tokens = wrong_answer()
    assert RED not in to_svg(puzzle_figure(FOUR, PUZZLE, [Panel("engine", tokens)]))
    tokens[0] = 2
    assert to_svg(puzzle_figure(FOUR, PUZZLE, [Panel("engine", tokens)])).count(f"fill: {RED}") == 1


def test_the_svg_is_the_same_every_time():
    first, second = (to_svg(puzzle_figure(FOUR, PUZZLE, [Panel("engine", ANSWER)])) for _ in range(2))
    assert first == second
    assert "<dc:date>" not in first


@pytest.mark.parametrize("sizes", [(6, 16), (8, 36), (11, 81), (6, 900), (12, 900), (100, 50)])
def test_every_task_has_a_picture(sizes):
    task = task_of(*sizes)
    tokens = np.random.default_rng(0).integers(2, sizes[0], sizes[1]).astype(np.int32)
    figure = puzzle_figure(task, tokens, [Panel("engine", tokens[::-1].copy())], tokens)
    width, height = figure.get_size_inches()
    image = matplotlib.image.imread(io.BytesIO(to_png(figure, dpi=50)))
    assert image.shape[:2] == pytest.approx((height * 50, width * 50), abs=1)
    assert len(np.unique(image.reshape(-1, image.shape[2]), axis=0)) > 3


def test_an_arc_picture_is_cut_to_the_grid_and_uses_its_colours():
    arc = task_of(12, 900)
    grid = np.zeros(900, dtype=np.int32)
    grid[[0, 1, 30, 31]] = [3, 3, 3, 3]
    figure = puzzle_figure(arc, grid, [])
    assert figure.get_size_inches()[0] < 2
    image = matplotlib.image.imread(io.BytesIO(to_png(figure)))
    blue = np.array([0x00, 0x74, 0xD9]) / 255
    assert np.isclose(image[..., :3], blue, atol=0.01).all(axis=-1).mean() > 0.3


def test_the_way_through_a_maze_is_marked_where_it_is_wrong():
    maze = task_of(6, 9)
    puzzle, label, tokens = maze.parse("S  ### G "), maze.parse("Soo### G "), maze.parse("So ### Go")
    image = matplotlib.image.imread(io.BytesIO(to_png(puzzle_figure(maze, puzzle, [Panel("engine", tokens)], label))))
    colours = {tuple(round(float(value) * 255) for value in pixel[:3]) for row in image for pixel in row}
    assert {(0xCF, 0x22, 0x2E), (0xFF, 0xAB, 0xA3), (0x79, 0xB8, 0xFF)} <= colours


def dark_pixels(figure):
    """Where a figure has the colour of frames, as [rows, columns] of its picture."""
    image = matplotlib.image.imread(io.BytesIO(to_png(figure)))[..., :3]
    return np.isclose(image, np.array([0x1B, 0x1F, 0x24]) / 255, atol=0.02).all(axis=-1)


def test_an_arc_grid_smaller_than_its_board_has_a_frame_of_its_own():
    arc = task_of(12, 900)
    small, large = np.zeros((2, 30, 30), dtype=np.int32)
    small[:2, :2], large[:6, :6] = 4, 4
    figure = puzzle_figure(arc, small.ravel(), [Panel("engine", large.ravel())])
    halves = np.array_split(dark_pixels(figure), 2, axis=1)
    titles = halves[0].shape[0] // 6
    heights = [np.flatnonzero(half[titles:].any(axis=1)).max() for half in halves]
    assert heights[0] < heights[1] / 2


def test_a_maze_names_its_start_and_its_goal():
    maze = task_of(6, 9)
    text = to_svg(puzzle_figure(maze, maze.parse("S  ### G "), []))
    assert "<!-- S -->" in text
    assert "<!-- G -->" in text
    assert "<!-- # -->" not in text
