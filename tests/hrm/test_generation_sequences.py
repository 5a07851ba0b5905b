from __future__ import annotations

import contextlib
import csv
import io
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hrm.data.dataset import read_split
from hrm.data.layout import split_names
from hrm.data.record import check_record
from hrm.data.tasks import task_of
from hrm.data.vocabulary import read_vocabulary
from hrm.errors import DatasetError, HrmTrtError, UsageError
from hrm.generation.sequences.making import SequenceOptions, make
from hrm.generation.sequences.rows import Columns, read_rows
from hrm.generation.writing import write_dataset


@pytest.fixture
def rows(tmp_path):
    """Writes a file of rows: text as it is, or records as JSON lines."""

    def write(content, name="rows.csv"):
        path = tmp_path / name
        if not isinstance(content, str):
            content = "".join(json.dumps(record) + "\n" for record in content)
        path.write_text(content)
        return path

    return write


@pytest.fixture
def made(tmp_path):
    """Makes a data set; returns its directory."""

    def write(*files, search=0, calibration=0, **options):
        directory = tmp_path / f"made-{len(list(tmp_path.iterdir()))}"
        write_dataset(directory, make(SequenceOptions(files, search=search, calibration=calibration, **options), quiet))
        return directory

    return write


def quiet(what, done, total):
    assert done <= total


def numbered(count, prefix=""):
    return "input,answer\n" + "".join(f"{prefix}{index},{index}\n" for index in range(count))


def texts(directory, split):
    """The inputs and answers of a split, as a user reads them."""
    puzzles = read_split(directory, split)
    task = task_of(puzzles.info.vocab_size, puzzles.info.seq_len, read_vocabulary(directory, puzzles.info.vocab_size))
    return [tuple(map(task.format, pair)) for pair in zip(puzzles.inputs, puzzles.labels, strict=True)]


def everything(directory):
    return sorted(row for split in split_names(directory) for row in texts(directory, split))


def refusal(kind, *arguments, **options):
    with pytest.raises(HrmTrtError) as caught:
        make(SequenceOptions(*arguments, **options), quiet)
    assert type(caught.value) is kind
    return str(caught.value)


def test_rows_become_padded_sequences_with_their_vocabulary(rows, made):
    directory = made(rows("input,answer\nab,cab\nb,a\n"), test=1)
    assert read_vocabulary(directory, 4) == ("□", "a", "b", "c")
    assert everything(directory) == [("ab", "cab"), ("b", "a")]
    for split in ("train", "test"):
        puzzles = read_split(directory, split)
        assert (puzzles.info.seq_len, puzzles.info.vocab_size, puzzles.puzzle_identifiers.tolist()) == (3, 4, [0])
    check_record(directory)


def test_padding_is_judged_so_that_an_answer_has_an_end(rows, made):
    directory = made(rows("input,answer\nab,a\nba,b\n"), test=1)
    assert sorted(read_split(directory, split).labels[0].tolist() for split in ("train", "test")) == [[1, 0], [2, 0]]


@pytest.mark.parametrize(
    "record", [{"input": "a1", "answer": 7}, {"input": ["a", "1"], "answer": ["7"]}, {"input": ["a", 1], "answer": [7]}]
)
def test_json_lines_hold_text_numbers_or_lists(rows, made, record):
    directory = made(rows([record, {"input": "b", "answer": "1"}], "rows.jsonl"), test=1)
    assert everything(directory) == [("a1", "7"), ("b", "1")]


def test_words_are_symbols_where_that_is_asked_for(rows, made):
    directory = made(rows("input,answer\nturn left,go 10\nturn  right,go 2\n"), unit="words", test=1)
    assert read_vocabulary(directory, 7) == ("□", "2", "10", "go", "left", "turn", "right")
    assert everything(directory) == [("turn left", "go 10"), ("turn right", "go 2")]


def test_a_space_is_a_symbol_where_that_is_asked_for(rows, made):
    directory = made(rows("input,answer\na b,b a\nb b,a\n"), unit="characters", test=1)
    assert everything(directory) == [("a b", "b a"), ("b b", "a")]


def test_columns_may_have_other_names(rows, made):
    table = rows("question,rating,solution,family\na,3,b,x\nb,1,a,y\n")
    directory = made(table, columns=Columns("question", "solution", "family"), test=1)
    assert everything(directory) == [("a", "b"), ("b", "a")]


def test_a_byte_order_mark_is_no_part_of_the_header(rows, made):
    assert everything(made(rows("\ufeffinput,answer\na,b\nb,a\n"), test=1)) == [("a", "b"), ("b", "a")]


def test_every_row_falls_into_one_split_and_a_seed_says_which(rows, made):
    table = rows(numbered(50))
    directory = made(table, test=8, search=4, calibration=2)
    assert {split: len(read_split(directory, split)) for split in split_names(directory)} == {
        "train": 36,
        "test": 8,
        "search": 4,
        "calibration": 2,
    }
    assert everything(directory) == sorted((str(index), str(index)) for index in range(50))
    assert texts(made(table, test=8), "test") == texts(directory, "test")
    assert texts(made(table, test=8, seed=1), "test") != texts(directory, "test")


