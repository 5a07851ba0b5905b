from __future__ import annotations

import os
import resource
import signal
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hrm.errors import CheckpointError, StorageError
from hrm.training.state import FILE, load, refusing, save

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CPU = torch.device("cpu")
STATE = {"step": 3, "tensors": {"a": torch.arange(2000.0)}, "evaluations": [(1, {"by_segment": (0.5, 1.0)})]}


class Trap:
    """Touches a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return (os.system, (f"touch {self.path}",))


@contextmanager
def small_disk(size: int) -> Iterator[None]:
    """No file may grow beyond ``size`` bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, ignored)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    save(tmp_path / FILE, STATE)
    return tmp_path / FILE


def test_what_was_saved_is_loaded(path: Path) -> None:
    loaded = load(path, CPU)
    assert loaded is not None
    assert torch.equal(loaded.pop("tensors")["a"], STATE["tensors"]["a"])
    assert loaded == {name: value for name, value in STATE.items() if name != "tensors"}


def test_no_file_is_no_state(tmp_path: Path) -> None:
    assert load(tmp_path / FILE, CPU) is None


def test_a_full_disk_costs_nothing_that_was_there(path: Path) -> None:
    before = path.read_bytes()
    with small_disk(1000), pytest.raises(StorageError, match=f"cannot write .*{FILE}"):
        save(path, {"tensors": torch.zeros(9000)})
    assert path.read_bytes() == before
    assert [entry.name for entry in path.parent.iterdir()] == [FILE]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
@given(st.data())
def test_a_damaged_state_is_refused_by_name(path: Path, data: st.DataObject) -> None:
    whole = path.read_bytes()
    cut = data.draw(st.integers(0, len(whole) - 1))
    damaged = path.with_name("damaged.pt")
    damaged.write_bytes(whole[:cut] + data.draw(st.binary(max_size=len(whole) - cut - 1)))
    with pytest.raises(CheckpointError) as refused:
        load(damaged, CPU)
    assert str(damaged) in refused.value.what
    assert "train from the start" in refused.value.hint


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_what_is_no_state_is_refused(tmp_path_factory: pytest.TempPathFactory, contents: bytes) -> None:
    path = tmp_path_factory.mktemp("noise") / FILE
    path.write_bytes(contents)
    with pytest.raises(CheckpointError, match=FILE):
        load(path, CPU)


def test_a_hostile_state_is_refused_and_never_run(path: Path) -> None:
    witness = path.with_name("witness")
    torch.save({"step": 1, "learner": Trap(witness)}, path)
    with pytest.raises(CheckpointError, match=FILE):
        load(path, CPU)
    assert not witness.exists()


def test_an_error_in_taking_it_over_names_the_file(path: Path) -> None:
    with pytest.raises(CheckpointError, match=FILE), refusing(path):
        STATE["nothing of this name"]
