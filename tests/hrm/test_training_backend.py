from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch
from tiny_training import numbers, recipe, train, write_tiny

from hrm.errors import MissingError
from hrm.training.backend import Backend, choose
from hrm.training.journal import METRICS, read_metrics

if TYPE_CHECKING:
    from pathlib import Path

ARCH = {"hidden_size": 16, "puzzle_emb_ndim": 16, "H_cycles": 1, "L_cycles": 1}
"""A graph that is quickly compiled."""


@pytest.fixture
def keep_threads() -> Any:
    """`choose` sets the threads of the whole process."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def test_a_cpu_computes_in_float32_with_as_many_threads_as_asked(keep_threads: None) -> None:
    found = choose(recipe("nowhere", threads=2), "cpu")
    assert found == Backend(torch.device("cpu"), torch.float32, compiles=False)
    assert found.name == "cpu"
    assert torch.get_num_threads() == 2


def test_a_gpu_that_was_asked_for_and_is_not_there_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert choose(recipe("nowhere"), "auto").device.type == "cpu"
    with pytest.raises(MissingError, match="CUDA"):
        choose(recipe("nowhere"), "cuda")


def test_compiling_without_a_compiler_is_refused_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(MissingError, match="no C\\+\\+ compiler no-such-compiler here"):
        choose(recipe("nowhere", compile=True), "cpu")
    assert not choose(recipe("nowhere", compile=False), "cpu").compiles


@pytest.mark.slow
def test_a_compiled_model_learns_the_same_and_goes_on_to_the_same_numbers(tmp_path: Path) -> None:
    dataset = write_tiny(tmp_path / "dataset")
    lesson = recipe(dataset, arch=ARCH, steps=8, log_every=1, checkpoint_every=3, evaluate={"every": 8, "puzzles": 16})
    compiled = Backend(torch.device("cpu"), torch.float32, compiles=True)
    train(lesson, tmp_path / "plain")
    train(lesson, tmp_path / "compiled", backend=compiled)
    train(lesson, tmp_path / "resumed", until=5, backend=compiled)
    train(lesson, tmp_path / "resumed", backend=compiled)
    assert numbers(tmp_path / "resumed") == numbers(tmp_path / "compiled")
    for plain, fast in zip(*(read_metrics(tmp_path / run / METRICS) for run in ("plain", "compiled")), strict=True):
        for name in ("lm_loss", "q_halt_loss", "q_continue_loss", "accuracy"):
            assert fast.get(name, 0) == pytest.approx(plain.get(name, 0), rel=1e-4), name