def test_a_tenth_is_for_each_split_where_nothing_is_said(rows, made):
    directory = made(rows(numbered(11)), search=None, calibration=None)
    counts = {split: len(read_split(directory, split)) for split in split_names(directory)}
    assert counts == {"train": 5, "calibration": 2, "search": 2, "test": 2}


def test_a_group_is_never_divided(rows, made):
    table = "input,answer,group\n" + "".join(f"{index},{index},{index // 3}\n" for index in range(30))
    directory = made(rows(table), test=4, calibration=3)
    families = {split: {int(row[0]) // 3 for row in texts(directory, split)} for split in split_names(directory)}
    assert {split: len(members) for split, members in families.items()} == {"train": 3, "test": 4, "calibration": 3}
    assert len(set().union(*families.values())) == 10
    assert sorted(np.bincount(read_split(directory, "test").groups).tolist()) == [3, 3, 3, 3]


def test_test_files_are_the_test_split(rows, made):
    held = rows(numbered(3), "held.csv")
    directory = made(rows(numbered(20)), test_files=(held,), search=2)
    assert sorted(texts(directory, "test")) == [("0", "0"), ("1", "1"), ("2", "2")]
    assert len(read_split(directory, "train")) == 15  # what repeats a test row is in no other split


def test_repeated_rows_are_dropped_and_counted(rows):
    new = make(SequenceOptions((rows("input,answer\na,b\nb,a\na,b\n"),), search=0, calibration=0), quiet)
    assert new.origin.source == "3 rows of rows.csv, 1 of them repeats that were left out"
    assert sum(len(list(groups)) for groups in new.splits.values()) == 2


def test_sequences_may_be_given_room(rows, made):
    assert read_split(made(rows(numbered(5)), length=9), "train").info.seq_len == 9


def test_a_vocabulary_may_be_given(rows, made, tmp_path):
    first = made(rows("input,answer\nc,b\na,b\n"), test=1)
    second = made(rows("input,answer\na,b\nb,b\n"), test=1, vocabulary=first / "vocabulary.json")
    assert read_vocabulary(second, 4) == ("□", "a", "b", "c")
    assert read_split(second, "test").labels.tolist() == [[2]]


def test_the_record_says_what_makes_it_again(rows, made):
    table = rows(numbered(20))
    record = check = json.loads((made(table, test=3, seed=5) / "record.json").read_text())
    assert (record["seed"], record["options"]["test"]) == (5, 3)
    assert record["options"]["files"][0]["name"] == "rows.csv"
    assert check["splits"]["test"]["groups"] == 3


@pytest.mark.parametrize(
    ("content", "line", "why"),
    [
        ("input,answer\na\n", 2, "it has 1 cells, and the header has 2"),
        ("input,answer\na,b\na,b,c\n", 3, "it has 3 cells, and the header has 2"),
        ("input,answer\na,\n", 2, "its answer is empty"),
        ("question,answer\na,b\n", 2, "it has no 'input'; found: 'question', 'answer'"),
        ("input,input,answer\na,b,c\n", 1, "two columns are called 'input'"),
        ('input,answer\n"a"b,c\n', 2, "expected after"),
        ('input,answer\na,b\n"a,c\n', 3, "unexpected end of data"),
        ("input,answer\na,b\nb a,c\n", 3, "its input holds white space"),
        ("input,answer\na,b\nb,□\n", 3, "the symbol '□', which stands for padding"),
        ("input,answer\na,b\nb,a\x07\n", 3, 'the symbol "\\u0007" cannot be written'),
        ("input,answer\na,b\nb,a\na,c\n", 4, "it has the input of"),
        ("input,answer,group\na,b,1\nb,b,1\na,b,2\n", 4, "it repeats"),
        ("input,answer,group\na,b,\n", 2, 'its group is ""'),
    ],
)
def test_a_bad_csv_row_is_named_by_its_line(rows, content, line, why):
    path = rows(content)
    said = refusal(DatasetError, (path,))
    assert said.startswith(f"cannot use {path}, line {line}\n")
    assert why in said


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("{", "it is not JSON: "),
        ("[" * 100_000, "it is not JSON: "),
        ("1" * 5000, "it is not JSON: "),
        ("[1, 2]", "it is JSON, but not an object"),
        ('{"input": "a"}', "it has no 'answer'; found: 'input'"),
        ('{"input": [], "answer": "a"}', "its input is empty"),
        ('{"input": "a", "answer": null}', "its answer is null"),
        ('{"input": "a", "answer": true}', "its answer is true"),
        ('{"input": [[1], [2]], "answer": "a"}', "item 1 of its input is [1]"),
        ('{"input": ["a b"], "answer": "a"}', 'the symbol "a b" cannot be written'),
        ('{"input": [""], "answer": "a"}', 'the symbol "" cannot be written'),
        ('{"input": "\\ud800", "answer": "a"}', 'the symbol "\\ud800" cannot be written'),
        ('{"input": "a", "answer": "a", "group": [1]}', "its group is [1]"),
    ],
)
def test_a_bad_json_line_is_named_by_its_number(rows, line, why):
    path = rows('{"input": "x", "answer": "y"}\n\n' + line + "\n", "rows.jsonl")
    said = refusal(DatasetError, (path,))
    assert said.startswith(f"cannot use {path}, line 3\n")
    assert why in said


