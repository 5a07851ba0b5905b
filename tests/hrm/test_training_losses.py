from __future__ import annotations

import math

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from hrm.data.layout import IGNORE
from hrm.training.losses import answer_loss, cross_entropy, halting_loss, log_stablemax

LOGITS = st.floats(-1e6, 1e6, allow_nan=False)


def stablemax(logits: list[float]) -> list[float]:
    """Prieto et al., arXiv 2501.04697, section 5: s(x) = x + 1 from zero on, 1 / (1 - x) below; shares of the sum."""
    scores = [x + 1 if x >= 0 else 1 / (1 - x) for x in logits]
    return [score / sum(scores) for score in scores]


@given(st.lists(LOGITS, min_size=1, max_size=8))
def test_stablemax_is_the_papers(logits: list[float]) -> None:
    ours = log_stablemax(torch.tensor(logits, dtype=torch.float64))
    assert ours.tolist() == pytest.approx([math.log(p) for p in stablemax(logits)], rel=1e-9, abs=1e-12)


@settings(max_examples=50)
@given(
    st.lists(st.one_of(LOGITS, st.sampled_from([0.0, -0.0, 1.0, -1e9, 1e9])), min_size=2, max_size=6),
    st.sampled_from([torch.float32, torch.float64]),
)
@example([1.0, 0.0], torch.float32)
def test_the_gradient_of_stablemax_is_a_number_everywhere(values: list[float], dtype: torch.dtype) -> None:
    logits = torch.tensor(values, dtype=dtype, requires_grad=True)
    log_stablemax(logits).sum().backward()
    assert torch.isfinite(logits.grad).all()


@pytest.mark.parametrize("values", [[0.5, -0.5, 2.0], [-3.0, -2.0, -1.0], [1.0, 4.0, 0.1]])
def test_the_gradient_of_stablemax_is_that_of_the_formula(values: list[float]) -> None:
    logits = torch.tensor(values, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(log_stablemax, logits)


@pytest.mark.parametrize("name", ["stablemax_cross_entropy", "softmax_cross_entropy"])
def test_cells_that_are_not_judged_cost_nothing_and_teach_nothing(name: str) -> None:
    logits = torch.randn(2, 3, 4, generator=torch.Generator().manual_seed(0), requires_grad=True)
    labels = torch.tensor([[1, IGNORE, 3], [IGNORE, IGNORE, IGNORE]])
    losses = cross_entropy(logits, labels, name)
    assert ((losses > 0) == (labels != IGNORE)).all()
    loss = answer_loss(logits, labels, name)
    assert loss.isfinite()
    loss.backward()
    assert ((logits.grad != 0).any(-1) == (labels != IGNORE)).all()


def test_softmax_is_softmax() -> None:
    logits, labels = torch.tensor([[[2.0, 0.0, -1.0]]]), torch.tensor([[1]])
    expected = math.log(math.exp(2) + 1 + math.exp(-1))
    assert cross_entropy(logits, labels, "softmax_cross_entropy").item() == pytest.approx(expected)


def test_a_row_counts_the_same_however_many_of_its_cells_are_judged() -> None:
    logits = torch.zeros(1, 4, 5)
    few, many = torch.tensor([[2, IGNORE, IGNORE, IGNORE]]), torch.tensor([[2, 1, 0, 4]])
    for labels in (few, many):
        assert answer_loss(logits, labels, "stablemax_cross_entropy").item() == pytest.approx(math.log(5))
    rows = answer_loss(logits.expand(3, 4, 5), many.expand(3, 4), "stablemax_cross_entropy")
    assert rows.item() == pytest.approx(3 * math.log(5))


def test_halting_learns_how_likely_its_target_is() -> None:
    q = torch.tensor([0.0, 2.0])
    expected = math.log(2) + 0.25 * math.log(1 + math.exp(-2)) + 0.75 * math.log(1 + math.exp(2))
    assert halting_loss(q, torch.tensor([1.0, 0.25])).item() == pytest.approx(expected)
