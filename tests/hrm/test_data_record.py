import json
import shutil
from pathlib import Path

import pytest

from hrm.data.record import DatasetRecord, SplitRecord, check_record, digest_split, read_record, write_record
from hrm.errors import DatasetError

BUNDLED = Path(__file__).parents[2] / "checkpoints" / "sudoku-4x4" / "dataset"


@pytest.fixture
def dataset(tmp_path):
    return Path(shutil.copytree(BUNDLED, tmp_path / "dataset"))


def test_the_bundled_data_set_is_the_one_that_its_record_speaks_of():
    check_record(BUNDLED)
    record = read_record(BUNDLED)
    assert record is not None
    assert record.splits["test"].digest == digest_split(BUNDLED, "test")
    assert {split: entry.examples for split, entry in record.splits.items()} == {"test": 500, "train": 6000}
    assert record.augmentations == 0
    assert record.seed is None


def test_a_data_set_may_have_no_record(dataset):
    (dataset / "record.json").unlink()
    assert read_record(dataset) is None
    check_record(dataset)


def test_a_record_reads_back_as_it_was_written(dataset):
    record = DatasetRecord(
        source="https://example.org/sudoku",
        version="3f2a",
        seed=7,
        augmentations=1000,
        licence="MIT",
        options={"task": "sudoku", "box": "2x3", "sizes": [1, 2], "nested": {"rating": None}},
        splits={"test": SplitRecord(groups=1, puzzles=2, examples=3, digest=digest_split(dataset, "test"))},
    )
    write_record(dataset, record)
    assert read_record(dataset) == record


@pytest.mark.parametrize("name", ["test/all__labels.npy", "train/dataset.json"])
def test_a_changed_file_is_noticed_and_the_new_digest_is_given(dataset, name):
    with (dataset / name).open("ab") as file:
        file.write(b" ")
    split = Path(name).parts[0]
    with pytest.raises(DatasetError, match=rf"the {split} split of .* has changed since its record") as caught:
        check_record(dataset)
    assert digest_split(dataset, split) in caught.value.hint


def test_a_data_set_may_come_without_its_training_split(dataset):
    shutil.rmtree(dataset / "train")
    check_record(dataset)


def test_a_split_that_the_record_does_not_know_is_a_change(dataset):
    (dataset / "test").rename(dataset / "validation")
    with pytest.raises(DatasetError, match=r"the validation split of .* has changed") as caught:
        check_record(dataset)
    assert "no such split" in caught.value.why


@pytest.mark.parametrize("change", [{"format_version": 1}, {"seed": "x"}, {"colour": "red"}, {"splits": {"test": {}}}])
def test_a_record_of_another_form_is_refused(dataset, change):
    values = json.loads((dataset / "record.json").read_text())
    (dataset / "record.json").write_text(json.dumps(values | change))
    with pytest.raises(DatasetError, match=next(iter(change))):
        read_record(dataset)


def test_digests_depend_on_contents_and_not_on_the_place(dataset):
    assert digest_split(dataset, "test") == digest_split(BUNDLED, "test")
    assert digest_split(dataset, "test") != digest_split(dataset, "train")


def test_a_splits_digest_ignores_the_other_split(dataset):
    before = digest_split(dataset, "test")
    (dataset / "train" / "all__inputs.npy").write_bytes(b"changed")
    assert digest_split(dataset, "test") == before


def test_a_missing_file_has_no_digest(dataset):
    (dataset / "test" / "all__inputs.npy").unlink()
    with pytest.raises(DatasetError, match="all__inputs"):
        digest_split(dataset, "test")
