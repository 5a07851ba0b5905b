from itertools import count, cycle
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hrm.errors import UsageError
from hrm.generation.splits import PATIENCE, deal


class Numbered(NamedTuple):
    key: bytes
    number: int


def numbered(numbers):
    """Candidates whose key is their number without its sign."""
    return (Numbered(str(abs(number)).encode(), number) for number in numbers)


def silent(what, done, total):
    pass


def numbers(dealt):
    return {split: [candidate.number for candidate in candidates] for split, candidates in dealt.items()}


def test_the_test_split_is_filled_first_and_train_last():
    dealt = deal(numbered(count(1)), {"train": 3, "calibration": 1, "search": 1, "test": 2}, silent)
    assert numbers(dealt) == {"test": [1, 2], "search": [3], "calibration": [4], "train": [5, 6, 7]}


def test_equivalent_candidates_are_dealt_once():
    dealt = deal(numbered([1, -1, 2, 1, -2, 3]), {"train": 2, "test": 1}, silent)
    assert numbers(dealt) == {"test": [1], "train": [2, 3]}


@given(st.integers(0, 5), st.integers(0, 5), st.integers(1, 5), st.integers(0, 5))
def test_more_training_puzzles_leave_the_other_splits_as_they_were(calibration, search, test, more):
    sizes = {"train": 1, "calibration": calibration, "search": search, "test": test}
    few, many = (deal(numbered(count()), sizes | {"train": 1 + extra}, silent) for extra in (0, more))
    assert many.pop("train")[:1] == few.pop("train")
    assert many == few


def test_a_split_of_size_0_is_left_out():
    assert list(deal(numbered(count()), {"train": 1, "search": 0, "test": 0}, silent)) == ["train"]


def test_progress_is_told_of_every_puzzle():
    told = []
    deal(numbered(count()), {"train": 2, "test": 1}, lambda *step: told.append(step))
    assert told == [("test puzzles", 1, 1), ("train puzzles", 1, 2), ("train puzzles", 2, 2)]


@pytest.mark.parametrize("source", [range(1, 4), cycle(range(1, 4))])
def test_too_few_different_candidates_are_refused_and_counted(source):
    with pytest.raises(UsageError, match="not enough different puzzles for 4") as caught:
        deal(numbered(source), {"train": 2, "test": 2}, silent)
    assert "after 3 of them" in caught.value.why


def test_a_long_run_of_known_puzzles_is_endured():
    source = [1, *[1] * (PATIENCE - 1), 2]
    assert numbers(deal(numbered(source), {"train": 2}, silent)) == {"train": [1, 2]}


@pytest.mark.parametrize(
    ("sizes", "what"), [({"train": -1, "test": 2}, "cannot have -1"), ({"train": 0, "test": 0}, "would be empty")]
)
def test_sizes_that_make_no_data_set_are_refused(sizes, what):
    with pytest.raises(UsageError, match=what):
        deal(numbered(count()), sizes, silent)
