import numpy as np
import pytest

from hrm.errors import UsageError
from hrm.generation.choosing import Wanted, choose

BOTH = {"train": 10, "test": 5}


def chosen(counts, wanted, seed=0):
    choice = choose(counts, wanted, np.random.default_rng(seed))
    return {split: (file, rows.tolist()) for split, (file, rows) in choice.items()}


def test_the_test_file_is_taken_as_it_stands():
    assert chosen(BOTH, Wanted(None, 0, 0, None))["test"] == ("test", [0, 1, 2, 3, 4])


def test_training_puzzles_are_dealt_without_putting_back():
    splits = chosen(BOTH, Wanted(None, 2, 3, None))
    assert list(splits) == ["test", "search", "calibration", "train"]
    assert [len(rows) for _, rows in splits.values()] == [5, 3, 2, 5]
    taken = [row for split, (_, rows) in splits.items() if split != "test" for row in rows]
    assert sorted(taken) == list(range(10))


def test_a_part_of_either_file_is_drawn_by_the_seed():
    wanted = Wanted(3, 0, 0, 2)
    assert [len(rows) for _, rows in chosen(BOTH, wanted).values()] == [2, 3]
    assert chosen(BOTH, wanted) == chosen(BOTH, wanted)
    assert chosen(BOTH, wanted) != chosen(BOTH, wanted, seed=1)


def test_one_file_serves_all_splits():
    splits = chosen({"train": 10}, Wanted(None, 1, 1, 4))
    assert {split: (file, len(rows)) for split, (file, rows) in splits.items()} == {
        "test": ("train", 4),
        "search": ("train", 1),
        "calibration": ("train", 1),
        "train": ("train", 4),
    }


def test_a_test_file_alone_makes_a_test_split():
    assert list(chosen({"test": 5}, Wanted(0, 0, 0, None))) == ["test"]


@pytest.mark.parametrize("wanted", [Wanted(9, 1, 1, None), Wanted(None, 0, 11, None), Wanted(None, 0, 0, 6)])
def test_more_puzzles_than_there_are_cannot_be_chosen(wanted):
    with pytest.raises(UsageError, match=r"\.csv has no"):
        chosen(BOTH, wanted)


def test_training_puzzles_cannot_come_from_a_test_file():
    with pytest.raises(UsageError, match="no training puzzles"):
        chosen({"test": 5}, Wanted(1, 0, 0, None))
