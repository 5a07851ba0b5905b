"""Twelve steps of training give what the official code gives, number by number."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from adam_atan2_pytorch import AdamAtan2
from tiny_training import CPU

from hrm.config import HRMConfig
from hrm.training import learner
from hrm.training.learner import Learner, StepResult
from hrm.training.recipe import TrainRecipe, make_recipe
from hrm.training.schedule import learning_rate
from hrm.training.slots import Batch

GOLDEN = np.load(Path(__file__).parents[1] / "data/official-training/golden.npz")
STEPS, ROWS = GOLDEN["batch/identifiers"].shape
CLOSE = 1e-5
"""Float32 rounds at 6e-8, and twelve steps add up to about 1e-6; one wrong sign of one update would be 2e-3."""
RUNS = {"plain": {}, "exploring": {"halt_exploration_prob": 0.5}, "one-segment": {"halt_max_steps": 1}}


def recipe(**arch: Any) -> TrainRecipe:
    """The golden runs' recipe."""
    sizes = {
        "hidden_size": 32,
        "num_heads": 2,
        "H_layers": 1,
        "L_layers": 1,
        "halt_max_steps": 4,
        "puzzle_emb_ndim": 32,
    }
    return make_recipe(
        {
            "name": "golden",
            "dataset": ".",
            "arch": {**sizes, "halt_exploration_prob": 0.0, **arch},
            "steps": STEPS,
            "global_batch_size": ROWS,
            "lr": 2e-3,
            "lr_min_ratio": 0.1,
            "lr_warmup_steps": 3,
        }
    )


class OfficialAdamAtan2(AdamAtan2):
    """The package's update with the bias correction of the first moment where the official kernel has it.

    The official update is ``lr / c * atan2(m, d)`` with ``c = 1 - beta1 ** step``, the package's
    ``lr * a * atan2(m / c, b * d)``: the same for ``a = b = 1 / c``. With ``a = b = 1`` an update is up to a fifth
    shorter in the first step and less than a hundredth after 40, when a warm-up has barely begun. But any difference
    makes another training run of the same kind within a few steps, and would hide a real one.
    """

    def step(self, closure: None = None) -> None:
        for group in self.param_groups:
            steps = 1 + next((state["steps"] for state in self.state.values()), 0)
            group["a"] = group["b"] = 1 / (1 - group["betas"][0] ** steps)
        super().step(closure)


def official_optimiser(network: torch.nn.Module, recipe: TrainRecipe) -> AdamAtan2:
    betas = (recipe.beta1, recipe.beta2)
    return OfficialAdamAtan2(network.parameters(), lr=recipe.lr, betas=betas, weight_decay=recipe.weight_decay, b=1.0)


def golden_learner(recipe: TrainRecipe) -> Learner:
    sizes = {"vocab_size": 6, "seq_len": 9, "num_puzzle_identifiers": 5}
    config = HRMConfig.from_dict({**recipe.arch.model_dump(), **sizes, "forward_dtype": "float32"})
    made = Learner(recipe, config, CPU, STEPS)
    prefix = "initial/"
    weights = {name.removeprefix(prefix): torch.from_numpy(GOLDEN[name]).float() for name in GOLDEN if prefix in name}
    made.network.load_state_dict(weights)
    return made


def batch(number: int) -> Batch:
    arrays = (GOLDEN[f"batch/{name}"][number].astype(np.int64) for name in ("inputs", "labels", "identifiers"))
    return Batch(*map(torch.from_numpy, arrays))


def draw_as_officially(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """Let exploration draw what the official code drew in this step."""
    monkeypatch.setattr(torch, "rand", lambda *_, **__: torch.from_numpy(GOLDEN["draw/rand"][number]))
    monkeypatch.setattr(torch, "randint", lambda *_, **__: torch.from_numpy(GOLDEN["draw/randint"][number]))


def logged(result: StepResult) -> dict[str, float]:
    """A step under the official names: losses over the rows, the rest over those that halted."""
    count = max(result.halted, 1)
    return {
        "lm_loss": result.answer_loss,
        "q_halt_loss": result.q_halt_loss,
        "q_continue_loss": result.q_continue_loss,
        "exact_accuracy": result.right / count,
        "accuracy": result.cells / count,
        "steps": result.depth / count,
        "q_halt_accuracy": result.halting_right / count,
    }


@pytest.mark.parametrize("name", RUNS)
def test_every_step_equals_the_official_code(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(learner, "adam_atan2", official_optimiser)
    ours = golden_learner(recipe(**RUNS[name]))
    for number in range(STEPS):
        with monkeypatch.context() as patch:
            draw_as_officially(patch, number)
            result = ours.step(batch(number), number + 1)
        assert ours.slots is not None
        np.testing.assert_array_equal(ours.slots.halted, GOLDEN[f"{name}/step/halted"][number])
        np.testing.assert_array_equal(ours.slots.depth, GOLDEN[f"{name}/step/depth"][number])
        for key, value in logged(result).items():
            official = GOLDEN[f"{name}/step/{key}"][number] if f"{name}/step/{key}" in GOLDEN else 0.0
            assert value == pytest.approx(official, rel=CLOSE), f"{key} of step {number + 1}"
    for key, tensor in ours.network.state_dict().items():
        final = GOLDEN[f"{name}/final/{key}"]
        np.testing.assert_allclose(tensor.flatten()[::16], final, rtol=0, atol=CLOSE, err_msg=key)


def test_the_golden_runs_halt_in_every_way() -> None:
    """Or the test above would say less than it seems to."""
    depth, halted = GOLDEN["exploring/step/depth"], GOLDEN["exploring/step/halted"]
    assert set(depth[halted]) == {1, 2, 3, 4}
    assert (GOLDEN["plain/step/halted"] != halted).any()
    assert 0 < GOLDEN["plain/step/exact_accuracy"].mean() < 1
    duplicates = [ROWS - len(set(row)) for row in GOLDEN["batch/identifiers"].tolist()]
    assert min(duplicates) > 0, "sign-SGD sums over the rows of one puzzle"


def test_the_first_step_needs_no_help_from_the_optimiser() -> None:
    """Before an update, the package's AdamATan2 and the official one are the same."""
    result = golden_learner(recipe()).step(batch(0), 1)
    for key in ("lm_loss", "q_halt_loss", "q_continue_loss"):
        assert logged(result)[key] == pytest.approx(GOLDEN[f"plain/step/{key}"][0], rel=CLOSE)


def test_the_learning_rate_is_the_official_one() -> None:
    rates = [learning_rate(2e-3, step, STEPS, 3, 0.1) for step in range(1, STEPS + 1)]
    np.testing.assert_allclose(rates, GOLDEN["plain/step/lr"], rtol=1e-12)
