"""`hrm-trt train`, and what can be done with what it leaves behind."""

from __future__ import annotations

import json
import os
import re
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from tiny_training import numbers, settings, write_tiny
from traps import snapshot

from hrm.training.journal import METRICS, read_metrics
from hrm.training.state import FILE as STATE

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny(tmp_path_factory.mktemp("training") / "dataset")


@pytest.fixture
def write(dataset: Path, tmp_path: Path) -> Callable[..., Path]:
    """Writes a recipe of its own name."""

    def write(name: str = "tiny", **changes: Any) -> Path:
        path = tmp_path / f"{name}.yaml"
        path.write_text(yaml.safe_dump(settings(dataset, name=name, **changes)))
        return path

    return write


@pytest.fixture
def train(cli: Callable[..., Any], write: Callable[..., Path]) -> Callable[..., Any]:
    """Trains by a recipe, in this process, into ``run`` below the empty directory that it runs in."""

    def train(*options: object, **changes: Any) -> Any:
        return cli("train", write(**changes), "--output", "run", *options)

    return train


def test_it_says_what_came_of_it(train: Callable[..., Any], tmp_path: Path) -> None:
    done = train(steps=6)
    assert done.code == 0
    for word in (
        "after 6 steps: every step is done",
        "rows/s",
        "unseen puzzles solved",
        "segments",
        "weights",
        "curve",
    ):
        assert word in done.out
    for name in ("model.safetensors", "curve.png"):
        assert str(tmp_path / "run" / name) in done.out  # whole, however long
    (hint,) = done.err.splitlines()  # and no bar where nobody looks
    assert f"build --checkpoint {tmp_path / 'run'} --dataset" in hint


def test_json_is_one_document_and_the_same_for_a_run_that_is_over(train: Callable[..., Any], tmp_path: Path) -> None:
    first = train("--json")
    assert (first.code, first.err) == (0, "")
    document = first.document
    assert {"format_version", "run", "checkpoint", "reason", "steps", "seconds", "best_step", "evaluation"} == set(
        document
    )
    assert (document["steps"], document["evaluation"]["count"]) == (24, 16)
    assert Path(document["checkpoint"]).is_file()
    before = numbers(tmp_path / "run")
    assert train("--json").document == document
    assert numbers(tmp_path / "run") == before


def test_without_a_directory_it_trains_into_one_of_the_recipes_name(
    cli: Callable[..., Any], write: Callable[..., Path], tmp_path: Path
) -> None:
    done = cli("train", write("mine", steps=1), "--json").document
    assert done["run"] == str(tmp_path / "runs/mine")
    assert (tmp_path / "runs/mine" / STATE).exists()


def test_what_it_measures_is_what_evaluate_measures(
    cli: Callable[..., Any], train: Callable[..., Any], dataset: Path
) -> None:
    lesson = {"steps": 60, "global_batch_size": 32, "evaluate": {"every": 60}, "arch": {"halt_exploration_prob": 0.5}}
    best = train("--json", **lesson).document["evaluation"]
    assert 0 < best["accuracy"] < 1
    line = ("evaluate", "--checkpoint", "run", "--dataset", dataset, "--split", "search", "--json")
    fixed, adaptive = (cli(*line, "--policy", policy).document for policy in ("fixed", "adaptive"))
    for name in ("exact_accuracy", "accuracy", "q_halt_accuracy", "count"):
        assert fixed[name] == pytest.approx(best[name], abs=1e-12)
    assert adaptive["exact_accuracy"] == pytest.approx(best["adaptive_exact_accuracy"], abs=1e-12)
    assert adaptive["steps"] == pytest.approx(best["adaptive_depth"], abs=1e-12)


def test_a_run_is_a_checkpoint_to_build_from(cli: Callable[..., Any], train: Callable[..., Any], dataset: Path) -> None:
    train("--json", steps=2)
    inspected = cli("inspect", "run", "--json").document
    assert (inspected["kind"], inspected["parameters"]) == ("checkpoint", 57_890)
    built = cli(
        "build", "--checkpoint", "run", "--dataset", dataset, "--until", "export", "--workdir", "work", "--json"
    )
    assert built.code == 0, built.err
    assert list(Path("work/artefacts/export").glob("*/*.onnx"))


