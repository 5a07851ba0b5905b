import contextlib
import json
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hrm.config import PAPER, HRMConfig
from hrm.data.dataset import IGNORE, DatasetInfo, check_fits, read_info, read_split
from hrm.errors import DatasetError, UsageError

BUNDLED = Path(__file__).parents[2] / "checkpoints" / "sudoku-4x4" / "dataset"
METADATA = {
    "pad_id": 0,
    "ignore_label_id": 0,
    "blank_identifier_id": 0,
    "vocab_size": 6,
    "seq_len": 4,
    "num_puzzle_identifiers": 9,
    "total_groups": 2,
    "mean_puzzle_examples": 2.0,
    "sets": ["all"],
}
ARRAYS = {
    # Three puzzles of 2, 1 and 3 examples; the first two are copies of each other.
    "inputs": np.arange(24, dtype=np.uint8).reshape(6, 4) % 6,
    "labels": np.arange(24, dtype=np.uint8).reshape(6, 4)[::-1] % 6,
    "puzzle_identifiers": np.array([7, 0, 8], dtype=np.int32),
    "puzzle_indices": np.array([0, 2, 3, 6], dtype=np.int32),
    "group_indices": np.array([0, 2, 3], dtype=np.int32),
}


def write(root: Path, arrays=ARRAYS, name: str = "all", **metadata) -> Path:
    split = root / "test"
    split.mkdir(parents=True, exist_ok=True)
    (split / "dataset.json").write_text(json.dumps(METADATA | metadata))
    for field, array in arrays.items():
        np.save(split / f"{name}__{field}.npy", array)
    return root


@pytest.fixture
def dataset(tmp_path):
    return write(tmp_path / "dataset")


def refusal(directory: Path, split: str = "test") -> str:
    with pytest.raises(DatasetError) as caught:
        read_split(directory, split)
    assert caught.value.hint
    return str(caught.value)


# What is read


def test_every_example_gets_its_puzzles_identifier_and_group(dataset):
    puzzles = read_split(dataset, "test")
    assert puzzles.puzzle_identifiers.tolist() == [7, 7, 0, 8, 8, 8]
    assert puzzles.groups.tolist() == [0, 0, 0, 1, 1, 1]
    assert puzzles.split == "test"
    assert len(puzzles) == 6


def test_all_arrays_are_int32(dataset):
    puzzles = read_split(dataset, "test")
    for array in (puzzles.inputs, puzzles.labels, puzzles.puzzle_identifiers, puzzles.groups):
        assert array.dtype == np.int32


def test_the_label_to_ignore_becomes_minus_100_and_inputs_keep_it(dataset):
    puzzles = read_split(dataset, "test")
    assert (puzzles.labels == np.where(ARRAYS["labels"] == 0, IGNORE, ARRAYS["labels"].astype(int))).all()
    assert (puzzles.inputs == ARRAYS["inputs"]).all()


def test_without_a_label_to_ignore_all_labels_stay(tmp_path):
    puzzles = read_split(write(tmp_path, ignore_label_id=None), "test")
    assert (puzzles.labels == ARRAYS["labels"]).all()


def test_labels_stored_as_minus_100_are_ignored_too(tmp_path):
    labels = ARRAYS["labels"].astype(np.int64)
    labels[0, 0] = IGNORE
    puzzles = read_split(write(tmp_path, ARRAYS | {"labels": labels}, ignore_label_id=None), "test")
    assert puzzles.labels[0, 0] == IGNORE


def test_sets_follow_one_another_and_their_groups_stay_apart(tmp_path):
    write(tmp_path, name="easy", sets=["easy", "hard"])
    write(tmp_path, name="hard", sets=["easy", "hard"])
    puzzles = read_split(tmp_path, "test")
    assert len(puzzles) == 12
    assert puzzles.groups.tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3]
    limited = read_split(tmp_path, "test", limit=8)
    assert (limited.inputs == puzzles.inputs[:8]).all()
    assert limited.groups.tolist() == [0, 0, 0, 1, 1, 1, 2, 2]


def test_a_limit_takes_the_first_examples_and_reads_no_further(tmp_path):
    inputs = ARRAYS["inputs"].copy()
    inputs[5, 3] = 200
    directory = write(tmp_path, ARRAYS | {"inputs": inputs})
    puzzles = read_split(directory, "test", limit=5)
    assert (puzzles.inputs == inputs[:5]).all()
    assert len(puzzles.labels) == len(puzzles.puzzle_identifiers) == len(puzzles.groups) == 5
    assert "cell 3 of row 5 holds 200; ids go from 0 to 5" in refusal(directory)


