"""Which puzzles are calibrated on, and which must not be."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from engines.calibration.puzzles import calibration_split, choose, refuse_overlap
from hrm.data.dataset import read_split
from hrm.errors import DatasetError

CHECKPOINTS = Path(__file__).parents[2] / "checkpoints"


def test_a_data_set_without_a_calibration_split_gives_training_puzzles():
    assert calibration_split(CHECKPOINTS / "sudoku-6x6/dataset") == "calibration"
    assert calibration_split(CHECKPOINTS / "sudoku-4x4/dataset") == "train"


def test_an_empty_calibration_split_counts_as_none(tmp_path):
    split = tmp_path / "calibration"
    split.mkdir()
    sizes = {"vocab_size": 5, "seq_len": 4, "num_puzzle_identifiers": 1, "pad_id": 0, "ignore_label_id": None}
    (split / "dataset.json").write_text(json.dumps(sizes | {"blank_identifier_id": 0, "sets": ["all"]}))
    for name, shape in {"inputs": (0, 4), "labels": (0, 4), "puzzle_identifiers": 0}.items():
        np.save(split / f"all__{name}.npy", np.zeros(shape, dtype=np.int32))
    for name in ("puzzle_indices", "group_indices"):
        np.save(split / f"all__{name}.npy", np.zeros(1, dtype=np.int32))
    assert calibration_split(tmp_path) == "train"


def test_puzzles_are_drawn_by_the_seed_alone():
    drawn = choose(50, 1000, 3)
    assert np.array_equal(drawn, choose(50, 1000, 3))
    assert not np.array_equal(drawn, choose(50, 1000, 4))
    assert len(set(drawn.tolist())) == 50
    assert (np.diff(drawn) > 0).all()
    assert drawn.max() > 500


def test_where_there_are_fewer_all_are_taken():
    assert choose(50, 20, 0).tolist() == list(range(20))


def test_the_demos_splits_share_nothing():
    dataset = CHECKPOINTS / "sudoku-6x6/dataset"
    judged = read_split(dataset, "test")
    for split in ("calibration", "search"):
        refuse_overlap(read_split(dataset, split).inputs, judged.inputs)


def test_a_puzzle_to_be_judged_by_is_refused_with_its_number():
    judged = read_split(CHECKPOINTS / "sudoku-4x4/dataset", "test").inputs
    others = read_split(CHECKPOINTS / "sudoku-4x4/dataset", "train", 10).inputs
    mixed = np.concatenate([others[:7], judged[[30, 4]], others[7:]])
    with pytest.raises(DatasetError, match="2 of the 12 puzzles") as refused:
        refuse_overlap(mixed, judged, "train", "test")
    assert "number 7 of those from train, number 30 of test" in refused.value.why
    refuse_overlap(others, judged)


def test_modelopt_is_not_imported_until_something_is_quantised():
    modules = ", ".join(f"engines.calibration.{name}" for name in ("blocks", "collect", "puzzles"))
    check = f"import sys, {modules}; sys.exit(any(name.partition('.')[0] == 'modelopt' for name in sys.modules))"
    assert subprocess.run([sys.executable, "-c", check], check=False, timeout=60).returncode == 0
