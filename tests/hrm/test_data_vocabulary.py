from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hrm.data.cells import Mark, answer_cells, extent, puzzle_cells
from hrm.data.tasks import task_of
from hrm.data.vocabulary import load_vocabulary, read_vocabulary
from hrm.errors import DatasetError, UsageError

LETTERS = task_of(4, 6, ("□", "a", "b", " "))
WORDS = task_of(4, 20, ("□", "left", "right", "go"))


def written(directory, document):
    path = directory / "vocabulary.json"
    path.write_text(document if isinstance(document, str) else json.dumps(document))
    return path


def test_a_data_set_without_one_has_none(tmp_path):
    assert read_vocabulary(tmp_path, 6) is None


def test_it_is_read_in_the_order_of_the_ids(tmp_path):
    written(tmp_path, ["_", "b", "a"])
    assert read_vocabulary(tmp_path, 3) == ("_", "b", "a")


@pytest.mark.parametrize(
    ("document", "why"),
    [
        ("[", "document: Invalid JSON"),
        ('{"a": 1}', "document: "),
        (["_", 1], "1: Input should be a valid string"),
        (["_"], "it has 1 symbols"),
        ([str(index) for index in range(257)], "it has 257 symbols"),
        (["_", "a", "b", "a"], "'a' stands there twice, as 1 and as 3"),
        (["_", ""], 'symbol 1 is ""'),
        (["_", "a\n"], 'symbol 1 is "a\\n"'),
        (["_", "\ud800"], "Invalid JSON"),
        (["_", "new york"], 'symbol 1 is "new york"'),
        (["_", "ab", " "], "a space cannot be a symbol"),
    ],
)
def test_a_malformed_one_is_refused(tmp_path, document, why):
    path = written(tmp_path, document)
    with pytest.raises(DatasetError) as caught:
        load_vocabulary(path)
    assert why in caught.value.why
    assert str(path) in caught.value.what


def test_one_of_another_size_is_refused(tmp_path):
    written(tmp_path, ["_", "a"])
    with pytest.raises(DatasetError) as caught:
        read_vocabulary(tmp_path, 3)
    assert caught.value.why == "it has 2 symbols, and the data set has 3 token ids"


def test_symbols_are_what_a_user_writes_and_reads():
    assert LETTERS.parse("ab b\n").tolist() == [1, 2, 3, 2, 0, 0]
    assert LETTERS.format(np.array([2, 0, 3, 1, 0, 0], dtype=np.int32)) == "b□ a"
    assert WORDS.parse(" go  left\n").tolist() == [3, 1] + [0] * 18
    assert WORDS.format(np.array([3, 1] + [0] * 18, dtype=np.int32)) == "go left"


def test_a_vocabulary_tells_the_task_whatever_the_sizes_are():
    symbols = ("_", ".", "1", "2", "3", "4")
    assert task_of(6, 16).name == "sudoku-4x4"
    assert task_of(6, 16, symbols).name == "sequence"
    assert task_of(6, 16, symbols).parse("1 2").tolist() == [2, 3] + [0] * 14


@pytest.mark.parametrize(
    ("task", "text", "why", "hint"),
    [
        (LETTERS, "", "it has 0 cells", "write up to 6 symbols, each one of 'ab '"),
        (LETTERS, "abababa", "it has 7 cells", "up to 6"),
        (LETTERS, "abc", "cell 3 (row 1, column 3) is 'c'", "up to 6"),
        (
            WORDS,
            "go home",
            "is 'home'",
            "write up to 20 symbols, with spaces between them, each one of 'left right go'",
        ),
    ],
)
def test_what_is_no_sequence_of_symbols_is_refused(task, text, why, hint):
    with pytest.raises(UsageError) as caught:
        task.parse(text)
    assert why in caught.value.why
    assert hint in caught.value.hint


@given(st.lists(st.integers(0, 3), max_size=20).filter(any), st.sampled_from([LETTERS, WORDS]))
def test_formatting_is_undone_by_parsing(tokens, task):
    padded = np.array((tokens + [0] * task.length)[: task.length], dtype=np.int32)
    if padded.any():
        assert (task.parse(task.format(padded)) == padded).all()


def test_nothing_written_is_nothing_to_read():
    assert LETTERS.format(np.zeros(6, dtype=np.int32)) == ""


def test_padding_is_empty_and_outside_the_picture():
    cells = puzzle_cells(WORDS, WORDS.parse("go go left"))
    assert [cell.mark for cell in cells[:4]] == [Mark.GIVEN] * 3 + [Mark.EMPTY]
    assert extent(WORDS, cells) == (1, 3)


def test_a_missing_end_is_wrong():
    cells = answer_cells(LETTERS, LETTERS.parse("ab"), LETTERS.parse("abb"), labels=LETTERS.parse("ab"))
    assert [cell.mark for cell in cells[:4]] == [Mark.FILLED, Mark.FILLED, Mark.WRONG, Mark.EMPTY]
    short = answer_cells(LETTERS, LETTERS.parse("ab"), LETTERS.parse("a"), labels=LETTERS.parse("ab"))
    assert [(cell.symbol, cell.mark) for cell in short[:2]] == [("a", Mark.FILLED), ("□", Mark.WRONG)]
