from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tiny_training import CPU, numbers, recipe, train, write_tiny

from hrm.checkpoint import locate
from hrm.checkpoint.loading import load, network
from hrm.data.dataset import read_split
from hrm.errors import CheckpointError, DatasetError, TrainingError
from hrm.files import sha256_file
from hrm.training import run
from hrm.training.evaluation import evaluate
from hrm.training.journal import METRICS, read_metrics
from hrm.training.run import MODEL, Evaluated, Finished, Run, Stepped
from hrm.training.state import FILE as STATE

EVERYTHING = {"ema": 0.9, "stagger": True, "look_ahead": 0.5, "arch": {"halt_exploration_prob": 0.4}}
"""A recipe in which all that a run must remember plays a part."""


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny(tmp_path_factory.mktemp("training") / "dataset")


@pytest.fixture(scope="module")
def undisturbed(dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What a run that nobody stops comes to."""
    directory = tmp_path_factory.mktemp("undisturbed")
    events = train(recipe(dataset, **EVERYTHING), directory)
    assert [event.step for event in events if isinstance(event, Stepped)] == list(range(1, 25))
    assert [event.step for event in events if isinstance(event, Evaluated)] == [10, 20, 24]
    assert isinstance(events[-1], Finished)
    return numbers(directory)


def last(events: list[Any]) -> Finished:
    assert isinstance(events[-1], Finished)
    return events[-1]


def evaluations(directory: Path) -> dict[int, dict[str, Any]]:
    return {line["step"]: line for line in read_metrics(directory / METRICS) if line["kind"] == "evaluation"}


def test_the_same_seed_is_the_same_run_to_the_last_bit(
    dataset: Path, undisturbed: dict[str, Any], tmp_path: Path
) -> None:
    train(recipe(dataset, **EVERYTHING), tmp_path / "again")
    assert numbers(tmp_path / "again") == undisturbed
    train(recipe(dataset, **EVERYTHING, seed=1), tmp_path / "other")
    assert numbers(tmp_path / "other")["weights"] != undisturbed["weights"]


@pytest.mark.parametrize("stops", [[3], [6, 7, 13], [10, 11, 23], [24]], ids=str)
def test_a_run_that_was_broken_off_goes_on_to_the_same_numbers(
    dataset: Path, undisturbed: dict[str, Any], tmp_path: Path, stops: list[int]
) -> None:
    """States are saved every 6 steps, metrics every 4: most stops are between two of each."""
    for stop in stops:
        assert train(recipe(dataset, **EVERYTHING), tmp_path, until=stop)[-1].step == stop
    resumed = train(recipe(dataset, **EVERYTHING), tmp_path)
    assert resumed[0].step == (stops[-1] - 1) // 6 * 6 + 1
    assert numbers(tmp_path) == undisturbed


def test_a_run_that_is_over_is_over(dataset: Path, tmp_path: Path) -> None:
    first = last(train(recipe(dataset), tmp_path))
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert train(recipe(dataset), tmp_path) == [first]
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_training_trains(dataset: Path, tmp_path: Path) -> None:
    """The answer is the input turned by one place: attention has to find a neighbour; guessing solves 1 in 15,625."""
    lesson = recipe(
        dataset, steps=150, global_batch_size=32, look_ahead=0.25, lr_min_ratio=0.1,
        arch={"halt_exploration_prob": 0.5}, evaluate={"every": 30}, early_stop={"exact_accuracy": 0.95},
    )  # fmt: skip
    over = last(train(lesson, tmp_path))
    assert over.reason.startswith("exact accuracy has reached")
    assert over.step < 150
    assert (over.best.count, over.best.exact_accuracy >= 0.95) == (64, True)
    assert over.best.adaptive_exact_accuracy > 0.9
    assert over.best.adaptive_depth < 2, "it has learnt to halt"


def test_of_the_best_the_latest_is_kept(dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scores = iter([0.1, 0.5, 0.5, 0.3, 0.4, 0.2])
    monkeypatch.setattr(run, "evaluate", lambda *given: replace(evaluate(*given), exact_accuracy=next(scores)))
    best, kept = {}, {}
    patient = recipe(dataset, steps=99, evaluate={"every": 2, "puzzles": 4}, early_stop={"patience": 4})
    for event in Run(patient, tmp_path, CPU).events([]):
        if isinstance(event, Evaluated):
            best[event.step], kept[event.step] = event.best, sha256_file(tmp_path / MODEL)
    assert best == {2: True, 4: True, 6: True, 8: False, 10: False, 12: False}
    assert len({kept[2], kept[4], kept[6]}) == 3
    assert {kept[8], kept[10], kept[12]} == {kept[6]}
    assert isinstance(event, Finished)
    assert (event.best_step, event.best.exact_accuracy) == (6, 0.5)
    assert event.reason == "no better evaluation since step 4"


def test_the_best_weights_are_kept(dataset: Path, tmp_path: Path) -> None:
    over = last(train(recipe(dataset, evaluate={"every": 5, "puzzles": 16}), tmp_path))
    found = {step: line["exact_accuracy"] for step, line in evaluations(tmp_path).items()}
    assert max(found.values()) == found[over.best_step] == over.best.exact_accuracy
    kept = network(load(locate(tmp_path)))
    assert evaluate(kept, read_split(dataset, "search", 16), CPU.device) == over.best


def test_it_stops_when_the_training_puzzles_are_solved_even_before_the_first_evaluation(
    dataset: Path, tmp_path: Path
) -> None:
    easy = recipe(
        dataset, lr=1e-9, early_stop={"train_exact_accuracy": 1e-9}, steps=400, evaluate={"every": 400}, log_every=1
    )
    over = last(train(easy, tmp_path))
    assert over.step < 400
    assert "of the training puzzles are solved" in over.reason
    assert list(evaluations(tmp_path)) == [over.step] == [over.best_step]
    assert (tmp_path / MODEL).exists()
    assert train(easy, tmp_path) == [over]


def test_it_stops_when_it_gets_no_better(dataset: Path, tmp_path: Path) -> None:
    """A tie is no better: a run that never solves a puzzle must not go on for ever."""
    stuck = recipe(dataset, lr=1e-9, early_stop={"patience": 3}, evaluate={"every": 2, "puzzles": 4}, steps=100)
    over = last(train(stuck, tmp_path))
    assert (over.step, over.best.exact_accuracy) == (8, 0.0)
    assert over.reason == "no better evaluation since step 2"
    assert list(evaluations(tmp_path)) == [2, 4, 6, 8]


def test_without_a_reason_to_stop_it_takes_every_step(dataset: Path, tmp_path: Path) -> None:
    over = last(train(recipe(dataset, steps=7), tmp_path))
    assert (over.step, over.reason) == (7, "every step is done")
    assert list(evaluations(tmp_path)) == [7]


def test_a_loss_that_is_no_number_stops_the_run_and_costs_nothing(dataset: Path, tmp_path: Path) -> None:
    """The rate grows with each step of the warm-up, until a gradient leaves float32: the loss itself follows later."""
    wild = recipe(dataset, lr=1e3, lr_warmup_steps=24, evaluate={"every": 2, "puzzles": 4}, checkpoint_every=2)
    with pytest.raises(TrainingError) as stopped:
        train(wild, tmp_path)
    step = int(re.findall(r"at step (\d+)", stopped.value.what)[0])
    saved = int(re.findall(r"the state of step (\d+)", stopped.value.hint)[0])
    assert step - 2 <= saved < step
    assert str(tmp_path) in stopped.value.hint
    kept = Run(wild, tmp_path, CPU)
    assert kept.step == saved
    assert kept.learner.is_finite()
    assert all(bool(tensor.isfinite().all()) for tensor in load(locate(tmp_path)).tensors.values())
    with pytest.raises(TrainingError, match=re.escape(stopped.value.what)):
        train(wild, tmp_path)


def test_a_loss_that_is_no_number_at_once_says_that_nothing_was_saved(dataset: Path, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="no state was saved yet"):
        train(recipe(dataset, lr=1e38, lr_warmup_steps=0), tmp_path)


def test_the_state_of_another_model_is_refused(dataset: Path, tmp_path: Path) -> None:
    train(recipe(dataset, steps=2, arch={"hidden_size": 16, "puzzle_emb_ndim": 16}), tmp_path / "other")
    (tmp_path / "run").mkdir()
    shutil.copy(tmp_path / "other" / STATE, tmp_path / "run" / STATE)
    with pytest.raises(CheckpointError, match=STATE):
        Run(recipe(dataset), tmp_path / "run", CPU)


def test_puzzles_to_evaluate_that_do_not_fit_are_refused_before_training(dataset: Path, tmp_path: Path) -> None:
    mixed = Path(shutil.copytree(dataset, tmp_path / "dataset"))
    info = json.loads((mixed / "search/dataset.json").read_text())
    (mixed / "search/dataset.json").write_text(json.dumps(info | {"vocab_size": 9}))
    with pytest.raises(DatasetError, match="vocabulary has 9"):
        Run(recipe(mixed), tmp_path / "run", CPU)


def test_a_split_that_is_not_there_is_refused(dataset: Path, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="no calibration split"):
        Run(recipe(dataset, evaluate={"split": "calibration"}), tmp_path / "run", CPU)
