from __future__ import annotations

import json
import pickle
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
import yaml
from traps import Trap, replace, snapshot

from hrm.data.dataset import read_split

if TYPE_CHECKING:
    from collections.abc import Callable

WEIGHTS = "step_3750"
ONE_TENSOR = "model.inner.lm_head.weight"
DATASET = Path(__file__).parents[2] / "checkpoints/sudoku-4x4/dataset"


def cut(directory: Path) -> None:
    replace(directory / WEIGHTS, (directory / WEIGHTS).read_bytes()[:-5000])


def empty(directory: Path) -> None:
    replace(directory / WEIGHTS, b"")


def no_checkpoint(directory: Path) -> None:
    replace(directory / WEIGHTS, b"a photograph, perhaps")


def edit(directory: Path, change: Callable[[dict[str, Any]], object]) -> None:
    state = torch.load(directory / WEIGHTS, weights_only=True)
    change(state)
    torch.save(state, directory / WEIGHTS)


def lose_a_tensor(directory: Path) -> None:
    edit(directory, lambda state: state.pop(next(name for name in state if name.endswith("lm_head.weight"))))


def reshape_a_tensor(directory: Path) -> None:
    name = "lm_head.weight"
    edit(directory, lambda state: state.update({key: state[key].T for key in state if key.endswith(name)}))


def spoil_a_number(directory: Path) -> None:
    name = "lm_head.weight"
    edit(directory, lambda state: [state[key].view(-1)[7].fill_(float("nan")) for key in state if key.endswith(name)])


def lose_the_settings(directory: Path) -> None:
    (directory / "all_config.yaml").unlink()


def break_the_settings(directory: Path) -> None:
    replace(directory / "all_config.yaml", b"arch: {H_cycles: [2\n")


def other_architecture(directory: Path) -> None:
    settings = yaml.safe_load((directory / "all_config.yaml").read_text())
    settings["arch"]["name"] = "trm@TinyRecursiveReasoningModel"
    replace(directory / "all_config.yaml", yaml.safe_dump(settings).encode())


def other_width(directory: Path) -> None:
    settings = yaml.safe_load((directory / "all_config.yaml").read_text())
    settings["arch"]["hidden_size"] = 128
    replace(directory / "all_config.yaml", yaml.safe_dump(settings).encode())


DAMAGES = {
    cut: "cut short",
    empty: "it is empty",
    no_checkpoint: "not a file that torch.save wrote",
    lose_a_tensor: "lm_head.weight is missing",
    reshape_a_tensor: "lm_head.weight has the shape [96, 6], and should have [6, 96]",
    spoil_a_number: "lm_head.weight holds NaN",
    lose_the_settings: "no all_config.yaml beside",
    break_the_settings: "is not YAML",
    other_architecture: "trm@TinyRecursiveReasoningModel",
    other_width: "hidden_size is 128",
}


@pytest.mark.parametrize(("damage", "word"), DAMAGES.items(), ids=[damage.__name__ for damage in DAMAGES])
def test_a_bad_checkpoint_is_refused(
    cli: Callable[..., Any], checkpoint: Path, tmp_path: Path, damage: Callable[[Path], None], word: str
) -> None:
    damage(checkpoint)
    before = snapshot(checkpoint)
    refused = cli("build", "--checkpoint", checkpoint, "--dataset", DATASET, "--workdir", tmp_path / "work")
    refused.assert_refused(2, word, str(checkpoint))
    assert snapshot(checkpoint) == before
    assert snapshot(tmp_path / "work") == {}


@pytest.mark.parametrize(
    "line", ["evaluate --checkpoint checkpoint", "inspect checkpoint", "convert checkpoint out.safetensors"]
)
def test_every_command_refuses_it_the_same_way(
    cli: Callable[..., Any], checkpoint: Path, tmp_path: Path, line: str
) -> None:
    cut(checkpoint)
    cli(*line.split()).assert_refused(2, "cut short", WEIGHTS)
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint"]


@pytest.mark.parametrize("write", [torch.save, lambda value, path: path.write_bytes(pickle.dumps(value))])
def test_a_checkpoint_that_would_run_code_is_refused_and_not_run(
    cli: Callable[..., Any], checkpoint: Path, tmp_path: Path, write: Callable[[Any, Path], Any]
) -> None:
    sprung = tmp_path / "sprung"
    write({ONE_TENSOR: Trap(sprung)}, checkpoint / WEIGHTS)
    refused = cli("build", "--checkpoint", checkpoint, "--dataset", DATASET, "--workdir", tmp_path / "work")
    refused.assert_refused(2, WEIGHTS)
    assert not sprung.exists()
    pickle.loads(pickle.dumps(Trap(sprung)))
    assert sprung.exists(), "the trap itself must work"


def test_a_checkpoint_that_is_not_there_is_said(cli: Callable[..., Any], tmp_path: Path) -> None:
    cli("build", "--checkpoint", "nowhere", "--until", "load").assert_refused(2, "no checkpoint at nowhere")
    cli("build", "--checkpoint", tmp_path, "--until", "load").assert_refused(2, "no checkpoint in")


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    """A copy of the demo's data set, to be damaged."""
    return Path(shutil.copytree(DATASET, tmp_path / "dataset"))


def change_sizes(dataset: Path, **sizes: int) -> None:
    path = dataset / "test/dataset.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | sizes))


def test_a_data_set_with_another_vocabulary_is_refused(
    cli: Callable[..., Any], checkpoint: Path, dataset: Path
) -> None:
    change_sizes(dataset, vocab_size=11)
    cli("build", "--checkpoint", checkpoint, "--dataset", dataset).assert_refused(
        2, "not one for this checkpoint", "11 ids, the checkpoint's has 6"
    )


def test_a_data_set_with_longer_puzzles_is_refused(cli: Callable[..., Any], demo: Path, dataset: Path) -> None:
    (weights,) = demo.glob("artefacts/load/*/model.safetensors")
    puzzles = read_split(dataset, "test")
    for name in ("inputs", "labels"):
        np.save(dataset / f"test/all__{name}.npy", np.tile(getattr(puzzles, name), (1, 2)))
    change_sizes(dataset, seq_len=32)
    cli("build", "--checkpoint", weights, "--dataset", dataset).assert_refused(
        2, "not one for this checkpoint", "32 cells, the checkpoint's have 16"
    )


def test_a_damaged_data_set_is_refused(cli: Callable[..., Any], copy_demo: Callable[..., Path], dataset: Path) -> None:
    workdir, labels = copy_demo(), dataset / "test/all__labels.npy"
    replace(labels, labels.read_bytes()[:-100])
    line = ("--dataset", dataset, "--workdir", workdir)
    cli("build", *line).assert_refused(2, "has changed since its record was written")
    cli("evaluate", *line).assert_refused(2, "all__labels.npy")


def test_a_data_set_that_is_not_there_is_said(cli: Callable[..., Any], checkpoint: Path) -> None:
    for command in ("build", "evaluate"):
        line = (command, "--checkpoint", checkpoint, "--dataset", "nowhere")
        cli(*line).assert_refused(2, "there is no", "nowhere/test/dataset.json")
    cli("evaluate", "--checkpoint", checkpoint).assert_refused(2, "no puzzles to evaluate", "--dataset")


def test_a_gate_without_puzzles_is_refused_before_any_work(
    cli: Callable[..., Any], checkpoint: Path, tmp_path: Path
) -> None:
    cli("build", "--checkpoint", checkpoint).assert_refused(2, "the gate has no puzzles", "--until build")
    assert not (tmp_path / ".hrm-trt").exists()
