from dataclasses import replace

import numpy as np
import pytest

from engines.act import Policy
from engines.solving import solve
from validation.checks import check_batch_independence, check_finite, check_varied

BATCHES = (1, 16, 64)


class Faulty:
    """A model that does what ``fault`` makes of its segments' outputs."""

    def __init__(self, model, fault):
        self._model = model
        self._fault = fault
        self.arrays = model.arrays
        self.encode = model.encode
        self.initial_carry = model.initial_carry

    def step(self, z_H, z_L, input_embeddings):
        return self._fault(self._model.step(z_H, z_L, input_embeddings))


def answers(model, puzzles, count=12):
    return solve(model, puzzles.inputs[:count], puzzles.puzzle_identifiers[:count], Policy("fixed", 2), batch=8)


def test_a_sound_model_passes_every_check(model, puzzles):
    solved = answers(model, puzzles)
    assert check_finite(solved).ok
    assert check_varied(puzzles.inputs[:12], solved).ok
    assert check_batch_independence(model, puzzles, BATCHES).ok


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_not_a_number_is_found_and_located(model, puzzles, bad):
    def overflow(output):
        output.logits[1, 3, 2] = bad
        return output

    check = check_finite(answers(Faulty(model, overflow), puzzles))
    assert not check.ok
    assert "2 of 12 puzzles, first in puzzle 1" in check.reason  # row 1 of either batch of 8


def test_one_answer_to_everything_is_found(model, puzzles):
    constant = Faulty(model, lambda output: output._replace(logits=np.ones_like(output.logits)))
    check = check_varied(puzzles.inputs[:12], answers(constant, puzzles))
    assert not check.ok
    assert "1 different answers to 12" in check.reason


def test_one_puzzle_may_have_one_answer(model, puzzles):
    same = np.repeat(puzzles.inputs[:1], 12, axis=0)
    assert check_varied(same, answers(model, replace(puzzles, inputs=same))).ok


def swap_rows(output):
    return output._replace(logits=np.roll(output.logits, 1, axis=0))


def mix_carry(output):
    return output._replace(z_H=output.z_H.mean(axis=0, keepdims=True).repeat(len(output.z_H), axis=0))


def overflow_in_large_batches(output):
    if len(output.logits) > 16:
        output.logits[:] = np.nan
    return output


@pytest.mark.parametrize("fault", [swap_rows, mix_carry, overflow_in_large_batches])
def test_answers_that_depend_on_the_batch_are_found(model, puzzles, fault):
    check = check_batch_independence(Faulty(model, fault), puzzles, BATCHES)
    assert not check.ok
    assert "1, 16, 64" in check.reason


def test_rounding_that_depends_on_the_batch_is_let_pass(model, puzzles):
    def round_otherwise(output):
        return output._replace(logits=output.logits * (1 + 1e-3 * len(output.logits) / 64))

    assert check_batch_independence(Faulty(model, round_otherwise), puzzles, BATCHES).ok
    assert not check_batch_independence(Faulty(model, round_otherwise), puzzles, BATCHES, tolerance=1e-5).ok


def test_batches_may_be_larger_than_the_data_set(model, puzzles):
    assert check_batch_independence(model, puzzles.first(3), BATCHES).ok
