from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from tiny_training import INFO, settings

from hrm.errors import CheckpointError, RecipeError
from hrm.training.recipe import TrainRecipe, make_recipe, read_recipe


def made(**changes: Any) -> TrainRecipe:
    return make_recipe({name: value for name, value in settings(Path("data"), **changes).items() if value is not ...})


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"learning_rate": 1}, ["unknown key learning_rate", "lr"]),
        ({"arch": {"hidden": 4}}, ["unknown key arch.hidden", "hidden_size"]),
        ({"early_stop": {"patients": 4}}, ["unknown key early_stop.patients", "patience"]),
        ({"lr": ...}, ["lacks lr"]),
        ({"dataset": ...}, ["lacks dataset"]),
        ({"lr": 0}, ["lr cannot be 0"]),
        ({"lr": "fast"}, ["lr cannot be 'fast'"]),
        ({"global_batch_size": 0}, ["global_batch_size cannot be 0"]),
        ({"look_ahead": 0}, ["look_ahead cannot be 0"]),
        ({"ema": 1}, ["ema cannot be 1"]),
        ({"seed": -1}, ["seed cannot be -1"]),
        ({"seed": 2**32}, ["seed cannot be"]),
        ({"name": "../elsewhere"}, ["name cannot be"]),
        ({"arch": {"loss_type": "stablemax"}}, ["arch.loss_type", "stablemax_cross_entropy"]),
        ({"arch": {"halt_exploration_prob": 1.5}}, ["arch.halt_exploration_prob"]),
        ({"early_stop": {"exact_accuracy": 90}}, ["early_stop.exact_accuracy cannot be 90"]),
        ({"steps": ...}, ["`epochs` or `steps`"]),
        ({"epochs": 3}, ["`epochs` or `steps`"]),
        ({"format_version": 2}, ["format_version"]),
    ],
)
def test_what_makes_no_sense_is_named(changes: dict[str, Any], words: list[str]) -> None:
    with pytest.raises(RecipeError) as refused:
        made(**changes)
    assert all(word in str(refused.value) for word in words), refused.value


def test_a_relative_data_set_starts_at_the_recipe(tmp_path: Path) -> None:
    (tmp_path / "recipes").mkdir()
    path = tmp_path / "recipes/tiny.yaml"
    path.write_text(yaml.safe_dump(settings(Path("../data/tiny"))))
    assert make_recipe(read_recipe(path)).dataset == tmp_path / "data/tiny"


@pytest.mark.parametrize("text", ["", "- 1", "name: [", "\x00"])
def test_what_is_no_mapping_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "recipe.yaml").write_text(text)
    with pytest.raises(RecipeError, match=r"recipe\.yaml"):
        read_recipe(tmp_path / "recipe.yaml")


def test_epochs_become_steps_as_officially() -> None:
    assert made(epochs=20, steps=..., global_batch_size=16).total_steps(33.0) == 41
    assert made(epochs=1, steps=..., global_batch_size=16).total_steps(3.0) == 1
    assert made(steps=7).total_steps(1e9) == 7


def test_the_data_set_gives_the_sizes() -> None:
    config = made().config(INFO, "bfloat16")
    sizes = (config.vocab_size, config.seq_len, config.num_puzzle_identifiers, config.forward_dtype)
    assert sizes == (INFO.vocab_size, INFO.seq_len, 1, "bfloat16")


def test_sizes_that_make_no_model_are_refused() -> None:
    with pytest.raises(CheckpointError, match="not the architecture"):
        made(arch={"hidden_size": 30, "num_heads": 4}).config(INFO, "float32")
