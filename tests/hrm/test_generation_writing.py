import json
import os
import re
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import filelock
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hrm.data.dataset import read_split
from hrm.data.layout import IGNORE, DatasetInfo
from hrm.data.record import Origin, check_record, read_record
from hrm.errors import DatasetError, UnwritableError
from hrm.generation.groups import Puzzle
from hrm.generation.writing import NewDataset, refuse_occupied, write_dataset

INFO = DatasetInfo(
    vocab_size=6, seq_len=4, num_puzzle_identifiers=3, pad_id=0, ignore_label_id=0, blank_identifier_id=0
)
ORIGIN = Origin(
    source="a test", version="1", seed=7, augmentations=1, licence=None, options={"task": "test", "sizes": [1, 2]}
)
WRITER_THAT_STOPS = """
import sys, time
from pathlib import Path
from test_generation_writing import new_dataset, puzzle

def groups():
    yield [puzzle(1)]
    print("started", flush=True)
    time.sleep(600)

from hrm.generation.writing import write_dataset
write_dataset(Path(sys.argv[1]), new_dataset(train=groups()))
"""


def puzzle(first, identifier=0, examples=1):
    inputs = np.full((examples, 4), first, dtype=np.uint8)
    return Puzzle(identifier, inputs, inputs)


def new_dataset(**splits):
    return NewDataset(INFO, splits, ["<blank>", "one", "two"], ORIGIN)


@pytest.fixture
def place(tmp_path):
    return tmp_path / "made" / "dataset"


def test_what_is_written_is_what_the_reader_reads(place):
    labels = np.array([[2, 0, 0, 3]], dtype=np.uint8)
    masked = Puzzle(2, np.array([[1, 2, 3, 4]], dtype=np.uint8), labels)
    write_dataset(place, new_dataset(test=[[masked]], train=[[puzzle(1, 1, examples=2), puzzle(2)], [puzzle(3)]]))
    train, test = read_split(place, "train"), read_split(place, "test")
    assert train.inputs[:, 0].tolist() == [1, 1, 2, 3]
    assert train.puzzle_identifiers.tolist() == [1, 1, 0, 0]
    assert train.groups.tolist() == [0, 0, 0, 1]
    assert test.labels.tolist() == [[2, IGNORE, IGNORE, 3]]
    assert json.loads((place / "identifiers.json").read_text()) == ["<blank>", "one", "two"]
    assert not (place / "vocabulary.json").exists()


def test_the_files_are_those_of_the_official_layout(place):
    write_dataset(place, new_dataset(train=[[puzzle(1, examples=2)], [puzzle(2)]]))
    metadata = json.loads((place / "train" / "dataset.json").read_text())
    assert metadata == {
        "vocab_size": 6,
        "seq_len": 4,
        "num_puzzle_identifiers": 3,
        "pad_id": 0,
        "ignore_label_id": 0,
        "blank_identifier_id": 0,
        "total_groups": 2,
        "mean_puzzle_examples": 1.5,
        "sets": ["all"],
    }
    arrays = {path.stem: np.load(path) for path in (place / "train").glob("*.npy")}
    assert {name: (array.dtype.name, array.shape) for name, array in arrays.items()} == {
        "all__inputs": ("uint8", (3, 4)),
        "all__labels": ("uint8", (3, 4)),
        "all__puzzle_identifiers": ("int32", (2,)),
        "all__puzzle_indices": ("int32", (3,)),
        "all__group_indices": ("int32", (3,)),
    }


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.lists(st.tuples(st.integers(0, 2), st.integers(1, 3)), min_size=1, max_size=3), min_size=1, max_size=12)
)
def test_any_shape_of_groups_comes_back(shape):
    groups = [[puzzle(1, identifier, examples) for identifier, examples in group] for group in shape]
    with tempfile.TemporaryDirectory() as directory:
        record = write_dataset(Path(directory) / "dataset", new_dataset(train=groups))
        read = read_split(Path(directory) / "dataset", "train")
    sizes = [sum(examples for _, examples in group) for group in shape]
    assert np.bincount(read.groups).tolist() == sizes
    assert read.puzzle_identifiers.tolist() == [i for group in shape for i, examples in group for _ in range(examples)]
    assert record.splits["train"].examples == sum(sizes)


