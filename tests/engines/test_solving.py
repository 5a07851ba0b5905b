"""The in-process runner."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scripted import SEQUENCE, VOCABULARY, Array, Scripted

from engines.act import Policy, StepOutput
from engines.solving import solve


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


def test_waiting_puzzles_take_their_places():
    model = Scripted([1, 3, 3, 2, 1, 1])
    run(model, Policy("adaptive", 8))
    assert model.batches == [4, 4, 3]


def test_confidence_stops_when_the_answer_is_sure():
    answers = run(Scripted([99, 99], sure_from=3), Policy("confidence", 8, threshold=0.9))
    assert answers.depth.tolist() == [3, 3]
    assert answers.confidence == pytest.approx([1.0, 1.0])


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
        observe=lambda segments, rows, output: seen.append((segments.tolist(), rows.tolist(), len(output.logits))),
    )
    assert seen == [([0, 0], [0, 1], 2), ([1, 0], [0, 2], 2), ([1], [2], 1), ([2], [2], 1)]


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
