import json
import shutil
from pathlib import Path

import pytest

from hrm.data.record import DatasetRecord, check_record, digest_dataset, digest_split, read_record, write_record
from hrm.errors import DatasetError

BUNDLED = Path(__file__).parents[2] / "checkpoints" / "sudoku-4x4" / "dataset"


@pytest.fixture
def dataset(tmp_path):
    return Path(shutil.copytree(BUNDLED, tmp_path / "dataset"))


def test_the_bundled_data_set_is_the_one_that_its_record_speaks_of():
    check_record(BUNDLED)
    record = read_record(BUNDLED)
    assert record is not None
    assert record.digest == digest_dataset(BUNDLED)
    assert record.augmentations == 0
    assert record.seed is None


def test_a_data_set_may_have_no_record(dataset):
    (dataset / "record.json").unlink()
    assert read_record(dataset) is None


def test_a_record_reads_back_as_it_was_written(dataset):
    record = DatasetRecord(
        source="https://example.org/sudoku",
        version="3f2a",
        seed=7,
        augmentations=1000,
        licence="MIT",
        digest=digest_dataset(dataset),
    )
    write_record(dataset, record)
    assert read_record(dataset) == record


@pytest.mark.parametrize("name", ["test/all__labels.npy", "train/dataset.json"])
def test_a_changed_file_is_noticed_and_the_new_digest_is_given(dataset, name):
    with (dataset / name).open("ab") as file:
        file.write(b" ")
    with pytest.raises(DatasetError, match="has changed since its record") as caught:
        check_record(dataset)
    assert digest_dataset(dataset) in caught.value.hint


def test_a_renamed_split_is_a_change(dataset):
    (dataset / "test").rename(dataset / "validation")
    with pytest.raises(DatasetError, match="has changed"):
        check_record(dataset)


@pytest.mark.parametrize("change", [{"format_version": 2}, {"seed": "x"}, {"colour": "red"}])
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
    assert digest_dataset(dataset) != digest_dataset(BUNDLED)


def test_a_missing_file_has_no_digest(dataset):
    (dataset / "test" / "all__inputs.npy").unlink()
    with pytest.raises(DatasetError, match="all__inputs"):
        digest_split(dataset, "test")


def test_an_empty_directory_is_no_data_set(tmp_path):
    with pytest.raises(DatasetError, match="no data set"):
        digest_dataset(tmp_path)
