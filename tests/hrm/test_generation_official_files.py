"""Collections on the Hub are read from its cache, without a connection, in a process of their own."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from hrm.errors import DatasetError
from hrm.generation.official_files import locate_files

REPO = "sapientinc/sudoku-extreme"
COMMIT = "1234567890abcdef1234567890abcdef12345678"
LOCATE = """
import json, sys
from hrm.errors import HrmTrtError
from hrm.generation.official_files import locate_files
try:
    found = locate_files(sys.argv[1])
except HrmTrtError as error:
    print(error, file=sys.stderr)
    sys.exit(error.exit_code)
print(json.dumps([found.source, found.revision, {split: path.read_text() for split, path in found.paths.items()}]))
"""
WITHOUT_PACKAGE = "import sys; sys.modules['huggingface_hub'] = None\n" + LOCATE


@pytest.fixture
def cache(tmp_path):
    """The Hub's cache, with one data set in it."""
    home = tmp_path / f"datasets--{REPO.replace('/', '--')}"
    snapshot = home / "snapshots" / COMMIT
    snapshot.mkdir(parents=True)
    (home / "refs").mkdir()
    (home / "refs" / "main").write_text(COMMIT)
    for split in ("train", "test"):
        (snapshot / f"{split}.csv").write_text(f"the {split} puzzles")
    return tmp_path


def locate_offline(cache, address, script=LOCATE):
    root = Path(__file__).parents[2]
    return subprocess.run(
        [sys.executable, "-c", script, address],
        env={**os.environ, "HF_HUB_OFFLINE": "1", "HF_HUB_CACHE": str(cache), "PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("address", [f"hf://{REPO}", f"hf://{REPO}@main", f"hf://{REPO}@{COMMIT}"])
def test_a_data_set_of_the_hub_is_found_with_its_revision(cache, address):
    source, revision, texts = json.loads(locate_offline(cache, address).stdout)
    assert (source, revision) == (f"hf://{REPO}", COMMIT)
    assert texts == {"train": "the train puzzles", "test": "the test puzzles"}


def test_a_data_set_that_cannot_be_fetched_is_refused(cache):
    result = locate_offline(cache, "hf://nobody/nothing")
    assert result.returncode == DatasetError.exit_code
    assert result.stderr.startswith("cannot get hf://nobody/nothing\n")


def test_without_the_hubs_client_the_extra_is_named(cache):
    result = locate_offline(cache, f"hf://{REPO}", WITHOUT_PACKAGE)
    assert result.returncode == 3
    assert "hrm-trt[hub]" in result.stderr


def test_a_directory_holds_one_split_or_both(tmp_path):
    (tmp_path / "test.csv").touch()
    assert list(locate_files(str(tmp_path)).paths) == ["test"]
    (tmp_path / "train.csv").touch()
    assert locate_files(str(tmp_path)).paths == {split: tmp_path / f"{split}.csv" for split in ("train", "test")}


@pytest.mark.parametrize(("name", "split"), [("train.csv", "train"), ("mine.csv", "train"), ("test.csv", "test")])
def test_a_file_is_for_training_unless_it_is_called_otherwise(tmp_path, name, split):
    (tmp_path / name).touch()
    assert locate_files(str(tmp_path / name)).paths == {split: tmp_path / name}


@pytest.mark.parametrize("name", ["", "missing"])
def test_a_place_without_puzzles_is_refused(tmp_path, name):
    with pytest.raises(DatasetError, match="no puzzles at") as caught:
        locate_files(str(tmp_path / name))
    assert "train.csv" in caught.value.why
