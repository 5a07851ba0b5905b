"""The losses of the paper's section 2, as the official ``models/losses.py`` computes them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import torch
import torch.nn.functional as F  # noqa: N812  (PyTorch's own name for it)

from hrm.data.layout import IGNORE

if TYPE_CHECKING:
    from torch import Tensor

LossName = Literal["stablemax_cross_entropy", "softmax_cross_entropy"]


def log_stablemax(logits: Tensor) -> Tensor:
    """Log-probabilities over the last axis by stablemax (Prieto et al., arXiv 2501.04697), in the logits' dtype."""
    # The branch that is not taken must not divide by zero: its gradient would be NaN.
    scores = torch.where(logits < 0, 1 / (1 - logits.clamp(max=0)), logits + 1)
    return torch.log(scores / scores.sum(-1, keepdim=True))


def cross_entropy(logits: Tensor, labels: Tensor, name: LossName) -> Tensor:
    """The loss of every cell [B, S] from logits [B, S, V]; zero where the label is ``IGNORE``.

    Stablemax is taken in float64, softmax in float32, as officially.
    """
    if name == "softmax_cross_entropy":
        flat = F.cross_entropy(logits.float().flatten(0, 1), labels.flatten(), ignore_index=IGNORE, reduction="none")
        return flat.view(labels.shape)
    judged = labels != IGNORE
    chosen = torch.where(judged, labels, 0).unsqueeze(-1)
    log_probabilities = log_stablemax(logits.double()).gather(-1, chosen).squeeze(-1)
    return torch.where(judged, -log_probabilities, 0.0)


def answer_loss(logits: Tensor, labels: Tensor, name: LossName) -> Tensor:
    """The loss of the answers: mean over a row's judged cells, summed over the rows; a scalar."""
    counts = (labels != IGNORE).sum(-1, keepdim=True).clamp(min=1)
    return (cross_entropy(logits, labels, name) / counts).sum()


def halting_loss(q: Tensor, target: Tensor) -> Tensor:
    """Binary cross entropy of halting values [B] against their targets [B] in 0..1, summed; a scalar."""
    return F.binary_cross_entropy_with_logits(q, target, reduction="sum")