def test_the_recipe_of_another_run_is_refused_and_nothing_is_changed(
    train: Callable[..., Any], cli: Callable[..., Any], write: Callable[..., Path], tmp_path: Path
) -> None:
    assert train(steps=3).code == 0
    before = snapshot(tmp_path / "run")
    refused = train(steps=3, lr=0.5, arch={"halt_max_steps": 4})
    refused.assert_refused(
        2, "holds a run of another recipe", "recipe.lr was 0.003 and is now 0.5", "halt_max_steps was 3"
    )
    assert snapshot(tmp_path / "run") == before


def test_another_data_set_is_another_run(train: Callable[..., Any], tmp_path: Path) -> None:
    assert train(steps=3).code == 0
    before = snapshot(tmp_path / "run")
    other = write_tiny(tmp_path / "other", train=100)
    train("--dataset", other, steps=3).assert_refused(2, "another recipe", "data.train was")
    assert snapshot(tmp_path / "run") == before


def test_a_directory_that_holds_something_else_is_left_alone(train: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run/cat.jpg").write_text("somebody's")
    train().assert_refused(2, "no place for a training run", "cat.jpg", "--output")
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["cat.jpg"]


def test_a_loss_that_is_no_number_is_exit_4_and_says_where(train: Callable[..., Any], tmp_path: Path) -> None:
    stopped = train(lr=1e3, lr_warmup_steps=24, checkpoint_every=2)
    stopped.assert_refused(4, "no number any more at step", "the state of step", "lower lr")
    assert (tmp_path / "run" / STATE).exists()
    refused = train("--json", lr=1e3, lr_warmup_steps=24, checkpoint_every=2)
    assert json.loads(refused.out)["error"]["exit_code"] == 4


def test_a_damaged_state_is_refused(train: Callable[..., Any], tmp_path: Path) -> None:
    assert train(steps=3).code == 0
    state = tmp_path / "run" / STATE
    state.write_bytes(state.read_bytes()[:-500])
    train(steps=3).assert_refused(2, f"{STATE} cannot be read", "train from the start")
    state.unlink()
    assert train(steps=3).code == 0


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"stepz": 4}, ["unknown key stepz", "steps"]),
        ({"dataset": "nowhere"}, ["nowhere", "train split"]),
        ({"evaluate": {"split": "exam"}}, ["exam split"]),
        ({"arch": {"num_heads": 5}}, ["architecture"]),
    ],
)
def test_a_recipe_that_cannot_be_followed_is_exit_2_and_makes_nothing(
    train: Callable[..., Any], tmp_path: Path, changes: dict[str, Any], words: list[str]
) -> None:
    train(**changes).assert_refused(2, *words)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("given", ["nothing-of-this-name", "no/such/file.yaml"])
def test_a_recipe_that_does_not_exist_is_exit_2(cli: Callable[..., Any], given: str) -> None:
    cli("train", given).assert_refused(2, given, "sudoku-6x6")


def test_a_gpu_that_is_not_there_is_exit_3(
    train: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    train("--device", "cuda").assert_refused(3, "CUDA")
    assert not (tmp_path / "run").exists()


def test_weights_and_biases_that_is_not_installed_is_exit_3(
    train: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "wandb", None)
    train("--wandb", "a-project").assert_refused(3, "Weights & Biases", "pip install 'hrm-trt[wandb]'")


def test_the_schema_is_that_of_a_training_recipe(cli: Callable[..., Any]) -> None:
    assert {"arch", "lr", "early_stop"} <= set(cli("schema", "--training").document["properties"])


def test_an_interrupted_run_goes_on_from_where_it_was(
    start: Callable[..., Any], command: Callable[..., Any], write: Callable[..., Path], tmp_path: Path
) -> None:
    changes = {"steps": 120, "evaluate": {"every": 120}}
    child = start("train", write(**changes), "--output", "run")
    while not (tmp_path / "run" / STATE).exists():
        assert child.poll() is None
        time.sleep(0.005)
    os.killpg(child.pid, signal.SIGINT)
    out, err = child.communicate()
    assert (child.returncode, out) == (130, "")
    assert err.splitlines() == ["interrupted; what was finished is kept"]
    assert len(read_metrics(tmp_path / "run" / METRICS)) < 30
    done = command("train", write(**changes), "--output", "run", FORCE_COLOR="1", NO_COLOR="1", TERM="dumb")
    assert "after 120 steps: every step is done" in done.out
    saved = int(re.findall(r"going on after step (\d+)", done.err)[0])
    assert 0 < saved < 120
    assert re.search(r"step +120 +\d+\.\d% of 64 unseen puzzles solved", done.err)
    lines = [line["step"] for line in read_metrics(tmp_path / "run" / METRICS) if line["kind"] == "train"]
    assert lines == list(range(4, 121, 4))
