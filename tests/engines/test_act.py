"""The ACT loop, on a model whose behaviour is a table: what it answers and when it wants to stop."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engines.act import Policy, StepOutput, confidence, solve

SEQUENCE, VOCABULARY = 3, 5
Array = npt.NDArray[Any]


class Scripted:
    """Puzzle k wants to halt at segment ``halts[k]`` and answers with the segment's number; z_H counts segments."""

    def __init__(self, halts: list[int], sure_from: int = 10**6) -> None:
        self.halts = np.array(halts)
        self.sure_from = sure_from
        self.batches: list[int] = []

    def encode(self, inputs: Array, puzzle_identifiers: Array) -> Array:
        return puzzle_identifiers.astype(np.float32)[:, None, None]

    def initial_carry(self, batch: int) -> tuple[Array, Array]:
        zeros = np.zeros((batch, 1, 1), dtype=np.float32)
        return zeros, zeros.copy()

    def step(self, z_H: Array, z_L: Array, input_embeddings: Array) -> StepOutput:
        self.batches.append(len(z_H))
        segment = z_H + 1
        number = segment[:, 0, 0].astype(int)
        wants = number >= self.halts[input_embeddings[:, 0, 0].astype(int)]
        logits = np.zeros((len(z_H), SEQUENCE, VOCABULARY), dtype=np.float32)
        sharpness = np.where(number >= self.sure_from, 100.0, 1.0)
        logits[np.arange(len(z_H)), :, number % VOCABULARY] = sharpness[:, None]
        return StepOutput(segment, z_L, logits, wants.astype(np.float32), np.full(len(z_H), 0.5, dtype=np.float32))


def run(model: Scripted, policy: Policy, batch: int = 4, puzzles: int | None = None):
    count = len(model.halts) if puzzles is None else puzzles
    inputs = np.zeros((count, SEQUENCE), dtype=np.int32)
    return solve(model, inputs, np.arange(count, dtype=np.int32), policy, batch=batch)


def test_fixed_always_uses_every_segment():
    answers = run(Scripted([1, 2, 9]), Policy("fixed", 6))
    assert answers.depth.tolist() == [6, 6, 6]
    assert (answers.tokens == 6 % VOCABULARY).all()


@given(st.lists(st.integers(1, 12), min_size=1, max_size=20), st.integers(1, 8), st.integers(1, 10))
def test_adaptive_stops_each_puzzle_by_itself(halts: list[int], batch: int, max_depth: int):
    answers = run(Scripted(halts), Policy("adaptive", max_depth), batch)
    expected = np.minimum(halts, max_depth)
    assert answers.depth.tolist() == expected.tolist()
    assert (answers.tokens == (expected % VOCABULARY)[:, None]).all()


def test_halted_puzzles_leave_the_batch():
    model = Scripted([1, 3, 3, 2])
    run(model, Policy("adaptive", 8))
    assert model.batches == [4, 3, 2]


def test_confidence_stops_when_the_answer_is_sure():
    answers = run(Scripted([99, 99], sure_from=3), Policy("confidence", 8, threshold=0.9))
    assert answers.depth.tolist() == [3, 3]
    assert answers.confidence == pytest.approx([1.0, 1.0])


def test_confidence_is_the_mean_of_the_largest_softmax_probabilities():
    logits = np.log(np.array([[[0.5, 0.25, 0.25], [0.1, 0.8, 0.1]]], dtype=np.float32))
    assert confidence(logits) == pytest.approx([0.65])


def test_observer_sees_the_puzzles_that_are_still_running():
    seen = []
    model = Scripted([2, 1, 3])
    inputs = np.zeros((3, SEQUENCE), dtype=np.int32)
    solve(
        model,
        inputs,
        np.arange(3, dtype=np.int32),
        Policy("adaptive", 8),
        batch=2,
        observe=lambda segment, rows, output: seen.append((segment, rows.tolist(), len(output.logits))),
    )
    assert seen == [(0, [0, 1], 2), (1, [0], 1), (0, [2], 1), (1, [2], 1), (2, [2], 1)]


def test_progress_counts_puzzles():
    told = []
    solve(
        Scripted([1] * 5),
        np.zeros((5, SEQUENCE), dtype=np.int32),
        np.arange(5, dtype=np.int32),
        Policy("fixed", 1),
        batch=2,
        progress=lambda done, total: told.append((done, total)),
    )
    assert told == [(2, 5), (4, 5), (5, 5)]


def test_nan_marks_the_puzzle_it_came_up_in():
    class Poisoned(Scripted):
        def step(self, z_H: Array, z_L: Array, input_embeddings: Array) -> StepOutput:
            output = super().step(z_H, z_L, input_embeddings)
            output.logits[input_embeddings[:, 0, 0] == 1] = np.nan
            return output

    answers = run(Poisoned([1, 1, 1]), Policy("adaptive", 2))
    assert answers.finite.tolist() == [True, False, True]
