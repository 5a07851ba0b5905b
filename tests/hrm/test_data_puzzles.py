"""Puzzles without labels: what is read and what is refused."""

import numpy as np
import pytest

from hrm.data.puzzles import read_inputs
from hrm.errors import DatasetError

GOOD = np.ones((3, 16), dtype=np.int64)


def write(path, **arrays):
    np.savez(path, **arrays)
    return path


def test_identifiers_default_to_zero(tmp_path, small_config):
    inputs = np.zeros((2, small_config.seq_len), dtype=np.uint8)
    read, identifiers = read_inputs(write(tmp_path / "p.npz", inputs=inputs), small_config)
    assert read.dtype == identifiers.dtype == np.int32
    assert read.shape == inputs.shape
    assert identifiers.tolist() == [0, 0]


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"inputs": np.zeros((2, 999), dtype=np.int32)}, "999"),
        ({"inputs": np.zeros((0, 1), dtype=np.int32)}, "0, 1"),
        ({"inputs": np.int32(3)}, "inputs"),
        ({"other": GOOD}, "no array `inputs`"),
        ({"inputs": np.array([[object()]])}, "pickle"),
    ],
)
def test_wrong_arrays_are_refused(tmp_path, small_config, change, why):
    with pytest.raises(DatasetError) as caught:
        read_inputs(write(tmp_path / "p.npz", **change), small_config)
    assert why in caught.value.why


@pytest.mark.parametrize("ids", [[-1], [10**6]])
def test_ids_outside_the_vocabulary_are_refused(tmp_path, small_config, ids):
    inputs = np.full((1, small_config.seq_len), ids[0])
    with pytest.raises(DatasetError, match="cannot use"):
        read_inputs(write(tmp_path / "p.npz", inputs=inputs), small_config)


@pytest.mark.parametrize("content", [b"", b"text", b"PK\x03\x04 cut short"])
def test_what_is_no_archive_is_refused(tmp_path, small_config, content):
    path = tmp_path / "p.npz"
    path.write_bytes(content)
    with pytest.raises(DatasetError, match="cannot use"):
        read_inputs(path, small_config)


def test_an_npy_with_another_ending_is_refused(tmp_path, small_config):
    np.save(tmp_path / "p.npy", GOOD)
    (tmp_path / "p.npy").rename(tmp_path / "p.npz")
    with pytest.raises(DatasetError, match="cannot use"):
        read_inputs(tmp_path / "p.npz", small_config)