def test_a_limit_beyond_the_end_takes_everything(dataset):
    assert len(read_split(dataset, "test", limit=1000)) == 6


@pytest.mark.parametrize("limit", [0, -3])
def test_a_limit_that_leaves_nothing_is_refused(dataset, limit):
    with pytest.raises(UsageError, match=str(limit)):
        read_split(dataset, "test", limit=limit)


def test_first_cuts_every_array(dataset):
    first = read_split(dataset, "test").first(2)
    assert len(first) == len(first.labels) == len(first.puzzle_identifiers) == len(first.groups) == 2


def test_the_result_can_be_changed_without_touching_the_files(dataset):
    before = (dataset / "test" / "all__inputs.npy").read_bytes()
    read_split(dataset, "test").inputs[:] = 0
    assert (dataset / "test" / "all__inputs.npy").read_bytes() == before


# What is refused


@pytest.mark.parametrize("field", ARRAYS)
def test_a_missing_array_is_named(dataset, field):
    (dataset / "test" / f"all__{field}.npy").unlink()
    message = refusal(dataset)
    assert f"all__{field}.npy" in message
    assert "No such file" in message


def test_a_missing_split_names_those_there_are(dataset):
    assert "its splits are: test" in refusal(dataset, "train")


def test_a_directory_that_is_no_data_set(tmp_path):
    assert "give a directory that holds test/dataset.json" in refusal(tmp_path / "nothing")


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"sets": ["all"]}', "\udcff"])
def test_malformed_metadata(dataset, text):
    (dataset / "test" / "dataset.json").write_bytes(text.encode(errors="surrogateescape"))
    assert "dataset.json" in refusal(dataset)


@pytest.mark.parametrize("key", sorted(set(METADATA) - {"total_groups", "mean_puzzle_examples"}))
def test_a_missing_key_is_named(dataset, key):
    values = {name: value for name, value in METADATA.items() if name != key}
    (dataset / "test" / "dataset.json").write_text(json.dumps(values))
    assert key in refusal(dataset)


@pytest.mark.parametrize(
    ("key", "value"),
    [("vocab_size", "6"), ("vocab_size", 0), ("seq_len", 4.0), ("seq_len", True), ("sets", []), ("sets", ["../all"])],
)
def test_a_senseless_value_is_named(tmp_path, key, value):
    assert key in refusal(write(tmp_path, **{key: value}))


@pytest.mark.parametrize(
    ("field", "array", "why"),
    [
        ("inputs", np.zeros((6, 4)), "float64, not whole numbers"),
        ("labels", np.zeros((6, 4), dtype=bool), "bool, not whole numbers"),
        ("inputs", np.zeros(24, dtype=np.uint8), "it should have 2 axes"),
        ("puzzle_indices", np.array([[0, 2, 3, 6]]), "it should have 1 axes"),
        ("inputs", np.zeros((6, 5), dtype=np.uint8), "5 cells here and 4 (seq_len)"),
        ("labels", np.zeros((5, 4), dtype=np.uint8), "the inputs' shape is (6, 4), the labels' (5, 4)"),
        ("inputs", np.full((6, 4), 6), "cell 0 of row 0 holds 6"),
        ("inputs", np.full((6, 4), -1), "cell 0 of row 0 holds -1"),
        ("labels", np.full((6, 4), 2**40), "holds 1099511627776; ids go from 0 to 5"),
        ("puzzle_identifiers", np.array([7, 9, 8]), "identifier 9, and dataset.json knows 9"),
        ("puzzle_identifiers", np.array([7, -1, 8]), "identifier -1"),
        ("puzzle_indices", np.array([0, 2, 6]), "3 indices, and 4 are needed"),
        ("puzzle_indices", np.array([0, 3, 2, 6]), "its indices fall after number 1"),
        ("puzzle_indices", np.array([0, 3, 2, 6], dtype=np.uint8), "its indices fall after number 1"),
        ("puzzle_indices", np.array([0, 2, 3, 5]), "from 0 to 5, and there are 6 examples"),
        ("puzzle_indices", np.array([1, 2, 3, 6]), "from 1 to 6"),
        ("group_indices", np.array([0, 2]), "from 0 to 2, and there are 3 puzzles"),
        ("group_indices", np.array([0, 4, 3]), "its indices fall"),
        ("group_indices", np.array([], dtype=np.int32), "it holds 0 indices"),
    ],
)
def test_arrays_that_contradict_each_other(tmp_path, field, array, why):
    message = refusal(write(tmp_path, ARRAYS | {field: array}))
    assert f"all__{field}.npy" in message or "all__inputs.npy" in message
    assert why in message


