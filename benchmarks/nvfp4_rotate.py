"""The hidden space turned: a network that computes the same with every weight in other coordinates.

All that HRM does to its hidden states between linears, sums and norms without weights, commutes with a rotation. So
one orthogonal matrix can be multiplied into every matrix that reads or writes them, and spreads what lay in few
channels over all. (Ashkboos et al., "QuaRot", arXiv 2404.00456, without the weights of norms to fold first.)
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import torch

from hrm.errors import CalibrationError

if TYPE_CHECKING:
    from torch import Tensor

    from hrm.network import HRM

_READ = ("qkv_proj", "gate_up_proj", "lm_head", "q_head")
"""Linears whose input is a hidden state …"""
_WRITE = ("o_proj", "down_proj")
"""… and whose output is added to one."""


@torch.no_grad()
def rotate(network: HRM, rotation: Tensor) -> HRM:
    """A copy of ``network`` that computes the same with hidden states multiplied by ``rotation``.

    Args:
        network: stays as it is.
        rotation: orthogonal, float64 [D, D].

    Raises:
        CalibrationError: a puzzle embedding fills its last token in part, and would be turned out of its place.
    """
    config = network.config
    if config.puzzle_emb_ndim % config.hidden_size:
        raise CalibrationError(
            "this network cannot be rotated",
            why=f"its puzzle embedding of {config.puzzle_emb_ndim} is no multiple of its width {config.hidden_size}",
            hint="quantise it as it is",
        )
    copied = copy.deepcopy(network)
    for name, linear in copied.named_modules():
        end = name.rpartition(".")[2]
        if end in _READ:
            _turn(linear.get_parameter("weight"), rotation)
        elif end in _WRITE:
            _turn(linear.get_parameter("weight").t(), rotation)
    _turn(copied.embed_tokens.embedding_weight, rotation)
    if copied.embed_pos is not None:
        _turn(copied.embed_pos.embedding_weight, rotation)
    if copied.puzzle_emb is not None:
        _turn(copied.puzzle_emb.weights.view(-1, config.hidden_size), rotation)
    _turn(copied.H_init[None], rotation)
    _turn(copied.L_init[None], rotation)
    return copied


def random_rotation(width: int, seed: int) -> Tensor:
    """An orthogonal matrix, float64 [width, width], drawn evenly from all of them."""
    normal = torch.randn(width, width, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    q, r = torch.linalg.qr(normal)
    rotation: Tensor = q * r.diagonal().sign()
    return rotation


def _turn(rows: Tensor, rotation: Tensor) -> None:
    """Multiply ``rows`` [N, D] by ``rotation`` in place."""
    rows.copy_(rows.to(rotation.dtype) @ rotation.to(rows.device))
