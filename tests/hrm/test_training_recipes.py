"""The recipes that come with hrm-trt, against the official commands and the sizes of the official data sets."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from hrm.data.layout import DatasetInfo
from hrm.network import HRM
from hrm.training.recipe import TrainRecipe, make_recipe, read_recipe

RECIPES = Path(__file__).parents[2] / "recipes"
OFFICIAL = ("sudoku-extreme-1k", "maze-30x30-hard", "arc-1", "arc-2")
SIZES = {"sudoku-extreme-1k": (11, 81), "maze-30x30-hard": (6, 900), "arc-1": (12, 900), "arc-2": (12, 900)}
"""Vocabulary and length of each official data set."""


def recipe(name: str) -> TrainRecipe:
    return make_recipe(read_recipe(RECIPES / f"{name}.yaml"))


@pytest.mark.parametrize("path", sorted(RECIPES.glob("*.yaml")), ids=lambda path: path.stem)
def test_a_bundled_recipe_can_be_read_and_is_called_like_its_file(path: Path) -> None:
    assert make_recipe(read_recipe(path)).name == path.stem


@pytest.mark.parametrize(
    ("name", "parameters"),
    [("sudoku-extreme-1k", 27_275_266), ("maze-30x30-hard", 27_270_146), ("arc-1", 27_276_290), ("arc-2", 27_276_290)],
)
def test_an_official_recipe_trains_the_27m_model(name: str, parameters: int) -> None:
    vocab_size, seq_len = SIZES[name]
    info = DatasetInfo(vocab_size, seq_len, 1, pad_id=0, ignore_label_id=0, blank_identifier_id=0)
    with torch.device("meta"):
        network = HRM(recipe(name).config(info, "bfloat16"))
    assert sum(parameter.numel() for parameter in network.parameters()) == parameters


@pytest.mark.parametrize(
    ("name", "examples_per_epoch", "steps"),
    [
        ("sudoku-extreme-1k", 1000, 52_083),
        ("maze-30x30-hard", 1000, 26_041),
        ("arc-1", 3074, 400_260),  # the demonstrations and training questions of 798 tasks, each copied as often
        ("arc-2", 4667, 607_682),  # of 1,120 tasks
    ],
)
def test_an_official_recipe_has_the_official_steps_and_ten_evaluations(
    name: str, examples_per_epoch: int, steps: int
) -> None:
    official = recipe(name)
    assert official.total_steps(examples_per_epoch) == steps
    assert steps / official.evaluate.every == pytest.approx(10, abs=0.02)


@pytest.mark.parametrize("name", OFFICIAL)
def test_an_official_recipe_keeps_to_the_official_settings(name: str) -> None:
    found = recipe(name)
    assert (found.lr_min_ratio, found.lr_warmup_steps, found.beta1, found.beta2) == (1, 2000, 0.9, 0.95)
    assert (found.ema, found.look_ahead, found.stagger) == (None, 1, False)
    assert (found.arch.halt_max_steps, found.arch.halt_exploration_prob) == (16, 0.1)
    assert (found.arch.loss_type, found.arch.pos_encodings) == ("stablemax_cross_entropy", "rope")


def test_the_rates_and_decays_are_those_of_the_official_commands() -> None:
    settings = {
        name: (found.lr, found.puzzle_emb_lr, found.weight_decay, found.puzzle_emb_weight_decay)
        for name, found in ((name, recipe(name)) for name in OFFICIAL)
    }
    assert settings == {
        "sudoku-extreme-1k": (7e-5, 7e-5, 1.0, 1.0),
        "maze-30x30-hard": (1e-4, 1e-4, 1.0, 1.0),
        "arc-1": (1e-4, 1e-2, 0.1, 0.1),
        "arc-2": (1e-4, 1e-2, 0.1, 0.1),
    }