def test_an_empty_split(tmp_path):
    empty = {
        "inputs": np.zeros((0, 4), dtype=np.uint8),
        "labels": np.zeros((0, 4), dtype=np.uint8),
        "puzzle_identifiers": np.zeros(0, dtype=np.int32),
        "puzzle_indices": np.zeros(1, dtype=np.int32),
        "group_indices": np.zeros(1, dtype=np.int32),
    }
    assert "is empty" in refusal(write(tmp_path, empty))


def test_a_truncated_array(dataset):
    path = dataset / "test" / "all__inputs.npy"
    path.write_bytes(path.read_bytes()[:-1])
    assert "not a whole .npy file" in refusal(dataset)


def test_an_archive_in_place_of_an_array(dataset):
    with (dataset / "test" / "all__inputs.npy").open("wb") as file:
        np.savez(file, inputs=ARRAYS["inputs"])
    assert "not a whole .npy file" in refusal(dataset)


class Trap:
    """Leaves a trace when it is unpickled."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self):
        return Path.touch, (self.trace,)


@pytest.mark.parametrize("kind", ["object array", "bare pickle"])
def test_nothing_is_ever_unpickled(dataset, tmp_path, kind):
    path, trace = dataset / "test" / "all__inputs.npy", tmp_path / "trace"
    if kind == "object array":
        np.save(path, np.array([[Trap(trace)]], dtype=object), allow_pickle=True)
    else:
        path.write_bytes(pickle.dumps(Trap(trace)))
    assert "not a whole .npy file" in refusal(dataset)
    assert not trace.exists()


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    edits=st.lists(st.tuples(st.integers(0, 90), st.sampled_from(b"()[]{}',:0 9-O\x00\xff")), min_size=1, max_size=4),
    keep=st.integers(0, 160),
)
def test_a_damaged_array_is_read_or_refused_but_never_crashes(dataset, edits, keep):
    path = dataset / "test" / "all__puzzle_indices.npy"
    np.save(path, ARRAYS["puzzle_indices"])
    data = bytearray(path.read_bytes())
    for position, value in edits:
        data[position] = value
    path.write_bytes(data[:keep])
    with contextlib.suppress(DatasetError):
        assert len(read_split(dataset, "test")) == 6


# Whether it fits


def info(**changes) -> DatasetInfo:
    sizes = {"vocab_size": 11, "seq_len": 81, "num_puzzle_identifiers": 1}
    return DatasetInfo(**sizes | changes, pad_id=0, ignore_label_id=0, blank_identifier_id=0)


def test_the_papers_data_set_fits_the_papers_model():
    check_fits(info(), PAPER)


@pytest.mark.parametrize(
    ("change", "numbers"),
    [
        ({"vocab_size": 12}, ("12", "11")),
        ({"seq_len": 900}, ("900", "81")),
        ({"num_puzzle_identifiers": 400}, ("400", "1")),
    ],
)
def test_a_data_set_for_another_checkpoint_is_refused_with_both_numbers(change, numbers):
    with pytest.raises(DatasetError) as caught:
        check_fits(info(**change), PAPER)
    assert all(number in caught.value.why for number in numbers)


def test_a_model_without_puzzle_embeddings_takes_any_identifier():
    model = HRMConfig.from_dict(PAPER.to_dict() | {"puzzle_emb_ndim": 0})
    check_fits(info(num_puzzle_identifiers=400), model)


# The bundled data set


@pytest.mark.parametrize(("split", "puzzles"), [("train", 6000), ("test", 500)])
def test_bundled_puzzles_are_sudokus_with_their_solutions(split, puzzles):
    data = read_split(BUNDLED, split)
    assert len(data) == puzzles
    given = data.inputs > 1
    assert (data.inputs[given] == data.labels[given]).all()
    solutions = data.labels.reshape(-1, 4, 4)
    boxes = solutions.reshape(-1, 2, 2, 2, 2).swapaxes(2, 3).reshape(-1, 4, 4)
    for units in (solutions, solutions.swapaxes(1, 2), boxes):
        assert (np.sort(units, axis=2) == [2, 3, 4, 5]).all()


def test_no_bundled_test_puzzle_was_trained_on():
    train, test = ({row.tobytes() for row in read_split(BUNDLED, split).inputs} for split in ("train", "test"))
    assert len(train) == 6000
    assert len(test) == 500
    assert not train & test


def test_reading_needs_only_the_split_that_is_read(tmp_path):
    shutil.copytree(BUNDLED / "test", tmp_path / "test")
    assert read_info(tmp_path, "test").seq_len == 16
    assert len(read_split(tmp_path, "test")) == 500
