import numpy as np
import pytest

from engines.act import StepOutput
from hrm.errors import EngineError
from validation.observers import SolvedRecorder, require_finite


def output(logits, q_halt=(0.0, 0.0)):
    states = np.zeros((2, 4, 8), dtype=np.float32)
    return StepOutput(states, states, np.asarray(logits, dtype=np.float32), np.array(q_halt), np.array([0.0, 0.0]))


def test_solved_puzzles_are_kept_by_segment_and_index():
    recorder = SolvedRecorder(np.array([[0, -100], [1, 1], [0, 1]], dtype=np.int32), segments=2)
    zero = [9.0, 0.0]  # the logits of token 0
    recorder(np.array([1, 1]), np.array([0, 2]), output([[zero, zero], [zero, zero]]))
    assert recorder.solved.tolist() == [[False, False, False], [True, False, False]]


def test_a_finite_output_is_let_pass():
    require_finite(np.array([0, 0]), np.array([4, 7]), output(np.ones((2, 3, 5))))


@pytest.mark.parametrize("where", ["logits", "q_halt"])
def test_a_baseline_with_nan_is_refused_with_segment_and_puzzle(where):
    logits = np.ones((2, 3, 5))
    if where == "logits":
        logits[1, 2, 4] = np.inf
    bad = output(logits, q_halt=(0.0, np.nan if where == "q_halt" else 0.0))
    with pytest.raises(EngineError) as caught:
        require_finite(np.array([0, 2]), np.array([4, 7]), bad)
    assert "segment 3 of puzzle 7" in caught.value.why
