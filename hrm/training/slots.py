"""The rows of a training batch: each slot works on a puzzle until it halts, then takes the next batch's."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from hrm.network import Carry

if TYPE_CHECKING:
    from hrm.network import HRM


class Batch(NamedTuple):
    """Puzzles to work on: ``inputs`` and ``labels`` int64 [B, S], ``identifiers`` int64 [B]."""

    inputs: Tensor
    labels: Tensor
    identifiers: Tensor


class Slots(NamedTuple):
    """What B slots hold between two steps."""

    carry: Carry
    """[B, T, D] in the dtype that the model computes in"""
    puzzles: Batch
    depth: Tensor
    """Segments used so far, int64 [B]."""
    halted: Tensor
    """bool [B]: the slot takes a new puzzle at the next step."""


def empty(network: HRM, batch: Batch, dtype: torch.dtype) -> Slots:
    """Slots that all take their puzzle from the first batch."""
    rows = len(batch.inputs)
    z_H, z_L = network.initial_carry(rows)
    return Slots(
        carry=Carry(z_H.to(dtype).clone(), z_L.to(dtype).clone()),
        puzzles=batch,
        depth=torch.zeros_like(batch.identifiers),
        halted=torch.ones_like(batch.identifiers, dtype=torch.bool),
    )


def refill(slots: Slots, batch: Batch, network: HRM) -> Slots:
    """Halted slots start afresh with their row of ``batch``; the others go on, their row of it unused."""
    fresh = slots.halted
    wide = fresh.view(-1, 1, 1)
    z_H, z_L = slots.carry
    carry = Carry(
        torch.where(wide, network.H_init.to(z_H.dtype), z_H), torch.where(wide, network.L_init.to(z_L.dtype), z_L)
    )
    puzzles = Batch(
        inputs=torch.where(fresh[:, None], batch.inputs, slots.puzzles.inputs),
        labels=torch.where(fresh[:, None], batch.labels, slots.puzzles.labels),
        identifiers=torch.where(fresh, batch.identifiers, slots.puzzles.identifiers),
    )
    return Slots(carry, puzzles, torch.where(fresh, 0, slots.depth), torch.zeros_like(fresh))


def halting(
    depth: Tensor, q_halt: Tensor, q_continue: Tensor, max_depth: int, exploration: float, generator: torch.Generator
) -> Tensor:
    """Which slots halt, bool [B]: ``q_halt > q_continue`` or at ``max_depth``; some must first reach a random depth.

    Args:
        depth: segments used, the one just done included, int64 [B].
        q_halt: float32 [B].
        q_continue: float32 [B].
        max_depth: segments after which a slot halts in any case.
        exploration: the share of slots that get a least depth, drawn from 2 to ``max_depth``.
        generator: where chance comes from; on the CPU, so that every device draws the same.
    """
    if max_depth == 1:
        return torch.ones_like(depth, dtype=torch.bool)
    explores = torch.rand(len(depth), generator=generator) < exploration
    least = torch.randint(2, max_depth + 1, (len(depth),), generator=generator) * explores
    wants = (q_halt > q_continue) & (depth >= least.to(depth.device))
    return wants | (depth >= max_depth)