def test_the_record_says_what_was_written_and_binds_it(place):
    record = write_dataset(place, new_dataset(test=[[puzzle(1)]], train=[[puzzle(1), puzzle(2)], [puzzle(3)]]))
    assert read_record(place) == record
    check_record(place)
    assert (record.source, record.seed, record.options) == ("a test", 7, {"task": "test", "sizes": [1, 2]})
    train = record.splits["train"]
    assert (train.groups, train.puzzles, train.examples) == (2, 3, 3)
    assert list(record.splits) == ["test", "train"]


def test_a_users_own_task_gets_its_vocabulary(place):
    symbols = ["_", "a", "b", "c", "d", "e"]
    write_dataset(place, NewDataset(INFO, {"train": [[puzzle(1)]]}, ["<blank>"], ORIGIN, vocabulary=symbols))
    assert json.loads((place / "vocabulary.json").read_text()) == symbols


def test_an_empty_directory_may_be_filled(place):
    place.mkdir(parents=True)
    write_dataset(place, new_dataset(train=[[puzzle(1)]]))
    assert len(read_split(place, "train")) == 1


def test_nothing_that_is_there_is_overwritten(place):
    place.mkdir(parents=True)
    (place / "notes.txt").write_text("mine")
    with pytest.raises(DatasetError, match="no data set can be written") as caught:
        write_dataset(place, new_dataset(train=[[puzzle(1)]]))
    assert "notes.txt" in caught.value.why
    assert (place / "notes.txt").read_text() == "mine"


def test_a_file_is_no_place_for_a_data_set(tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(DatasetError, match="no data set can be written") as caught:
        refuse_occupied(tmp_path / "file")
    assert "file" in caught.value.why


def test_a_place_below_a_file_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(UnwritableError):
        write_dataset(tmp_path / "file" / "dataset", new_dataset(train=[[puzzle(1)]]))


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        (Puzzle(0, np.ones((1, 5), np.uint8), np.ones((1, 5), np.uint8)), r"\[1, 5\]"),
        (Puzzle(0, np.ones((1, 4), np.uint8), np.ones((2, 4), np.uint8)), r"labels \[2, 4\]"),
        (Puzzle(0, np.ones((0, 4), np.uint8), np.ones((0, 4), np.uint8)), r"\[0, 4\]"),
        (Puzzle(0, np.full((1, 4), 6, np.uint8), np.ones((1, 4), np.uint8)), "inputs are uint8 up to 6"),
        (Puzzle(0, np.ones((1, 4), np.uint8), np.full((1, 4), 9, np.uint8)), "labels are uint8 up to 9"),
        (Puzzle(0, np.ones((1, 4), np.int32), np.ones((1, 4), np.uint8)), "int32"),
        (Puzzle(3, np.ones((1, 4), np.uint8), np.ones((1, 4), np.uint8)), "identifier is 3"),
        (Puzzle(-1, np.ones((1, 4), np.uint8), np.ones((1, 4), np.uint8)), "identifier is -1"),
    ],
)
def test_a_puzzle_that_does_not_fit_leaves_nothing_behind(place, wrong, why):
    with pytest.raises(DatasetError, match="puzzle 2 of the test split") as caught:
        write_dataset(place, new_dataset(test=[[puzzle(1)], [wrong]]))
    assert re.search(why, caught.value.why)
    assert list(place.parent.iterdir()) == []


def test_an_empty_split_is_refused(place):
    with pytest.raises(DatasetError, match="the test split cannot be written"):
        write_dataset(place, new_dataset(train=[[puzzle(1)]], test=[]))
    assert list(place.parent.iterdir()) == []


def test_an_interrupt_leaves_nothing_behind(place):
    def groups():
        yield [puzzle(1)]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_dataset(place, new_dataset(train=groups()))
    assert list(place.parent.iterdir()) == []


def test_after_a_kill_there_is_no_data_set_and_the_next_run_makes_it(place):
    paths = os.pathsep.join([str(Path(__file__).parent), str(Path(__file__).parents[2])])
    with subprocess.Popen(
        [sys.executable, "-c", WRITER_THAT_STOPS, str(place)],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": paths},
    ) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == b"started\n"
        writer.send_signal(signal.SIGKILL)
    assert not place.exists()
    write_dataset(place, new_dataset(train=[[puzzle(2)]]))
    assert read_split(place, "train").inputs[:, 0].tolist() == [2]
    assert list(place.parent.iterdir()) == [place]


def test_two_runs_do_not_write_the_same_data_set(place):
    place.parent.mkdir()
    with (
        filelock.FileLock(place.parent / ".dataset.lock", is_singleton=False),
        pytest.raises(DatasetError, match="being written by another run"),
    ):
        write_dataset(place, new_dataset(train=[[puzzle(1)]]))
