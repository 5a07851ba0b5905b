import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from hrm.errors import DatasetError
from hrm.metrics import Metrics, evaluate, solved

LABELS = np.array([[1, 2, 3, 4], [1, 2, -100, -100], [-100, -100, -100, -100], [5, 5, 5, 5]], dtype=np.int32)
TOKENS = np.array([[1, 2, 3, 4], [1, 9, 9, 9], [7, 7, 7, 7], [5, 5, 5, 0]], dtype=np.int32)
DEPTH = np.array([2, 4, 99, 6], dtype=np.int32)
Q_HALT = np.array([0.0, -1.0, 5.0, 0.5], dtype=np.float32)


def test_hand_computed_example():
    # Rows 0, 1 and 3 count: solved, 1 of 2 right, 3 of 4 right. q_halt is right about rows 0 and 1, wrong about row 3.
    assert evaluate(TOKENS, LABELS, DEPTH, Q_HALT) == Metrics(
        exact_accuracy=pytest.approx(1 / 3),
        accuracy=pytest.approx((1 + 0.5 + 0.75) / 3),
        steps=pytest.approx(4.0),
        q_halt_accuracy=pytest.approx(2 / 3),
        count=3,
    )


def test_the_official_names():
    names = {"exact_accuracy", "accuracy", "steps", "q_halt_accuracy", "count"}
    assert set(evaluate(TOKENS, LABELS, DEPTH, Q_HALT).to_dict()) == names


def test_values_are_plain_python():
    values = evaluate(TOKENS, LABELS, DEPTH, Q_HALT).to_dict().values()
    assert {type(value) for value in values} == {float, int}


def test_solved_needs_every_labelled_cell_and_at_least_one():
    assert solved(TOKENS, LABELS).tolist() == [True, False, False, False]
    assert solved(LABELS, LABELS).tolist() == [True, True, False, True]


def test_without_labels_there_is_nothing_to_measure():
    nothing = np.full((2, 3), -100, dtype=np.int32)
    with pytest.raises(DatasetError, match="nothing to measure"):
        evaluate(nothing, nothing, np.ones(2), np.zeros(2))


def test_another_hand_computed_example():
    # Three of five are solved, the others have 12 and 15 of 16 cells; q_halt is wrong about the third and the fifth.
    labels = np.tile(np.arange(16, dtype=np.int32) % 4 + 2, (5, 1))
    tokens = labels.copy()
    tokens[3, :4] += 1
    tokens[4, 0] = 1
    metrics = evaluate(tokens, labels, np.full(5, 8), np.array([1, 1, -1, -1, 1]))
    assert metrics.to_dict() == pytest.approx(
        {
            "exact_accuracy": 0.6,
            "accuracy": (3 + 12 / 16 + 15 / 16) / 5,
            "steps": 8.0,
            "q_halt_accuracy": 0.6,
            "count": 5,
        }
    )


def official(tokens, labels, depth, q_halt):
    """``models/losses.py`` and the averaging of ``pretrain.py``, put into loops."""
    sums = dict.fromkeys(["count", "accuracy", "exact_accuracy", "q_halt_accuracy", "steps"], 0.0)
    for row, label, steps, halt in zip(tokens, labels, depth, q_halt, strict=True):
        judged = [(a, b) for a, b in zip(row, label, strict=True) if b != -100]
        if judged:
            right = sum(a == b for a, b in judged)
            sums["count"] += 1
            sums["accuracy"] += right / len(judged)
            sums["exact_accuracy"] += right == len(judged)
            sums["q_halt_accuracy"] += (halt >= 0) == (right == len(judged))
            sums["steps"] += steps
    count = sums.pop("count")
    return {name: value / count for name, value in sums.items()} | {"count": count}


@given(
    tokens=arrays(np.int32, (7, 3), elements=st.integers(0, 2)),
    labels=arrays(np.int32, (7, 3), elements=st.sampled_from([-100, 0, 1])),
    depth=arrays(np.int32, 7, elements=st.integers(1, 16)),
    q_halt=arrays(np.float32, 7, elements=st.sampled_from([-1.0, 0.0, 1.0])),
)
def test_the_vectorised_metrics_are_the_official_sums(tokens, labels, depth, q_halt):
    labels[0, 0] = 1
    assert evaluate(tokens, labels, depth, q_halt).to_dict() == pytest.approx(official(tokens, labels, depth, q_halt))
