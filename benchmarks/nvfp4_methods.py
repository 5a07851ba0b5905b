"""What `nvfp4.py` compares: a network made better for NVFP4, without a new operator, and the error of its products."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch
from low_precision import Amax, Nvfp4Linear
from torch import Tensor, nn

from engines.calibration.blocks import BLOCK, round_blocks
from engines.calibration.equalise import MEETS, equalise, factors
from engines.calibration.gptq import nearest, scale_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from hrm.network import HRM

    Operands = Mapping[str, Tensor]

ALPHAS = tuple(step / 10 for step in range(11))
SHRINKS = tuple(1 - step / 40 for step in range(14))
"""Parts of a block's largest magnitude that become its 6: below 5/6 of it another value rounds to 6 instead."""
STRETCHES = (*SHRINKS, *(1 + step / 40 for step in range(1, 21)), 1.5)
"""… and beyond it; 1.5 gives the largest 4."""
MULTIPLES = (0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.25, 1.5, 2.0, 3.0, 4.0)
"""Of the largest magnitude of a tensor, tried for its scale."""


class Method(NamedTuple):
    """A network to be rounded, and how."""

    network: HRM
    """In float32."""
    amax: dict[str, Amax]
    weights_are_rounded: bool = False
    """The weights are NVFP4 values already, in scales that the graph passes would not choose."""
    meant: HRM | None = None
    """Whose products are wanted, where that is not ``network``'s own."""

    def linear(self, weight: Tensor, amax: Amax) -> nn.Module:
        """The linear with both operands rounded."""
        linear = Nvfp4Linear(weight, amax)
        if self.weights_are_rounded:
            linear.weight = weight.detach()
        return linear


def inputs_of(network: HRM, sites: tuple[str, ...], run: Callable[[], object], every: int) -> dict[str, Tensor]:
    """Every so manieth row [R, K] that ``sites`` are given while ``run`` runs ``network``."""
    rows: dict[str, list[Tensor]] = {site: [] for site in sites}

    def keep(site: str) -> Callable[[nn.Module, tuple[Tensor, ...]], None]:
        return lambda _, inputs: rows[site].append(inputs[0].flatten(0, -2)[::every].clone())

    handles = [network.get_submodule(site).register_forward_pre_hook(keep(site)) for site in sites]
    run()
    for handle in handles:
        handle.remove()
    return {site: torch.cat(parts) for site, parts in rows.items()}


def error(x: Tensor, weight: Tensor, amax: Amax, rounded: Tensor | None = None) -> float:
    """What rounding both operands does to their product, squared, over the product's own squares."""
    wanted = x @ weight.t()
    if rounded is None:
        rounded = round_blocks(weight, x.new_tensor(amax.weight))
    found = round_blocks(x, x.new_tensor(amax.input)) @ rounded.t()
    return ((found - wanted).square().sum() / wanted.square().sum()).item()


def mean_error(method: Method, inputs: Operands) -> float:
    """The error of the products, mean over the sites."""
    total = 0.0
    for site, x in inputs.items():
        amax, weight = method.amax[site], weight_of(method.network, site)
        rounded = weight if method.weights_are_rounded else round_blocks(weight, x.new_tensor(amax.weight))
        total += error(x, weight_of(method.meant or method.network, site), amax, rounded)
    return total / len(inputs)


def weight_of(network: HRM, site: str) -> Tensor:
    return network.get_submodule(site).get_parameter("weight").detach()


def scaled(method: Method, inputs: Operands) -> Method:
    """The scale of each operand by the least error of the product; the largest magnitude's multiples are tried."""
    amax = {}
    for site, now in method.amax.items():
        weight, x = weight_of(method.network, site), inputs.get(site)
        if x is None:
            amax[site] = now
            continue
        first = min(MULTIPLES, key=lambda m: error(x, weight, now._replace(input=m * now.input)))
        now = now._replace(input=first * now.input)
        second = min(MULTIPLES, key=lambda m: error(x, weight, now._replace(weight=m * now.weight)))
        amax[site] = now._replace(weight=second * now.weight)
    return method._replace(amax=amax)


def evened(method: Method, inputs: Operands) -> tuple[HRM, dict[str, float | None]]:
    """Each `o_proj` and `down_proj` equalised with the alpha of least error, or left alone where none is better."""
    channels = {site: x.abs().amax(dim=0) for site, x in inputs.items()}
    chosen: dict[str, float | None] = {}
    for site, x in inputs.items():
        if site.partition("layers.")[2].partition(".")[2] not in MEETS:
            continue
        weight = weight_of(method.network, site)
        found: dict[float | None, float] = {None: error(x, weight, method.amax[site])}
        for alpha in ALPHAS:
            by = factors(channels[site], weight.abs().amax(dim=0), alpha)
            found[alpha] = error(
                x / by, weight * by, Amax((x / by).abs().amax().item(), (weight * by).abs().amax().item())
            )
        chosen[site] = min(found, key=lambda key: found[key])
    alphas = {site: alpha for site, alpha in chosen.items() if alpha is not None}
    return equalise(method.network, channels, alphas), chosen


def clipped(weight: Tensor, amax: float, importance: Tensor, stretches: tuple[float, ...]) -> Tensor:
    """``weight`` [N, K] in NVFP4, each block's scale the one of least error.

    Args:
        weight: float32.
        amax: of the whole tensor.
        importance: of the errors in each input channel [K].
        stretches: what is tried, in parts of a block's largest magnitude.
    """
    blocks, cost = weight.unflatten(-1, (-1, BLOCK)), importance.view(-1, BLOCK)
    peak = blocks.abs().amax(-1, keepdim=True)
    best, least = torch.zeros_like(blocks), torch.full_like(peak, torch.inf)
    for stretch in stretches:
        rounded = nearest(blocks, scale_of(peak * stretch, amax))
        found = ((rounded - blocks).square() * cost).sum(-1, keepdim=True)
        best, least = torch.where(found < least, rounded, best), torch.minimum(found, least)
    return best.flatten(-2)
