"""The in-process runner as a library call: the same answers in every batch, and clear words for what does not fit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from hrm.data.dataset import read_split
from hrm.errors import BundleError, DatasetError, UsageError
from hrm.metrics import solved
from hrm_trt.runner import Runner, solve
from tests.hrm_trt.conftest import SAMPLE

if TYPE_CHECKING:
    from hrm.data.dataset import PuzzleSet
    from hrm_trt.pipeline.result import BuildResult
    from hrm_trt.pipeline.workdir import Workdir

NAME = "sudoku-4x4-cpu-fp32"


@pytest.fixture(scope="module")
def puzzles() -> PuzzleSet:
    return read_split(SAMPLE / "dataset", "test", 40)


@pytest.fixture(scope="module")
def runner(demo_workdir: Workdir, demo_result: BuildResult) -> Runner:
    del demo_result  # it is what built the bundle
    return Runner(NAME, threads=1, workdir=demo_workdir.root)


def test_puzzles_are_solved_in_their_order_whatever_the_batch(runner: Runner, puzzles: PuzzleSet) -> None:
    found = [runner.solve(puzzles.inputs, batch=batch) for batch in (1, 7, 40)]
    assert solved(found[0].tokens, puzzles.labels).mean() > 0.9
    assert found[0].depth.max() > found[0].depth.min()  # adaptive passed its gate, so that is what it takes
    for other in found[1:]:
        np.testing.assert_array_equal(other.tokens, found[0].tokens)
        np.testing.assert_array_equal(other.depth, found[0].depth)


def test_one_call_takes_text(runner: Runner, demo_workdir: Workdir, puzzles: PuzzleSet) -> None:
    texts = [runner.task.format(inputs) for inputs in puzzles.inputs[:3]]
    answers = solve(NAME, texts, policy="fixed", batch=2, threads=1, workdir=demo_workdir.root)
    wanted = runner.solve(puzzles.inputs[:3], policy="fixed")
    np.testing.assert_array_equal(answers.tokens, wanted.tokens)
    assert answers.depth.tolist() == [8, 8, 8]


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"batch": 0}, UsageError, "does not take a batch of 0"),
        ({"batch": 257}, UsageError, "up to 256 puzzles"),
        ({"puzzles": np.zeros((2, 17), np.int32)}, DatasetError, r"\[2, 17\], not \[puzzles, 16\]"),
        ({"puzzles": np.zeros((0, 16), np.int32)}, DatasetError, r"\[0, 16\]"),
        ({"puzzles": np.full((2, 16), 9, np.int32)}, DatasetError, "the model knows 0 to 5"),
        ({"puzzles": np.zeros((2, 16))}, DatasetError, "not whole numbers"),
        ({"puzzle_identifiers": np.zeros(3, np.int32)}, DatasetError, r"is \[3\], not \[40\]"),
        ({"puzzle_identifiers": np.full(40, 5)}, DatasetError, "`puzzle_identifiers` goes from 5 to 5"),
        ({"puzzles": ["1234"]}, UsageError, "it has 4 cells"),
    ],
)
def test_what_does_not_fit_is_refused(
    runner: Runner, puzzles: PuzzleSet, change: dict[str, Any], error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        runner.solve(**{"puzzles": puzzles.inputs, **change})


def test_a_bundle_that_is_not_there_is_refused(demo_workdir: Workdir) -> None:
    with pytest.raises(BundleError, match="no bundle called nothing"):
        Runner("nothing", workdir=demo_workdir.root)
