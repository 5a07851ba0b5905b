"""Channels of unlike size made alike where two linears meet: the network computes the same and rounds better.

A linear's input channel can be divided by a number, and its weights for that channel multiplied by it, where what
comes before can take the division up. That is exact in two places of a block: attention averages V over tokens,
channel by channel, so ``o_proj`` meets the V rows of ``qkv_proj``; and ``down_proj`` meets the ``up`` half of
``gate_up_proj``, a factor of its input. The inputs of ``qkv_proj`` and ``gate_up_proj`` come from a sum behind a norm
without weights, which can take up no factor. (Xiao et al., "SmoothQuant", arXiv 2211.10438.)
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from hrm.network import HRM

MEETS = {"self_attn.o_proj": "self_attn.qkv_proj", "mlp.down_proj": "mlp.gate_up_proj"}
"""The linears whose input channels can be scaled, and those whose last rows give these channels."""


@torch.no_grad()
def equalise(network: HRM, channels: Mapping[str, Tensor], alphas: Mapping[str, float]) -> HRM:
    """A copy of ``network`` that computes the same, with the inputs of some linears evened out.

    Args:
        network: stays as it is; the copy shares its puzzle table.
        channels: the largest magnitude of every input channel [K], by the linear's name.
        alphas: by the name of an ``o_proj`` or ``down_proj``, how much of the unevenness goes from its input into its
            weight: 1 makes all input channels as large, 0 all columns of the weight.
    """
    copied = copy.deepcopy(network, {id(network.puzzle_emb): network.puzzle_emb})
    for site, alpha in alphas.items():
        block, _, end = site.partition("layers.")[2].partition(".")
        level = site.partition(".")[0]
        weight = copied.get_submodule(site).get_parameter("weight")
        before = copied.get_submodule(f"{level}.layers.{block}.{MEETS[end]}").get_parameter("weight")
        scales = factors(channels[site].to(weight), weight.abs().amax(dim=0), alpha)
        weight.mul_(scales)
        before[-len(scales) :].div_(scales[:, None])
    return copied


def factors(inputs: Tensor, weights: Tensor, alpha: float) -> Tensor:
    """What each input channel is divided by, [K], their geometric mean 1; 1 for a channel that is always zero.

    Args:
        inputs: the largest magnitude of every input channel [K].
        weights: the largest magnitude of every column of the weight [K].
        alpha: the power of ``inputs``; 1 - ``alpha`` is that of 1 / ``weights``.
    """
    alive = (inputs > 0) & (weights > 0)
    logarithms = torch.where(alive, alpha * inputs.log() - (1 - alpha) * weights.log(), 0.0)
    mean = logarithms.sum() / alive.sum().clamp(min=1)
    return torch.where(alive, (logarithms - mean).exp(), 1.0)
