from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
import torch
from tiny_training import CPU, INFO, LENGTH, SYMBOLS, recipe

from hrm.training.learner import Learner
from hrm.training.slots import Batch

if TYPE_CHECKING:
    from hrm.training.backend import Backend

ROWS = 16


def learner(backend: Backend = CPU, **changes: Any) -> Learner:
    made = recipe("nowhere", **changes)
    return Learner(made, made.config(INFO, "float32"), backend, total_steps=100)


def batch(number: int = 0) -> Batch:
    generator = torch.Generator().manual_seed(number)
    inputs = torch.randint(1, SYMBOLS + 1, (ROWS, LENGTH), generator=generator)
    return Batch(inputs, inputs, torch.zeros(ROWS, dtype=torch.int64))


def weights(learner: Learner) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in learner.network.state_dict().items()}


def test_bfloat16_computes_nearly_the_same_from_float32_weights() -> None:
    wide, narrow = learner(), learner(replace(CPU, dtype=torch.bfloat16))
    for step in range(1, 4):
        exact, rough = wide.step(batch(step), step), narrow.step(batch(step), step)
        assert rough[:3] == pytest.approx(exact[:3], rel=0.03)
    assert narrow.slots is not None
    assert {state.dtype for state in narrow.slots.carry} == {torch.bfloat16}
    assert {tensor.dtype for tensor in weights(narrow).values()} == {torch.float32}


def test_everything_that_can_learn_learns_and_the_first_states_do_not() -> None:
    trained = learner()
    before = weights(trained)
    for step in range(1, 4):
        trained.step(batch(step), step)
    same = {name for name, tensor in weights(trained).items() if torch.equal(tensor, before[name])}
    assert same == {"H_init", "L_init"}


def test_the_average_of_the_weights_is_what_is_kept() -> None:
    averaged = learner(ema=0.75)
    averaged.step(batch(), 1)
    expected = weights(averaged)
    for step in (2, 3):
        averaged.step(batch(step), step)
        expected = {name: 0.75 * old + 0.25 * weights(averaged)[name] for name, old in expected.items()}
    for name, tensor in averaged.kept.state_dict().items():
        torch.testing.assert_close(tensor, expected[name], rtol=1e-5, atol=1e-7)
    plain = learner()
    assert plain.kept is plain.network


def test_slots_start_in_step_or_staggered() -> None:
    for stagger, depths in ((False, {1}), (True, {1, 2, 3})):
        started = learner(stagger=stagger)
        started.step(batch(), 1)
        assert started.slots is not None
        assert set(started.slots.depth.tolist()) == depths


def test_a_model_without_puzzle_embeddings_is_trained_too() -> None:
    plain = learner(arch={"puzzle_emb_ndim": 0})
    losses = [plain.step(batch(), step).answer_loss for step in range(1, 15)]
    assert losses[-1] < losses[0]


def test_the_carry_lives_on_until_a_puzzle_halts() -> None:
    trained = learner(arch={"halt_max_steps": 2})
    for step in range(1, 6):
        trained.step(batch(step), step)
        assert trained.slots is not None
        first, second = batch(step - 1).inputs, batch(step).inputs
        expected = torch.where((trained.slots.depth == 1)[:, None], second, first)
        assert torch.equal(trained.slots.puzzles.inputs, expected)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_no_numbers_are_noticed(value: float) -> None:
    trained = learner()
    assert trained.is_finite()
    with torch.no_grad():
        trained.network.lm_head.weight[0, 0] = value
    assert not trained.is_finite()
