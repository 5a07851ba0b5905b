import re
from itertools import chain

import numpy as np
import pytest

from hrm.data.dataset import read_split
from hrm.errors import DatasetError, UsageError
from hrm.files import sha256_file
from hrm.generation.sudoku.board import Board
from hrm.generation.sudoku.importing import make_import
from hrm.generation.sudoku.keys import symmetry_keys
from hrm.generation.sudoku.making import draw_candidates
from hrm.generation.sudoku.options import SudokuImport
from hrm.generation.writing import write_dataset

HEADER = "source,question,answer,rating\n"
BOARD = Board(2, 3)
FOUND = draw_candidates(BOARD, np.random.default_rng(0))
PUZZLES = [next(FOUND) for _ in range(40)]


def silent(what, done, total):
    pass


def text(cells, blank="."):
    return "".join(map(str, cells)).replace("0", blank)


def row(candidate, rating=1, blank="."):
    return f"kaggle,{text(candidate.puzzle, blank)},{text(candidate.solution)},{rating}\n"


def write_rows(path, rows):
    path.write_text(HEADER + "".join(rows))
    return path


@pytest.fixture
def published(tmp_path):
    """A directory like the official one: 30 training puzzles rated 0 to 29, 10 test puzzles rated 0 to 9."""
    rated = [row(candidate, rating % 30) for rating, candidate in enumerate(PUZZLES)]
    write_rows(tmp_path / "train.csv", rated[:30])
    write_rows(tmp_path / "test.csv", rated[30:])
    return tmp_path


def written(source, destination, **options):
    return write_dataset(destination, make_import(SudokuImport(str(source), "2x3", **options), silent))


def puzzles_of(directory, split):
    return (read_split(directory, split).inputs - 1).astype(np.uint8)


def positions(directory, split):
    """Which of ``PUZZLES`` the split holds, in its order."""
    known = {candidate.puzzle.tobytes(): index for index, candidate in enumerate(PUZZLES)}
    return [known[puzzle.tobytes()] for puzzle in puzzles_of(directory, split)]


def test_a_collection_is_taken_whole_and_its_test_puzzles_in_their_order(published, tmp_path):
    record = written(published, tmp_path / "out")
    assert positions(tmp_path / "out", "test") == list(range(30, 40))
    assert sorted(positions(tmp_path / "out", "train")) == list(range(30))
    labels = read_split(tmp_path / "out", "test").labels - 1
    assert labels.tolist() == [candidate.solution.tolist() for candidate in PUZZLES[30:]]
    assert record.source == published.name
    assert record.options["sha256"]["train"] == sha256_file(published / "train.csv")


def test_subsampling_chooses_by_the_seed(published, tmp_path):
    for name, seed in (("one", 0), ("same", 0), ("other", 1)):
        written(published, tmp_path / name, subsample=10, seed=seed)
    one, same, other = (positions(tmp_path / name, "train") for name in ("one", "same", "other"))
    assert len(set(one)) == 10
    assert one == same
    assert set(one) != set(other)


def test_calibration_and_search_puzzles_are_no_training_puzzles(published, tmp_path):
    written(published, tmp_path / "out", subsample=20, calibration=6, search=4)
    splits = {split: positions(tmp_path / "out", split) for split in ("train", "calibration", "search", "test")}
    assert {split: len(members) for split, members in splits.items()} == {
        "train": 20,
        "calibration": 6,
        "search": 4,
        "test": 10,
    }
    assert sorted(chain(*splits.values())) == list(range(40))


def test_a_part_of_the_test_puzzles_may_be_taken(published, tmp_path):
    written(published, tmp_path / "out", subsample=1, test=3)
    taken = positions(tmp_path / "out", "test")
    assert len(set(taken)) == 3
    assert set(taken) <= set(range(30, 40))


def test_without_a_test_file_test_puzzles_come_from_the_training_puzzles(published, tmp_path):
    written(published / "train.csv", tmp_path / "out", test=12)
    train, test = (positions(tmp_path / "out", split) for split in ("train", "test"))
    assert (len(train), len(test)) == (18, 12)
    assert not set(train) & set(test)


def test_a_test_file_alone_makes_a_test_split_alone(published, tmp_path):
    assert list(written(published / "test.csv", tmp_path / "out").splits) == ["test"]
    with pytest.raises(UsageError, match="no training puzzles"):
        written(published / "test.csv", tmp_path / "more", calibration=1)


