"""Linears that multiply in FP8 on tensor cores, and linears that only round as those do."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, NamedTuple

import torch
import torch.nn.functional as F  # noqa: N812  (PyTorch's own name for it)
from torch import Tensor, nn

from engines.calibration.blocks import round_blocks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from hrm.network import HRM

E4M3 = torch.float8_e4m3fn
E4M3_MAX = 448.0


class Amax(NamedTuple):
    """The largest magnitudes of a linear's operands."""

    input: float
    weight: float


def measure_amax(network: HRM, sites: Iterable[str], run: Callable[[], object]) -> dict[str, Amax]:
    """The largest magnitudes that ``sites`` meet while ``run`` runs ``network``."""
    largest: dict[str, Tensor] = {}

    def hook(site: str) -> Callable[[nn.Module, tuple[Tensor, ...]], None]:
        def look(_: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            seen = inputs[0].detach().abs().amax().float()
            largest[site] = torch.maximum(largest.get(site, seen), seen)

        return look

    linears = {site: network.get_submodule(site) for site in sites}
    handles = [linear.register_forward_pre_hook(hook(site)) for site, linear in linears.items()]
    run()
    for handle in handles:
        handle.remove()
    weights = {site: linear.get_parameter("weight").abs().amax().item() for site, linear in linears.items()}
    return {site: Amax(largest[site].item(), weights[site]) for site in linears}


def fp8_scale(amax: float, device: torch.device) -> Tensor:
    """The scale of FP8 values up to ``amax``: float32, but rounded to float16 as it is stored in a graph."""
    return torch.tensor(amax / E4M3_MAX, device=device).half().float()


def to_e4m3(values: Tensor, scale: Tensor) -> Tensor:
    """``values`` in units of ``scale``, as FP8."""
    return (values.float() / scale).clamp(-E4M3_MAX, E4M3_MAX).to(E4M3)


class _Fp8(nn.Module):
    """A linear with FP8 operands: the weight [N, K] and the scales of both."""

    weight: Tensor
    input_scale: Tensor
    weight_scale: Tensor

    def __init__(self, weight: Tensor, amax: Amax) -> None:
        super().__init__()
        self.register_buffer("input_scale", fp8_scale(amax.input, weight.device))
        self.register_buffer("weight_scale", fp8_scale(amax.weight, weight.device))
        self.register_buffer("weight", to_e4m3(weight.detach(), self.weight_scale))


class Fp8Linear(_Fp8):
    """The product on FP8 tensor cores, accumulated in float32, or with ``fast_accumulate`` in fewer bits."""

    def __init__(self, weight: Tensor, amax: Amax, *, fast_accumulate: bool) -> None:
        super().__init__(weight, amax)
        self.fast_accumulate = fast_accumulate

    def forward(self, x: Tensor) -> Tensor:
        """Map ``x`` [..., K] to [..., N]."""
        operand = to_e4m3(x.reshape(-1, x.shape[-1]), self.input_scale)
        y = torch._scaled_mm(
            operand,
            self.weight.t(),
            scale_a=self.input_scale,
            scale_b=self.weight_scale,
            out_dtype=x.dtype,
            use_fast_accum=self.fast_accumulate,
        )
        return y.view(*x.shape[:-1], -1)


class ExactFp8Linear(_Fp8):
    """The same operands multiplied in float32, and scaled after."""

    def forward(self, x: Tensor) -> Tensor:
        """Map ``x`` [..., K] to [..., N]."""
        product = F.linear(to_e4m3(x, self.input_scale).float(), self.weight.float())
        return (product * (self.input_scale * self.weight_scale)).to(x.dtype)


class DequantisedFp8Linear(_Fp8):
    """The same operands scaled first and multiplied in the type of ``x``: what a graph's Q/DQ says on a CPU."""

    def forward(self, x: Tensor) -> Tensor:
        """Map ``x`` [..., K] to [..., N]."""
        operand = (to_e4m3(x, self.input_scale).float() * self.input_scale).to(x.dtype)
        return F.linear(operand, (self.weight.float() * self.weight_scale).to(x.dtype))


class Nvfp4Linear(nn.Module):
    """Operands rounded to NVFP4 and multiplied in the type of ``x``."""

    weight: Tensor
    input_amax: Tensor

    def __init__(self, weight: Tensor, amax: Amax) -> None:
        super().__init__()
        values = weight.detach()
        self.register_buffer("input_amax", torch.tensor(amax.input, device=values.device))
        self.register_buffer("weight", round_blocks(values, torch.tensor(amax.weight, device=values.device)))

    def forward(self, x: Tensor) -> Tensor:
        """Map ``x`` [..., K] to [..., N]."""
        return F.linear(round_blocks(x, self.input_amax), self.weight)


def replaced(network: HRM, linears: Mapping[str, nn.Module]) -> HRM:
    """A copy of ``network`` with ``linears`` in the places of its own, by name."""
    changed = copy.deepcopy(network)
    for site, linear in linears.items():
        changed.set_submodule(site, linear)
    return changed
