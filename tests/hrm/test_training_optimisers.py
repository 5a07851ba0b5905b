from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tiny_training import recipe as tiny

from hrm.training.optimisers import adam_atan2, sign_sgd


def test_a_used_row_moves_by_the_sign_of_its_summed_gradient() -> None:
    table = torch.tensor([[1.0, 1.0], [2.0, 2.0], [3.0, 3.0], [4.0, 4.0]])
    identifiers = torch.tensor([2, 0, 2, 2])
    gradient = torch.tensor([[1.0, -5.0], [-0.1, 0.0], [1.0, 2.0], [-9.0, 2.5]])
    sign_sgd(table, identifiers, gradient, lr=0.5, weight_decay=0.2)
    kept = 1 - 0.5 * 0.2
    expected = [[kept + 0.5, kept], [2, 2], [3 * kept + 0.5, 3 * kept + 0.5], [4, 4]]
    torch.testing.assert_close(table, torch.tensor(expected))


@given(st.lists(st.integers(0, 3), min_size=1, max_size=12), st.integers(0, 9))
def test_the_order_of_the_rows_does_not_matter(identifiers: list[int], seed: int) -> None:
    chance = torch.Generator().manual_seed(seed)
    gradient = torch.randint(-3, 4, (len(identifiers), 2), generator=chance).float()
    order = torch.randperm(len(identifiers), generator=chance)
    rows = torch.tensor(identifiers)
    one, other = torch.ones(4, 2), torch.ones(4, 2)
    sign_sgd(one, rows, gradient, 0.1, 0.1)
    sign_sgd(other, rows[order], gradient[order], 0.1, 0.1)
    assert torch.equal(one, other)


class Weight(torch.nn.Module):
    """One number to be trained."""

    def __init__(self, value: float) -> None:
        super().__init__()
        self.value = torch.nn.Parameter(torch.tensor([value]))


def updates(gradient: float, steps: int, **settings: float) -> list[float]:
    """How far a weight moves in each step under the same gradient, in shares of the learning rate."""
    weight = Weight(settings.pop("value", 0.0))
    optimiser = adam_atan2(weight, tiny("anywhere", lr=1e-3, **{"weight_decay": 0.0, **settings}))
    moves = []
    for _ in range(steps):
        before = weight.value.item()
        weight.value.grad = torch.tensor([gradient])
        optimiser.step()
        moves.append((before - weight.value.item()) / 1e-3)
    return moves


@pytest.mark.parametrize("gradient", [1e-12, 1e-3, 1.0, 1e12])
def test_adam_atan2_moves_by_the_direction_whatever_the_scale(gradient: float) -> None:
    assert updates(gradient, 5) == pytest.approx([math.atan2(1, 1)] * 5, rel=1e-3)
    assert updates(-gradient, 1) == pytest.approx([-math.atan2(1, 1)], rel=1e-3)


def test_no_gradient_is_no_move() -> None:
    assert updates(0.0, 3) == [0, 0, 0]


def test_weight_decay_is_decoupled() -> None:
    assert updates(0.0, 1, weight_decay=0.1, value=2.0) == pytest.approx([0.2], rel=1e-3)


def test_the_package_is_behind_the_official_kernel_for_the_first_steps_only() -> None:
    """The official kernel corrects the first moment's bias outside the arc tangent: ``lr / c * atan2(m, d)``."""
    beta, steps = 0.9, 60
    corrections = [1 - beta**step for step in range(1, steps + 1)]
    official = [math.atan2(c, 1) / c for c in corrections]
    behind = [1 - ours / theirs for ours, theirs in zip(updates(1.0, steps), official, strict=True)]
    assert behind[0] == pytest.approx(0.212, abs=0.002)
    assert max(map(abs, behind[40:])) < 0.01
