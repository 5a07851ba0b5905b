"""Weights files that are damaged, hostile or something else: each is refused, and nothing in them runs."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hrm.checkpoint import locate
from hrm.checkpoint.loading import load
from hrm.errors import CheckpointError

if TYPE_CHECKING:
    from hrm.network import HRM

Write = Callable[..., Path]


@pytest.fixture
def directory(small_network: HRM, write_official: Write) -> Path:
    return write_official(small_network.config, small_network)


def refused(directory: Path) -> CheckpointError:
    with pytest.raises(CheckpointError) as caught:
        load(locate(directory))
    assert "step_10" in caught.value.what
    return caught.value


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "it is empty"),
        (os.urandom(5000), "not a file that torch.save wrote"),
        (b"the weights are on the other machine\n", "not a file that torch.save wrote"),
        (b"PK\x03\x04" + os.urandom(5000), "damaged or cut short"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 5\n", "Git LFS pointer"),
    ],
)
def test_what_torch_did_not_save_is_refused(directory: Path, content: bytes, why: str) -> None:
    (directory / "step_10").write_bytes(content)
    assert why in refused(directory).why


@pytest.mark.parametrize("share", [0.001, 0.3, 0.9, 0.999])
def test_a_file_that_is_cut_short_is_refused(directory: Path, share: float) -> None:
    path = directory / "step_10"
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    assert "cut short" in refused(directory).why


def test_a_pickle_that_would_run_code_is_refused_and_does_not_run(directory: Path, tmp_path: Path) -> None:
    class Hostile:
        def __reduce__(self) -> tuple[Any, ...]:
            return os.system, (f"touch {tmp_path / 'ran'}",)

    torch.save({"model.inner.H_init": Hostile()}, directory / "step_10")
    assert "posix.system" in refused(directory).why
    assert not (tmp_path / "ran").exists()
    torch.load(directory / "step_10", weights_only=False)  # the same file does run where it is trusted
    assert (tmp_path / "ran").exists()


def test_a_whole_network_is_refused(directory: Path, small_network: HRM) -> None:
    torch.save(small_network, directory / "step_10")
    assert "hrm.network.HRM" in refused(directory).why


@pytest.mark.parametrize(
    ("state", "why"),
    [
        ([torch.zeros(3)], "it holds a list"),
        ({"model": {"H_init": torch.zeros(3)}}, "'model' is a dict"),
        ({"H_init": torch.zeros(3), "step": 7}, "'step' is a int"),
        ({0: torch.zeros(3)}, "0 is a Tensor"),
        ({"model.inner.H_init": torch.zeros(3), "_orig_mod.model.inner.H_init": torch.zeros(3)}, "H_init twice"),
    ],
)
def test_what_is_no_state_dict_is_refused(directory: Path, state: Any, why: str) -> None:
    torch.save(state, directory / "step_10")
    assert why in refused(directory).why


def test_an_archive_that_was_packed_again_loads(directory: Path) -> None:
    """A compressed archive cannot be mapped into memory; it is read instead."""
    path = directory / "step_10"
    expected = {name: tensor.clone() for name, tensor in load(locate(directory)).tensors.items()}
    with zipfile.ZipFile(path) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    found = load(locate(directory)).tensors
    assert all(torch.equal(found[name], tensor) for name, tensor in expected.items())


@pytest.mark.filterwarnings("ignore::UserWarning")
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damage_anywhere_is_refused_or_harmless(sound: bytes, directory: Path, data: st.DataObject) -> None:
    """The archive's directory is at its end, the pickle at its start."""
    content = bytearray(sound)
    positions = st.integers(0, 3999) | st.integers(len(content) - 4000, len(content) - 1)
    for position, value in data.draw(st.lists(st.tuples(positions, st.integers(0, 255)), min_size=1, max_size=4)):
        content[position] = value
    (directory / "new").write_bytes(content)
    (directory / "new").replace(directory / "step_10")  # a file that is mapped must not be changed in place
    try:
        load(locate(directory))
    except CheckpointError as error:
        assert error.why  # noqa: PT017  (harmless damage raises nothing)


@pytest.fixture
def sound(directory: Path) -> bytes:
    return (directory / "step_10").read_bytes()
