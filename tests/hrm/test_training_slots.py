from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hrm.config import HRMConfig
from hrm.network import Carry, random_network
from hrm.training.slots import Batch, Slots, empty, halting, refill

ROWS, LENGTH = 5, 3
NETWORK = random_network(
    HRMConfig(
        vocab_size=9, seq_len=LENGTH, num_puzzle_identifiers=9, hidden_size=4, num_heads=1, H_layers=1, L_layers=1,
        H_cycles=1, L_cycles=1, halt_max_steps=4,
    ),
    seed=0,
)  # fmt: skip
FLAGS = st.lists(st.booleans(), min_size=ROWS, max_size=ROWS)


def batch(number: int) -> Batch:
    """A batch whose every value says which batch it is."""
    cells = torch.full((ROWS, LENGTH), number)
    return Batch(cells, cells.clone(), torch.full((ROWS,), number))


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@given(FLAGS)
def test_halted_slots_take_a_new_puzzle_and_the_others_keep_theirs(flags: list[bool]) -> None:
    halted = torch.tensor(flags)
    state = torch.full((ROWS, LENGTH, 4), 7.0)
    before = Slots(Carry(state, state + 1), batch(1), torch.arange(1, ROWS + 1), halted)
    after = refill(before, batch(2), NETWORK)
    for tensor in after.puzzles:
        assert (tensor.view(ROWS, -1) == torch.where(halted, 2, 1)[:, None]).all()
    assert (after.depth == torch.where(halted, 0, before.depth)).all()
    assert not after.halted.any()
    for z, old, first in ((after.carry.z_H, state, NETWORK.H_init), (after.carry.z_L, state + 1, NETWORK.L_init)):
        assert (z[halted] == first).all()
        assert (z[~halted] == old[~halted]).all()


def test_the_first_batch_fills_every_slot() -> None:
    slots = refill(empty(NETWORK, batch(1), torch.bfloat16), batch(2), NETWORK)
    assert (slots.puzzles.identifiers == 2).all()
    assert (slots.depth == 0).all()
    assert slots.carry.z_H.dtype == slots.carry.z_L.dtype == torch.bfloat16
    assert (slots.carry.z_H == NETWORK.H_init.bfloat16()).all()


VALUES = st.lists(st.floats(-9, 9, width=32), min_size=ROWS, max_size=ROWS).map(torch.tensor)
DEPTHS = st.lists(st.integers(1, 4), min_size=ROWS, max_size=ROWS).map(torch.tensor)


@settings(max_examples=50)
@given(DEPTHS, VALUES, VALUES, st.integers(0, 99))
def test_a_slot_halts_when_it_wants_to_or_must(
    depth: torch.Tensor, q_halt: torch.Tensor, q_continue: torch.Tensor, seed: int
) -> None:
    wants, must = q_halt > q_continue, depth >= 4
    halts = halting(depth, q_halt, q_continue, 4, 0.0, generator(seed))
    assert (halts == wants | must).all()
    explores = halting(depth, q_halt, q_continue, 4, 1.0, generator(seed))
    assert (explores >= must).all()
    assert (explores <= halts).all(), "exploration only ever prolongs"
    assert not explores[(depth < 2) & ~must].any(), "the least depth starts at 2"


@pytest.mark.parametrize("exploration", [0.25, 1.0])
def test_as_many_explore_as_asked_and_to_every_depth_alike(exploration: float) -> None:
    """Of the rows that want to halt at once, those that explore go on to a least depth drawn from 2 to the last."""
    rows, last = 40_000, 5
    q = torch.ones(rows)
    for depth in range(1, last):
        halts = halting(torch.full((rows,), depth), q, -q, last, exploration, generator(depth))
        beyond = (last - max(depth, 1)) / (last - 1)
        assert 1 - halts.double().mean().item() == pytest.approx(exploration * beyond, abs=0.01)


def test_a_model_of_one_segment_always_halts() -> None:
    q = torch.zeros(ROWS)
    assert halting(torch.ones(ROWS), q, q + 1, 1, 1.0, generator()).all()


def test_the_same_chance_draws_the_same() -> None:
    depth, q = torch.full((200,), 2), torch.ones(200)
    first, again, other = (halting(depth, q, -q, 8, 0.5, generator(seed)) for seed in (1, 1, 2))
    assert (first == again).all()
    assert (first != other).any()
