"""One segment of training: the one-step gradient, and the look ahead that gives the halting head its target."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor, nn

from hrm.data.layout import IGNORE
from hrm.network import Carry
from hrm.training.losses import answer_loss, halting_loss

if TYPE_CHECKING:
    from hrm.network import HRM, Heads
    from hrm.training.losses import LossName


class Thought(NamedTuple):
    """What one segment of training says of a batch; only the losses (scalars, summed over rows) have gradients."""

    carry: Carry
    answer_loss: Tensor
    q_halt_loss: Tensor
    q_continue_loss: Tensor
    q_halt: Tensor
    """float32 [B]"""
    q_continue: Tensor
    """float32 [B]"""
    cells: Tensor
    """Share of a row's judged cells that are right, float32 [B]."""
    right: Tensor
    """Rows that are right as a whole, bool [B]."""


def one_step_gradient(network: HRM, carry: Carry, input_embeddings: Tensor) -> tuple[Carry, Heads]:
    """A segment whose gradient flows through its last executor and planner call alone (the paper's section 2.2)."""
    z_H, z_L = carry
    calls = network.config.H_cycles * network.config.L_cycles
    with torch.no_grad():
        for call in range(1, calls):
            z_L = network.execute(z_L, z_H, input_embeddings)
            if call % network.config.L_cycles == 0:
                z_H = network.plan(z_H, z_L)
    z_L = network.execute(z_L, z_H, input_embeddings)
    z_H = network.plan(z_H, z_L)
    return Carry(z_H.detach(), z_L.detach()), network.heads(z_H)


class Thinker(nn.Module):
    """The network as training calls it; a module, so that it can be compiled and called with cast parameters."""

    def __init__(self, network: HRM, loss: LossName) -> None:
        super().__init__()
        self.network = network
        self.loss = loss

    def forward(
        self, carry: Carry, inputs: Tensor, labels: Tensor, puzzle_embedding: Tensor | None, last: Tensor, ahead: Tensor
    ) -> Thought:
        """Think one segment further.

        Args:
            carry: each row's state, [B, T, D].
            inputs: int64 [B, S].
            labels: int64 [B, S], ``IGNORE`` where a cell is not judged.
            puzzle_embedding: each row's puzzle embedding [B, E], with gradient; None for a model without.
            last: bool [B], the rows that may not go on after this segment.
            ahead: int64 [R], the rows whose ``q_continue`` learns in this step.
        """
        input_embeddings = self.network.embed(inputs, puzzle_embedding)
        carry, heads = one_step_gradient(self.network, carry, input_embeddings)
        judged = labels != IGNORE
        counts = judged.sum(-1)
        hits = ((heads.logits.argmax(-1) == labels) & judged).sum(-1)
        return Thought(
            carry=carry,
            answer_loss=answer_loss(heads.logits, labels, self.loss),
            q_halt_loss=halting_loss(heads.q_halt, (hits == counts).float()),
            q_continue_loss=self._continue_loss(heads.q_continue, carry, input_embeddings, last, ahead),
            q_halt=heads.q_halt.detach(),
            q_continue=heads.q_continue.detach(),
            cells=hits / counts.clamp(min=1),
            right=hits == counts,
        )

    def _continue_loss(
        self, q_continue: Tensor, carry: Carry, input_embeddings: Tensor, last: Tensor, ahead: Tensor
    ) -> Tensor:
        """Summed as if every row had learnt; nothing where there is but one segment, which nobody goes on after."""
        if self.network.config.halt_max_steps == 1:
            return q_continue.new_zeros(())
        target = self._bootstrap(carry, input_embeddings, last, ahead)
        return halting_loss(q_continue[ahead], target) * (len(last) / len(ahead))

    @torch.no_grad()
    def _bootstrap(self, carry: Carry, input_embeddings: Tensor, last: Tensor, rows: Tensor) -> Tensor:
        """What going on is worth, in 0..1 [R]: the better of the next segment's two values (the paper's section 2.3).

        There is no replay buffer and no target network: many rows at many depths stand in for them (PQN, arXiv
        2407.04811).
        """
        next_carry = Carry(carry.z_H[rows], carry.z_L[rows])
        q = self.network.segment(next_carry, input_embeddings[rows])[1]
        return torch.where(last[rows], q.q_halt, torch.maximum(q.q_halt, q.q_continue)).sigmoid()
