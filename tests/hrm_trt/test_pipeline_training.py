"""Training as `hrm-trt train` does it, by real processes that are killed, doubled and put on a full disk."""

from __future__ import annotations

import json
import os
import random
import signal
import time
from typing import TYPE_CHECKING, Any

import pytest
from tiny_training import numbers, recipe, write_tiny
from training_children import Child, context

from hrm.errors import HrmTrtError, RecipeError, UsageError
from hrm.locks import alone
from hrm.training.record import read
from hrm.training.run import Finished
from hrm.training.state import FILE as STATE
from hrm_trt.pipeline import training as pipeline
from hrm_trt.pipeline.training import training

if TYPE_CHECKING:
    from contextlib import AbstractContextManager
    from pathlib import Path

RECIPE: dict[str, Any] = {
    "ema": 0.9, "stagger": True, "look_ahead": 0.5, "arch": {"halt_exploration_prob": 0.4},
    "steps": 16, "log_every": 3, "checkpoint_every": 4, "evaluate": {"every": 8, "puzzles": 16},
}  # fmt: skip
"""A recipe in which all that a run must remember plays a part."""
FILES = {"run.json", "state.pt", "metrics.jsonl", "tensorboard", "model.safetensors", "curve.png", ".lock"}


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny(tmp_path_factory.mktemp("training") / "dataset")


def train(dataset: Path, directory: Path, **changes: Any) -> Finished:
    with training(recipe(dataset, **{**RECIPE, **changes}), directory) as (_, events):
        *_, over = events
    assert isinstance(over, Finished)
    return over


@pytest.fixture(scope="module")
def undisturbed(dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of a run that nobody stopped."""
    directory = tmp_path_factory.mktemp("runs") / "undisturbed"
    train(dataset, directory)
    return directory


def assert_same(directory: Path, undisturbed: Path) -> None:
    assert numbers(directory) == numbers(undisturbed)
    assert {path.name for path in directory.iterdir()} == FILES, "nothing half-written is left"


def test_a_run_says_what_it_was_and_what_came_of_it(dataset: Path, undisturbed: Path) -> None:
    record = read(undisturbed)
    assert record is not None
    assert record.outcome is not None
    assert {path.name for path in undisturbed.iterdir()} == FILES
    assert record.recipe == recipe(dataset, **RECIPE).model_dump(mode="json", exclude={"dataset"})
    assert set(record.data) == {"train", "search"}
    assert record.device == "cpu, float32"
    assert {"torch", "numpy", "adam-atan2-pytorch"} <= set(record.versions)
    outcome = record.outcome
    assert (outcome.steps, outcome.reason) == (16, "every step is done")
    assert outcome.best_step in (8, 16)
    assert outcome.rows_per_second == pytest.approx(16 * 16 / outcome.seconds, rel=0.1)
    assert outcome.parameters == 57_794
    assert (undisturbed / "curve.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("moments", [["sync"], ["line", "state", "replace"]], ids=" ".join)
def test_a_run_killed_again_and_again_ends_as_if_nothing_had_happened(
    dataset: Path, undisturbed: Path, tmp_path: Path, moments: list[str]
) -> None:
    """Each process is killed one file later than the one before, so that every file has its turn."""
    for number in range(40):
        moment = moments[number % len(moments)], number // len(moments)
        code, said = Child(dataset, tmp_path / "run", kill=moment, **RECIPE).finish()
        if code == 0:
            break
        assert (code, said) == (-signal.SIGKILL, "")
    assert number >= 5
    assert code == 0
    assert_same(tmp_path / "run", undisturbed)


def test_a_run_killed_at_random_ends_as_if_nothing_had_happened(
    dataset: Path, undisturbed: Path, tmp_path: Path
) -> None:
    chance = random.Random(0)
    for _ in range(40):
        child = Child(dataset, tmp_path / "run", **RECIPE)
        try:
            for _ in range(chance.randint(1, 8)):
                child.steps.recv()
        except EOFError:
            break
        time.sleep(chance.uniform(0, 0.02))
        os.kill(child.process.pid, signal.SIGKILL)
        child.process.join()
    assert child.finish() == (0, "")
    assert_same(tmp_path / "run", undisturbed)


def test_two_trainers_never_share_a_directory(dataset: Path, undisturbed: Path, tmp_path: Path) -> None:
    with training(recipe(dataset, **RECIPE), tmp_path / "run") as (_, events):
        next(events)
        code, said = Child(dataset, tmp_path / "run", **RECIPE).finish()
        assert code == UsageError.exit_code
        assert "another process is training" in said
        for _ in events:
            pass
    assert_same(tmp_path / "run", undisturbed)


def test_of_two_recipes_that_want_one_directory_at_once_one_gets_it(dataset: Path, tmp_path: Path) -> None:
    for number in range(2):
        place, start = tmp_path / str(number), context.Barrier(2)
        children = {seed: Child(dataset, place, barrier=start, seed=seed, steps=2) for seed in (1, 2)}
        codes = {seed: child.finish()[0] for seed, child in children.items()}
        winners = [seed for seed, code in codes.items() if code == 0]
        assert set(codes.values()) <= {0, UsageError.exit_code}
        record = read(place)
        assert record is not None
        assert winners in ([], [record.recipe["seed"]])
        train_again = Child(dataset, place, seed=record.recipe["seed"], steps=2)
        assert train_again.finish() == (0, "")


def test_a_directory_that_another_process_takes_a_moment_later_is_not_trained_in(
    dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with training(recipe(dataset, seed=2), tmp_path / "other"):
        theirs = (tmp_path / "other/run.json").read_bytes()

    def overtaken(lock: Path, occupied: HrmTrtError) -> AbstractContextManager[None]:
        (lock.parent / "run.json").write_bytes(theirs)
        return alone(lock, occupied)

    monkeypatch.setattr(pipeline, "alone", overtaken)
    with pytest.raises(RecipeError, match="another recipe"), training(recipe(dataset, seed=1), tmp_path / "run"):
        pass
    assert (tmp_path / "run/run.json").read_bytes() == theirs


def test_a_disk_that_is_full_costs_no_state(dataset: Path, undisturbed: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    first = Child(dataset, run, kill=("replace", 3), **RECIPE)
    assert first.finish()[0] == -signal.SIGKILL
    before = (run / STATE).read_bytes()
    code, said = Child(dataset, run, disk=100_000, **RECIPE).finish()
    assert code == 4
    assert "cannot write" in said
    assert "File too large" in said
    assert (run / STATE).read_bytes() == before
    train(dataset, run)
    assert_same(run, undisturbed)


@pytest.mark.parametrize("disk", [400, 1500])
def test_a_disk_that_is_full_when_metrics_are_written_is_no_bug(dataset: Path, tmp_path: Path, disk: int) -> None:
    code, said = Child(dataset, tmp_path / "run", disk=disk, log_every=1, checkpoint_every=100).finish()
    assert code == 4
    assert "cannot write" in said
    assert json.loads((tmp_path / "run/run.json").read_text())["outcome"] is None
