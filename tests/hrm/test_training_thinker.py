from __future__ import annotations

import pytest
import torch

from hrm.config import HRMConfig
from hrm.data.layout import IGNORE
from hrm.network import HRM, Carry, random_network
from hrm.training.thinker import Thinker, Thought, one_step_gradient

ROWS, LENGTH, LAST = 6, 5, 3
CONFIG = HRMConfig(
    vocab_size=7, seq_len=LENGTH, num_puzzle_identifiers=1, hidden_size=8, num_heads=2, H_layers=1, L_layers=1,
    H_cycles=2, L_cycles=3, halt_max_steps=LAST, puzzle_emb_ndim=8,
)  # fmt: skip


def chance(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(len(shape)))


@pytest.fixture
def network() -> HRM:
    model = random_network(CONFIG, seed=0)
    with torch.no_grad():
        model.q_head.weight.copy_(chance(2, 8))
    return model


def carry() -> Carry:
    return Carry(chance(ROWS, LENGTH + 1, 8), -chance(ROWS, LENGTH + 1, 8))


def think(network: HRM, depth: int = 1, ahead: list[int] | None = None, judged: bool = True) -> Thought:
    inputs = torch.arange(ROWS * LENGTH).view(ROWS, LENGTH) % 7
    labels = inputs if judged else torch.full_like(inputs, IGNORE)
    last = torch.full((ROWS,), depth >= LAST)
    rows = torch.tensor(list(range(ROWS)) if ahead is None else ahead)
    embedding = chance(ROWS, 8).requires_grad_()
    return Thinker(network, "stablemax_cross_entropy")(carry(), inputs, labels, embedding, last, rows)


def test_a_segment_of_training_is_a_segment(network: HRM) -> None:
    embeddings = network.embed(torch.zeros(ROWS, LENGTH, dtype=torch.int64), chance(ROWS, 8))
    (ours, heads), (carried, expected) = (
        step(network, carry(), embeddings) for step in (one_step_gradient, HRM.segment)
    )
    for one, other in zip((*ours, *heads), (*carried, *expected), strict=True):
        torch.testing.assert_close(one, other)


def test_the_gradient_flows_through_the_last_two_calls_alone(network: HRM) -> None:
    calls: list[bool] = []
    for level in (network.H_level, network.L_level):
        level.register_forward_hook(lambda *_: calls.append(torch.is_grad_enabled()))
    think(network)
    trained, ahead = calls[:8], calls[8:]
    assert trained == [False] * 6 + [True] * 2
    assert len(ahead) == 8
    assert not any(ahead), "the look ahead only makes a target"


def test_only_the_losses_have_gradients(network: HRM) -> None:
    thought = think(network)
    learns = {name for name, value in thought._asdict().items() if getattr(value, "requires_grad", False)}
    assert learns == {"answer_loss", "q_halt_loss", "q_continue_loss"}
    assert not any(state.requires_grad for state in thought.carry)


def test_some_rows_that_look_ahead_stand_for_all(network: HRM) -> None:
    whole = think(network).q_continue_loss.item()
    parts = [think(network, ahead=[row]).q_continue_loss.item() for row in range(ROWS)]
    assert sum(parts) / ROWS == pytest.approx(whole, rel=1e-5)
    halves = [think(network, ahead=rows).q_continue_loss.item() for rows in ([0, 2, 4], [1, 3, 5])]
    assert sum(halves) / 2 == pytest.approx(whole, rel=1e-5)


def test_what_going_on_is_worth_is_the_better_of_the_next_two_values(network: HRM) -> None:
    """The paper's section 2.3; after the last segment only halting is left."""
    first = think(network)
    embeddings = network.embed(torch.arange(ROWS * LENGTH).view(ROWS, LENGTH) % 7, chance(ROWS, 8))
    with torch.no_grad():
        _, following = network.segment(first.carry, embeddings)
    for depth, worth in ((1, torch.maximum(following.q_halt, following.q_continue)), (LAST, following.q_halt)):
        expected = torch.nn.functional.binary_cross_entropy_with_logits(
            first.q_continue, worth.sigmoid(), reduction="sum"
        )
        assert think(network, depth).q_continue_loss.item() == pytest.approx(expected.item(), rel=1e-5)


def test_a_row_is_right_if_every_judged_cell_is(network: HRM) -> None:
    with torch.no_grad():
        network.lm_head.weight.zero_()  # every answer is 0
    thought = think(network)
    zeros = (torch.arange(ROWS * LENGTH).view(ROWS, LENGTH) % 7 == 0).float().mean(-1)
    torch.testing.assert_close(thought.cells, zeros)
    assert not thought.right.any()
    nothing = think(network, judged=False)
    assert nothing.answer_loss.item() == 0
    assert (nothing.cells == 0).all()