def test_easier_puzzles_are_left_out(published, tmp_path):
    written(published, tmp_path / "out", min_rating=5)
    assert sorted(positions(tmp_path / "out", "train")) == list(range(5, 30))
    assert positions(tmp_path / "out", "test") == list(range(35, 40))


def test_training_puzzles_are_followed_by_their_images(published, tmp_path):
    record = written(published, tmp_path / "out", subsample=5, augmentations=3)
    train = read_split(tmp_path / "out", "train")
    assert np.bincount(train.groups).tolist() == [4] * 5
    keys = symmetry_keys(BOARD, puzzles_of(tmp_path / "out", "train"), (train.labels - 1).astype(np.uint8))
    assert [len(set(keys[start : start + 4])) for start in range(0, 20, 4)] == [1] * 5
    assert record.splits["test"].puzzles == 10


def test_a_blank_is_a_point_or_a_nought(tmp_path):
    write_rows(tmp_path / "train.csv", [row(PUZZLES[0], blank="0"), row(PUZZLES[1], blank=".")])
    written(tmp_path / "train.csv", tmp_path / "out")
    assert sorted(positions(tmp_path / "out", "train")) == [0, 1]


def test_progress_is_told_of_checks_and_writing(published, tmp_path):
    told = []
    dataset = make_import(SudokuImport(str(published), "2x3"), lambda *step: told.append(step))
    write_dataset(tmp_path / "out", dataset)
    assert ("checking train puzzles", 30, 30) in told
    assert ("checking test puzzles", 10, 10) in told
    assert ("writing train puzzles", 30, 30) in told


ONE, OTHER = PUZZLES[:2]
TWICE = ONE.solution.copy()
TWICE[np.flatnonzero(ONE.puzzle == 0)[0]] = ONE.solution[np.flatnonzero(ONE.puzzle)[0]]
MUTE = np.where(np.arange(36) < 4, ONE.solution, 0)
CLUE = int(np.flatnonzero(ONE.puzzle)[0])
CLASH = np.where(np.arange(36) == CLUE, ONE.puzzle, 0)
CLASH[[CLUE // 6 * 6 + (CLUE + 1) % 6]] = ONE.puzzle[CLUE]


@pytest.mark.parametrize(
    ("question", "answer", "why"),
    [
        (text(ONE.puzzle)[:-1], text(ONE.solution), "its question has 35 cells, not 36"),
        (text(ONE.puzzle), text(ONE.solution) + "1", "its answer has 37 cells, not 36"),
        ("7" + text(ONE.puzzle)[1:], text(ONE.solution), "cell 1 of its question is '7'"),
        (text(ONE.puzzle)[:-1] + "é", text(ONE.solution), "cell 36 of its question is 'é'"),
        (text(ONE.puzzle), "." + text(ONE.solution)[1:], "cell 1 of its answer is '.'"),
        (text(MUTE), text(ONE.solution), "its question has several solutions"),
        (text(CLASH), text(ONE.solution), "its question has no solution"),
        (text(ONE.puzzle), text(TWICE), "its answer has a digit twice"),
        (text(ONE.puzzle), text(OTHER.solution), r"cell \d+ is \d in its question and \d in its answer"),
    ],
)
def test_a_puzzle_that_is_not_one_is_named_by_its_line(tmp_path, question, answer, why):
    write_rows(tmp_path / "train.csv", [row(OTHER), f"mine,{question},{answer},1\n", row(OTHER)])
    with pytest.raises(DatasetError, match=r"line 3 of .*train.csv") as caught:
        written(tmp_path / "train.csv", tmp_path / "out")
    assert re.search(why, caught.value.why)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("options", "error", "what"),
    [
        ({"subsample": 31}, UsageError, "has no 31 puzzles"),
        ({"calibration": 20, "search": 20}, UsageError, "has no 40 puzzles"),
        ({"test": 11}, UsageError, "has no 11 puzzles"),
        ({"min_rating": 10}, DatasetError, "test.csv has no puzzle to use"),
        ({"subsample": -1}, UsageError, "cannot have -1"),
        ({"augmentations": -1}, UsageError, "augmentations cannot be -1"),
    ],
)
def test_what_a_collection_cannot_give_is_refused(published, tmp_path, options, error, what):
    with pytest.raises(error, match=what):
        written(published, tmp_path / "out", **options)


def test_a_collection_of_another_size_is_refused(published):
    with pytest.raises(DatasetError, match="line 2") as caught:
        make_import(SudokuImport(str(published), "3x3"), silent)
    assert "36 cells, not 81" in caught.value.why
