from dataclasses import replace

import numpy as np
import pytest
from sudokus import canonical

from hrm.data.dataset import read_split
from hrm.data.record import read_record
from hrm.errors import UsageError
from hrm.generation.sudoku.board import Board
from hrm.generation.sudoku.checking import are_solved
from hrm.generation.sudoku.keys import symmetry_keys
from hrm.generation.sudoku.making import make
from hrm.generation.sudoku.options import SudokuOptions
from hrm.generation.writing import write_dataset

SMALL = SudokuOptions("2x3", train=30, calibration=5, search=6, test=10, augmentations=3, seed=0)


def silent(what, done, total):
    pass


def write(directory, options):
    return write_dataset(directory, make(options, silent))


def cells_of(directory, split):
    """Puzzles [N, S] and solutions [N, S] as digits, blanks 0."""
    puzzles = read_split(directory, split)
    return (puzzles.inputs - 1).astype(np.uint8), (puzzles.labels - 1).astype(np.uint8)


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    directory = tmp_path_factory.mktemp("made") / "sudoku"
    write(directory, SMALL)
    return directory


def test_every_split_has_its_size(written):
    record = read_record(written)
    assert {split: entry.groups for split, entry in record.splits.items()} == SMALL.sizes
    assert {split: entry.examples for split, entry in record.splits.items()} == SMALL.sizes | {"train": 30 * 4}


def test_ids_are_those_of_the_official_builder(written):
    train = read_split(written, "train")
    assert (train.info.vocab_size, train.info.seq_len, train.info.pad_id) == (8, 36, 0)
    assert set(np.unique(train.inputs)) == set(range(1, 8))
    assert set(np.unique(train.labels)) == set(range(2, 8))


def test_every_label_solves_its_input(written):
    for split in SMALL.sizes:
        assert are_solved(Board(2, 3), *cells_of(written, split)).all()


def test_no_puzzle_comes_twice_up_to_symmetry(written):
    images = set()
    for split in SMALL.sizes:
        copies = SMALL.augmentations + 1 if split == "train" else 1
        puzzles, solutions = (cells[::copies] for cells in cells_of(written, split))
        images |= {canonical(Board(2, 3), *pair) for pair in zip(puzzles, solutions, strict=True)}
    assert len(images) == sum(SMALL.sizes.values())


def test_a_training_puzzle_is_followed_by_its_images_in_one_group(written):
    groups = read_split(written, "train").groups
    assert np.bincount(groups).tolist() == [4] * 30
    keys = symmetry_keys(Board(2, 3), *cells_of(written, "train"))
    by_group = {(group, key) for group, key in zip(groups.tolist(), keys, strict=True)}
    assert len(by_group) == len(set(keys)) == 30


def test_augmentation_leaves_the_puzzles_as_they_were(written, tmp_path):
    write(tmp_path / "bare", replace(SMALL, augmentations=0))
    assert (cells_of(tmp_path / "bare", "train")[0] == cells_of(written, "train")[0][::4]).all()


def test_more_training_puzzles_leave_the_other_splits_as_they_were(written, tmp_path):
    more = write(tmp_path / "more", replace(SMALL, train=40))
    few = read_record(written)
    for split in ("test", "search", "calibration"):
        assert more.splits[split] == few.splits[split]
    assert (cells_of(tmp_path / "more", "train")[0][: 30 * 4] == cells_of(written, "train")[0]).all()


def test_the_record_makes_the_same_data_set_again(written, tmp_path):
    record = read_record(written)
    options = dict(record.options)
    assert options.pop("task") == "sudoku"
    assert write(tmp_path / "again", SudokuOptions(**options)) == record


@pytest.mark.parametrize(
    ("box", "digest"),
    [
        ("2x2", "ef9d7ad44df442693eb8e59c46194dd394fe3e4811d52c1214451433473328b8"),
        ("2x3", "4f73fabf572a6c522df0de6e3e5c7474236875e919d6a3eb27768958dddf6ae8"),
        ("3x3", "b320c6c56cc13ee6748424265da61070a08a4a92d6a7cc7a37ca81690ca0145f"),
    ],
)
def test_a_seed_draws_the_puzzles_that_it_always_drew(tmp_path, box, digest):
    """Whoever changes this on purpose raises ``GENERATOR``."""
    options = SudokuOptions(box, train=8, calibration=0, search=0, test=0, augmentations=2, seed=5)
    assert write(tmp_path / "dataset", options).splits["train"].digest == digest


def test_another_seed_draws_other_puzzles(written, tmp_path):
    write(tmp_path / "other", replace(SMALL, seed=1))
    other, own = (set(symmetry_keys(Board(2, 3), *cells_of(place, "test"))) for place in (tmp_path / "other", written))
    assert not other & own


def test_4x4_puzzles_are_distinct_as_stored(tmp_path):
    write(tmp_path / "small", SudokuOptions("2x2", train=300, calibration=0, search=0, test=100))
    puzzles = [puzzle.tobytes() for split in ("train", "test") for puzzle in cells_of(tmp_path / "small", split)[0]]
    assert len(set(puzzles)) == 400


def test_more_4x4_puzzles_than_there_are_is_refused_at_once():
    with pytest.raises(UsageError, match="no 85,633 different puzzles"):
        SudokuOptions("2x2", train=85_632, calibration=0, search=0, test=1)


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"box": "3x2"}, "no Sudokus with boxes of '3x2'"),
        ({"train": -1}, "cannot have -1"),
        ({"train": 0, "calibration": 0, "search": 0, "test": 0}, "would be empty"),
        ({"augmentations": -1}, "augmentations cannot be -1"),
        ({"seed": -1}, "seed cannot be -1"),
    ],
)
def test_options_out_of_range_are_refused(change, what):
    with pytest.raises(UsageError, match=what):
        replace(SMALL, **change)