@pytest.mark.parametrize("content", ["", "input,answer\n"])
def test_an_empty_file_is_refused(rows, content):
    path = rows(content)
    assert f"{path} is empty" in refusal(DatasetError, (path,))


def test_files_that_cannot_be_read_are_refused(rows, tmp_path):
    binary = tmp_path / "binary.csv"
    binary.write_bytes(b"input,answer\n\xff\xfe,b\n")
    assert "it is not UTF-8" in refusal(DatasetError, (binary,))
    assert "No such file" in refusal(DatasetError, (tmp_path / "absent.csv",))
    assert "Is a directory" in refusal(DatasetError, (rows("a", "x.csv").parent.rename(tmp_path.with_suffix(".csv")),))
    assert "told by its ending" in refusal(UsageError, (tmp_path / "rows.txt",))


def test_symbols_outside_a_given_vocabulary_are_refused(rows, tmp_path):
    vocabulary = tmp_path / "vocabulary.json"
    vocabulary.write_text('["_", "a", "b"]')
    path = rows("input,answer\na,b\nb,c\n")
    said = refusal(DatasetError, (path,), vocabulary=vocabulary)
    assert "line 3" in said
    assert "'c' is not in the vocabulary" in said
    assert "use one of 'a', 'b'" in said


def test_more_symbols_than_a_byte_can_tell_are_refused(rows):
    letters = [chr(0x4E00 + index) for index in range(256)]
    records = [{"input": letter, "answer": "x"} for letter in letters]
    said = refusal(DatasetError, (rows(records, "rows.jsonl"),))
    assert "line 255" in said  # the answers' symbol is one of the 255


def test_a_space_among_longer_symbols_is_refused(rows):
    path = rows([{"input": [" ", "ab"], "answer": "a"}], "rows.jsonl")
    assert "a space cannot be a symbol here" in refusal(DatasetError, (path,))


def test_a_sequence_longer_than_the_length_is_refused(rows):
    said = refusal(DatasetError, (rows("input,answer\na,b\nab,abc\n"),), length=2)
    assert "line 3" in said
    assert "give --length 3 or more" in said


def test_a_group_on_both_sides_of_the_test_is_refused(rows):
    table = rows("input,answer,group\na,b,1\nb,a,2\n")
    held = rows("input,answer,group\nc,b,2\n", "held.csv")
    said = refusal(DatasetError, (table,), test_files=(held,))
    assert f"{table}, line 3" in said
    assert f"its group '2' stands in a test file as well: {held}, line 2" in said


def test_splits_that_leave_nothing_to_train_on_are_refused(rows):
    path = rows(numbered(10))
    assert "10 groups of rows are too few" in refusal(UsageError, (path,), test=6, search=4)
    assert "-1 puzzles" in refusal(UsageError, (path,), test=-1)
    assert "given twice" in refusal(UsageError, (path,), test=1, test_files=(path,))


SYMBOLS = st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"], exclude_characters="□"), min_size=1)


@settings(deadline=None, max_examples=25)  # each example is synced to the disk
@given(st.dictionaries(SYMBOLS, SYMBOLS, min_size=2, max_size=8))
def test_what_a_csv_says_is_what_the_data_set_says(tmp_path_factory, pairs):
    directory = tmp_path_factory.mktemp("csv")
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer)
    writer.writerows([("input", "answer"), *pairs.items()])
    (directory / "rows.csv").write_text(buffer.getvalue(), encoding="utf-8", newline="")
    new = make(SequenceOptions((directory / "rows.csv",), test=1, search=0, calibration=0), quiet)
    write_dataset(directory / "set", new)
    assert everything(directory / "set") == sorted(pairs.items())


@given(
    st.text(max_size=60), st.sampled_from(["rows.csv", "rows.jsonl"]), st.sampled_from(["characters", "words", None])
)
def test_any_text_is_read_or_refused(tmp_path_factory, text, name, unit):
    path = tmp_path_factory.getbasetemp() / name
    path.write_text("input,answer\n" * name.endswith("csv") + text, encoding="utf-8", newline="")
    with contextlib.suppress(DatasetError):
        assert all(row.input and row.answer for row in read_rows(path, Columns(), unit))
