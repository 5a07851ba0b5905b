import contextlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hrm.data.tasks import task_of
from hrm.errors import UsageError

SIZES = {
    "sudoku-4x4": (6, 16),
    "sudoku-6x6": (8, 36),
    "sudoku-9x9": (11, 81),
    "maze-30x30": (6, 900),
    "maze-10x10": (6, 100),
    "arc": (12, 900),
    "sequence": (40, 50),
}
FOUR = task_of(*SIZES["sudoku-4x4"])
MAZE = task_of(6, 9)


@pytest.mark.parametrize(("name", "sizes"), SIZES.items())
def test_a_task_is_told_by_its_vocabulary_and_length(name, sizes):
    task = task_of(*sizes)
    assert task.name == name
    assert task.length == sizes[1]
    assert len(task.symbols) == len(set(task.symbols)) == sizes[0]


@pytest.mark.parametrize("sizes", [(11, 16), (7, 16), (12, 81), (6, 15), (13, 900), (1, 1)])
def test_anything_else_is_a_plain_sequence(sizes):
    assert task_of(*sizes).name == "sequence"


@given(data=st.data(), sizes=st.sampled_from(list(SIZES.values())))
def test_formatting_is_undone_by_parsing(data, sizes):
    task = task_of(*sizes)
    seed = data.draw(st.integers(0, 2**32 - 1))
    tokens = np.random.default_rng(seed).integers(0, sizes[0], sizes[1]).astype(np.int32)
    parsed = task.parse(task.format(tokens))
    assert parsed.dtype == np.int32
    assert (parsed == tokens).all()


def test_a_sudoku_is_digits_plus_one_and_blanks():
    assert FOUR.parse("4..1 ..2. .... 1...").tolist() == [5, 1, 1, 2, 1, 1, 3, 1, 1, 1, 1, 1, 2, 1, 1, 1]


@pytest.mark.parametrize("text", ["4001002000001000", "4..1\n..2.\n....\n1...\n", " 4 0 . 1 0020 0000\t1000"])
def test_a_sudoku_may_be_written_in_lines_and_with_zeros(text):
    assert (FOUR.parse(text) == FOUR.parse("4..1..2.....1...")).all()


def test_a_mazes_spaces_are_cells_and_its_line_breaks_are_not():
    tokens = MAZE.parse("S #\r\n  #\n# G")
    assert tokens.tolist() == [3, 2, 1, 2, 2, 1, 1, 2, 4]
    assert MAZE.grid(tokens) == (("S", " ", "#"), (" ", " ", "#"), ("#", " ", "G"))


def test_an_arc_grid_is_colours_ends_and_padding():
    text = "09|" + "." * 897
    assert task_of(12, 900).parse(text)[:4].tolist() == [2, 11, 1, 0]


def test_a_plain_sequence_is_numbers():
    task = task_of(40, 3)
    assert task.parse(" 0 12\n39 ").tolist() == [0, 12, 39]
    assert task.format(np.array([0, 12, 39], dtype=np.int32)) == "0 12 39"


def test_a_plain_sequences_last_row_may_be_short():
    rows = task_of(40, 20).grid(np.arange(20, dtype=np.int32))
    assert [len(row) for row in rows] == [16, 4]


@pytest.mark.parametrize(
    ("task", "text", "why"),
    [
        (FOUR, "4..1", "it has 4 cells, and sudoku-4x4 has 16"),
        (FOUR, "", "it has 0 cells"),
        (FOUR, "." * 17, "it has 17 cells"),
        (FOUR, "4..1.5..........", "cell 6 (row 2, column 2) is '5'"),
        (FOUR, "x" * 16, "cell 1 (row 1, column 1) is 'x'"),
        (MAZE, "S#\n# #\n# G", "it has 8 cells"),
        (MAZE, "S.#  ## G", "cell 2 (row 1, column 2) is '.'"),
        (task_of(40, 3), "1 2 40", "cell 3 (row 1, column 3) is '40'"),
        (task_of(40, 3), "1 -2 4", "is '-2'"),
    ],
)
def test_an_unreadable_puzzle_is_refused_with_the_cell(task, text, why):
    with pytest.raises(UsageError) as caught:
        task.parse(text)
    assert why in caught.value.why
    assert str(task.length) in caught.value.hint


@given(st.text(max_size=40))
def test_any_text_is_read_or_refused(text):
    with contextlib.suppress(UsageError):
        assert FOUR.parse(text).shape == (16,)
